"""What the slot has: processors that this process may use, and how they lie together; memory; GPUs."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from agents.log import EventLog
from agents.settings.agent import AgentSettings
from agents.slot.allocation import Slot
from agents.slot.gpus import Gpu

log = EventLog("slot")


def find_slot(
    settings: AgentSettings,
    usable: Iterable[int] | None = None,
    gpus: Sequence[Gpu] = (),
    root: Path = Path("/"),
) -> Slot:
    """Return the slot as the pilot described it, bound to processors of this node.

    A site may declare more processors than the node has, for payloads that wait more than they count: those are
    numbered, and not bound to any.

    Args:
        settings: NumberOfProcessors, 0 to take all that are usable; MaxRAM; NumberOfGPUs.
        usable: processors that this process may run on.
        gpus: devices that the slot was given.
        root: "/", or a recorded tree that tells which processors lie together.
    """
    mine = sorted(usable if usable is not None else os.sched_getaffinity(0))
    wanted = settings.processors or len(mine)
    gpu_ids = _given(settings, gpus)
    if wanted > len(mine):
        log.warning("slot.overcommitted", declared=wanted, usable=len(mine))
        return Slot(range(wanted), settings.memory_mb, is_pinned=False, gpu_ids=gpu_ids)
    return Slot(mine[:wanted], settings.memory_mb, gpu_ids=gpu_ids, neighbourhoods=numa_nodes(root))


def _given(settings: AgentSettings, gpus: Sequence[Gpu]) -> list[str]:
    if settings.gpus > len(gpus):
        log.warning("gpus.missing", declared=settings.gpus, found=len(gpus))
    return [gpu.gpu_id for gpu in gpus][: settings.gpus or None]


def numa_nodes(root: Path) -> dict[int, int]:
    """Return the NUMA node of each processor, as the kernel tells; empty where it does not."""
    found: dict[int, int] = {}
    for file in sorted((root / "sys/devices/system/node").glob("node[0-9]*/cpulist")):
        try:
            text = file.read_text(encoding="ascii")
        except OSError:
            continue
        node = int(file.parent.name.removeprefix("node"))
        found |= dict.fromkeys(_listed(text), node)
    return found


def _listed(text: str) -> Iterable[int]:
    """Yield the numbers of a list as the kernel writes it: `0-3,8,10-11`."""
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
