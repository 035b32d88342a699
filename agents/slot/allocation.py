"""Who holds which processors, memory and GPUs of the slot. Grants are made here; everything else is told of them."""

from collections.abc import Iterable, Mapping, Sequence

from agents.jobs.jdl import Request
from agents.jobs.job import Grant

GPU_TAG = "GPU"  # how DIRAC's users ask for a GPU where the JDL has no NumberOfGPUs


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


def granted_memory_mb(request: Request, *, free_mb: int) -> int | None:
    """Return how much memory a job gets: between its MinRAM and MaxRAM; None when it does not fit now.

    A job that asks for none gets 0: no limit, and nothing is set aside for it. A job that names only MaxRAM gets no
    less than that, or it would be ended for using what it was said to use.

    Args:
        request: what the job's JDL asks for.
        free_mb: memory of the slot that no job holds.
    """
    needed_mb = request.min_memory_mb or request.memory_mb
    return None if needed_mb > free_mb else min(request.memory_mb, free_mb)


def chosen_processors(free_ids: Sequence[int], count: int, neighbourhoods: Mapping[int, int]) -> tuple[int, ...]:
    """Choose processors by best fit: all in the fullest neighbourhood that has room, else in as few as possible.

    What is left stays together for the next job that needs many.

    Args:
        free_ids: as the kernel numbers them.
        count: how many; no more than are free.
        neighbourhoods: NUMA node of each processor; what is not listed is in node 0.
    """
    free_in: dict[int, list[int]] = {}
    for number in sorted(free_ids):
        free_in.setdefault(neighbourhoods.get(number, 0), []).append(number)
    fitting = [ids for ids in free_in.values() if len(ids) >= count]
    if fitting:
        return tuple(min(fitting, key=len)[:count])
    emptiest_first = sorted(free_in.values(), key=len, reverse=True)
    return tuple(sorted([number for ids in emptiest_first for number in ids][:count]))


class Slot:
    """What this slot has, and which of it is free.

    Args:
        processor_ids: as the kernel numbers them.
        memory_mb: 0 when unknown: then it is not counted.
        is_pinned: jobs are bound to the processors that they hold.
        gpu_ids: devices that no other slot may use.
        neighbourhoods: NUMA node of each processor.
    """

    def __init__(
        self,
        processor_ids: Iterable[int],
        memory_mb: int = 0,
        *,
        is_pinned: bool = True,
        gpu_ids: Iterable[str] = (),
        neighbourhoods: Mapping[int, int] | None = None,
    ) -> None:
        self._ids = frozenset(processor_ids)
        self._gpu_ids = tuple(gpu_ids)
        self._neighbourhoods = neighbourhoods or {}
        self._held: set[Grant] = set()
        self._broken: set[Grant] = set()
        self.is_pinned = is_pinned
        self.memory_mb = memory_mb

    @property
    def processors(self) -> int:
        """How many processors there are, the broken ones left out."""
        return len(self._ids) - self.broken_processors

    @property
    def processor_ids(self) -> tuple[int, ...]:
        """All processors of the slot, the broken ones too, as the kernel numbers them."""
        return tuple(sorted(self._ids))

    @property
    def broken_processors(self) -> int:
        """How many processors are still held by something that cannot be killed."""
        return sum(grant.processors for grant in self._broken)

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
        return max(0, self.memory_mb - sum(grant.memory_mb for grant in self._taken))

    @property
    def free_gpus(self) -> int:
        """How many GPUs no job holds."""
        return len(self._free_gpu_ids())

    @property
    def has_gpus(self) -> bool:
        """True when the slot has a GPU, free or not."""
        return bool(self._gpu_ids)

    def take(self, request: Request) -> Grant | None:
        """Grant what a job asks for, None when it does not fit now."""
        processors = granted_processors(request, free=self.free_processors, total=self.processors)
        memory_mb = granted_memory_mb(request, free_mb=self.free_memory_mb) if self.memory_mb else request.memory_mb
        # a tag alone means one; on a site whose devices we cannot count it was the site that offered it
        gpus = request.gpus or int(self.has_gpus and GPU_TAG in request.tags)
        if not processors or memory_mb is None or gpus > self.free_gpus:
            return None
        grant = Grant(
            processor_ids=chosen_processors(self._free_ids(), processors, self._neighbourhoods),
            memory_mb=memory_mb,
            whole_node=request.whole_node,
            gpu_ids=tuple(self._free_gpu_ids()[: None if request.whole_node else gpus]),
        )
        self.hold(grant)
        return grant

    def hold(self, grant: Grant) -> None:
        """Mark what a job found again after a restart still holds."""
        self._held.add(grant)

    def give_back(self, grant: Grant) -> None:
        """Free what an ended job held; nothing happens the second time."""
        self._held.discard(grant)

    def mark_broken(self, grant: Grant) -> None:
        """Give what an ended job held to nobody any more: something of it goes on, and cannot be killed."""
        self._held.discard(grant)
        self._broken.add(grant)

    @property
    def _taken(self) -> set[Grant]:
        return self._held | self._broken

    def _free_ids(self) -> list[int]:
        return sorted(self._ids.difference(*(grant.processor_ids for grant in self._taken)))

    def _free_gpu_ids(self) -> list[str]:
        held = {gpu_id for grant in self._taken for gpu_id in grant.gpu_ids}
        return [gpu_id for gpu_id in self._gpu_ids if gpu_id not in held]
