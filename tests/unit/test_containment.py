"""Every level of containment, on real processes."""

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ce_backends.base import Accepted, TaskState
from ce_backends.conformance.subject import task
from ce_backends.containment.cell import Level
from ce_backends.containment.cookies import named_tasks
from ce_backends.containment.probe import probe
from ce_backends.linux.processes import is_alive, stat_of
from ce_backends.pool.ce import Pool
from ce_backends.task.script import COOKIE, quote
from tests.unit.containment_levels import ROOT, every_level, key
from tests.waiting import PATIENCE_S, until

WASHED = {
    "with cookie": "",
    "environment cleared": "env -i",
    "cookie of no task": f"env -i {COOKIE}={'0' * 32}",
    "cookie empty": f"env -i {COOKIE}=",
    "cookie spoiled": f"env -i {COOKIE}=../x",
}


@pytest.fixture
def pool(tmp_path: Path, level: Level) -> Iterator[Pool]:
    made = Pool(tmp_path / "pool", processors=4, grace_s=0.2, best_containment=level)
    yield made
    running = [path.name for path in (tmp_path / "pool").iterdir() if made.find([path.name])]
    made.cancel(running)
    until(lambda: made.slots().running == 0)
    made.close()


def begin(pool: Pool, script: str) -> str:
    spec = task(script)
    assert isinstance(pool.submit([spec])[spec.stamp], Accepted)
    return spec.stamp


def final(pool: Pool, task_id: str) -> TaskState:
    until(lambda: pool.poll([task_id])[task_id].state.is_final)
    return pool.poll([task_id])[task_id].state


def runs(pid: int) -> bool:
    stat = stat_of(pid)
    return stat is not None and not stat.is_zombie


def is_child_of_ours(pid: int) -> bool:
    stat = stat_of(pid)
    return stat is not None and stat.parent == os.getpid()


def left_behind(pid_file: Path, *, wash: str) -> str:
    """Return a script that ends at once and leaves a process in its own session; its pid goes to a file."""
    body = f"echo $$ > {quote(str(pid_file))}; exec sleep 1000"
    leave = f"({wash} setsid /bin/sh -c {quote(body)} > /dev/null 2>&1 &)\n"
    return f"{leave}until [ -s {quote(str(pid_file))} ]; do sleep 0.01; done\n"


@every_level
@pytest.mark.parametrize("wash", WASHED.values(), ids=list(WASHED))
def test_daemon_is_gone_when_its_task_is_final(pool: Pool, tmp_path: Path, wash: str) -> None:
    state = final(pool, begin(pool, left_behind(tmp_path / "pid", wash=wash)))

    assert state is TaskState.DONE
    assert not runs(int((tmp_path / "pid").read_text()))


@every_level
def test_process_that_ignores_and_stops_is_gone_after_cancel(pool: Pool, tmp_path: Path) -> None:
    pid_file = quote(str(tmp_path / "pid"))
    task_id = begin(pool, f"trap '' TERM INT HUP QUIT; echo $$ > {pid_file}; kill -STOP $$; sleep 1000\n")
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")

    pool.cancel([task_id])

    assert final(pool, task_id) is TaskState.ABORTED
    assert not runs(int((tmp_path / "pid").read_text()))


@every_level
def test_end_of_one_task_leaves_the_others_alone(pool: Pool, tmp_path: Path) -> None:
    other = begin(pool, left_behind(tmp_path / "pid", wash="") + "until [ -e go ]; do sleep 0.02; done; exit 3\n")
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")

    final(pool, begin(pool, ":\n"))
    survived = runs(int((tmp_path / "pid").read_text()))
    (tmp_path / "pool" / other / "work/go").touch()
    final(pool, other)

    assert survived
    assert pool.poll([other])[other].exit_code == 3
    assert not runs(int((tmp_path / "pid").read_text()))


@every_level
def test_canary_that_started_before_and_in_its_own_session_survives(pool: Pool, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as canary:
        final(pool, begin(pool, left_behind(tmp_path / "pid", wash="env -i")))
        running = begin(pool, "sleep 1000\n")
        pool.cancel([running])
        final(pool, running)
        died = canary.poll()
        canary.kill()

    assert died is None


@pytest.mark.parametrize("level", [Level.SESSION])
def test_daemon_that_takes_the_name_of_a_later_task_is_gone_when_its_own_is_final(pool: Pool, tmp_path: Path) -> None:
    body = f"echo $$ > pid; until [ -s name ]; do sleep 0.02; done; exec env -i {COOKIE}=$(cat name) sleep 1000"
    leave = f"(setsid /bin/sh -c {quote(body)} > /dev/null 2>&1 &)\n"
    hostile = begin(pool, f"{leave}until [ -e go ]; do sleep 0.02; done\n")
    work = tmp_path / "pool" / hostile / "work"
    until(lambda: (work / "pid").exists() and (work / "pid").read_text() != "")
    pid = int((work / "pid").read_text())
    until(lambda: is_child_of_ours(pid))

    later = begin(pool, "sleep 1000\n")
    (work / "name").write_text(later)
    until(lambda: later in named_tasks(pid))
    (work / "go").touch()
    final(pool, hostile)

    assert not runs(pid)
    assert pool.poll([later])[later].state is TaskState.RUNNING


@pytest.mark.parametrize("level", [Level.SESSION])
def test_nameless_daemon_ends_with_the_last_task_that_can_have_begun_it(pool: Pool, tmp_path: Path) -> None:
    other = begin(pool, ": > up; until [ -e go ]; do sleep 0.02; done\n")
    until((tmp_path / "pool" / other / "work/up").exists)
    final(pool, begin(pool, left_behind(tmp_path / "pid", wash="env -i")))

    (tmp_path / "pool" / other / "work/go").touch()
    final(pool, other)

    assert not runs(int((tmp_path / "pid").read_text()))


def test_probe_says_why_nothing_better_was_had() -> None:
    found = probe(key())

    better = list(Level)[: list(Level).index(found.level)]
    assert all(f"{level}: " in found.why_not_better for level in better)


UNPRIVILEGED = """
import encodings.ascii  # now: the folder of the interpreter may be closed to nobody
import os, sys, time
from pathlib import Path
from ce_backends.pool.ce import Pool
from ce_backends.conformance.subject import task

if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
pool = Pool(Path(sys.argv[1]) / "pool", processors=1, grace_s=0.2)
print(pool.containment.level.name, pool.containment.why_not_better)
spec = task(Path(sys.argv[1], "script").read_text())
pool.submit([spec])
while not pool.poll([spec.stamp])[spec.stamp].state.is_final:
    time.sleep(0.01)
print(pool.poll([spec.stamp])[spec.stamp].exit_code)
pool.clean([spec.stamp])
pool.close()
print(os.listdir(Path(sys.argv[1]) / "pool"))
"""


def test_unprivileged_user_is_contained_and_told_how() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as scratch:
        Path(scratch).chmod(0o777)
        daemon = left_behind(Path(scratch, "pid"), wash="env -i")
        Path(scratch, "script").write_text(f"{daemon}mkdir -p a/b; : > a/b/c; chmod 0 a/b a; exit 6\n")
        argv = [sys.executable, "-c", UNPRIVILEGED, scratch]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        pid = int(Path(scratch, "pid").read_text())

    first, *rest = done.stdout.splitlines()
    assert (rest, done.stderr) == (["6", "[]"], "")
    assert first.split()[0] in Level.__members__
    assert "SESSION" not in first or "cgroup v1: " in first
    assert not runs(pid)


def test_process_is_not_confused_with_a_later_one_of_its_pid() -> None:
    stat = stat_of(os.getpid())
    assert stat is not None

    earlier = type(stat.process)(stat.process.pid, stat.process.start_ticks - 1)

    assert is_alive(stat.process)
    assert not is_alive(earlier)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EACCES, errno.ENOMEM])
def test_a_node_that_can_start_no_process_now_is_held_by_sessions(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(subprocess, "Popen", refused)

    probed = probe(key())

    assert probed.level is Level.SESSION
    assert probed.why_not_better
