"""A parser of foreign text, and what may come of any input: an answer, or an error that it declares, soon and small."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

MOST_CPU_S = 1.0  # of its thread: a busy machine makes nobody slower by this clock
MOST_MB = 200  # beyond what the process had before


class TooSlow(Exception):
    """An answer took longer than it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One parser.

    Attributes:
        name: for the command line.
        run: gives it an input.
        errors: what it may raise, by its own word.
        seeds: inputs to begin with; real ones where there are any.
        words: what its grammar is made of.
    """

    name: str
    run: Callable[[bytes], object]
    errors: tuple[type[BaseException], ...] = ()
    seeds: Callable[[], Iterable[bytes]] = field(default=lambda: ())
    words: tuple[str, ...] = ()

    def judge(self, data: bytes) -> None:
        """Give it one input.

        Raises:
            TooSlow: its answer took too long.
            MemoryError: it took too much.
            Exception: it raised what it does not declare.
        """
        began_s = time.thread_time()
        try:
            self.run(data)
        except MemoryError:
            raise
        except self.errors:
            pass
        took_s = time.thread_time() - began_s
        if took_s > MOST_CPU_S:
            raise TooSlow(f"{took_s:.1f} s for {len(data)} bytes")


def text(data: bytes) -> str:
    """Return an input as text, the way files and answers are read."""
    return data.decode("utf-8", "replace")
