"""A parser with a bug that random bytes hardly ever meet: who fuzzes must find it, or finds nothing at all."""

import time

from tests.fuzz.target import MOST_CPU_S, Target, text


def toy(line: str) -> int:
    """Return the number of `size=N;`, and fail where nobody would look."""
    if line.startswith("size="):
        digits, semicolon, rest = line.removeprefix("size=").partition(";")
        if semicolon and digits.isdecimal() and rest.startswith("!"):
            raise KeyError("the planted bug")
        return len(digits)
    return 0


def slow(line: str) -> int:
    """Take very long for what begins with `>>`."""
    began_s, rounds = time.thread_time(), 0
    while line.startswith(">>") and time.thread_time() < began_s + 1.5 * MOST_CPU_S:
        rounds += 1
    return rounds


def large(line: str) -> int:
    """Take very much for what begins with `<<`."""
    return len(bytearray(400_000_000)) if line.startswith("<<") else 0


TARGETS = (
    Target(name="planted-error", run=lambda data: toy(text(data)), errors=(ValueError,), seeds=lambda: [b"size=12;"]),
    Target(name="planted-slowness", run=lambda data: slow(text(data)), seeds=lambda: [b"> 1"]),
    Target(name="planted-size", run=lambda data: large(text(data)), seeds=lambda: [b"< 1"]),
)
