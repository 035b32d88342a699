"""What DIRAC's pilot wrapper logged before the pilot began; it comes on the pilot's standard input."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator

WAIT_S = 2.0  # the wrapper writes it at once and closes
LIMIT_BYTES = 1_048_576


def lines(descriptor: int, *, wait_s: float = WAIT_S) -> Iterator[str]:
    """Yield the lines that are there now, each with its line break; a pipe that nobody closes is left after a while."""
    text = _read(descriptor, time.monotonic() + wait_s).decode("utf-8", "replace")
    yield from (f"{line}\n" for line in text.split("\n") if line.strip())


def _read(descriptor: int, deadline: float) -> bytes:
    content = bytearray()
    try:
        while (
            len(content) < LIMIT_BYTES and select.select([descriptor], [], [], max(0, deadline - time.monotonic()))[0]
        ):
            chunk = os.read(descriptor, 65536)
            if not chunk:
                break
            content += chunk
    except OSError:  # there is no standard input
        pass
    return bytes(content)
