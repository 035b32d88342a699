"""Pieces of a file between two threads: order, room, errors on either side, and who leaves early."""

import itertools
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.data.errors import GivenUp, NoSpaceHere
from agents.data.following import Following
from agents.data.local_file import Incoming
from agents.data.pieces import BUFFERS, Handover, ahead
from agents.data.way import UNWATCHED, Content
from tests.waiting import until


def handed(handover: Handover) -> None:
    for piece in numbered(1000):
        handover.take(piece)


def nothing() -> None:
    """Look on."""


def numbered(count: int) -> Iterator[memoryview]:
    """Pieces that are read into as few buffers as may be."""
    turn = itertools.cycle([bytearray(2) for _ in range(BUFFERS)])
    for number in range(count):
        buffer = next(turn)
        buffer[:] = number.to_bytes(2, "big")
        yield memoryview(buffer)


def numbers(pieces: Iterator[memoryview]) -> list[int]:
    return [int.from_bytes(piece, "big") for piece in pieces]


def test_pieces_come_in_their_order_and_whole() -> None:
    assert numbers(ahead(numbered(1000), nothing)) == list(range(1000))


def test_pieces_are_handed_over_in_their_order_and_whole() -> None:
    came: list[int] = []
    handover = Handover(lambda piece: came.append(int.from_bytes(piece, "big")), nothing)
    handed(handover)
    handover.flush()
    handover.close()
    assert came == list(range(1000))


def test_no_more_is_read_ahead_than_there_are_buffers() -> None:
    begun: list[int] = []

    def counted() -> Iterator[memoryview]:
        for number, piece in enumerate(numbered(100)):
            begun.append(number)
            yield piece

    with_reader = ahead(counted(), nothing)
    assert next(with_reader)[1] == 0
    until(lambda: len(begun) >= BUFFERS)
    assert len(begun) == BUFFERS
    with_reader.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "pieces"]


def test_what_reading_raises_comes_to_whoever_wants_the_pieces() -> None:
    def broken() -> Iterator[memoryview]:
        yield from numbered(5)
        raise NoSpaceHere("the disk")

    came: list[int] = []
    with pytest.raises(NoSpaceHere, match="the disk"):
        came.extend(int.from_bytes(piece, "big") for piece in ahead(broken(), nothing))


def test_what_writing_raises_comes_to_whoever_hands_over() -> None:
    def full(_: object) -> None:
        raise NoSpaceHere("the disk")

    handover = Handover(full, nothing)
    with pytest.raises(NoSpaceHere, match="the disk"):
        handed(handover)
    with pytest.raises(NoSpaceHere, match="the disk"):
        handover.flush()
    handover.close()


def test_whoever_waits_for_a_slow_disk_may_give_up() -> None:
    is_free, looked = threading.Event(), itertools.count()

    def look() -> None:
        if next(looked):
            raise GivenUp("enough")

    handover = Handover(lambda _: is_free.wait(), look)
    with pytest.raises(GivenUp):
        handed(handover)
    is_free.set()
    handover.close()


def test_what_has_come_is_kept_where_the_way_breaks(tmp_path: Path) -> None:
    content = bytes(range(256)) * 100
    with Incoming(tmp_path / "a", Content(size_bytes=2 * len(content), adler32=None), UNWATCHED) as incoming:
        incoming.take(content)
    assert (tmp_path / "a").read_bytes() == content


def test_a_file_is_read_behind_whoever_writes_it(tmp_path: Path) -> None:
    path, pieces = tmp_path / "a", [bytes([number]) * 100_000 for number in range(20)]
    with Following(path) as seen, path.open("wb", buffering=0) as file:
        for piece in pieces[:10]:
            file.write(piece)
        until(lambda: seen.size_bytes == 1_000_000)  # before it is whole
        for piece in pieces[10:]:
            file.write(piece)
    assert (seen.size_bytes, seen.adler32) == (2_000_000, zlib.adler32(b"".join(pieces)))


def test_nothing_is_seen_where_no_file_comes(tmp_path: Path) -> None:
    with Following(tmp_path / "a") as seen:
        pass
    assert seen.size_bytes == 0
