"""Every level of containment, on real processes."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ce_backends.base import Accepted, TaskState
from ce_backends.conformance.subject import task
from ce_backends.containment import cgroup_cell
from ce_backends.containment.cell import Level
from ce_backends.containment.cookies import named_tasks
from ce_backends.containment.probe import probe
from ce_backends.linux.cgroup import Group, hierarchies
from ce_backends.linux.processes import Process, is_alive, stat_of
from ce_backends.pool.ce import Pool
from ce_backends.task.script import COOKIE, quote
from tests.waiting import PATIENCE_S, until

NOBODY = 65534
ROOT = Path(__file__).parents[2]


WASHED = {
    "with cookie": "",
    "environment cleared": "env -i",
    "cookie of no task": f"env -i {COOKIE}={'0' * 32}",
    "cookie empty": f"env -i {COOKIE}=",
    "cookie spoiled": f"env -i {COOKIE}=../x",
}


def key() -> str:
    return uuid.uuid4().hex[:12]


AVAILABLE = [level for level in Level if probe(key(), best=level).level is level]
every_level = pytest.mark.parametrize("level", AVAILABLE, ids=lambda level: level.name)


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


@every_level
def test_probe_leaves_no_control_group(level: Level) -> None:
    name = key()

    probe(name, best=level)

    assert not groups_named(name)


def groups_named(part: str) -> list[Path]:
    return [Path(directory) for directory, _, _ in os.walk("/sys/fs/cgroup") if part in Path(directory).name]


def test_probe_says_why_nothing_better_was_had() -> None:
    found = probe(key())

    better = list(Level)[: list(Level).index(found.level)]
    assert all(f"{level}: " in found.why_not_better for level in better)


@every_level
def test_groups_of_tasks_that_are_gone_are_swept(level: Level) -> None:
    name = key()
    containment = probe(name, best=level).containment
    containment.prepare("0" * 32, 0)
    containment.prepare("1" * 32, 0)

    containment.sweep({"1" * 32})

    assert {path.name[-1] for path in groups_named(name)} <= {"1"}
    containment.sweep(set())
    assert not groups_named(name)


@pytest.mark.parametrize("level", [level for level in AVAILABLE if level is not Level.SESSION])
def test_kill_reaches_groups_that_the_payload_made_itself(level: Level) -> None:
    cell = probe(key(), best=level).containment.prepare("0" * 32, 0)
    inner = cell.joins[0].parent / "inner"
    inner.mkdir()
    with subprocess.Popen(["sleep", "1000"]) as process:
        (inner / "cgroup.procs").write_text(str(process.pid))
        refused = cell.remove()
        cell.kill()
        ended_by = process.wait(PATIENCE_S)
    until(cell.remove)

    assert not refused
    assert ended_by == -signal.SIGKILL


CAN_BIND = [level for level in AVAILABLE if "cpuset" in probe(key(), best=level).limits]


@pytest.mark.parametrize("level", CAN_BIND, ids=lambda level: level.name)
def test_task_cannot_widen_the_set_of_its_processors(level: Level) -> None:
    name, (processor, *_) = key(), sorted(os.sched_getaffinity(0))
    containment = probe(name, best=level).containment
    cell = containment.prepare("0" * 32, 0, (processor,))
    enter = " && ".join(f"echo 0 >{join}" for join in cell.joins)
    widen = f'{enter} && exec "{sys.executable}" -c "import os; os.sched_setaffinity(0, range(1024))"'
    script = f"read go; ({widen}; :); {enter}; grep Cpus_allowed_list /proc/self/status"
    with subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        cell.bind(Process(process.pid, 0))
        shown, _ = process.communicate(b"go\n", PATIENCE_S)
    until(cell.remove)

    assert shown.split()[-1] == str(processor).encode()
    containment.sweep(set())
    assert not groups_named(name)


CAN_COUNT = [level for level in AVAILABLE if "pids" in probe(key(), best=level).limits]
REFUSED = "trap '' TERM; (sleep 5 & sleep 5) 2> /dev/null; :"


@pytest.mark.parametrize("level", CAN_COUNT, ids=lambda level: level.name)
def test_refusals_are_counted_for_the_task_that_met_them(level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup_cell, "MAX_PROCESSES", 2)
    name, (processor, *_) = key(), sorted(os.sched_getaffinity(0))
    containment = probe(name, best=level).containment
    counted = []
    for number, script in enumerate([REFUSED, ":"]):
        cell = containment.prepare(str(number) * 32, 0, (processor,))
        enter = " && ".join(f"echo 0 > {join}" for join in cell.joins)
        argv = ["/bin/sh", "-c", f"read go; {enter}; {script}"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            cell.bind(Process(process.pid, 0))
            found_again = containment.adopt("0" * 32, Process(process.pid, 0))
            process.communicate(b"go\n", PATIENCE_S)
        counted.append((cell.consumption().refusals > 0, found_again.consumption().refusals > 0))
        cell.kill()
        until(cell.remove)

    assert counted == [(True, True), (False, False)]
    containment.sweep(set())
    assert not groups_named(name)


@pytest.mark.parametrize("level", CAN_BIND, ids=lambda level: level.name)
def test_groups_of_processors_that_nobody_uses_any_more_are_removed(
    level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup_cell, "_MOST_SHARED", 1)
    name, processors = key(), sorted(os.sched_getaffinity(0))
    containment = probe(name, best=level).containment
    for number, ids in enumerate([*((each,) for each in processors), tuple(processors)]):
        until(containment.prepare(str(number) * 32, 0, ids).remove)

    shared = {path.name for path in groups_named(name)}
    containment.sweep(set())
    assert len(shared) <= 1
    assert not groups_named(name)


def test_version_2_without_kill_file_is_frozen_and_killed_one_by_one(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        (tmp_path / "cgroup.procs").write_text(f"{process.pid}\n")
        (tmp_path / "cgroup.freeze").write_text("0")
        Group(tmp_path).kill()
        ended_by = process.wait(PATIENCE_S)

    assert ended_by == -signal.SIGKILL


MOUNTINFO = """\
30 23 0:26 / {0}/v2 rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
31 23 0:27 /docker/abc {0}/memory rw - cgroup cgroup rw,memory
32 23 0:28 / {0}/cpu rw - cgroup cgroup rw,cpu,cpuacct
33 23 0:29 / {0}/freezer rw - cgroup cgroup rw,freezer
34 23 0:30 / /proc rw - proc proc rw
"""
MEMBERSHIP = (
    "5:memory:/docker/abc/job\n4:cpu,cpuacct:/batch\n3:freezer:/../../elsewhere\n1:name=systemd:/x\n0::/user/job\n"
)


def test_own_groups_are_found_behind_bind_mounts_and_namespaces(tmp_path: Path) -> None:
    for directory in ("v2/user/job", "memory/job", "cpu/batch", "freezer"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "v2/user/job/cgroup.subtree_control").write_text("memory pids\n")

    found = hierarchies(MOUNTINFO.format(tmp_path), MEMBERSHIP)

    assert [(h.version, h.controllers, h.own.relative_to(tmp_path)) for h in found] == [
        (2, {"memory", "pids"}, Path("v2/user/job")),
        (1, {"memory"}, Path("memory/job")),
        (1, {"cpu", "cpuacct"}, Path("cpu/batch")),
    ]


@pytest.mark.skipif(Level.V1 not in AVAILABLE, reason="no control groups of version 1 can be made here")
def test_tasks_stay_in_the_group_by_which_slurm_ends_its_job() -> None:
    (freezer,) = (
        hierarchy
        for hierarchy in hierarchies(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
        if "freezer" in hierarchy.controllers
    )
    job = freezer.own / f"gridpilot-test-{key()}" / "job_4"
    step = job / "step_batch"
    step.mkdir(parents=True)
    program = "from ce_backends.containment.probe import *; print(probe('a', best=Level.V1).level.name)"
    argv = ["/bin/sh", "-c", 'echo 0 > "$1/cgroup.procs" && exec "$2" -c "$3"', "sh", step, sys.executable, program]
    try:
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    finally:
        for group in (step, job, job.parent):
            until(Group(group).remove)

    assert done.stdout == "SESSION\n"


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


@pytest.mark.skipif(os.geteuid() != 0 or not {Level.V2, Level.HYBRID} & {*AVAILABLE}, reason="needs root and version 2")
def test_the_first_group_upwards_that_is_ours_to_write_holds_tasks_below_a_scope_that_is_not() -> None:
    """HTCondor 25 on EL9 delegates the slice and starts the job in a scope below it."""
    top = next(h.mount for h in hierarchies(*_our_groups()) if h.version == 2)
    slot = top / f"gridpilot-{key()}.slice"
    scope = slot / "job.scope"
    scope.mkdir(parents=True)
    try:
        for path in (slot, slot / "cgroup.procs", slot / "cgroup.subtree_control"):
            os.chown(path, NOBODY, NOBODY)
        found = _found_from(scope)
    finally:
        scope.rmdir()
        slot.rmdir()

    assert found == str(slot)


NOBODY = 65534


def _our_groups() -> tuple[str, str]:
    return Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text()


def _found_from(scope: Path) -> str:
    """Return the group that an unprivileged process in this one takes for its own."""
    readable, child = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            (scope / "cgroup.procs").write_text("0")
            os.setgroups([])
            os.setresuid(NOBODY, NOBODY, NOBODY)
            own = next(h.own for h in hierarchies(*_our_groups()) if h.version == 2)
            os.write(child, str(own).encode())
        finally:
            os._exit(0)
    os.close(child)
    with os.fdopen(readable) as said:
        found = said.read()
    os.waitpid(pid, 0)
    return found


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EACCES, errno.ENOMEM])
def test_a_node_that_can_start_no_process_now_is_held_by_sessions(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(subprocess, "Popen", refused)

    probed = probe(key())

    assert probed.level is Level.SESSION
    assert probed.why_not_better
