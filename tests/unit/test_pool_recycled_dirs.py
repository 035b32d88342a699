"""What of a task's directory is used again, and what is not."""

import os
import subprocess
from pathlib import Path

import pytest

from ce_backends.pool.recycled_dirs import RecycledDirs


@pytest.fixture
def recycled_dirs(tmp_path: Path) -> RecycledDirs:
    return RecycledDirs(tmp_path, most=1)


def used(recycled_dirs: RecycledDirs, path: Path) -> int:
    """Make a task's directory as a task leaves it; return its number."""
    recycled_dirs.make(path)
    for name in ("payload", "task", "stdout", "started", "exit_code", "credential", "reason"):
        (path / name).write_text("of the first")
    (path / "stderr").touch()
    (path / "work/a/b").mkdir(parents=True)
    (path / "work/a/b/c").write_text("of the first")
    (path / "tmp/d").symlink_to("/")
    return path.stat().st_ino


def test_directory_is_used_again_and_holds_nothing_of_the_task_before(
    recycled_dirs: RecycledDirs, tmp_path: Path
) -> None:
    number = used(recycled_dirs, tmp_path / "first")

    recycled_dirs.remove(tmp_path / "first")
    recycled_dirs.make(tmp_path / "second")

    files = {path.name: path.stat().st_size for path in (tmp_path / "second").iterdir() if path.is_file()}
    assert (tmp_path / "second").stat().st_ino == number
    assert files == {"stderr": 0}
    assert [list((tmp_path / "second" / name).iterdir()) for name in ("work", "tmp")] == [[], []]
    assert [path.name for path in tmp_path.iterdir()] == ["second"]


HARM = [
    "chmod 755 work",
    "chmod 777 .",
    "rm -r tmp; mkdir tmp",
    "rm -r work; ln -s / work",
    "rm stdout; mkdir stdout",
    "mkdir more",
    "cd work; i=0; while [ $i -lt 400 ]; do : > a-long-name-that-makes-the-directory-large-$i; i=$((i+1)); done",
    "mv work ../elsewhere",
]


@pytest.mark.parametrize("harm", HARM)
def test_directory_that_does_not_look_as_new_is_removed(recycled_dirs: RecycledDirs, tmp_path: Path, harm: str) -> None:
    used(recycled_dirs, tmp_path / "first")
    before = os.umask(0o022)
    try:
        subprocess.run(["/bin/sh", "-c", harm], cwd=tmp_path / "first", check=True)
    finally:
        os.umask(before)

    recycled_dirs.remove(tmp_path / "first")

    assert [path.name for path in tmp_path.iterdir() if path.name != "elsewhere"] == []


def test_directory_with_attributes_of_its_own_is_removed(recycled_dirs: RecycledDirs, tmp_path: Path) -> None:
    used(recycled_dirs, tmp_path / "first")
    try:
        os.setxattr(tmp_path / "first/work", "user.left", b"1")
    except OSError as error:
        pytest.skip(f"this file system keeps no attributes: {error.strerror}")

    recycled_dirs.remove(tmp_path / "first")

    assert list(tmp_path.iterdir()) == []


def test_directory_that_takes_no_files_is_removed(recycled_dirs: RecycledDirs, tmp_path: Path) -> None:
    recycled_dirs.make(tmp_path / "first")
    done = subprocess.run(["chattr", "+a", tmp_path / "first/work"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"chattr(1) cannot make it so here: {done.stderr.strip()}")

    recycled_dirs.remove(tmp_path / "first")

    assert list(tmp_path.iterdir()) == []


def test_file_that_has_another_name_is_not_used_again(recycled_dirs: RecycledDirs, tmp_path: Path) -> None:
    used(recycled_dirs, tmp_path / "first")
    (tmp_path / "kept").hardlink_to(tmp_path / "first/stderr")

    recycled_dirs.remove(tmp_path / "first")
    recycled_dirs.make(tmp_path / "second")

    assert (tmp_path / "kept").exists()
    assert not (tmp_path / "second/stderr").exists()


def test_no_more_are_kept_than_there_is_use_for(recycled_dirs: RecycledDirs, tmp_path: Path) -> None:
    for name in ("first", "second"):
        used(recycled_dirs, tmp_path / name)

    for name in ("first", "second"):
        recycled_dirs.remove(tmp_path / name)

    assert len(list(tmp_path.iterdir())) == 1


def test_those_of_an_earlier_object_are_removed(tmp_path: Path) -> None:
    first = RecycledDirs(tmp_path, most=1)
    used(first, tmp_path / "first")
    first.remove(tmp_path / "first")

    RecycledDirs(tmp_path, most=1).open()

    assert list(tmp_path.iterdir()) == []
