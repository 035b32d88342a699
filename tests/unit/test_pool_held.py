"""A pool that asks before a start: all is laid out by then, and nothing has begun."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ce_backends.base import Accepted, Holds, TaskSpec
from ce_backends.conformance.subject import task
from ce_backends.errors import CEUnavailable
from ce_backends.pool.ce import Pool
from ce_backends.task.directory import TaskDir
from ce_backends.task.script import quote
from tests.waiting import until


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    made = Pool(tmp_path / "pool", processors=4)
    yield made
    made.close()


@pytest.fixture
def spec(tmp_path: Path) -> TaskSpec:
    """A task that leaves a mark when it runs."""
    return replace(task(f"echo ran >> {quote(str(tmp_path / 'mark'))}\n"), owner="me")


def ended(pool: Pool, stamp: str) -> bool:
    until(lambda: pool.poll([stamp])[stamp].state.is_final)
    return True


def has(directory: TaskDir) -> tuple[bool, bool]:
    """Tell whether a task is laid out, and whether it has begun."""
    return directory.record() is not None and directory.work.is_dir(), directory.has_started


def test_pool_asks_once_when_all_is_laid_out_and_nothing_has_begun(pool: Pool, spec: TaskSpec, tmp_path: Path) -> None:
    assert isinstance(pool, Holds)
    directory, seen = TaskDir.in_pool(tmp_path / "pool", spec.stamp), []

    def may_begin() -> bool:
        time.sleep(0.2)
        seen.append((*has(directory), (tmp_path / "mark").exists()))
        return True

    pool.ask_before_start(may_begin)

    assert pool.submit([spec]) == {spec.stamp: Accepted(spec.stamp)}
    assert ended(pool, spec.stamp)
    assert pool.submit([spec]) == {spec.stamp: Accepted(spec.stamp)}
    assert seen == [(True, False, False)]
    assert (tmp_path / "mark").read_text() == "ran\n"


def test_wrapper_that_waits_for_the_next_task_is_not_told_before(pool: Pool, spec: TaskSpec, tmp_path: Path) -> None:
    pool.submit([replace(spec, stamp="0" * 32)])
    ended(pool, "0" * 32)
    seen: list[str] = []

    def may_begin() -> bool:
        time.sleep(0.2)
        seen.append((tmp_path / "mark").read_text())
        return True

    pool.ask_before_start(may_begin)
    pool.submit([spec])

    assert ended(pool, spec.stamp)
    assert seen == ["ran\n"]


def no() -> bool:
    return False


def breaks() -> bool:
    raise RuntimeError("nobody foresaw that")


@pytest.mark.parametrize(("may_begin", "error"), [(no, CEUnavailable), (breaks, RuntimeError)])
def test_task_that_may_not_begin_never_does_and_leaves_nothing(
    pool: Pool, spec: TaskSpec, tmp_path: Path, may_begin: Callable[[], bool], error: type[Exception]
) -> None:
    pool.ask_before_start(may_begin)

    with pytest.raises(error):
        pool.submit([spec])

    assert pool.find([spec.stamp]) == {}
    assert pool.slots().free_processors == 4
    assert has(TaskDir.in_pool(tmp_path / "pool", spec.stamp)) == (False, False)
    assert not (tmp_path / "mark").exists()


def test_task_that_might_not_begin_may_later(pool: Pool, spec: TaskSpec, tmp_path: Path) -> None:
    pool.ask_before_start(no)
    with pytest.raises(CEUnavailable):
        pool.submit([spec])
    pool.ask_before_start(lambda: True)

    assert pool.submit([spec]) == {spec.stamp: Accepted(spec.stamp)}
    assert ended(pool, spec.stamp)
    assert (tmp_path / "mark").read_text() == "ran\n"
