"""What is shown of one directory, and how it is laid out: the same for a WMS, a slot and a SiteDirector."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ce_backends import screen
from ce_backends.untrusted.text import printable

_CELL = 200  # characters of a value that are looked at
_LEAST_ROWS = 3  # of a table, however small the terminal is
_COLOURS = {"Running": "cyan", "Done": "green", "Failed": "red", "Killed": "red", "Aborted": "red", "Stalled": "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows that belong together, those first that matter most.

    Attributes:
        head: a word for each column; the one of "status" colours its row.
        rows: as many cells each.
        total: how many there are, of which `rows` are the first.
        nothing: what is said where there is none.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[object]]
    total: int
    nothing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One directory, seen once.

    Attributes:
        kind: wms, slot or site-director.
        title: what it is, in one line.
        counts: how many of what.
        tables: none where nothing could be seen.
        trouble: why not.
    """

    kind: str
    title: str
    counts: Mapping[str, int] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    trouble: str = ""


def as_value(panel: Panel) -> dict[str, object]:
    """Return it for programs; no row is left out of what was seen."""
    tables = [
        {"total": each.total, "rows": [dict(zip(each.head, row, strict=True)) for row in each.rows]}
        for each in panel.tables
    ]
    return {
        "kind": panel.kind,
        "title": panel.title,
        "counts": dict(panel.counts),
        "tables": tables,
        "trouble": panel.trouble,
    }


def lines_of(panels: Sequence[Panel], columns: int, most: int = 0) -> list[str]:
    """Return the lines of all panels, each no wider than there is room.

    Args:
        panels: one below the other.
        columns: of the terminal.
        most: so many lines if that can be had: every table shows its first rows and says how many more there are;
            0 for all.
    """
    tables = [table for panel in panels for table in panel.tables]
    room = max(0, most - sum(map(_fixed, panels))) if most else sum(len(table.rows) for table in tables)
    shares = iter(_shared([len(table.rows) for table in tables], room))
    made: list[str] = []
    for number, panel in enumerate(panels):
        made += [""] if number else []
        made.append(screen.painted(_cut(panel.title, columns), "bold"))
        if panel.trouble:
            made += [screen.painted(line, "red") for line in textwrap.wrap(printable(panel.trouble, 2000), columns)]
        if panel.counts:
            counted = ", ".join(f"{number} {name}" for name, number in panel.counts.items())
            made.append(_cut(counted, columns))
        for table in panel.tables:
            made += _lines(table, next(shares), columns)
    return made


def _fixed(panel: Panel) -> int:
    """Return the lines that a panel has without its rows: blank, title, counts, and of each table the head and rest."""
    return 2 + bool(panel.counts) + bool(panel.trouble) + 2 * len(panel.tables)


def _shared(wanted: Sequence[int], room: int) -> list[int]:
    """Return how many rows each table gets: what a small one does not need is for the others."""
    shares, left = [0] * len(wanted), list(range(len(wanted)))
    while left:
        fair = max(_LEAST_ROWS, room // len(left))
        content = [at for at in left if wanted[at] <= fair] or left
        for at in content:
            shares[at] = min(wanted[at], fair)
            room = max(0, room - shares[at])
        left = [at for at in left if at not in content]
    return shares


def _lines(table: Table, share: int, columns: int) -> list[str]:
    if not table.rows:
        return [_cut(table.nothing, columns)]
    shown = [[printable(str(cell), _CELL) for cell in row] for row in table.rows[:share]]
    head, *lines = screen.one_line_each([table.head, *shown], columns)
    at = list(table.head).index("status") if "status" in table.head else None
    made = [screen.painted(head, "bold")]
    for row, line in zip(shown, lines, strict=True):
        colour = "" if at is None else _COLOURS.get(row[at], "")
        made.append(screen.painted(line, colour) if colour else line)
    left = table.total - len(shown)
    return [*made, *([f"… and {left} more"] if left else [])]


def _cut(text: str, columns: int) -> str:
    return screen.cut(printable(text, 2000), columns)
