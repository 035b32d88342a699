"""Scenario 46: a payload mounts a file system that never answers where the pool looks."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ce_backends.base import Limit
from ce_backends.conformance.subject import task
from ce_backends.pool.ce import Pool
from ce_backends.pool.monitor import Bounds
from ce_backends.task.log_limit import Cap
from tests.faults.hanging_mount import HangingMount, can_mount
from tests.waiting import PATIENCE_S, within

Need = Callable[[str, bool, str], None]
OFTEN = Bounds(output=Cap(10**6), round_s=0.1, processes_s=0.1, disk_s=0.1)


@pytest.fixture
def pool(tmp_path: Path, need: Need) -> Iterator[Pool]:
    need("fuse", can_mount(), "root and /dev/fuse are needed")
    made = Pool(tmp_path / "tasks", processors=2, grace_s=0.5, bounds=OFTEN)
    yield made
    made.close()


def answered(look: Callable[[], object]) -> object:
    """Return what a look finds; it must not hang."""
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(look()), daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert found, "it hangs"
    return found[0]


@pytest.mark.scenario(
    46, "a file system that never answers is mounted on a log, on a file that is asked for, in a folder"
)
def test_looks_at_a_task_do_not_hang_and_its_neighbour_is_watched(pool: Pool, tmp_path: Path) -> None:
    one, other = task("sleep 60", capped=["log"], disk_mb=50), task("head -c 9M /dev/zero >big; sleep 60", disk_mb=5)
    pool.submit([one])
    work = tmp_path / "tasks" / one.stamp / "work"
    for name in ("log", "flag", "folder"):
        (work / name).mkdir()
    mounts = [HangingMount(work / name) for name in ("log", "flag", "folder")]
    try:
        assert answered(lambda: pool.peek(one.stamp, "log", 100)) == b""
        assert answered(lambda: pool.has_file(one.stamp, "flag")) is False
        pool.submit([other])
        assert within(20, lambda: pool.poll([other.stamp])[other.stamp].state.is_final)
        assert pool.poll([other.stamp])[other.stamp].limit is Limit.DISK
        assert not any(mount.is_asked for mount in mounts)
    finally:
        for mount in mounts:
            mount.close()
        pool.kill([one.stamp])
        within(20, lambda: pool.poll([one.stamp])[one.stamp].state.is_final)
