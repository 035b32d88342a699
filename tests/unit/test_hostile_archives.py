"""Archives of hostile makers: nothing outside is touched, nothing that stays inside is lost."""

import io
import tarfile
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
from tests.unit.archive_members import (
    SMALL,
    Member,
    file,
    folder,
    link,
    of_kind,
    packed,
    path_longer_than_any,
    second_name,
)

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


def test_what_a_pax_header_says_counts(work: Path) -> None:
    long_name = "/".join(["ü" * 30] * 8)

    sandbox.unpack(packed(file(long_name, b"content")), work)

    assert (work / long_name).read_text() == "content"
