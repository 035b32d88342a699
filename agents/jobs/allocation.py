"""Who holds which processors of the slot. One function grants; everything else is told its answer."""

from collections.abc import Iterable

from agents.jobs.jdl import Request
from agents.jobs.job import Grant


def granted_processors(request: Request, *, free: int, total: int) -> int:
    """Return how many processors a job gets, 0 when it does not fit now.

    Args:
        request: what the job's JDL asks for.
        free: processors of the slot that no job holds.
        total: processors of the slot.
    """
    if request.whole_node:
        return total if free == total and request.min_processors <= total else 0
    if request.min_processors > free:
        return 0
    return max(request.min_processors, min(request.max_processors, free))


class Slot:
    """The processors and memory of this slot, and which of them are free."""

    def __init__(self, processor_ids: Iterable[int], memory_mb: int = 0, *, is_pinned: bool = True) -> None:
        self._ids = frozenset(processor_ids)
        self._held: set[Grant] = set()
        self.is_pinned = is_pinned
        self.processors = len(self._ids)
        self.memory_mb = memory_mb

    @property
    def free_processors(self) -> int:
        """How many processors no job holds."""
        return len(self._free_ids())

    @property
    def is_all_free(self) -> bool:
        """True while no job holds a processor."""
        return self.free_processors == self.processors

    @property
    def free_memory_mb(self) -> int:
        """How much memory no job has asked for; 0 when the slot's memory is unknown."""
        return max(0, self.memory_mb - sum(grant.memory_mb for grant in self._held))

    def take(self, request: Request) -> Grant | None:
        """Grant what a job asks for, None when it does not fit now."""
        processors = granted_processors(request, free=self.free_processors, total=self.processors)
        if not processors or (self.memory_mb and request.memory_mb > self.free_memory_mb):
            return None
        grant = Grant(
            processor_ids=tuple(self._free_ids()[:processors]),
            memory_mb=request.memory_mb,
            whole_node=request.whole_node,
        )
        self.hold(grant)
        return grant

    def hold(self, grant: Grant) -> None:
        """Mark what a job found again after a restart still holds."""
        self._held.add(grant)

    def give_back(self, grant: Grant) -> None:
        """Free what an ended job held; nothing happens the second time."""
        self._held.discard(grant)

    def _free_ids(self) -> list[int]:
        return sorted(self._ids.difference(*(grant.processor_ids for grant in self._held)))
