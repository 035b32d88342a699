"""Control groups of tasks: made, limited, counted, found where a batch system has its own, and gone in the end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ce_backends.containment import cgroup_cell
from ce_backends.containment.cell import Level
from ce_backends.containment.probe import probe
from ce_backends.linux.cgroup import Group, hierarchies
from ce_backends.linux.processes import Process
from tests.unit.containment_levels import AVAILABLE, ROOT, every_level, key
from tests.waiting import PATIENCE_S, until

NOBODY = 65534


@every_level
def test_probe_leaves_no_control_group(level: Level) -> None:
    name = key()

    probe(name, best=level)

    assert not groups_named(name)


def groups_named(part: str) -> list[Path]:
    return [Path(directory) for directory, _, _ in os.walk("/sys/fs/cgroup") if part in Path(directory).name]


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
