"""Scenarios 13 to 17: payloads that will not go."""

import itertools
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import invariants
from tests.faults.box import is_alive
from tests.faults.fault_proxy import FaultProxy
from tests.faults.hanging_mount import HangingMount, can_mount
from tests.faults.payloads import once, sleeps
from tests.faults.scene import AGENT, BACK, FINAL, Options, Scene
from tests.waiting import within

PROGRAMS = Path(__file__).parent / "hostile"
GRACE_S = 1.0
BOMB_S = 6
BOMB_PROCESSES = 300  # enough for a bomb; other scenarios run on this machine too
LEVELS = ["V2", "SESSION"]
PATIENT = {f"{AGENT}/StopAfterFailedMatches": "1000"}
BEATS = {f"{AGENT}/HeartBeatPeriod": "0.5"}


def contained(level: str, **more: str) -> Options:
    """Return how to start an agent that holds its payloads by this level, or the next one that works."""
    pool = "/Resources/Computing/Pool"
    return Options(more={f"{pool}/Containment": level, f"{pool}/KillGraceTime": str(GRACE_S), **BEATS, **more})


def hostile(name: str, *arguments: object) -> str:
    """Return a body that runs one of the hostile programs."""
    return shlex.join([sys.executable, str(PROGRAMS / f"{name}.py"), *map(str, arguments)])


def noted(path: Path) -> set[int]:
    """Return the pids that a hostile program wrote down."""
    return {int(line) for line in path.read_text(encoding="ascii").split()} if path.exists() else set()


@pytest.mark.quick
@pytest.mark.scenario(13, "double fork, setsid, closed descriptors, another name, cleared environment; then exit 0")
@pytest.mark.parametrize("level", LEVELS)
def test_daemon_is_dead_within_5_s_of_its_jobs_end(scene: Scene, level: str) -> None:
    pids = scene.folder / "daemons"
    job_id = scene.submit(hostile("daemons", pids))
    agent = scene.agent(contained(level))
    scene.until(lambda: job_id in scene.books.ends(), "the payload ends")

    assert within(5, lambda: len(noted(pids)) == 3 and not any(map(is_alive, noted(pids))))

    assert agent.ended() == 0
    assert scene.statuses()[job_id] == "Done"
    invariants.check(scene)


@pytest.mark.scenario(14, "the payload ignores SIGTERM, blocks every signal, traces itself; its owner kills the job")
@pytest.mark.parametrize("level", LEVELS)
def test_stubborn_payload_is_killed_after_its_grace(scene: Scene, level: str) -> None:
    job_id = scene.submit(hostile("stubborn"))
    agent = scene.agent(contained(level))
    scene.until(lambda: scene.is_running(job_id), "the payload runs")
    payload = next(line.pid for line in scene.books.lines())

    scene.client.call("JobManager", "killJob", job_id)

    scene.until(lambda: not is_alive(payload), "it is killed", 5 * GRACE_S + 2)
    assert agent.ended() == 0
    assert scene.statuses()[job_id] == "Killed"
    invariants.check(scene)


@pytest.mark.scenario(15, "a fork bomb, exponential, for 6 s; limited by the scenario's box where the agent does not")
def test_agent_goes_on_with_its_heartbeats_during_a_fork_bomb(scene: Scene, proxy: FaultProxy) -> None:
    scene.box.limit_processes(BOMB_PROCESSES)
    other = scene.submit(sleeps(3 * BOMB_S))
    agent = scene.agent(Options(url=proxy.url, more={f"{AGENT}/HeartBeatPeriod": "1", **PATIENT}))
    scene.until(lambda: proxy.count("sendHeartBeat") >= 4, "the other job runs and is told of")
    usual = max(pauses(proxy.times("sendHeartBeat")))

    bomb = scene.submit(hostile("fork_bomb", BOMB_S))
    scene.until(lambda: {bomb, other} <= {*scene.books.ends(), *ended(scene)}, "both are over", 60)

    longest = max(pauses(proxy.times("sendHeartBeat")))
    assert longest < max(BOMB_S, 2 * usual), f"{longest:.1f} s between two heartbeats of 1 s, before it {usual:.1f} s"
    agent.signal(10)
    assert agent.ended() == 0
    invariants.check(scene)


def pauses(times: Sequence[float]) -> list[float]:
    """Return the seconds between one and the next."""
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def ended(scene: Scene) -> set[int]:
    """Return the jobs that have ended, as the WMS was told."""
    return {job_id for job_id, status in scene.statuses().items() if status in FINAL}


@pytest.mark.scenario(15, "a fork bomb, exponential, for 6 s; limited by the scenario's box where the agent does not")
def test_job_that_meets_its_limit_of_processes_ends_with_the_reason(scene: Scene) -> None:
    scene.box.limit_processes(BOMB_PROCESSES)
    job_id = scene.submit(hostile("fork_bomb", BOMB_S))
    scene.agent(contained("V2")).ended()

    told = scene.status(job_id)
    assert told["Status"] == "Failed", told
    assert "processes" in told["ApplicationStatus"], told
    invariants.check(scene)


@pytest.mark.scenario(16, "two chains of processes that fork for ever while they are killed")
@pytest.mark.parametrize("level", LEVELS)
def test_processes_that_fork_while_they_are_killed_are_gone_in_2_s(scene: Scene, level: str) -> None:
    job_id = scene.submit(hostile("fork_chain"))
    agent = scene.agent(contained(level))
    scene.until(lambda: scene.is_running(job_id), "the payload runs")

    scene.client.call("JobManager", "killJob", job_id)
    scene.until(lambda: "job.stopping" in agent.written(), "the order is heard")

    scene.until(lambda: scene.box.pids() <= {agent.pid}, "only the agent is left", GRACE_S + 2)
    assert agent.ended() == 0
    assert scene.statuses()[job_id] == "Killed"
    invariants.check(scene)


@contextmanager
def hang(place: Path) -> Iterator[HangingMount]:
    """Mount it, and let go of everybody who waits for it in the end."""
    place.mkdir()
    mounted = HangingMount(place)
    try:
        yield mounted
    finally:
        mounted.close()


@pytest.mark.long
@pytest.mark.scenario(17, "a payload sleeps in the kernel (FUSE mount that never answers) and cannot be killed")
def test_processor_of_an_unkillable_process_is_not_used_again(
    scene: Scene, need: Callable[[str, bool, str], None]
) -> None:
    need("fuse", can_mount(), "/dev/fuse and the right to mount are needed")
    note = "grep Cpus_allowed_list /proc/self/status >>"
    with hang(scene.folder / "hanging") as mounted:
        stuck = scene.submit(f"{note}{scene.folder}/stuck; stat {mounted.place}/file; sleep 600")
        agent = scene.agent(contained("V2", **{f"{AGENT}/StopAfterFailedMatches": "1000"}))
        scene.until(lambda: scene.is_running(stuck) and mounted.is_asked, "the payload is stuck")
        scene.client.call("JobManager", "killJob", stuck)
        scene.until(lambda: invariants.reported_ends(scene, stuck), "the end is told all the same", 90)
        for _ in range(2):
            scene.submit(f"{note}{scene.folder}/others; sleep 1")
        scene.until(lambda: len(scene.books.ends()) == 2, "the others run", 20)
        agent.signal(10)
        assert agent.ended(20) == 0
    assert scene.agent().ended() == 0  # the next agent here removes what could not be removed before
    processor = (scene.folder / "stuck").read_text(encoding="ascii").split()[1]
    others = (scene.folder / "others").read_text(encoding="ascii").split()[1::2]
    assert "did not end" in agent.written()
    assert processor not in others, "the processor of the stuck process was used again"
    invariants.check(scene)


@pytest.mark.scenario(4, "a payload kills its own wrapper")
@pytest.mark.parametrize("level", LEVELS)
def test_payload_that_kills_its_wrapper_costs_only_itself(scene: Scene, level: str) -> None:
    suicidal = scene.submit(once("kill -9 $(ps -o ppid= -p $(ps -o ppid= -p $$)); sleep 600"))
    other = scene.submit(sleeps(2))
    agent = scene.agent(contained(level))
    scene.until(lambda: invariants.reported_ends(scene, suicidal), "its end is told", 15)

    assert agent.ended() == 0
    assert scene.statuses()[other] == "Done"
    assert scene.statuses()[suicidal] in ("Done", "Failed", *BACK)
    invariants.check(scene)
