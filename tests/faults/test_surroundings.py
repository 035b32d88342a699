"""Scenarios 38, 39, 44: odd surroundings, and payloads that all fail."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import invariants
from tests.faults.box import command_line, everybody, open_files, read_proc
from tests.faults.payloads import FAILS, SHORT, sleeps, waits_for
from tests.faults.scene import AGENT, Options, Scene
from tests.faults.test_containment import hostile

Need = Callable[[str, bool, str], None]
AS_PID_1 = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
ZOMBIES = 1000


@pytest.mark.scenario(38, "the agent is PID 1 of a container, and a payload leaves 1000 orphans that end")
@pytest.mark.parametrize("level", ["V2", "SESSION"])
def test_agent_as_pid_1_leaves_no_zombie(scene: Scene, need: Need, level: str) -> None:
    need("root", os.geteuid() == 0 and bool(shutil.which("unshare")), "a pid namespace is needed")
    go = scene.folder / "go"
    job_id = scene.submit(f"{hostile('orphans', ZOMBIES)}; touch {scene.folder}/orphaned; {waits_for(go)}")
    agent = scene.agent(
        Options(before=AS_PID_1, more={"/Resources/Computing/Pool/Containment": level, f"{AGENT}/PollingTime": "0.2"})
    )
    scene.until(lambda: scene.is_running(job_id), "the payload runs")
    scene.until((scene.folder / "orphaned").exists, "the orphans are there", 20)

    scene.until(lambda: zombies(scene) == 0, "they are reaped", 2)
    go.touch()
    assert agent.ended() == 0
    assert scene.statuses()[job_id] == "Done"
    invariants.check(scene)


def zombies(scene: Scene) -> int:
    """Return how many zombies the agent has; control groups do not list them."""
    (agent,) = [pid for pid in scene.box.pids() if command_line(pid).split(" ")[1:4] == ["-P", "-m", "agents"]]
    return sum(state_and_parent(pid) == (b"Z", agent) for pid in everybody())


def state_and_parent(pid: int) -> tuple[bytes, int]:
    """Return the state of a process and its parent."""
    fields = read_proc(pid, "stat").rpartition(b")")[2].split()
    return (fields[0], int(fields[1])) if fields else (b"", 0)


def odd_home(scene: Scene) -> Options:
    """HOME is not set, or leads nowhere."""
    return Options(environment={"HOME": "/nowhere/at/all"})


def unwritable_tmp(scene: Scene) -> Options:
    """TMPDIR does not exist."""
    return Options(environment={"TMPDIR": "/proc/nothing"})


def locale_c(scene: Scene) -> Options:
    """The C locale, and a Python that may not assume UTF-8."""
    return Options(environment={"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})


def umask_077(scene: Scene) -> Options:
    """Nothing is readable for others."""
    return Options(before=["/bin/sh", "-c", 'umask 077; exec "$@"', "sh"])


def spaces(scene: Scene) -> Options:
    """A work directory with spaces and quotes."""
    return Options(work_dir=scene.folder / "a b" / 'it\'s "quoted" $HOME')


def not_ascii(scene: Scene) -> Options:
    """A work directory in UTF-8."""
    return Options(work_dir=scene.folder / "Zürich – 東京")


def new_line(scene: Scene) -> Options:
    """A work directory with a line end in its name."""
    return Options(work_dir=scene.folder / "two\nlines")


def few_files(scene: Scene) -> Options:
    """No more than 160 descriptors."""
    return Options(before=["prlimit", "--nofile=160:160"])


def closed_descriptors(scene: Scene) -> Options:
    """Standard input is closed."""
    return Options(before=["/bin/sh", "-c", 'exec 0<&-; exec "$@"', "sh"])


ODDITIES = [odd_home, unwritable_tmp, locale_c, umask_077, spaces, not_ascii, new_line, few_files, closed_descriptors]


@pytest.mark.scenario(39, "HOME missing, no TMPDIR, locale C, umask 077, odd paths, 160 descriptors, no standard input")
@pytest.mark.parametrize("oddity", ODDITIES)
def test_jobs_run_in_odd_surroundings(scene: Scene, oddity: Callable[[Scene], Options]) -> None:
    options = oddity(scene)
    scene.work_dir = options.work_dir or scene.work_dir
    inner = 'OutputSandbox = {"std.out"};'
    job_ids = [scene.submit(SHORT, inner, sandbox=True), scene.submit("touch here; exit 3", inner)]

    agent = scene.agent(options)

    assert agent.ended() == 0, agent.written()
    assert "Traceback" not in agent.written()
    assert scene.statuses() == {job_ids[0]: "Done", job_ids[1]: "Failed"}
    invariants.check(scene)


@pytest.mark.scenario(39, "no more than 64 descriptors")
def test_agent_with_too_few_descriptors_takes_no_job_and_says_so(scene: Scene) -> None:
    job_id = scene.submit(SHORT)

    agent = scene.agent(Options(before=["prlimit", "--nofile=64:64"]))

    agent.ended()
    assert "Traceback" not in agent.written()
    assert "64 files" in agent.written()
    assert scene.statuses()[job_id] == "Waiting"
    scene.client.call("JobManager", "killJob", job_id)
    invariants.check(scene)


@pytest.mark.scenario(39, "the limit of processes is reached while the agent waits for work, until it has seen it")
def test_agent_that_cannot_fork_takes_no_job_until_it_can(scene: Scene, need: Need) -> None:
    group = next((group for group in scene.box.groups if (group / "pids.max").exists()), None)
    need("pids-cgroup", group is not None, "a limit of processes is needed")
    assert group is not None
    agent = scene.agent(Options(more={f"{AGENT}/StopAfterFailedMatches": "1000", f"{AGENT}/PollingTime": "6"}))
    scene.until(lambda: "match.empty" in agent.written(), "it works")
    (group / "pids.max").write_text((group / "pids.current").read_text(encoding="ascii"), encoding="ascii")
    job_id = scene.submit(SHORT)
    scene.until(lambda: "node.unfit" in agent.written(), "it has looked")  # the third look comes 9 s later, or more
    early = invariants.matches(scene, job_id)

    (group / "pids.max").write_text("3000", encoding="ascii")

    scene.until(lambda: scene.statuses()[job_id] == "Done", "it works again", 40)
    assert early == 0, "a job was taken that could not be started"
    agent.signal(15)
    assert agent.ended() == 0, agent.written()
    assert "Traceback" not in agent.written()
    invariants.check(scene)


@pytest.mark.scenario(39, "60 jobs, one after the other: do descriptors leak")
def test_descriptors_are_back_to_what_they_were(scene: Scene) -> None:
    agent = scene.agent(Options(more={f"{AGENT}/StopAfterFailedMatches": "1000", f"{AGENT}/PollingTime": "0.1"}))
    warm = scene.submit_many(SHORT, count=5)
    scene.until(lambda: set(scene.statuses(warm).values()) == {"Done"}, "the first ones are done")
    before = open_files(agent.pid)
    many = scene.submit_many(SHORT, count=60)
    scene.until(lambda: set(scene.statuses(many).values()) == {"Done"}, "all are done")

    scene.until(lambda: open_files(agent.pid) <= before + 4, f"descriptors are back to {before}", 10)

    agent.signal(15)
    assert agent.ended() == 0
    invariants.check(scene)


@pytest.mark.scenario(44, "every payload fails in less than a second; 30 jobs wait")
def test_node_on_which_everything_fails_burns_few_jobs_and_says_so(scene: Scene) -> None:
    job_ids = scene.submit_many(FAILS, count=30)
    agent = scene.agent()
    agent.ended(60)

    burnt = sum(status == "Failed" for status in scene.statuses(job_ids).values())
    assert burnt <= 10, f"{burnt} of 30 jobs were burnt"
    assert "black hole" in agent.written().lower() or "in a row" in agent.written()
    invariants.check(scene)


@pytest.mark.scenario(44, "the node cannot start any payload; 10 jobs wait")
def test_node_that_cannot_start_payloads_gives_few_jobs_back_and_ends(scene: Scene) -> None:
    job_ids = scene.submit_many(sleeps(1), count=10)
    tasks = scene.work_dir / "tasks"
    tasks.parent.mkdir()
    tasks.symlink_to(Path("/proc/nothing"))

    agent = scene.agent()

    code = agent.ended(60)
    tasks.unlink()
    assert code in (0, 2, 6), agent.written()
    assert "Traceback" not in agent.written()
    assert sum(invariants.matches(scene, job_id) for job_id in job_ids) <= 4
    invariants.check(scene)
