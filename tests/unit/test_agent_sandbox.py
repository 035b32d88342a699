"""Sandboxes: nothing leads out of the directory, nothing fills disk or memory, odd names survive."""

import bz2
import io
import lzma
import random
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.errors import Blame, FailJob, HandBack
from agents.jobs.output_sandbox import Shortfall, pack
from agents.jobs.sandbox import unpack
from tests.packing import PACKED, zstd

MB = 10**6


def member(name: str, content: bytes = b"x", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.size = len(content)
    for attribute, value in attributes.items():
        setattr(made, attribute, value)
    return made, content


def archive(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as made:  # type: ignore[call-overload] # the mode is a parameter
        for one, content in members:
            made.addfile(one, io.BytesIO(content))
    return buffer.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, b"", type=kind, linkname=target)


def refusal(packed: bytes, into: Path) -> FailJob:
    with pytest.raises(FailJob) as caught:
        unpack(packed, into)
    assert str(caught.value).startswith("Failed Downloading InputSandbox: input sandbox: ")
    return caught.value


def names(packed: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:bz2") as opened:
        return sorted(opened.getnames())


@pytest.fixture
def into(tmp_path: Path) -> Path:
    made = tmp_path / "inputs"
    made.mkdir()
    return made


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_every_compression_is_unpacked(into: Path, mode: str) -> None:
    unpack(archive(member("a.txt", b"text"), member("sub/ü b", b"odd"), mode=mode), into)

    assert ((into / "a.txt").read_text(), (into / "sub/ü b").read_text()) == ("text", "odd")


@pytest.mark.parametrize(
    "members",
    [
        [member("../outside")],
        [member("sub/../../outside")],
        [link("l", "/etc"), member("l/passwd")],
        [link("l", "../../.."), member("l/outside")],
        [link("l", "/etc/passwd")],
        [link("l", "../outside", tarfile.LNKTYPE)],
        [member("null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
        [member("disk", b"", type=tarfile.BLKTYPE)],
        [member("pipe", b"", type=tarfile.FIFOTYPE)],
    ],
)
def test_a_member_that_leads_out_or_is_no_file_fails_the_job(
    into: Path, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    error = refusal(archive(*members), into)

    assert "a member of the archive is not allowed: " in error.detail
    assert error.blame is Blame.USER
    assert [path.name for path in into.parent.iterdir()] == ["inputs"]


def test_an_absolute_name_is_unpacked_below_the_directory(into: Path) -> None:
    unpack(archive(member("/abs/file")), into)

    assert (into / "abs/file").exists()


def test_rights_beyond_the_owner_are_not_unpacked(into: Path) -> None:
    unpack(archive(member("set", mode=0o6777)), into)

    assert (into / "set").stat().st_mode & 0o7022 == 0


def test_zstd_is_unpacked(into: Path) -> None:
    unpack(zstd.compress(archive(member("a.txt", b"text"), mode="w")), into)

    assert (into / "a.txt").read_text() == "text"


UNREADABLE = {
    "zip": b"PK\x03\x04",
    "7z": b"7z\xbc\xaf\x27\x1c",
    "rar": b"Rar!\x1a\x07\x01\0",
    "lz4": b"\x04\x22\x4d\x18",
    "lzip": b"LZIP\x01",
    "lzop": b"\x89LZO\0\r\n",
    "compress": b"\x1f\x9d\x90",
    "snappy": b"\xff\x06\x00\x00sNaPpY",
}


@pytest.mark.parametrize(("name", "magic"), UNREADABLE.items())
def test_a_format_without_a_reader_is_not_the_owners_fault(into: Path, name: str, magic: bytes) -> None:
    with pytest.raises(HandBack, match=f"it is packed by {name}.*expected tar, plain or packed by gzip") as raised:
        unpack(magic + bytes(2000), into)

    assert raised.value.blame is Blame.AGENT


def test_a_format_that_only_its_name_tells_is_not_the_owners_fault(into: Path) -> None:
    with pytest.raises(HandBack, match=r"its name ends in '\.br'"):
        unpack(b"\x8b\x07\x80text", into, name="SB:SE|/S3/vo/owner/sha256:0123.tar.br")


@pytest.mark.parametrize("name", ["SB:SE|/SandBox/o/ab/c.tar.bz2", "SB:SE|/S3/sha256:01.tar.zst", "SB:SE|/a", ""])
def test_damage_in_a_format_that_is_read_fails_the_job(into: Path, name: str) -> None:
    with pytest.raises(FailJob, match="cannot be read"):
        unpack(b"<html>", into, name=name)


def test_zstd_without_a_reader_is_not_the_owners_fault(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zstd.compress(archive(member("a")))
    for module in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(HandBack, match=r"packed by zstd: expected Python 3\.14, or the package backports\.zstd"):
        unpack(packed, into)


def cut(packed: bytes) -> bytes:
    return packed[: len(packed) // 2]


def garbled(packed: bytes) -> bytes:
    middle = len(packed) // 2
    return packed[:middle] + bytes(255 - byte for byte in packed[middle : middle + 64]) + packed[middle + 64 :]


@pytest.mark.parametrize("harm", [cut, garbled])
@pytest.mark.parametrize("compress", PACKED.values(), ids=PACKED.keys())
def test_a_damaged_archive_fails_the_job_and_blames_its_maker(
    into: Path, compress: Callable[[bytes], bytes], harm: Callable[[bytes], bytes]
) -> None:
    noise = bytes((i * i * 7919 >> 3) % 251 for i in range(60_000))
    packed = compress(archive(*(member(f"f{number}", noise[number:]) for number in range(4)), mode="w"))

    assert refusal(harm(packed), into).blame is Blame.USER


@pytest.mark.parametrize(
    "packed",
    [b"", b"\0", b'{"OK": false, "Message": "No such file"}', b"<html>", bz2.compress(b"text"), lzma.compress(b"")],
)
def test_what_is_no_archive_fails_the_job(into: Path, packed: bytes) -> None:
    assert "the archive cannot be read" in refusal(packed, into).detail


def test_a_bomb_is_refused_before_anything_is_written(into: Path) -> None:
    huge, _ = member("bomb")
    huge.size = 5000 * MB
    packed = huge.tobuf() + bytes(1024)

    assert "it unpacks to more than 4000 MB" in refusal(packed, into).detail
    assert list(into.iterdir()) == []


def test_an_archive_at_odds_with_itself_fails_the_job(into: Path) -> None:
    packed = archive(member("a"), member("a/b"))

    assert refusal(packed, into).blame is Blame.USER


def test_outputs_are_packed_flat_and_what_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.txt", "b.txt", "sub/c.log", "-odd 'name"):
        (tmp_path / name).write_text(name)

    packed, shortfall = pack(tmp_path, ["*.txt", "sub/c.log", "-odd*", "none.*", "a.txt"], MB)

    assert names(packed) == ["-odd 'name", "a.txt", "b.txt", "c.log"]
    assert shortfall == Shortfall(missing=("none.*",))


def test_a_directory_is_packed_with_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "plots/deep").mkdir(parents=True)
    (tmp_path / "plots/empty").mkdir()
    (tmp_path / "plots/deep/x").write_text("x")

    assert names(pack(tmp_path, ["plots"], MB)[0]) == ["plots/deep/x", "plots/empty"]


def test_nothing_is_packed_when_nothing_is_there(tmp_path: Path) -> None:
    assert pack(tmp_path / "no", ["a", "*"], MB) == (b"", Shortfall(missing=("a", "*")))


@pytest.mark.parametrize("pattern", ["**", "a**b", "[", "a/b/c"])
def test_an_odd_pattern_is_no_error(tmp_path: Path, pattern: str) -> None:
    assert pack(tmp_path, [pattern], MB) == (b"", Shortfall(missing=(pattern,)))


def test_a_link_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "work/leak").symlink_to(tmp_path / "secret")

    packed, shortfall = pack(tmp_path / "work", ["leak"], MB)

    assert packed == b""
    assert shortfall.sentence == "output leak was skipped: leak leads outside the work directory"


def noise(length: int) -> bytes:
    return random.Random(length).randbytes(length)


def test_what_does_not_fit_is_named_with_its_size_and_all_else_comes(tmp_path: Path) -> None:
    for name, content in {"big": noise(40_000), "bigger": noise(50_000), "small": b"x", "std.out": b"said"}.items():
        (tmp_path / name).write_bytes(content)

    packed, shortfall = pack(tmp_path, ["*"], 45_000, ["std.out"])

    assert names(packed) == ["big", "small", "std.out"]
    assert len(packed) <= 45_000
    assert shortfall.sentence == (
        "the output sandbox is too large, packed it may have 45000 bytes: without bigger (50000 bytes)"
    )


def test_of_very_many_that_do_not_fit_some_are_named(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"f{number}").write_bytes(noise(20_000 + number))

    packed, shortfall = pack(tmp_path, ["*"], 10_000)

    assert packed == b""
    assert shortfall.sentence.count("bytes)") == 20
    assert shortfall.sentence.endswith(", 80 more")


def test_a_sparse_output_of_a_terabyte_costs_no_time(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**12)
    (tmp_path / "small").write_bytes(b"x")
    began_s = time.process_time()

    packed, shortfall = pack(tmp_path, ["*"], MB)

    assert names(packed) == ["small"]
    assert "sparse (1000000000000 bytes)" in shortfall.sentence
    assert time.process_time() - began_s < 5


def test_packing_has_its_time(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"f{number}").write_bytes(b"x" * 1000)
    ticks = iter(range(0, 10**6, 20))

    packed, shortfall = pack(tmp_path, ["*"], MB, clock=lambda: float(next(ticks)))

    assert 0 < len(names(packed)) < 9
    assert "f8 (1000 bytes)" in shortfall.sentence or "it took longer" in shortfall.sentence


def test_of_two_outputs_with_one_name_the_second_is_named(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "out").write_text(folder)

    packed, shortfall = pack(tmp_path, ["*/out"], MB)

    assert names(packed) == ["out"]
    assert shortfall.sentence == "output b/out was skipped: another one is called out too"


def test_many_small_outputs_are_read_again_by_everybody(tmp_path: Path, into: Path) -> None:
    for number in range(300):
        (tmp_path / f"f{number}").write_text(str(number))

    packed, _ = pack(tmp_path, ["f*"], MB)
    unpack(packed, into)
    listed = subprocess.run(["tar", "-tj"], input=packed, capture_output=True, check=True).stdout.split()

    assert len(names(packed)) == len(list(into.iterdir())) == len(listed) == 300


def test_what_is_small_when_packed_may_be_large_before(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(2 * MB))

    assert len(pack(tmp_path, ["zeros"], 1000)[0]) <= 1000


def test_what_was_packed_is_unpacked_as_it_was(tmp_path: Path, into: Path) -> None:
    (tmp_path / "a").write_bytes(b"\0\xff")

    unpack(pack(tmp_path, ["a"], MB)[0], into)

    assert (into / "a").read_bytes() == b"\0\xff"
