"""`--explain`: every setting and every fact, with who said so. Nothing is contacted, nothing is written."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator

from pilot.errors import UsageError
from pilot.node.batch_slot import BatchSlot
from pilot.node.bundle import Bundle
from pilot.node.worker_node import WorkerNode
from pilot.settings import Loaded, table
from pilot.usage import WIDTH

_LEAST_COLUMNS = 24  # of the origins, next to names and values
Row = tuple[str, str, str]
"""Name, value, origin."""


def rows(loaded: Loaded, vo: str, slot: BatchSlot, node: WorkerNode, started: Bundle, about: str = "") -> list[Row]:
    """Return what there is to say; of the one thing that is asked about, if it is.

    Raises:
        UsageError: there is nothing of this name.
    """
    found = [*_settings(loaded), *_slot(slot, vo), *_node(node), *_start(started)]
    return _chosen(found, about) if about else found


def text(rows: list[Row], *, as_json: bool) -> str:
    """Return them as a table, or for programs."""
    if as_json:
        told = [{"name": name, "value": value, "origin": origin} for name, value, origin in rows]
        return json.dumps(told, indent=1)
    columns = shutil.get_terminal_size((WIDTH, 24)).columns
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    last = columns - sum(widths) - 4
    if last >= _LEAST_COLUMNS:
        return "\n".join(line for row in rows for line in _side_by_side(row, widths, last))
    return "\n".join(line for row in rows for line in _one_below_the_other(row, columns))


def _side_by_side(row: Row, widths: list[int], last: int) -> Iterator[str]:
    name, value, origin = row
    first, *more = textwrap.wrap(origin, last) or [""]
    yield f"{name:<{widths[0]}}  {value:<{widths[1]}}  {first}".rstrip()
    yield from (" " * (sum(widths) + 4) + line for line in more)


def _one_below_the_other(row: Row, columns: int) -> Iterator[str]:
    """Yield a row of which a value is too long for a column; a value itself stays whole, so that it can be copied."""
    name, value, origin = row
    yield f"{name} = {value}"
    yield from textwrap.wrap(origin, columns, initial_indent="    ", subsequent_indent="    ")


def _chosen(rows: list[Row], about: str) -> list[Row]:
    """Return the rows with this name, or with an option or a part of a name that is spelled so."""
    spelled = {name: setting for setting, row in table().items() for name in row.names}
    wanted = spelled.get(about, about)
    found = [row for row in rows if row[0] == wanted] or [row for row in rows if wanted.lower() in row[0].lower()]
    if not found:
        raise UsageError(f"--explain {about}: there is no such option, setting or fact; --explain alone lists them")
    return found


def _settings(loaded: Loaded) -> Iterator[Row]:
    for name in table():
        yield name, _shown(getattr(loaded.settings, name)), loaded.origins[name]


def _slot(slot: BatchSlot, vo: str) -> Iterator[Row]:
    yield "pilot's VO", vo, "--wnVO, DIRAC_PILOT_VO, VOMS, in this order"
    yield "pilot reference", slot.reference, slot.origin
    yield "pilot stamp", slot.stamp, "DIRAC_PILOT_STAMP, --pilotUUID, or made up, in this order"
    yield "batch system", slot.kind or slot.flavour, slot.origin
    if slot.end:
        yield "end of slot, s since 1970", str(slot.end.value), slot.end.origin


def _node(node: WorkerNode) -> Iterator[Row]:
    yield "processors found", str(node.processors.value), node.processors.origin
    yield "memory found, MB", str(node.memory_mb.value), node.memory_mb.origin
    yield "disk found, MB", str(node.disk_mb.value), node.disk_mb.origin
    yield "GPUs found", _shown(node.gpus), node.gpus_origin
    yield "architecture", node.architecture, "this system"


def _start(started: Bundle) -> Iterator[Row]:
    yield "Python", started.python or sys.executable, started.why or "started with it"
    yield "bundle", started.digest or "-", "the first digits of its manifest's SHA-512"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join("=".join(each) if isinstance(each, tuple) else str(each) for each in value) or "-"
    return str(value) or "-"
