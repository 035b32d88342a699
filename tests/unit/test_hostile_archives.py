"""Archives of hostile makers: nothing outside is touched, nothing grows without a bound."""

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
from dataclasses import replace
from pathlib import Path

import pytest

from agents.errors import Blame, FailJob, HandBack
from agents.jobs import sandbox
from ce_backends.conformance.subject import task
from ce_backends.errors import CEError
from ce_backends.pool.layout import lay_out
from ce_backends.task.archive import unpack as unpack_result
from ce_backends.task.directory import TaskDir
from ce_backends.untrusted.archive import ArchiveLimits, BadArchive, ForeignArchive, TooSlow
from tests.packing import PACKED, zstd

Member = tuple[tarfile.TarInfo, bytes]
SMALL = ArchiveLimits(unpacked_bytes=10**6, members=10, headers_bytes=200_000)


def file(name: str, content: bytes = b"x") -> Member:
    made = tarfile.TarInfo(name)
    made.size = len(content)
    return made, content


def of_kind(name: str, kind: bytes, target: str = "") -> Member:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made, b""


def link(name: str, target: str) -> Member:
    return of_kind(name, tarfile.SYMTYPE, target)


def second_name(name: str, target: str) -> Member:
    return of_kind(name, tarfile.LNKTYPE, target)


def folder(name: str) -> Member:
    return of_kind(name, tarfile.DIRTYPE)


def packed(*members: Member, pax: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        for one, content in members:
            one.pax_headers = pax or {}
            made.addfile(one, io.BytesIO(content))
    return buffer.getvalue()


def path_longer_than_any() -> list[Member]:
    """Links that are short as written and lead deeper than realpath looks: CVE-2025-4517."""
    part, steps, here, members = "d" * 247, "abcdefghijklmnop", "", []
    for step in steps:
        members += [folder(f"{here}{part}"), link(f"{here}{step}", part)]
        here = f"{here}{part}/"
    up = f"{'/'.join(steps)}/{'l' * 254}"
    return [
        *members,
        link(up, "../" * len(steps)),
        link("escape", f"{up}/../"),
        file("escape/created"),
        second_name("grab", "escape/secret"),
        file("grab", b"changed"),
    ]


LEADING_OUT: dict[str, list[Member]] = {
    "a name that goes up": [file("../secret")],
    "a name that goes up later": [file("a/../../secret")],
    "a name that stays inside in the end": [file("a/../b")],
    "a link to an absolute place": [link("l", "/etc/passwd")],
    "a link that goes up": [link("l", "../secret")],
    "a link that goes up further than it lies deep": [folder("a"), link("a/l", "../../secret")],
    "a link that goes up after it went down": [folder("a"), link("l", "a/../../secret")],
    "a link that would go up through a later one": [link("a/b/l", "../c/../secret"), link("a/c", "..")],
    "a file written through a link": [folder("a"), link("l", "a"), file("l/x")],
    "a link made through a link": [folder("a"), link("l", "a"), link("l/m", "../x")],
    "a directory made through a link": [folder("a"), link("l", "a"), folder("l/b")],
    "a second name read through a link": [folder("a"), file("a/x"), link("l", "a"), second_name("h", "l/x")],
    "a second name of what lies outside": [second_name("h", "../secret"), file("h", b"changed")],
    "a second name of an absolute place": [second_name("h", "/etc/passwd")],
    "a second name of a link": [folder("a"), link("a/l", "../x"), second_name("h", "a/l")],
    "a second name of a directory": [folder("a"), second_name("h", "a")],
    "a second name of nothing": [second_name("h", "a")],
    "a link to nothing": [link("l", "")],
    "a device": [of_kind("d", tarfile.CHRTYPE)],
    "a disk": [of_kind("d", tarfile.BLKTYPE)],
    "a pipe": [of_kind("p", tarfile.FIFOTYPE)],
    "an unknown kind": [of_kind("u", b"Z")],
    "a path longer than any": path_longer_than_any(),
    "a name of too many levels": [file("d/" * 3000 + "x")],
    "a name of too many bytes": [file("/".join(["n" * 200] * 30))],
    "a part of too many bytes": [file("n" * 300)],
    "a link's target of too many levels": [link("l", "d/" * 3000)],
    "a file in the place of a directory": [folder("a"), file("a")],
    "a file below a file": [file("a"), file("a/b")],
    "a file that is the directory": [file(".")],
}


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("before")
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.mark.parametrize("members", LEADING_OUT.values(), ids=LEADING_OUT.keys())
def test_what_leads_out_or_cannot_be_made_fails_the_job_of_its_owner(work: Path, members: list[Member]) -> None:
    with pytest.raises(FailJob) as caught:
        sandbox.unpack(packed(*members), work)

    assert caught.value.blame is Blame.USER
    assert "\n" not in caught.value.detail
    assert len(caught.value.detail) < 300
    assert (work.parent / "secret").read_text() == "before"
    assert names_in(work.parent) == ["secret", "work"]


@pytest.mark.parametrize("members", LEADING_OUT.values(), ids=LEADING_OUT.keys())
def test_a_hostile_node_reaches_nothing_outside_of_what_is_fetched(work: Path, members: list[Member]) -> None:
    archive = work.parent / "result.tar"
    archive.write_bytes(packed(*members))

    with suppress(CEError, OSError):
        unpack_result(archive, work)

    assert (work.parent / "secret").read_text() == "before"
    assert names_in(work.parent) == ["result.tar", "secret", "work"]


def test_directories_without_members_of_their_own_are_counted(work: Path) -> None:
    members = [file(f"{number}/" * 99 + "x") for number in range(102)]

    with pytest.raises(FailJob, match="more than 10000 directories"):
        sandbox.unpack(packed(*members), work)

    assert names_in(work) == []


def test_nothing_of_ours_unpacks_by_tarfile_itself() -> None:
    root = Path(__file__).parents[2]
    sources = [path for folder in ("pilot", "agents", "ce_backends", "tools") for path in (root / folder).rglob("*.py")]

    by_itself = [path.name for path in sources if ".extractall(" in path.read_text() or ".extract(" in path.read_text()]

    assert sources
    assert by_itself == []


def test_links_that_stay_inside_are_made(work: Path) -> None:
    members = [
        folder("a/b"),
        file("a/x", b"content"),
        link("a/b/l", "../x"),
        link("top", "a/b"),
        second_name("h", "a/x"),
    ]

    sandbox.unpack(packed(*members), work)

    assert [(work / name).read_text() for name in ("a/b/l", "top/l", "h")] == ["content"] * 3
    assert str((work / "top").readlink()) == "a/b"


def test_the_second_sandbox_writes_through_no_link_of_the_first(work: Path) -> None:
    sandbox.unpack(packed(folder("a"), link("l", "a")), work)

    with pytest.raises(FailJob, match="cannot be unpacked"):
        sandbox.unpack(packed(file("l/x")), work)

    assert names_in(work / "a") == []


def test_all_sandboxes_of_a_job_share_one_limit(work: Path) -> None:
    left = sandbox.unpack(packed(*[file(f"f{number}") for number in range(6)]), work, SMALL)

    with pytest.raises(FailJob, match="more than 4 members"):
        sandbox.unpack(packed(*[file(f"g{number}") for number in range(6)]), work, left)
    with pytest.raises(FailJob, match="unpacks to more than 0 MB"):
        sandbox.unpack(packed(file("big", b"x" * (10**6 - 9000))), work, left)


def test_second_names_count_as_the_copies_that_they_become(work: Path) -> None:
    members = [file("big", b"x" * 200_000), *[second_name(f"h{number}", "big") for number in range(5)]]

    with pytest.raises(FailJob, match="unpacks to more than 1 MB"):
        sandbox.unpack(packed(*members), work, SMALL)

    assert names_in(work) == []


def test_links_of_a_sandbox_are_no_copies_in_the_task(work: Path, tmp_path: Path) -> None:
    links = [link(f"l{number}", target) for number, target in enumerate(("big", "d", "d/x", "l0", ".", "none"))]
    sandbox.unpack(packed(file("big", b"x" * 5000), folder("d"), file("d/x", b"x" * 5000), *links), work)
    directory = TaskDir(tmp_path / "task")

    lay_out(task(":", inputs=sorted(work.iterdir())), directory)

    brought = {path.name: path for path in directory.work.iterdir()}
    assert [name for name, path in brought.items() if path.is_symlink()] == [
        name for name in brought if name.startswith("l")
    ]
    assert (directory.work / "l2").read_bytes() == (directory.work / "l3").read_bytes() == b"x" * 5000


def test_an_input_that_is_a_link_to_elsewhere_is_brought_as_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("content")
    (tmp_path / "link").symlink_to("real")
    directory = TaskDir(tmp_path / "task")

    lay_out(task(":", inputs=[tmp_path / "link"]), directory)

    assert not (directory.work / "link").is_symlink()
    assert (directory.work / "link").read_text() == "content"


def test_a_disk_that_is_too_slow_is_not_the_owners_fault(work: Path) -> None:
    content = packed(file("big", b"x" * 10**6))
    slow = replace(sandbox.LIMITS, seconds=-1.0)

    with pytest.raises(HandBack, match="cannot be unpacked within"):
        sandbox._write(io.BytesIO(content), work, slow)


def test_a_link_put_there_meanwhile_is_not_gone_through(work: Path) -> None:
    (work / "l").symlink_to(work.parent)

    with pytest.raises(FailJob, match="cannot be unpacked"):
        sandbox.unpack(packed(file("l/secret", b"changed")), work)

    assert (work.parent / "secret").read_text() == "before"


def test_a_file_takes_the_place_of_a_link_not_of_what_it_leads_to(work: Path) -> None:
    (work / "x").symlink_to(work.parent / "secret")

    sandbox.unpack(packed(file("x", b"mine")), work)

    assert ((work / "x").read_text(), (work.parent / "secret").read_text()) == ("mine", "before")


def header(kind: bytes, size: int, name: str = "././@LongLink") -> bytes:
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, size
    return made.tobuf()


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


def test_what_a_pax_header_says_counts(work: Path) -> None:
    long_name = "/".join(["ü" * 30] * 8)

    sandbox.unpack(packed(file(long_name, b"content")), work)

    assert (work / long_name).read_text() == "content"


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
