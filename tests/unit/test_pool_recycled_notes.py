"""Notes of ended tasks that are used again: nothing of one task is read as another's."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ce_backends.base import TaskState, TaskStatus
from ce_backends.pool.recycled_notes import RecycledNotes
from ce_backends.task.directory import TaskDir
from ce_backends.task.record import TaskRecord

FIRST, SECOND = "1" * 32, "2" * 32
OF_FIRST, OF_SECOND = TaskRecord(processors=1, outputs=["a" * 500]), TaskRecord(processors=2, outputs=[], capped=[])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / ".notes").mkdir()
    return tmp_path / ".notes"


@pytest.fixture
def recycled(place: Path) -> RecycledNotes:
    return RecycledNotes(place, most=1)


def over(place: Path) -> TaskDir:
    """Write what is kept of a task that has ended."""
    directory = TaskDir.in_pool(place.parent, FIRST)
    directory.write_record(OF_FIRST)
    with Path(directory.note("task")).open("a") as task:
        task.write("7 12.5\n")
    directory.write_end(TaskStatus(state=TaskState.DONE, exit_code=7))
    return directory


def known(directory: TaskDir) -> tuple[object, ...]:
    return (directory.record(), directory.exit_code(), directory.end())


def test_notes_that_are_used_again_hold_nothing_of_the_task_before(place: Path, recycled: RecycledNotes) -> None:
    first, second = over(place), TaskDir.in_pool(place.parent, SECOND)
    inode = Path(first.note("task")).stat().st_ino

    first.forget(recycled.keep)
    second.write_record(OF_SECOND, recycled.write)

    assert Path(second.note("task")).stat().st_ino == inode
    assert known(second) == (OF_SECOND, None, None)
    assert known(first) == (None, None, None)
    assert b"\0" not in Path(second.note("task")).read_bytes()


def test_notes_that_a_power_failure_gave_to_another_task_are_not_believed(place: Path) -> None:
    first, second = over(place), TaskDir.in_pool(place.parent, SECOND)

    Path(first.note("task")).rename(second.note("task"))

    assert known(second) == (None, None, None)


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def another_name(path: Path) -> None:
    path.with_name("elsewhere").hardlink_to(path)


@pytest.mark.parametrize("spoil", [a_link, a_pipe, another_name, Path.unlink])
def test_notes_that_somebody_else_knows_are_not_used_again(
    place: Path, recycled: RecycledNotes, spoil: Callable[[Path], None]
) -> None:
    first, second = over(place), TaskDir.in_pool(place.parent, SECOND)
    first.forget(recycled.keep)
    spoil(next(place.glob(".spare-*")))

    second.write_record(OF_SECOND, recycled.write)

    assert known(second) == (OF_SECOND, None, None)
    assert Path(second.note("task")).stat().st_nlink == 1
    assert not Path(second.note("task")).is_symlink()
    assert list(place.glob(".spare-*")) == []


def test_no_more_notes_are_kept_than_were_said(place: Path, recycled: RecycledNotes) -> None:
    for _ in range(3):
        over(place).forget(recycled.keep)

    assert len(list(place.iterdir())) == 1


def test_what_an_earlier_object_kept_is_removed(place: Path, recycled: RecycledNotes) -> None:
    over(place).forget(recycled.keep)

    RecycledNotes(place, most=1).open()

    assert list(place.iterdir()) == []


def test_where_the_place_is_gone_it_is_made_again(place: Path, recycled: RecycledNotes) -> None:
    over(place).forget(recycled.keep)
    next(place.glob(".spare-*")).unlink()
    place.rmdir()
    second = TaskDir.in_pool(place.parent, SECOND)

    second.write_record(OF_SECOND, recycled.write)

    assert known(second) == (OF_SECOND, None, None)
