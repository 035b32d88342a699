"""Files over DISET: blocks that are answered one by one, an MD5 at the end, and the service's last word."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from agents.errors import BadAnswer

BLOCK_BYTES = 1 << 20
_MOST_BLOCK_BYTES = 8 << 20  # of what others send


class Frames(Protocol):
    """The values of one connection (`agents.wms.dips`)."""

    def send(self, value: object) -> None:
        """Send one value."""

    def receive(self) -> object:
        """Return the next one."""


def receive(frames: Frames, take: Callable[[bytes], object], most_bytes: int) -> object:
    """Hand over the blocks of a file that comes; return the last word.

    Raises:
        OSError: the connection ended, or nothing came in time.
        BadAnswer: more came than wanted, the MD5 is of something else, or it is no file transfer.
    """
    accepted = frames.receive()
    if not _is_good(accepted):
        return accepted
    md5, came_bytes = hashlib.md5(usedforsecurity=False), 0
    while True:
        answer = frames.receive()
        if _is_bad(answer):
            return answer
        more, data = _block(answer)
        if not more:
            break
        block = _bytes_of(data)
        came_bytes += len(block)
        if came_bytes > most_bytes:
            raise BadAnswer(f"more came than the {most_bytes} bytes that are allowed")
        md5.update(block)
        take(block)
        frames.send(_OK)
    last = frames.receive()
    if _is_good(last) and data != md5.hexdigest():
        raise BadAnswer("the MD5 at the end is not that of what came")
    return last


def send(frames: Frames, pieces: Iterable[memoryview]) -> object:
    """Send a file block by block; return the last word, which is an early one if the service wants no more.

    Raises:
        OSError: the connection ended, or nothing moved in time.
        BadAnswer: it answers outside the protocol.
    """
    accepted = frames.receive()
    if not _is_good(accepted):
        return accepted
    md5 = hashlib.md5(usedforsecurity=False)
    for piece in pieces:
        for at in range(0, len(piece), BLOCK_BYTES):
            block = piece[at : at + BLOCK_BYTES]
            md5.update(block)
            frames.send(_ok([True, bytes(block)]))
            answer = frames.receive()
            if not _is_good(answer):
                return answer
    frames.send(_ok([False, md5.hexdigest()]))
    return frames.receive()


def _ok(value: object) -> dict[str, object]:
    return {"OK": True, "Value": value}


_OK = _ok(None)


def _is_good(answer: object) -> bool:
    return isinstance(answer, Mapping) and bool(answer.get("OK"))


def _is_bad(answer: object) -> bool:
    return isinstance(answer, Mapping) and answer.get("OK") is False


def _block(answer: object) -> tuple[bool, object]:
    """Return whether more is to come, and a block, or the MD5 of all."""
    value = answer.get("Value") if isinstance(answer, Mapping) and answer.get("OK") else None
    if not isinstance(value, list) or len(value) != 2:
        raise BadAnswer(f"expected a block of a file, got {str(answer)[:80]!r}")
    return bool(value[0]), value[1]


def _bytes_of(data: object) -> bytes:
    block = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    if not isinstance(block, bytes) or not 0 < len(block) <= _MOST_BLOCK_BYTES:
        raise BadAnswer("expected a block of bytes")
    return block
