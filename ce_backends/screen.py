"""Tables for people: as wide as the terminal, or 80 columns; a cell that is too long goes on below."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

NARROWEST = 8  # columns of a cell that had to give way
_GAP = 2
_USUAL = (80, 24)
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "bold": "1"}


def width() -> int:
    """Return the columns there are: COLUMNS, or those of the terminal, or 80."""
    return size()[0]


def size() -> tuple[int, int]:
    """Return the columns, and the lines: LINES, or those of the terminal, or 24."""
    found = shutil.get_terminal_size(_USUAL)
    return max(found.columns, 20), max(found.lines, 5)


def is_coloured() -> bool:
    """Tell whether stdout takes colours: a terminal, where NO_COLOR is not set (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, colour: str) -> str:
    """Return a text in a colour, or "bold", where that can be seen and is wanted."""
    return f"\033[{_COLOURS[colour]}m{text}\033[0m" if is_coloured() else text


def table(rows: Sequence[Sequence[str]], columns: int = 0) -> list[str]:
    """Return the lines of a table, none wider than there is room for.

    Args:
        rows: the head first; each as long as the others.
        columns: the room; 0 for what there is.
    """
    if not rows:
        return []
    widths = _fitted([_Column.of(cells) for cells in zip(*rows, strict=True)], columns or width())
    return [line for row in rows for line in _lines(row, widths)]


def wrapped(text: str, columns: int = 0) -> str:
    """Return a text whose lines go on below, two columns further in, where there is no room; no word is broken.

    Where stdout is no terminal there is room for all, so that `grep` finds sentences whole.

    Args:
        text: of several lines.
        columns: the room; 0 for what there is.
    """
    room = columns or (width() if sys.stdout.isatty() else len(text))
    return "\n".join(part for line in text.split("\n") for part in _parts(line, room))


def _parts(line: str, room: int) -> list[str]:
    if len(line) <= room:
        return [line]
    margin = line[: len(line) - len(line.lstrip())]
    further = f"{margin}  "
    return textwrap.wrap(
        line.strip(),
        room,
        initial_indent=margin,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def one_line_each(rows: Sequence[Sequence[str]], columns: int) -> list[str]:
    """Return a table with a line for each row: a cell that is too long ends in "…".

    Args:
        rows: the head first; each as long as the others.
        columns: the room.
    """
    widths = _fitted([_Column.of(cells) for cells in zip(*rows, strict=True)], columns)
    gap = " " * _GAP
    return [
        cut(gap.join(cut(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(), columns)
        for row in rows
    ]


def cut(text: str, columns: int) -> str:
    """Return a text that is no longer than there is room; "…" stands for what is left out."""
    return text if len(text) <= columns else f"{text[: columns - 1]}…"


@dataclass(frozen=True, slots=True)
class _Column:
    """How wide a column is with its cells in one line each, with its head broken, and with its words whole at least."""

    wanted: int
    good: int
    least: int

    @classmethod
    def of(cls, cells: Sequence[str]) -> "_Column":
        head, *body = cells
        good = max([_longest_word(head), *map(len, body)])
        return cls(max(map(len, cells)), good, max(map(_longest_word, cells)))


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def _fitted(columns: Sequence[_Column], room: int) -> list[int]:
    """Return how wide each column is: heads are broken first, then sentences, then words."""
    room -= _GAP * (len(columns) - 1)
    widths = [each.wanted for each in columns]
    for least in ([each.good for each in columns], [each.least for each in columns], [NARROWEST] * len(columns)):
        _shrink(widths, least, room)
    return widths


def _shrink(widths: list[int], least: Sequence[int], room: int) -> None:
    """Have the widest column give way, one after the other, until all fit or none can."""
    while sum(widths) > room:
        can = [at for at, each in enumerate(widths) if each > least[at]]
        if not can:
            return
        widths[max(can, key=lambda at: widths[at])] -= 1


def _lines(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    cells = [textwrap.wrap(cell, width) or [""] for cell, width in zip(row, widths, strict=True)]
    for number in range(max(map(len, cells))):
        parts = [cell[number] if number < len(cell) else "" for cell in cells]
        yield (" " * _GAP).join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()
