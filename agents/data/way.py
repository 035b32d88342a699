"""What moving a file by one protocol means: who looks on, what has to arrive, and what an implementation guarantees."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agents.data.errors import GivenUp

SILENCE_S = 300.0  # without a byte: another replica


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who looks on while a file moves. Its functions are called in the thread of the transfer, and must return at once.

    Attributes:
        progress: gets the bytes that are there now, of the whole file; at most some times a second.
        is_given_up: asked as often; True ends the transfer by GivenUp.
        ends_s: monotonic time at which it ends anyway, by GivenUp.
        silence_s: how long no byte may move; then it ends by Transient.
    """

    progress: Callable[[int], object] = lambda _bytes: None
    is_given_up: Callable[[], bool] = lambda: False
    ends_s: float = float("inf")
    silence_s: float = SILENCE_S

    def check(self) -> None:
        """Raise GivenUp if it is time to stop."""
        if self.is_given_up():
            raise GivenUp("the transfer was given up")
        if time.monotonic() >= self.ends_s:
            raise GivenUp("the time for the transfer is over")


UNWATCHED = Watch()


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a file holds.

    Attributes:
        size_bytes: its size.
        adler32: its checksum, None where nobody knows it.
    """

    size_bytes: int
    adler32: int | None


class Way(Protocol):
    """A protocol's implementation. From any thread; errors are TransferErrors."""

    def get(self, url: str, into: Path, content: Content, watch: Watch) -> None:
        """Bring a file here, whole and with this content, or raise. What is in `into` already is its beginning."""

    def put(self, path: Path, url: str, content: Content, watch: Watch) -> None:
        """Bring a file there, whole and with this content, or raise; a file that is there is never replaced."""

    def take_away(self, path: Path, url: str, may: Callable[[Content], bool], watch: Watch) -> bool:
        """Take away what lies there if it may be, by size and checksum; and what `put` has left of `path` beside it.

        Return False where something lies there that may not be taken away: it is not touched.
        """
