"""`--explain`: every setting and every fact, with who said so. Nothing is contacted, nothing is written."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from pilot.errors import UsageError
from pilot.node.batch_slot import BatchSlot
from pilot.node.bundle import Bundle
from pilot.node.worker_node import WorkerNode
from pilot.settings import Loaded, table


def text(loaded: Loaded, vo: str, slot: BatchSlot, node: WorkerNode, started: Bundle, about: str = "") -> str:
    """Return a table: name, value, origin; of the one thing that is asked about, if it is.

    Raises:
        UsageError: there is nothing of this name.
    """
    rows = [*_settings(loaded), *_slot(slot, vo), *_node(node), *_start(started)]
    if about:
        rows = _chosen(rows, about)
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}" for name, value, origin in rows)


def _chosen(rows: list[tuple[str, str, str]], about: str) -> list[tuple[str, str, str]]:
    """Return the rows with this name, or with an option or a part of a name that is spelled so."""
    spelled = {name: setting for setting, row in table().items() for name in row.names}
    wanted = spelled.get(about, about)
    found = [row for row in rows if row[0] == wanted] or [row for row in rows if wanted.lower() in row[0].lower()]
    if not found:
        raise UsageError(f"--explain {about}: there is no such option, setting or fact; --explain alone lists them")
    return found


def _settings(loaded: Loaded) -> Iterator[tuple[str, str, str]]:
    for name in table():
        yield name, _shown(getattr(loaded.settings, name)), loaded.origins[name]


def _slot(slot: BatchSlot, vo: str) -> Iterator[tuple[str, str, str]]:
    yield "pilot's VO", vo, "--wnVO, DIRAC_PILOT_VO, VOMS, in this order"
    yield "pilot reference", slot.reference, slot.origin
    yield "pilot stamp", slot.stamp, "DIRAC_PILOT_STAMP, --pilotUUID, or made up, in this order"
    yield "batch system", slot.kind or slot.flavour, slot.origin
    if slot.end:
        yield "end of slot, s since 1970", str(slot.end.value), slot.end.origin


def _node(node: WorkerNode) -> Iterator[tuple[str, str, str]]:
    yield "processors found", str(node.processors.value), node.processors.origin
    yield "memory found, MB", str(node.memory_mb.value), node.memory_mb.origin
    yield "disk found, MB", str(node.disk_mb.value), node.disk_mb.origin
    yield "GPUs found", _shown(node.gpus), node.gpus_origin
    yield "architecture", node.architecture, "this system"


def _start(started: Bundle) -> Iterator[tuple[str, str, str]]:
    yield "Python", started.python or sys.executable, started.why or "started with it"
    yield "bundle", started.digest or "-", "the first digits of its manifest's SHA-512"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join("=".join(each) if isinstance(each, tuple) else str(each) for each in value) or "-"
    return str(value) or "-"
