"""What people see: tables within eighty columns, and how far something is once it takes longer than a moment."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from ce_backends.untrusted.text import visible

_SILENT_S = 2.0
_EACH_S = 1.0
_COLUMNS = 79


def table(rows: Sequence[tuple[str, ...]], right: frozenset[int] = frozenset()) -> str:
    """Return rows with their columns under each other; the last one, of names, is as long as it is.

    Args:
        rows: of equal length.
        right: columns of numbers.
    """
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    cells = (
        [
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    )
    return "\n".join("  ".join(row).rstrip() for row in cells)


@contextmanager
def progress(sentence: Callable[[], str]) -> Iterator[None]:
    """Show on a terminal how far the block is, once it has taken two seconds; the line is gone at its end.

    Args:
        sentence: is asked once a second, in a thread of its own.
    """
    ended = threading.Event()

    def show() -> None:
        if ended.wait(_SILENT_S):
            return
        while not ended.wait(_EACH_S):
            _line(visible(sentence())[:_COLUMNS])
        _line("")

    thread = threading.Thread(target=show, name="progress", daemon=True)
    if sys.stderr.isatty():
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if thread.ident is not None:
            thread.join()


def _line(text: str) -> None:
    with suppress(OSError, ValueError):
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()


def since(started_s: float) -> float:
    """Return the seconds since a moment of the monotonic clock, never none at all."""
    return max(time.monotonic() - started_s, 1e-3)
