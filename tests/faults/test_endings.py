"""Scenarios 9 to 12: the slot goes away, politely or not."""

import random
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import fault_kinds, invariants
from tests.faults.fault_proxy import FaultProxy
from tests.faults.payloads import SHORT, sleeps
from tests.faults.scene import AGENT, BACK, Options, Scene

DRAIN_S = 15.0
SEED = 20260802
STUBBORN = "trap '' TERM INT HUP; sleep 600 & wait; sleep 600 & wait; sleep 600"


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Let go of what a fault holds; at the latest when the test is over."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.quick
@pytest.mark.scenario(9, "SIGTERM while the agent is idle")
def test_idle_agent_ends_at_once(scene: Scene) -> None:
    agent = scene.agent(Options(more={f"{AGENT}/PollingTime": "30", f"{AGENT}/StopAfterFailedMatches": "100"}))
    scene.until(lambda: "match.empty" in agent.written(), "it is idle")

    agent.signal(signal.SIGTERM)

    assert agent.ended(5) == 0
    invariants.check(scene)


# what the agent waits for when SIGTERM comes -> the call that is held
PHASES = {
    "matching": ("requestJob", fault_kinds.answer_held),
    "staging": ("streamToClient", fault_kinds.held),
    "delivering": ("streamFromClient", fault_kinds.held),
    "reporting": ("setJobStatusBulk", fault_kinds.held),
}


@pytest.mark.scenario(9, "SIGTERM while matching, staging, running, delivering, reporting; the call is held for 3 s")
@pytest.mark.parametrize("phase", [*PHASES, "running"])
def test_agent_told_to_end_gives_everything_back_or_reports_it(
    scene: Scene, proxy: FaultProxy, release: threading.Event, phase: str
) -> None:
    method, fault = PHASES.get(phase, ("", fault_kinds.held))
    if method:
        proxy.on(method, fault(release))
    body = sleeps(600) if phase == "running" else SHORT
    job_id = scene.submit(body, 'OutputSandbox = {"std.out"};', sandbox=True)
    agent = scene.agent(Options(url=proxy.url))
    reached = (lambda: proxy.count(method) > 0) if method else (lambda: scene.is_running(job_id))
    scene.until(reached, f"it is {phase}")
    threading.Timer(3.0, release.set).start()

    agent.signal(signal.SIGTERM)

    assert agent.ended(DRAIN_S) == 0, agent.written()
    wanted = ("Done",) if phase == "delivering" else ("Done", *BACK) if phase == "reporting" else BACK
    assert scene.statuses()[job_id] in wanted
    scene.client.call("JobManager", "killJob", job_id)
    invariants.check(scene)


def ends_in_ledger(work_dir: Path) -> int:
    """Return how many open jobs have their end written down."""
    with sqlite3.connect(f"file:{work_dir}/ledger.sqlite?mode=ro", uri=True) as db:
        query = "SELECT COUNT(*) FROM job WHERE json_extract(body, '$.end') IS NOT NULL"
        (count,) = db.execute(query).fetchone()
    db.close()
    return int(count)


@pytest.mark.scenario(10, "SIGTERM and after 10 s SIGKILL, with a stubborn payload and a job whose inputs do not come")
def test_state_is_saved_and_unstarted_work_given_back_within_a_second(
    scene: Scene, proxy: FaultProxy, release: threading.Event
) -> None:
    proxy.on("streamToClient", fault_kinds.held(release))
    stubborn = scene.submit(STUBBORN)
    staging = scene.submit(SHORT, sandbox=True)
    agent = scene.agent(Options(url=proxy.url))
    scene.until(lambda: scene.is_running(stubborn) and proxy.count("streamToClient") > 0, "both are under way")

    agent.signal(signal.SIGTERM)
    scene.until(lambda: ends_in_ledger(scene.work_dir) == 2, "the ends are written down", 1.0)
    scene.until(lambda: scene.statuses()[staging] in BACK, "the unstarted job is given back", 1.0)

    assert agent.ended(10) == 0, "not within the grace of the batch system"
    assert scene.statuses()[stubborn] in BACK
    for job_id in scene.jobs:
        scene.client.call("JobManager", "killJob", job_id)
    invariants.check(scene)


@pytest.mark.scenario(10, "SIGTERM and after 10 s SIGKILL while a stubborn payload runs")
def test_stubborn_payload_is_gone_and_given_back_before_the_batch_system_kills(scene: Scene) -> None:
    job_id = scene.submit(STUBBORN)
    agent = scene.agent()
    scene.until(lambda: scene.is_running(job_id), "the payload runs")

    agent.signal(signal.SIGTERM)
    scene.until(lambda: ends_in_ledger(scene.work_dir) == 1, "the end is written down", 1.0)

    assert agent.ended(10) == 0, "not within the grace of the batch system"
    assert scene.statuses()[job_id] in BACK
    scene.client.call("JobManager", "killJob", job_id)
    invariants.check(scene)


@pytest.mark.scenario(11, "1000 signals in 5 s, of six kinds, at random")
def test_storm_of_signals_is_one_drain_and_loses_nothing(scene: Scene) -> None:
    chance = random.Random(SEED)
    kinds = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD, signal.SIGWINCH]
    short, long = scene.submit(sleeps(4)), scene.submit(sleeps(600))
    agent = scene.agent()
    scene.until(lambda: scene.is_running(short) and scene.is_running(long), "the payloads run")

    for _ in range(1000):
        if agent.is_over:
            break
        agent.signal(chance.choice(kinds))
        time.sleep(0.005)

    assert agent.ended(DRAIN_S) == 0, agent.written()
    assert agent.written().count("agent.stopping") == 1
    assert "Traceback" not in agent.written()
    for job_id in scene.jobs:
        scene.client.call("JobManager", "killJob", job_id)
    invariants.check(scene)


PATIENT = {f"{AGENT}/StopAfterFailedMatches": "1000", f"{AGENT}/PollingTime": "0.1"}


def requests_until_it_stops(scene: Scene, proxy: FaultProxy, within_s: float) -> int:
    """Wait until an agent takes no more jobs; return how many requests there may have been, with one under way."""
    scene.until(lambda: "agent.stopping" in scene.processes[-1].written(), "it takes no more jobs", within_s)
    return proxy.count("requestJob") + 1


@pytest.mark.scenario(12, "SIGUSR1 or SIGUSR2, as Slurm's --signal sends them, while a job runs")
@pytest.mark.parametrize("number", [signal.SIGUSR1, pytest.param(signal.SIGUSR2, marks=pytest.mark.quick)])
def test_notice_by_signal_stops_matching_and_lets_the_job_finish(
    scene: Scene, proxy: FaultProxy, number: signal.Signals
) -> None:
    job_id = scene.submit(sleeps(2))
    agent = scene.agent(Options(url=proxy.url, more=PATIENT))
    scene.until(lambda: scene.is_running(job_id), "the payload runs")

    agent.signal(number)
    asked = requests_until_it_stops(scene, proxy, 2)

    assert agent.ended() == 0
    assert proxy.count("requestJob") <= asked
    assert scene.statuses()[job_id] == "Done"
    invariants.check(scene)


@pytest.mark.scenario(12, "MACHINEFEATURES/shutdowntime appears while a job runs, 5 s ahead")
def test_notice_by_file_stops_matching_and_gives_the_job_back(scene: Scene, proxy: FaultProxy) -> None:
    features = scene.folder / "machinefeatures"
    features.mkdir()
    job_id = scene.submit(sleeps(600))
    agent = scene.agent(Options(url=proxy.url, more=PATIENT, environment={"MACHINEFEATURES": str(features)}))
    scene.until(lambda: scene.is_running(job_id), "the payload runs")

    (features / "shutdowntime").write_text(str(int(time.time()) + 5), encoding="ascii")
    asked = requests_until_it_stops(scene, proxy, 8)

    scene.until(lambda: "Rescheduled" in invariants.reported_ends(scene, job_id), "it is given back", 15)
    assert agent.ended(DRAIN_S) == 0
    assert proxy.count("requestJob") <= asked
    scene.client.call("JobManager", "killJob", job_id)
    invariants.check(scene)


@pytest.mark.scenario(12, "an operator's drain file appears while a job runs")
def test_drain_file_stops_matching_and_lets_the_job_finish(scene: Scene, proxy: FaultProxy) -> None:
    job_id = scene.submit(sleeps(8))
    agent = scene.agent(Options(url=proxy.url, more=PATIENT))
    scene.until(lambda: scene.is_running(job_id), "the payload runs")

    (scene.folder / "drain").touch()
    asked = requests_until_it_stops(scene, proxy, 2)

    assert agent.ended() == 0
    assert proxy.count("requestJob") <= asked
    assert scene.statuses()[job_id] == "Done"
    invariants.check(scene)
