"""Outputs of hostile payloads: nothing outside is read, no name, size or number of files takes more than its bound."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ce_backends.linux.foreign_tree import ForeignTree
from ce_backends.pool.layout import renew_credential
from ce_backends.task.log_limit import Cap
from ce_backends.task.output_search import OutputSearch, SearchLimits
from ce_backends.task.outputs import copy_outputs, tail

MB = 10**6
QUICK = SearchLimits(files=20, names=1000, seconds=5.0)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "work").mkdir()
    (tmp_path / "work/good").write_text("good")
    return tmp_path / "work"


def links_to_itself(work: Path) -> None:
    for number in range(8):
        (work / f"l{number}").symlink_to(".")


def loop(work: Path) -> None:
    (work / "loop").symlink_to("loop")


def chain(work: Path) -> None:
    for number in range(60):
        (work / f"c{number}").symlink_to(f"c{number + 1}")
    (work / "c60").write_text("end")


def way_out(work: Path) -> None:
    (work / "out").symlink_to(work.parent / "secret")
    (work / "folder").symlink_to("..")


def up_and_in_again(work: Path) -> None:
    (work / "back").symlink_to("../work/good")


def pipes(work: Path) -> None:
    os.mkfifo(work / "pipe")


def many(work: Path) -> None:
    (work / "many").mkdir()
    for number in range(1200):
        (work / f"many/f{number:04}").touch()


def deep(work: Path) -> None:
    fd = os.open(work, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


def odd_names(work: Path) -> None:
    (work / "a\nb\x1b[31m").touch()
    (work / os.fsdecode(b"not \xff utf-8")).touch()
    os.mkfifo(work / "pipe\n\x1b[31m")


# what the payload made, the pattern, what comes although it is hostile, a word of the sentence about the rest
HOSTILE: list[tuple[Callable[[Path], None], str, list[str], str]] = [
    (links_to_itself, "*/*/*/*/*/*/*/*/good", [], ""),
    (links_to_itself, "l0/l1/good", ["l0/l1/good"], ""),
    (loop, "*", [], "too many links"),
    (chain, "c0", [], "too many links"),
    (chain, "c50", ["c50"], ""),
    (way_out, "out", [], "leads outside"),
    (way_out, "folder/secret", [], "leads outside"),
    (way_out, "folder/*", [], "leads outside"),
    (way_out, "*/secret", [], ""),
    (up_and_in_again, "back", [], "leads outside"),
    (pipes, "pipe", [], "not a regular file"),
    (many, "many", [], "names had to be looked at"),
    (many, "many/*", [], "names had to be looked at"),
    (deep, "d", [], "deeper than 100 levels"),
    (deep, "d/" * 99 + "*", [], "deeper than 100 levels"),
    (odd_names, "pipe*", [], r"pipe\n\x1b[31m was skipped"),
    (odd_names, "[", [], ""),
    (odd_names, "../secret", [], "leads outside"),
    (odd_names, "/etc/passwd", [], "does not name something"),
    (odd_names, "", [], "does not name something"),
    (odd_names, "a\0b", [], "holds a NUL"),
    (odd_names, "*/" * 300, [], "more than 100 levels"),
    (odd_names, "*" * 5000, [], "more than 4096 bytes"),
]


@pytest.mark.parametrize(("make", "pattern", "coming", "word"), HOSTILE)
def test_hostile_output_is_skipped_with_a_sentence_and_the_others_come(
    work: Path, make: Callable[[Path], None], pattern: str, coming: list[str], word: str
) -> None:
    make(work)
    into = work.parent / "into"
    began_s = time.process_time()

    skipped = copy_outputs(work, [pattern, "good"], into, limits=QUICK)

    assert time.process_time() - began_s < 5
    brought = sorted(str(path.relative_to(into)) for path in into.rglob("*") if not path.is_dir())
    assert brought == sorted([*coming, "good"])
    assert word in " ".join(skipped)
    assert bool(skipped) == bool(word)
    assert all("\n" not in sentence and len(sentence) < 300 for sentence in skipped)


def test_of_too_many_files_the_first_come(work: Path) -> None:
    for number in range(30):
        (work / f"f{number:02}").touch()

    skipped = copy_outputs(work, ["f*"], work.parent / "into", limits=QUICK)

    assert len(list((work.parent / "into").iterdir())) == 20
    assert skipped == ["output f* was skipped: there are more than 20 files"]


def test_holes_stay_holes(work: Path) -> None:
    with (work / "sparse").open("wb") as file:
        file.truncate(3000 * MB)
        file.seek(1000 * MB)
        file.write(b"in the middle")
    began_s = time.process_time()

    skipped = copy_outputs(work, ["sparse"], work.parent / "into")

    copy = (work.parent / "into/sparse").stat()
    assert (skipped, copy.st_size) == ([], 3000 * MB)
    assert copy.st_blocks * 512 < MB
    assert tail(work.parent / "into/sparse", work.parent, 1) == b"\0"
    assert time.process_time() - began_s < 5


def test_a_file_of_more_bytes_than_may_come_is_skipped_and_the_others_come(work: Path) -> None:
    (work / "a-large").write_bytes(b"x" * 2 * MB)
    (work / "b-small").write_bytes(b"x" * 1000)

    skipped = copy_outputs(work, ["*"], work.parent / "into", most_bytes=MB)

    assert sorted(path.name for path in (work.parent / "into").iterdir()) == ["b-small", "good"]
    assert skipped == ["output a-large was skipped: all outputs together have more than 1 MB"]


def test_a_file_as_large_as_the_file_system_allows_takes_nothing(work: Path) -> None:
    for exponent in (43, 62):
        with suppress(OSError):
            os.truncate(work / "good", 2**exponent)
    (work / "other").write_text("other")

    copy_outputs(work, ["good", "other"], work.parent / "into")

    assert (work.parent / "into/other").read_text() == "other"


def test_a_link_in_the_place_of_the_work_directory_brings_nothing(work: Path) -> None:
    work.rename(work.parent / "elsewhere")
    work.symlink_to(work.parent)

    skipped = copy_outputs(work, ["secret"], work.parent / "into")

    assert skipped == ["all outputs were skipped: work cannot be read: Not a directory"]
    assert tail(work / "secret", work, 10) == b""


def test_looking_takes_no_longer_than_its_time(work: Path) -> None:
    many(work)
    ticks = iter(range(10**6))
    limits = SearchLimits(names=10**9, seconds=10.0)

    with ForeignTree(work) as tree:
        search = OutputSearch(tree, limits, lambda: float(next(ticks)))
        list(search.matches(["many/*", "good"]))

    assert search.problems == ["output many/* was skipped: looking for it took longer than 10 s"]


@pytest.fixture
def swapping(work: Path) -> Iterator[None]:
    """A payload that puts now a file, now a link out, now a pipe in the same place."""
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for make in (lambda p: p.write_text("mine"), lambda p: p.symlink_to(work.parent / "secret"), os.mkfifo):
                make(work / "aside")
                (work / "aside").replace(work / "swapped")
                (work / "way-aside").symlink_to("..")
                (work / "way-aside").replace(work / "way")
                (work / "way").unlink()
                (work / "way").mkdir()
                (work / "way/secret").write_text("mine")
                (work / "way/secret").unlink()
                (work / "way").rmdir()

    thread = threading.Thread(target=swap)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.usefixtures("swapping")
def test_what_is_swapped_meanwhile_never_leads_out(work: Path) -> None:
    end = time.monotonic() + 0.5
    seen = set()

    while time.monotonic() < end:
        for name in ("swapped", "way/secret"):
            seen.add(tail(work / name, work, 100))
        copy_outputs(work, ["swapped", "way/*", "w*/secret"], work.parent / "into")
        seen |= {path.read_bytes() for path in (work.parent / "into").rglob("*") if path.is_file()}

    assert seen <= {b"", b"mine"}


def test_a_log_is_not_made_small_through_a_link(work: Path) -> None:
    (work.parent / "victim").write_bytes(b"x" * 3 * MB)
    (work / "way").symlink_to("..")

    Cap(MB).trim(work / "way/victim", work)

    assert (work.parent / "victim").read_bytes() == b"x" * 3 * MB


def test_a_renewed_credential_is_written_through_no_link(tmp_path: Path) -> None:
    task, victim, proxy = tmp_path / "task", tmp_path / "victim", tmp_path / "proxy"
    task.mkdir()
    victim.write_text("before")
    proxy.write_text("PROXY")
    (task / "credential").symlink_to(victim)
    (task / "credential.new").symlink_to(victim)

    renew_credential(proxy, task / "credential")

    assert (victim.read_text(), (task / "credential").read_text()) == ("before", "PROXY")
    assert not (task / "credential").is_symlink()
    assert (task / "credential").stat().st_mode & 0o777 == 0o600


def test_a_renewal_is_not_led_astray_by_links_put_at_every_name_that_is_seen(tmp_path: Path) -> None:
    task, victim, proxy = tmp_path / "task", tmp_path / "victim", tmp_path / "proxy"
    task.mkdir()
    victim.write_text("before")
    proxy.write_text("PROXY")
    stop = threading.Event()

    def replace_all() -> None:
        while not stop.is_set():
            for path in list(task.iterdir()):
                (task / "l").unlink(missing_ok=True)
                (task / "l").symlink_to(victim)
                (task / "l").replace(path)

    thread = threading.Thread(target=replace_all)
    thread.start()
    for _ in range(200):
        renew_credential(proxy, task / "credential")
    stop.set()
    thread.join()

    assert victim.read_text() == "before"
