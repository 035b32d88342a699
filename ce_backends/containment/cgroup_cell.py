"""Tasks held in control groups."""

import io
import os
import signal
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ce_backends.containment.cell import Consumption
from ce_backends.containment.cookies import named_tasks
from ce_backends.containment.strays import OURS, Strays
from ce_backends.errors import CEError
from ce_backends.linux.cgroup import Group, Hierarchy
from ce_backends.linux.processes import Process, all_stats, send

BYTES_PER_MB = 1_000_000
MAX_PROCESSES = 4096  # processes and threads of one task: a fork bomb ends here, no real payload does

_SHARED = "cpus-"
_MOST_SHARED = 64  # sets of processors for which groups are kept
_EVENTS_BYTES = 64
_MEMORY_FILES = ("memory.max", "memory.limit_in_bytes")
_V2_COUNTS = ("memory.peak", "memory.events")
_V1_COUNTS = ("memory.max_usage_in_bytes", "memory.oom_control")


@dataclass(frozen=True, slots=True)
class Shared:
    """Groups of version 1 that tasks with the same processors are in, one after the other: their wrapper is put there.

    Attributes:
        processors: holds them to their processors.
        pids: limits how many processes they have.
        events: counts how often that limit was met, open.
    """

    processors: Group | None = None
    pids: Group | None = None
    events: io.FileIO | None = None

    @property
    def groups(self) -> list[Group]:
        """All of them."""
        return [group for group in (self.processors, self.pids) if group is not None]

    def remove(self) -> bool:
        """Give them back; False while a wrapper is in there."""
        if any(group.pids() for group in self.groups):
            return False
        removed = [group.remove() for group in self.groups]  # every one is tried
        self.close()
        return all(removed)

    def close(self) -> None:
        """Count no more."""
        if self.events is not None:
            self.events.close()

    def refusals(self) -> int:
        """Return how often a process was refused so far, to any of the tasks."""
        if self.events is None or self.events.closed:
            return 0
        return int(os.pread(self.events.fileno(), _EVENTS_BYTES, 0).split()[1])  # "max 3"


@dataclass(frozen=True, slots=True)
class CgroupCell:
    """A task in control groups: one to kill by, and the same object or others that limit and count."""

    killer: Group
    memory: Group | None = None
    pids: Group | None = None
    shared: Shared = Shared()
    refused_before: int = 0  # to those that were in the shared group before
    strays: Strays = OURS
    stamp: str = ""  # of a task that another object began: what has left its groups is no child of ours

    @property
    def groups(self) -> list[Group]:
        """Those that are its own, the killer first."""
        found = [self.killer]
        for group in (self.memory, self.pids):
            if group is not None and not any(group is other for other in found):
                found.append(group)
        return found

    @property
    def joins(self) -> Sequence[Path]:
        """See Cell."""
        return [group.procs for group in self.groups]

    def bind(self, process: Process) -> None:
        """See Cell. A payload may widen its affinity, but not this."""
        for group in self.shared.groups:
            group.write("cgroup.procs", str(process.pid))

    def begin(self, wrapper: Process) -> None:
        """See Cell. Nothing to do: the payload enters by itself."""

    def send(self, signal_number: int, already: set[int]) -> None:
        """See Cell."""
        self.killer.send(signal_number, already)
        for pid in self._lost():
            if pid not in already and send(pid, signal_number, lambda pid: self.stamp in named_tasks(pid)):
                already.add(pid)

    def kill(self) -> None:
        """See Cell."""
        self.killer.kill()
        if self.stamp:
            self.send(signal.SIGKILL, set())

    def members(self) -> list[int]:
        """See Cell."""
        return [*self.killer.pids(), *self._lost()]

    def _lost(self) -> list[int]:
        """Return those that carry its cookie and are not in the group."""
        if not self.stamp:
            return []
        held = self.killer.pids()
        others = [stat.process.pid for stat in all_stats() if not stat.is_zombie and stat.process.pid not in held]
        return [pid for pid in others if self.stamp in named_tasks(pid)]

    def consumption(self, *, with_causes: bool = True) -> Consumption:
        """See Cell."""
        cpu_us = self.killer.number("cpu.stat", "usage_usec")
        peak_file, kills_file = _V2_COUNTS if self.memory is self.killer else _V1_COUNTS
        peak = self.memory.number(peak_file) if self.memory is not None else None
        kills = self.memory.number(kills_file, "oom_kill") if self.memory is not None and with_causes else None
        return Consumption(
            cpu_s=None if cpu_us is None else cpu_us / 1e6,
            memory_peak_mb=None if peak is None else peak / BYTES_PER_MB,
            out_of_memory=kills or 0,
            refusals=self._refusals() if with_causes else 0,
        )

    def _refusals(self) -> int:
        if self.pids is None:
            return self.shared.refusals() - self.refused_before
        return self.pids.number("pids.events", "max") or 0

    def remove(self) -> bool:
        """See Cell."""
        removed = [group.remove() for group in self.groups]  # every one is tried
        return all(removed) and self.strays.gone(self.killer) and not self._lost()


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupContainment:
    """Makes a group per task below our own group in each hierarchy it uses.

    Attributes:
        prefix: begins the name of each group, different for each pool.
        killer: the hierarchy whose groups end the task.
        limiters: the hierarchy that has the controller `memory`, `pids`, `cpuset`.
        shared: groups by the processors of the tasks in them, as they were needed.
        may_swap: a limit of memory leaves swap alone.
    """

    prefix: str
    killer: Hierarchy
    limiters: Mapping[str, Hierarchy] = field(default_factory=dict)
    shared: dict[tuple[int, ...], Shared] = field(default_factory=dict, compare=False)
    may_swap: bool = False

    @property
    def counts_cpu(self) -> bool:
        """See Containment: cpu.stat is there in version 2, whatever controllers are."""
        return self.killer.version == 2

    def prepare(self, stamp: str, memory_mb: int, processor_ids: Sequence[int] = ()) -> CgroupCell:
        """See Containment.

        Raises:
            CEError: a group could not be made.
        """
        ids = tuple(processor_ids)
        shared = (self.shared.get(ids) or self._share(ids)) if ids else Shared()
        cell = self._cell(stamp, has_pids=shared.pids is None)
        for group in cell.groups:
            try:
                os.mkdir(group.path)  # noqa: PTH102 - Path.mkdir costs twice as much
            except FileExistsError:
                continue
            except OSError as error:
                raise CEError(f"control group {group.path} could not be made: {error.strerror}") from error
        if cell.pids is not None:
            cell.pids.write("pids.max", str(MAX_PROCESSES))
        if cell.memory is not None and memory_mb:
            _limit_memory(cell.memory, memory_mb * BYTES_PER_MB, may_swap=self.may_swap)
        if ids and self._is_v2("cpuset"):
            cell.killer.write("cpuset.cpus", _listed(ids))
        cell.strays.begin(cell.killer)
        return CgroupCell(cell.killer, cell.memory, cell.pids, shared, shared.refusals())

    def _is_v2(self, controller: str) -> bool:
        return controller in self.limiters and self.limiters[controller].version == 2

    def _share(self, ids: tuple[int, ...]) -> Shared:
        """Make the groups of version 1 that tasks with these processors are in."""
        if len(self.shared) >= _MOST_SHARED:
            for unused in [ids for ids, shared in self.shared.items() if shared.remove()]:
                del self.shared[unused]
        processors, pids = self._new_set(ids), self._new_count(ids)
        events = None
        with suppress(OSError):  # Linux before 4.7 does not count them
            events = (pids.path / "pids.events").open("rb", buffering=0) if pids else None
        made = self.shared[ids] = Shared(processors, pids, events)
        return made

    def _shared_by(self, wrapper: Process | None) -> Shared:
        """Return the groups that an earlier object has put a wrapper in."""
        hierarchy = self.limiters.get("pids")
        if wrapper is None or hierarchy is None:
            return Shared()
        for path in hierarchy.own.glob(f"{self.prefix}{_SHARED}*"):
            if wrapper.pid in Group(path).pids():
                ids = tuple(map(int, path.name.removeprefix(self.prefix + _SHARED).split("_")))
                return self.shared.get(ids) or self._share(ids)
        return Shared()

    def _new_set(self, ids: tuple[int, ...]) -> Group | None:
        group = self._new_shared("cpuset", ids)
        if group is None:
            return None
        mems = Group(self.limiters["cpuset"].own).read("cpuset.mems")
        return group if group.write("cpuset.mems", mems) and group.write("cpuset.cpus", _listed(ids)) else None

    def _new_count(self, ids: tuple[int, ...]) -> Group | None:
        group = self._new_shared("pids", ids)
        return group if group is not None and group.write("pids.max", str(MAX_PROCESSES)) else None

    def _new_shared(self, controller: str, ids: tuple[int, ...]) -> Group | None:
        """Make a group in the hierarchy of a controller, if that is of version 1 and used for nothing else."""
        hierarchy = self.limiters.get(controller)
        others = [self.killer, *(h for name, h in self.limiters.items() if name != controller)]
        if hierarchy is None or hierarchy.version == 2 or hierarchy.own in {other.own for other in others}:
            return None
        group = Group(hierarchy.own / f"{self.prefix}{_SHARED}{_listed(ids).replace(',', '_')}")
        with suppress(OSError):  # then what is written into it is refused too
            group.path.mkdir(exist_ok=True)
        return group

    def adopt(self, stamp: str, wrapper: Process | None) -> CgroupCell:
        """See Containment. Our own group may be another one than when the task began."""
        name = f"{self.prefix}{stamp}"
        shared = self._shared_by(wrapper)
        apart = {"cpuset"} if shared.pids is None else {"cpuset", "pids"}
        used = {limit: h for limit, h in self.limiters.items() if limit not in apart}
        found = {h.own: Group(h.below(name)) for h in (self.killer, *used.values())}
        limiting = {limit: found[h.own] for limit, h in used.items()}
        OURS.begin(found[self.killer.own])
        return CgroupCell(
            found[self.killer.own],
            _that_has(limiting.get("memory"), _MEMORY_FILES),
            _that_has(limiting.get("pids"), ("pids.max",)),
            shared=shared,
            refused_before=shared.refusals(),
            stamp=stamp,
        )

    def joins(self, stamp: str) -> Sequence[Path]:
        """See Containment."""
        return self._cell(stamp).joins

    def sweep(self, live: Collection[str]) -> None:
        """See Containment."""
        for shared in self.shared.values():
            shared.remove()
            shared.close()
        for own in {h.own for h in (self.killer, *self.limiters.values())}:
            for path in own.glob(f"{self.prefix}*"):
                if path.name.startswith(self.prefix + _SHARED):
                    Group(path).remove()  # while a wrapper is in it, it stays
                elif path.name.removeprefix(self.prefix) not in live:
                    Group(path).kill()
                    Group(path).remove()
        self.shared.clear()

    def _cell(self, stamp: str, *, has_pids: bool = True) -> CgroupCell:
        apart = {"cpuset"} if has_pids else {"cpuset", "pids"}
        used = {name: h.own for name, h in (("killer", self.killer), *self.limiters.items()) if name not in apart}
        made = {own: Group(own / f"{self.prefix}{stamp}") for own in used.values()}
        groups = {name: made[own] for name, own in used.items()}
        return CgroupCell(groups["killer"], groups.get("memory"), groups.get("pids"))


def _listed(processor_ids: Sequence[int]) -> str:
    return ",".join(map(str, processor_ids))


def _that_has(group: Group | None, names: Sequence[str]) -> Group | None:
    return group if group is not None and any((group.path / name).exists() for name in names) else None


def _limit_memory(group: Group, limit_bytes: int, *, may_swap: bool) -> None:
    """Limit memory, and swap too where it is counted: version 2 by itself, version 1 together with memory."""
    if group.write("memory.max", str(limit_bytes)):
        swap, swap_bytes = "memory.swap.max", 0
    elif group.write("memory.limit_in_bytes", str(limit_bytes)):
        swap, swap_bytes = "memory.memsw.limit_in_bytes", limit_bytes
    else:
        return
    if not may_swap:
        group.write(swap, str(swap_bytes))
