"""What a task may use: disk, CPU time, processes; and what is said when it was too much."""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ce_backends.base import Activity, Limit, TaskStatus
from ce_backends.conformance.subject import task
from ce_backends.containment.cell import Consumption, Level
from ce_backends.containment.probe import probe
from ce_backends.linux.disk_usage import disk_use
from ce_backends.linux.process_usage import process_use
from ce_backends.pool.ce import Pool
from ce_backends.pool.monitor import Monitor
from ce_backends.pool.running_task import Excess, RunningTask
from ce_backends.pool.watcher import Watcher
from ce_backends.pool.wrappers import Wrappers
from ce_backends.task.directory import TaskDir
from ce_backends.task.record import TaskRecord
from tests.unit.ce_limits_scene import MB, OFTEN, make_pool, written
from tests.unit.pool_scene import MakePool, begin, ended
from tests.waiting import PATIENCE_S, until

__all__ = ["make_pool"]


def seen(pool: Pool, task_id: str) -> Activity | None:
    return pool.poll([task_id])[task_id].activity


# ---- disk ----


def test_disk_use_counts_files_and_what_they_take_but_no_holes_and_nothing_behind_links(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "folder").mkdir(parents=True)
    written(top / "folder/full", MB)
    with (top / "hole").open("wb") as hole:
        hole.truncate(100 * MB)
    written(tmp_path / "outside", 10 * MB)
    (top / "link").symlink_to(tmp_path / "outside")

    found = disk_use(top)

    assert found.files == 4
    assert MB <= found.size_bytes < 1.2 * MB


def test_look_at_a_directory_that_takes_too_long_ends_with_what_was_seen(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / str(number)).touch()
    moments = iter([0.0, 3.0])

    assert disk_use(tmp_path, clock=lambda: next(moments)).files == 256


def test_task_over_its_disk_limit_is_ended_with_both_numbers(make_pool: MakePool) -> None:
    pool = make_pool()

    end = ended(pool, begin(pool, task("head -c 7000000 /dev/zero > data; sleep 600\n", disk_mb=5)))

    assert end.limit is Limit.DISK
    assert end.reason.startswith("disk limit of 5 MB exceeded (used ")


def test_on_a_full_node_the_task_that_uses_the_most_is_ended(make_pool: MakePool) -> None:
    pool = make_pool(replace(OFTEN, least_disk_mb=10**9))  # no disk has as much

    end = ended(pool, begin(pool, task("head -c 7000000 /dev/zero > data; sleep 600\n")))

    assert end.limit is Limit.NODE_DISK
    assert "MB of the node's disk are free, less than 1000000000 MB; this task used " in end.reason
    assert " MB, its share is " in end.reason


# ---- processes and CPU time ----


def test_task_over_its_cpu_limit_is_ended_with_both_numbers(make_pool: MakePool) -> None:
    pool = make_pool()

    end = ended(pool, begin(pool, task("while :; do :; done\n", cpu_s=1)))

    assert end.limit is Limit.CPU
    assert end.reason.startswith("CPU limit of 1 s exceeded (used ")


class Held:
    """A cell that tells what a test wants."""

    joins: Sequence[Path] = ()

    def __init__(self, pids: Sequence[int] = (), refusals: int = 0) -> None:
        self.pids, self.refused = list(pids), refusals

    def begin(self, wrapper: object) -> None:
        """Nobody is there."""

    def send(self, signal_number: int, already: set[int]) -> None:
        """Nobody is there."""

    def kill(self) -> None:
        """Nobody dies."""

    def members(self) -> list[int]:
        return self.pids

    def consumption(self, *, with_causes: bool = True) -> Consumption:
        return Consumption(refusals=self.refused)

    def remove(self) -> bool:
        return False


def watched(directory: Path, cell: Held, **limits: int) -> RunningTask:
    record = TaskRecord(processors=1, **limits)
    return RunningTask(stamp=directory.name, directory=TaskDir(directory), record=record, cell=cell, since_s=0.0)


def test_task_with_the_most_processes_is_ended_when_another_one_is_refused(tmp_path: Path) -> None:
    ends: dict[str, Excess] = {}
    monitor = Monitor(tmp_path, OFTEN, tasks=list, end=ends.__setitem__)

    monitor.go([watched(tmp_path / "victim", Held([1], refusals=3)), watched(tmp_path / "bomb", Held([1] * 50))])

    sentence = "limit of processes exceeded: it had 50 when it was refused another one"
    assert ends == {"bomb": Excess(Limit.PROCESSES, sentence, at_once=True)}


def test_refusals_of_the_past_end_nobody(tmp_path: Path) -> None:
    ends: list[tuple[str, Excess]] = []
    monitor = Monitor(tmp_path, OFTEN, tasks=list, end=lambda stamp, excess: ends.append((stamp, excess)))
    one = watched(tmp_path / "task", Held([1], refusals=3))

    monitor.go([one])
    monitor.go([one])

    assert len(ends) == 1


WITH_GROUPS = [level for level in (Level.V2, Level.HYBRID, Level.V1) if probe("limits", best=level).level is level]
COUNTING = [level for level in WITH_GROUPS if "pids" in probe("limits", best=level).limits]


@pytest.mark.parametrize("level", COUNTING, ids=lambda level: level.name)
@pytest.mark.parametrize(
    ("bomb", "reasons"),
    [
        ("while :; do (sleep 600 &); done", ("limit of processes exceeded: it had ",)),
        (  # the end of its shell and the next round see it at about the same time
            "for n in $(seq 50); do sleep 600 & done",
            ("limit of processes exceeded: it failed after ", "limit of processes exceeded: it had "),
        ),
    ],
    ids=["goes on", "fails"],
)
def test_task_at_its_limit_of_processes_is_ended_with_the_reason(
    make_pool: MakePool, tmp_path: Path, level: Level, bomb: str, reasons: tuple[str, ...]
) -> None:
    pool = make_pool(level=level)
    spec = task(f"until [ -e go ]; do sleep 0.01; done\n{bomb}\n")
    begin(pool, spec)
    directory = TaskDir(tmp_path / "pool" / spec.stamp)
    joins = pool.containment.containment.joins(spec.stamp)
    (limit,) = (file for join in joins if (file := join.parent / "pids.max").exists())
    until(lambda: bool((limit.parent / "cgroup.procs").read_text()))

    limit.write_text("20")
    (directory.work / "go").touch()

    end = ended(pool, spec.stamp)
    assert end.limit is Limit.PROCESSES
    assert end.reason.startswith(reasons)


def test_what_a_running_task_uses_is_told(make_pool: MakePool) -> None:
    pool = make_pool()
    task_id = begin(pool, task("while :; do echo x; done > data\n"))

    until(lambda: (now := seen(pool, task_id)) is not None and now.cpu_s is not None and now.cpu_s > 0.1)
    first = seen(pool, task_id)
    assert first is not None
    until(lambda: (now := seen(pool, task_id)) is not None and now.file_changes > first.file_changes)
    later = seen(pool, task_id)

    assert later is not None
    assert later.at_s > first.at_s
    assert later.memory_mb is not None
    assert 0 < later.memory_mb < 100
    assert later.virtual_mb is not None
    assert later.virtual_mb > later.memory_mb
    assert first.io_bytes is not None
    assert later.io_bytes is not None
    assert later.io_bytes > first.io_bytes
    assert not later.is_suspended


def test_stopped_task_is_told_as_suspended(make_pool: MakePool) -> None:
    pool = make_pool()
    task_id = begin(pool, task("kill -STOP $$\n"))

    until(lambda: (now := seen(pool, task_id)) is not None and now.is_suspended)


def test_use_of_a_process_that_is_gone_is_nothing() -> None:
    assert process_use([2**22 + 1]).processes == 0


# ---- what cannot be killed ----


def test_task_of_which_something_cannot_be_killed_is_final_and_says_so(tmp_path: Path) -> None:
    told: list[TaskStatus] = []
    final = threading.Event()

    def over(_: RunningTask, status: TaskStatus) -> None:
        told.append(status)
        final.set()

    watcher = Watcher(Wrappers(most_idle=0), grace_s=0.1, over=over, give_up_s=0.1)
    watcher.start()
    stuck = watched(tmp_path, Held([4711]))
    stuck.over_s = time.monotonic()
    watcher.add(stuck)

    assert final.wait(PATIENCE_S)
    watcher.close()
    (status,) = told
    assert status.is_stuck
    assert status.reason == "processes 4711 did not end within 0 s of SIGKILL"
