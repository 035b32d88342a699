"""Payloads that leave their control group, which root can, and wrappers that do what nobody has told them."""

import errno
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ce_backends.base import Accepted, TaskState
from ce_backends.conformance.subject import task
from ce_backends.containment.cell import Level
from ce_backends.containment.cookies import named_tasks
from ce_backends.containment.probe import probe
from ce_backends.linux import children as offspring
from ce_backends.linux.cgroup import hierarchies
from ce_backends.linux.processes import children, stat_of
from ce_backends.pool.ce import Pool
from ce_backends.pool.wrappers import Wrappers
from ce_backends.task.script import quote
from tests.waiting import until

LEVELS = [level for level in (Level.V2, Level.HYBRID, Level.V1) if probe(uuid.uuid4().hex, best=level).level is level]
can_leave = pytest.mark.skipif(os.geteuid() != 0, reason="only root may enter the groups above its own")
every_level = pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
# A daemon with a session of its own, no variable and no descriptor, in the topmost groups; or a chain of such.
DAEMON = """\
import os, sys, time
pid_file, kind, *groups = sys.argv[1:]
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for group in groups:
            with open(f"{group}/cgroup.procs", "w") as procs:
                procs.write(str(os.getpid()))
        os.dup2(os.open("/dev/null", os.O_RDWR), 1)
        os.dup2(1, 2)
        with open(f"{pid_file}.new", "w") as file:
            file.write(f"{os.getpid()} {open('/proc/self/cgroup').read()}")
        os.rename(f"{pid_file}.new", pid_file)
        while kind == "chain":
            if os.fork():
                os._exit(0)
            os.setsid()
            with open(f"{pid_file}.beat", "w") as file:
                file.write(str(time.monotonic()))
        while kind == "named" and not os.path.exists(f"{pid_file}.name"):
            time.sleep(0.01)
        named = open(f"{pid_file}.name").read() if kind == "named" else ""
        os.execve("/bin/sleep", ["sleep", "977"], {"GRIDPILOT_TASK": named} if named else {})
    os._exit(0)
os.wait()
"""


@pytest.fixture
def pool(tmp_path: Path, level: Level) -> Iterator[Pool]:
    made = Pool(tmp_path / "pool", processors=4, grace_s=0.2, best_containment=level)
    yield made
    running = [path.name for path in (tmp_path / "pool").iterdir() if made.find([path.name])]
    made.kill(running)
    until(lambda: made.slots().running == 0)
    made.close()


def begin(pool: Pool, script: str, owner: str = "") -> str:
    spec = replace(task(script), owner=owner)
    assert isinstance(pool.submit([spec])[spec.stamp], Accepted)
    return spec.stamp


def ended(pool: Pool, task_id: str) -> TaskState:
    until(lambda: pool.poll([task_id])[task_id].state.is_final)
    return pool.poll([task_id])[task_id].state


def runs(pid: int) -> bool:
    stat = stat_of(pid)
    return stat is not None and not stat.is_zombie


def leaves(pid_file: Path, *, kind: str = "one") -> str:
    """Return a script that ends as soon as its daemon has left all groups of the task."""
    found = hierarchies(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
    words = [pid_file, kind, *{hierarchy.mount for hierarchy in found}]
    argv = " ".join(quote(str(word)) for word in words)
    wait = f"until [ -s {pid_file}{'.beat' if kind == 'chain' else ''} ]; do sleep 0.01; done\n"
    return f"{quote(sys.executable)} -S - {argv} <<'E'\n{DAEMON}E\n{wait}"


@can_leave
@every_level
def test_daemon_that_has_left_its_group_is_gone_when_its_task_is_final(pool: Pool, tmp_path: Path) -> None:
    other = begin(pool, "(setsid env -i sleep 976 &); until [ -e go ]; do sleep 0.02; done; exit 3\n")

    state = ended(pool, begin(pool, leaves(tmp_path / "pid")))
    pid, groups = (tmp_path / "pid").read_text().split(" ", 1)
    is_gone = not runs(int(pid))
    (tmp_path / "pool" / other / "work/go").touch()
    ended(pool, other)

    assert "gridpilot" not in groups, "it has not left"
    assert (state, is_gone) == (TaskState.DONE, True)
    assert pool.poll([other])[other].exit_code == 3


@can_leave
@every_level
def test_daemon_outside_that_takes_the_name_of_a_later_task_is_gone_too(pool: Pool, tmp_path: Path) -> None:
    hostile = begin(pool, leaves(tmp_path / "pid", kind="named") + "until [ -e go ]; do sleep 0.02; done\n")
    until((tmp_path / "pid").exists)
    pid = int((tmp_path / "pid").read_text().partition(" ")[0])
    later = begin(pool, "sleep 1000\n")
    (tmp_path / "name").write_text(later)
    (tmp_path / "name").rename(tmp_path / "pid.name")
    until(lambda: later in named_tasks(pid))

    (tmp_path / "pool" / hostile / "work/go").touch()
    ended(pool, hostile)

    assert not runs(pid)
    assert pool.poll([later])[later].state is TaskState.RUNNING


@can_leave
@every_level
def test_chain_of_processes_that_has_left_its_group_is_gone_too(pool: Pool, tmp_path: Path) -> None:
    ended(pool, begin(pool, leaves(tmp_path / "pid", kind="chain")))

    beat = (tmp_path / "pid.beat").read_text()
    time.sleep(0.3)
    assert (tmp_path / "pid.beat").read_text() == beat


@every_level
def test_child_of_ours_in_a_session_of_its_own_is_spared_when_a_task_ends(pool: Pool) -> None:
    running = begin(pool, "until [ -e go ]; do sleep 0.02; done\n")
    with offspring.starting() as started:
        canary = subprocess.Popen(["/bin/sleep", "975"], start_new_session=True)
        started(canary.pid)

    pool.kill([running])
    ended(pool, running)
    died = canary.poll()
    canary.kill()
    canary.wait()
    offspring.ended(canary.pid)

    assert died is None


@every_level
def test_zombies_that_a_task_leaves_are_collected(pool: Pool) -> None:
    before = {*(children() or [])}
    ended(pool, begin(pool, "for n in 1 2 3; do (setsid env -i sleep 974 &); done; sleep 0.1\n"))

    inherited = {*(children() or [])} - before - offspring.started()  # a wrapper is collected when there is time
    stats = [stat for pid in inherited if (stat := stat_of(pid)) is not None]
    assert [stat for stat in stats if stat.is_zombie] == []


@every_level
def test_wrapper_serves_one_owner_only_and_a_task_of_nobody_knows_alone(pool: Pool) -> None:
    seen = []
    for owner in ("anna", "anna", "ben", "anna", "", ""):
        task_id = begin(pool, f"{quote(sys.executable)} -S -c 'import os; print(os.getsid(0))'\n", owner)
        ended(pool, task_id)
        seen.append(pool.peek(task_id, "stdout", 100))

    anna, again, ben, last, nobody, neither = seen
    assert len({anna, ben, nobody, neither}) == 4
    if pool.containment.containment.counts_cpu:
        assert anna == again == last


@pytest.fixture
def wrappers() -> Iterator[Wrappers]:
    made = Wrappers(most_idle=1)
    yield made
    made.close()


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR])
def test_orders_of_a_wrapper_cannot_be_opened_by_anybody_else(wrappers: Wrappers, number: int, flags: int) -> None:
    wrapper = wrappers.start(b"echo 0\n", (), lambda _: None, owner="me")
    wrapper.answer()

    with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):
        os.close(os.open(f"/proc/{wrapper.process.pid}/fd/{number}", flags))
    wrappers.free(wrapper)


def test_wrapper_that_does_something_else_is_ended_and_not_taken_again(wrappers: Wrappers) -> None:
    offspring.inherit_orphans(wrappers)
    first = wrappers.start(b"/bin/sleep 973 & echo 0\n", (), lambda _: None, owner="me")
    first.answer()

    wrappers.free(first)
    second = wrappers.start(b"echo 0\n", (), lambda _: None, owner="me")
    left = [pid for pid in children() or [] if Path(f"/proc/{pid}/cmdline").read_bytes() == b"/bin/sleep\x00973\x00"]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    wrappers.free(second)
    offspring.disinherit(wrappers)

    assert second.process != first.process
    assert not runs(first.process.pid)


def test_nobody_is_taken_for_an_orphan_while_a_child_is_being_started_and_does_not_come_to_it() -> None:
    with subprocess.Popen(["/bin/sleep", "972"]) as other, offspring.starting():
        ours = offspring.started()
        other.kill()

    assert other.pid in ours
    assert other.pid not in offspring.started()


POOLS = """\
import ctypes, sys
from pathlib import Path
from ce_backends.pool.ce import Pool
libc = ctypes.CDLL(None)
def said():
    answer = ctypes.c_int()
    libc.prctl(37, ctypes.byref(answer), 0, 0, 0)
    return answer.value
libc.prctl(36, int(sys.argv[2]), 0, 0, 0)
first, second = (Pool(Path(sys.argv[1]) / name, processors=1) for name in "ab")
seen = [said()]
for step in (first.slots, second.slots, first.close, first.close, second.close, second.close):
    step()
    seen.append(said())
third = Pool(Path(sys.argv[1]) / "a", processors=1)
third.slots()
seen.append(said())
third.close()
print(*seen, said())
"""


@pytest.mark.parametrize(("before", "seen"), [(0, "0 1 1 1 1 0 0 1 0"), (1, "1 1 1 1 1 1 1 1 1")])
def test_a_process_is_sub_reaper_while_it_has_a_pool_and_then_what_it_was(
    tmp_path: Path, before: int, seen: str
) -> None:
    argv = [sys.executable, "-c", POOLS, str(tmp_path), str(before)]

    shown = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])

    assert shown.stdout.split() == seen.split()
