"""Files that a payload made: fetched without a way out, removed whatever they are."""

import os
from pathlib import Path

import pytest

from ce_backends.linux.removal import remove_tree
from ce_backends.task.outputs import copy_outputs, tail


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_tree_deeper_than_any_path_is_removed(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    top = tmp_path / "tree"
    top.mkdir()
    deepest = os.open(top, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d" * 10, dir_fd=deepest)
        below = os.open("d" * 10, os.O_RDONLY, dir_fd=deepest)
        os.close(deepest)
        deepest = below
    os.close(deepest)
    os.close(here)

    remove_tree(top)

    assert not top.exists()


def test_removal_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "others/file").touch()
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/to-others").symlink_to(tmp_path / "others")
    (tmp_path / "tree/sub/to-others").symlink_to(tmp_path / "others")

    remove_tree(tmp_path / "tree")

    assert (tmp_path / "others/file").exists()
    assert not (tmp_path / "tree").exists()


def test_link_in_place_of_the_directory_is_removed_alone(tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "tree").symlink_to(tmp_path / "others")

    remove_tree(tmp_path / "tree")

    assert (tmp_path / "others").exists()
    assert not (tmp_path / "tree").is_symlink()


def test_names_of_the_removal_itself_may_be_taken(tmp_path: Path) -> None:
    (tmp_path / "tree/.removing-1/.removing-1/.removing-2").mkdir(parents=True)
    (tmp_path / "tree/.removing-2").touch()
    (tmp_path / "tree/a/b/c").mkdir(parents=True)

    remove_tree(tmp_path / "tree")

    assert not (tmp_path / "tree").exists()


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove_tree(tmp_path / "nothing")

    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_copied_is_named(work: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (work / "out").mkdir()
    (work / "out/link").symlink_to(tmp_path / "secret")
    (work / "out/loop").symlink_to("loop")
    (work / "out/up").symlink_to("..")
    os.mkfifo(work / "out/pipe")
    (work / "out/good").write_text("good")

    skipped = copy_outputs(work, ["out"], tmp_path / "into")

    assert sorted(path.name for path in (tmp_path / "into").rglob("*") if path.is_file()) == ["good"]
    assert sorted(sentence.split(" was skipped: ")[0] for sentence in skipped) == [
        "output out/link",
        "output out/loop",
        "output out/pipe",
        "output out/up",
    ]


def test_directory_behind_a_link_to_the_outside_is_not_gone_into(work: Path, tmp_path: Path) -> None:
    (tmp_path / "others/folder/empty").mkdir(parents=True)
    (work / "way-out").symlink_to(tmp_path / "others")

    skipped = copy_outputs(work, ["way-out/*"], tmp_path / "into")

    assert skipped == ["output way-out/* was skipped: way-out leads outside the work directory"]
    assert not (tmp_path / "into").exists()


def test_link_within_the_work_directory_brings_its_content(work: Path, tmp_path: Path) -> None:
    (work / "real").write_text("content")
    (work / "latest").symlink_to("real")

    skipped = copy_outputs(work, ["latest"], tmp_path / "into")

    assert (skipped, (tmp_path / "into/latest").read_text()) == ([], "content")


def test_empty_directory_comes_back(work: Path, tmp_path: Path) -> None:
    (work / "out/empty").mkdir(parents=True)

    copy_outputs(work, ["out"], tmp_path / "into")

    assert (tmp_path / "into/out/empty").is_dir()


def test_copy_keeps_the_permission_to_execute(work: Path, tmp_path: Path) -> None:
    (work / "tool").touch(mode=0o755)

    copy_outputs(work, ["tool"], tmp_path / "into")

    assert (tmp_path / "into/tool").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(("length", "seen"), [(3, b"789"), (100, b"0123456789"), (0, b"")])
def test_tail_is_the_last_bytes(work: Path, length: int, seen: bytes) -> None:
    (work / "file").write_bytes(b"0123456789")

    assert tail(work / "file", work, length) == seen


def test_tail_of_a_file_that_grows_meanwhile_is_no_beginning(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "file").write_bytes(b"01")
    read = os.pread

    def grown(fd: int, length: int, at: int) -> bytes:
        (work / "file").write_bytes(b"0123456789")
        return read(fd, length, at)

    monkeypatch.setattr(os, "pread", grown)

    assert tail(work / "file", work, 5) == b"01"
