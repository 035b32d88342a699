"""Archives that take memory, disk or time: every size is judged before it is read, and time is counted."""

import gc
import io
import lzma
import struct
import tarfile
import time
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from agents.jobs import sandbox
from ce_backends.untrusted.archive import BadArchive, ForeignArchive, TooSlow
from tests.packing import PACKED, zstd
from tests.unit.archive_members import SMALL, file, header, packed


def negative() -> bytes:
    block = bytearray(tarfile.TarInfo("n").tobuf())
    block[124:136] = b"\xff" * 8 + struct.pack(">i", -512)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(records: bytes) -> bytes:
    return header(tarfile.XHDTYPE, len(records)) + records + bytes(-len(records) % 512) + tarfile.TarInfo("x").tobuf()


def sparse() -> bytes:
    return header(tarfile.GNUTYPE_SPARSE, 0, "sparse") + bytes(1024)


BOMBS: dict[str, tuple[bytes, str]] = {
    "members": (tarfile.TarInfo("x").tobuf() * 11, "more than 10 members"),
    "a long name": (header(tarfile.GNUTYPE_LONGNAME, 600_000_000), "a header of 600000000 bytes"),
    "a long target": (header(tarfile.GNUTYPE_LONGLINK, 65_537), "a header of 65537 bytes"),
    "a pax header": (header(tarfile.XHDTYPE, 10**8), "a header of 100000000 bytes"),
    "a global pax header": (header(tarfile.XGLTYPE, 10**8), "a header of 100000000 bytes"),
    "headers of headers": ((header(tarfile.GNUTYPE_LONGNAME, 512) + b"a" * 512) * 300, "headers have more than"),
    "empty headers of headers": (header(tarfile.XHDTYPE, 0) * 1000, "headers have more than"),
    "a negative size": (negative() + bytes(1024), "negative size"),
    "a negative long name": (header(tarfile.GNUTYPE_LONGNAME, 1)[:124] + negative()[124:], "cannot be read"),
    "a large member": (header(tarfile.REGTYPE, 10**6, "big"), "unpacks to more than 1 MB"),
    "a large member by pax": (pax(b"23 size=99999999999999\n"), "unpacks to more than 1 MB"),
    "zeros behind its end": (bytes(2 * 10**6), "unpacks to more than 1 MB"),
    "a sparse member": (sparse(), "sparse"),
    "a sparse member by pax": (pax(b"22 GNU.sparse.major=1\n"), "sparse"),
    "a pax record without an end": (pax(b"99 path=x\n"), "cannot be read"),
    "a pax record of no length": (pax(b"0 path=x\n"), "cannot be read"),
    "a pax record of no number": (pax(b"-5 path=x\n"), "cannot be read"),
    "a pax size that is no number": (pax(b"11 size=-5\n"), "cannot be read"),
    "a cut header": (tarfile.TarInfo("x").tobuf()[:300], "cannot be read"),
    "a damaged header": (tarfile.TarInfo("x").tobuf() + b"\1" * 512, "cannot be read"),
    "a cut member": (header(tarfile.REGTYPE, 1000, "cut") + b"x" * 500, "cannot be read"),
}


@pytest.mark.parametrize("compress", [bytes, *PACKED.values()], ids=["plain", *PACKED.keys()])
@pytest.mark.parametrize(("content", "sentence"), BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_with_a_sentence(content: bytes, sentence: str, compress: Callable[[bytes], bytes]) -> None:
    with pytest.raises(BadArchive, match=sentence):
        list(ForeignArchive(io.BytesIO(compress(content)), SMALL))


def test_a_bomb_of_names_takes_no_memory() -> None:
    compressor = lzma.LZMACompressor(preset=0)
    blocks = [header(tarfile.GNUTYPE_LONGNAME, 600_000_000), *([b"a" * 10**6] * 50)]
    bomb = b"".join(map(compressor.compress, blocks)) + compressor.flush()
    tracemalloc.start()

    with pytest.raises(BadArchive):
        list(ForeignArchive(io.BytesIO(bomb), sandbox.LIMITS))

    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


def test_an_xz_stream_that_asks_for_a_gigabyte_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    bomb = lzma.compress(packed(file("x")), filters=filters)

    with pytest.raises(BadArchive, match="cannot be read"):
        list(ForeignArchive(io.BytesIO(bomb), sandbox.LIMITS))


def test_a_zstd_stream_that_asks_for_a_gigabyte_is_refused() -> None:
    window = {zstd.CompressionParameter.window_log: 30, zstd.CompressionParameter.content_size_flag: 0}
    compressor = zstd.ZstdCompressor(options=window)
    bomb = compressor.compress(packed(file("x"))) + compressor.flush()

    with pytest.raises(BadArchive, match=r"cannot be read: .*memory"):
        list(ForeignArchive(io.BytesIO(bomb), sandbox.LIMITS))


def test_zstd_with_the_largest_window_of_its_own_program_is_read() -> None:
    window = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    compressor = zstd.ZstdCompressor(options=window)
    made = compressor.compress(packed(file("x"))) + compressor.flush()

    assert [member.name for member in ForeignArchive(io.BytesIO(made), sandbox.LIMITS)] == ["x"]


def test_zstd_may_begin_with_a_frame_to_skip() -> None:
    made = b"\x53\x2a\x4d\x18\x04\0\0\0abcd" + zstd.compress(packed(file("x")))

    assert [member.name for member in ForeignArchive(io.BytesIO(made), sandbox.LIMITS)] == ["x"]


def test_an_archive_has_a_time_to_be_read_in() -> None:
    ticks: Iterator[int] = iter(range(0, 10**6, 100))

    with pytest.raises(BadArchive, match="not read within 600 s"):
        list(ForeignArchive(io.BytesIO(packed(*[file(f"f{n}") for n in range(9)])), SMALL, lambda: next(ticks)))


ENDLESS = {
    "streams of nothing": lambda compress: compress(b"") * 2000,
    "zeros behind the streams": lambda compress: compress(b"") + bytes(700 << 16),
    "zeros between the streams": lambda compress: (compress(b"") + bytes(1 << 16)) * 700,
}


@pytest.mark.parametrize("compress", PACKED.values(), ids=PACKED.keys())
@pytest.mark.parametrize("endless", ENDLESS.values(), ids=ENDLESS.keys())
def test_streams_that_unpack_to_nothing_count_against_the_time(
    compress: Callable[[bytes], bytes], endless: Callable[[Callable[[bytes], bytes]], bytes]
) -> None:
    ticks: Iterator[int] = iter(range(10**6))

    with pytest.raises(TooSlow):
        list(ForeignArchive(io.BytesIO(endless(compress)), SMALL, lambda: next(ticks)))


def test_a_comment_without_end_in_a_gzip_header_is_read_at_once() -> None:
    began_s = time.process_time()

    with pytest.raises(BadArchive, match="cannot be read"):
        list(ForeignArchive(io.BytesIO(b"\x1f\x8b\x08\x10" + bytes(6) + b"c" * (20 << 20)), SMALL))

    assert time.process_time() - began_s < 2.0


@pytest.mark.parametrize("end", [b"", b"cut"], ids=["whole", "damaged"])
def test_nothing_of_an_archive_waits_for_the_garbage_collector(end: bytes) -> None:
    made = lzma.compress(packed(file("a")))
    gc.disable()  # each xz stream takes up to 64 MB: a burst of jobs would take gigabytes before it comes by
    try:
        archive = ForeignArchive(io.BytesIO(made[: -len(end) or None]), SMALL)
        with suppress(BadArchive):
            for _ in archive:
                pass
        gone = weakref.ref(archive)
        del archive
        assert gone() is None
    finally:
        gc.enable()
