"""A slot that is not of this node: places behind somebody's queue."""

from collections.abc import Callable

from agents.slot.allocation import Slot
from ce_backends.base import Places


class RemoteSlot(Slot):
    """Places, each for one job: what is offered and granted is one of them, never more.

    Processors are numbered through all places, for the ledger's sake, and GPUs in each; nothing is bound to them, the
    batch system says on the node which they are.

    Args:
        places: how many, and how large.
        memory_mb: of one place; 0 when unknown.
        has_room: tells whether the CE takes another task now.
    """

    def __init__(self, places: Places, memory_mb: int = 0, *, has_room: Callable[[], bool] = lambda: True) -> None:
        super().__init__(range(places.tasks * places.processors), memory_mb, is_pinned=False)
        self._places = places
        self._has_room = has_room

    @property
    def processors(self) -> int:
        """How many processors one job can have."""
        return self._places.processors

    @property
    def free_memory_mb(self) -> int:
        """How much memory one job can have; 0 when unknown."""
        return self.memory_mb

    @property
    def free_gpus(self) -> int:
        """How many GPUs one job can have."""
        return self._places.gpus

    @property
    def has_gpus(self) -> bool:
        """True when a place has a GPU."""
        return self._places.gpus > 0

    def _free_ids(self) -> list[int]:
        """Return the processors of one free place."""
        each = self._places.processors
        taken = {number // each for grant in self._taken for number in grant.processor_ids}
        place = next((place for place in range(self._places.tasks) if place not in taken), None)
        if place is None or not self._has_room():
            return []
        return list(range(place * each, (place + 1) * each))

    def _free_gpu_ids(self) -> list[str]:
        return [str(number) for number in range(self._places.gpus)]
