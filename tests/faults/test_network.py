"""Scenarios 25, 26, 28, 29, 31: the network between the agent and its services."""

import contextlib
import itertools
import random
import threading
import time
from pathlib import Path

import pytest

from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from tests.faults import fault_kinds, invariants
from tests.faults.fault_proxy import Exchange, FaultProxy, before
from tests.faults.payloads import SHORT, sleeps, waits_for
from tests.faults.scene import AGENT, Options, Scene
from tests.faults.silences import Silence, begun
from tests.waiting import within

# of one call, with its one repetition: twice 60 s (agents.wms.https.Limits), and what a busy machine may take
DEADLINE_S = 200.0
PATIENT = {f"{AGENT}/StopAfterFailedMatches": "1000"}
SEED = 20260803


@pytest.mark.long
@pytest.mark.scenario(25, "the Matcher is silent, or sends a byte of head or body each second; three agents")
def test_hanging_call_holds_up_no_other_and_is_given_up_at_its_deadline(endpoint: Endpoint, tmp_path: Path) -> None:
    with begun(endpoint, tmp_path) as silences:
        for silence in silences:
            holds_up_no_other_call(silence)
        for silence in silences:
            is_given_up_at_its_deadline(silence)


def holds_up_no_other_call(silence: Silence) -> None:
    scene, proxy = silence.scene, silence.proxy
    scene.until(lambda: proxy.count("requestJob") > 1, "the call hangs")
    beats = proxy.count("sendHeartBeat")
    scene.until(lambda: proxy.count("sendHeartBeat") >= beats + 2, "heartbeats go on", 30)
    silence.go.touch()

    scene.until(lambda: scene.statuses()[silence.job_id] == "Done", "the running job is reported", 30)

    ended = max(when for _, _, when, _ in scene.history(silence.job_id))
    asked_again = proxy.times("requestJob")[2:]
    assert not asked_again or silence.wall(asked_again[0]) > ended, "the hanging call was given up too early"


def is_given_up_at_its_deadline(silence: Silence) -> None:
    scene, proxy, agent = silence.scene, silence.proxy, silence.agent

    scene.until(lambda: proxy.count("requestJob") > 2, "it asks again", silence.left_s(DEADLINE_S))

    first, second = proxy.times("requestJob")[1:3]
    assert second - first < DEADLINE_S
    agent.signal(15)
    assert agent.ended(20) == 0
    invariants.check(scene)


@pytest.mark.scenario(25, "a call hangs and SIGTERM comes")
def test_agent_told_to_end_does_not_wait_for_a_hanging_call(scene: Scene, proxy: FaultProxy) -> None:
    proxy.always("requestJob", fault_kinds.silent)
    agent = scene.agent(Options(url=proxy.url))
    scene.until(lambda: proxy.count("requestJob") > 0, "it asks")

    agent.signal(15)

    assert agent.ended(15) == 0
    invariants.check(scene)


OUTAGES = {"refused": FaultProxy.refuse, "swallowed": FaultProxy.black_hole}


def reports_in_order(scene: Scene, job_id: int) -> bool:
    """Tell whether what was told of a job arrived in the order in which it happened."""
    with_times = [(when, status) for status, _, when, source in scene.history(job_id) if "@" in source]
    order = ["Matched", "Running", "Completing", "Done"]
    ranks = [order.index(status) for _, status in sorted(with_times)]
    return ranks == sorted(ranks)


@pytest.mark.scenario(26, "no service can be reached for 12 s while a job runs and ends; refused, or swallowed")
@pytest.mark.parametrize("kind", OUTAGES)
def test_job_goes_on_through_an_outage_and_everything_is_told_in_order(
    scene: Scene, proxy: FaultProxy, kind: str
) -> None:
    job_id = scene.submit(sleeps(6), 'OutputSandbox = {"std.out"};')
    agent = scene.agent(Options(url=proxy.url, more={f"{AGENT}/StopAfterFailedMatches": "30"}))
    scene.until(lambda: scene.is_running(job_id), "the payload runs")

    OUTAGES[kind](proxy)
    time.sleep(12)
    scene.until(lambda: job_id in scene.books.ends(), "the payload ends")
    assert scene.statuses()[job_id] == "Running"
    proxy.restore()

    scene.until(lambda: scene.statuses()[job_id] == "Done", "the end is told", 60)
    assert reports_in_order(scene, job_id)
    agent.signal(15)
    assert agent.ended() == 0
    invariants.check(scene)


@pytest.mark.scenario(26, "no service can be reached for 3 s while a job runs and ends")
def test_job_ends_in_a_short_outage_and_is_reported_after_it(scene: Scene, proxy: FaultProxy) -> None:
    go = scene.folder / "go"
    job_id = scene.submit(waits_for(go))
    agent = scene.agent(Options(url=proxy.url, more=PATIENT))
    scene.until(lambda: scene.is_running(job_id), "the payload runs")

    proxy.refuse()
    go.touch()
    scene.until(lambda: job_id in scene.books.ends(), "the payload ends")
    time.sleep(3)
    proxy.restore()

    scene.until(lambda: scene.statuses()[job_id] == "Done", "the end is told", 20)
    agent.signal(15)
    assert agent.ended() == 0
    invariants.check(scene)


# what happens to every report of a job
MISHAPS = {
    "accepted, reply lost": fault_kinds.cut_after,
    "delivered two times": fault_kinds.twice,
    "lost, delivered after later ones": fault_kinds.cut_and_late(3.0),
    "never delivered at first": fault_kinds.cut_before,
}


@pytest.mark.scenario(28, "reports are accepted with their reply lost, duplicated, delivered late and out of order")
@pytest.mark.parametrize("kind", MISHAPS)
def test_job_has_exactly_one_end_whatever_happens_to_its_reports(scene: Scene, proxy: FaultProxy, kind: str) -> None:
    for method in ("setJobStatusBulk", "setJobParameters", "rescheduleJob", "streamFromClient"):
        proxy.on(method, *[MISHAPS[kind]] * 3)
    good, bad = scene.submit(SHORT, 'OutputSandbox = {"std.out"};'), scene.submit("exit 3")

    agent = scene.agent(Options(url=proxy.url))

    assert agent.ended() == 0, agent.written()
    proxy.wait_for_the_late()
    assert scene.statuses() == {good: "Done", bad: "Failed"}
    invariants.check(scene)


@pytest.mark.quick
@pytest.mark.scenario(28, "the order to reschedule is accepted and its reply is lost")
def test_job_given_back_is_rescheduled_once(scene: Scene, proxy: FaultProxy) -> None:
    proxy.on("rescheduleJob", fault_kinds.cut_after)
    job_id = scene.submit(sleeps(600))
    agent = scene.agent(Options(url=proxy.url))
    scene.until(lambda: scene.is_running(job_id), "the payload runs")

    agent.signal(15)

    assert agent.ended(30) == 0
    assert scene.status(job_id)["RescheduleCounter"] == "1"
    scene.client.call("JobManager", "killJob", job_id)
    invariants.check(scene)


@pytest.mark.scenario(29, "30 % of all connections are cut before or after the call, the rest has 8 kB/s")
def test_jobs_come_through_a_bad_line(scene: Scene, proxy: FaultProxy) -> None:
    chance, lock = random.Random(SEED), threading.Lock()

    def bad_line(exchange: Exchange) -> None:
        with lock:
            luck = chance.random()
        if luck < 0.3:
            fault_kinds.cut_before(exchange)
        fault_kinds.slow(8000)(exchange)

    proxy.always("*", bad_line)
    job_ids = [scene.submit(sleeps(1), 'OutputSandbox = {"std.out"};', sandbox=True) for _ in range(5)]
    agent = scene.agent(Options(url=proxy.url, more={**PATIENT, f"{AGENT}/HeartBeatPeriod": "1"}))

    scene.until(lambda: set(scene.statuses(job_ids).values()) == {"Done"}, "all jobs are reported", 120)
    agent.signal(15)
    assert agent.ended(60) == 0, agent.written()
    invariants.check(scene)


@pytest.mark.scenario(31, "the Matcher answers 401 or 403")
@pytest.mark.parametrize("code", [401, pytest.param(403, marks=pytest.mark.quick)])
def test_refused_pilot_stops_and_says_why(scene: Scene, proxy: FaultProxy, code: int) -> None:
    proxy.always("requestJob", fault_kinds.status(code))

    agent = scene.agent(Options(url=proxy.url, more=PATIENT))

    assert agent.ended(15) == 5
    assert f"HTTP {code}" in agent.written()
    assert proxy.count("requestJob") == 1
    invariants.check(scene)


@pytest.mark.scenario(31, "the Matcher answers 429 or 503 with Retry-After: 3")
@pytest.mark.parametrize("code", [429, 503])
def test_busy_service_is_left_alone_as_long_as_it_asks(scene: Scene, proxy: FaultProxy, code: int) -> None:
    proxy.on("requestJob", fault_kinds.status(code, Retry_After="3"))
    job_id = scene.submit(SHORT)

    agent = scene.agent(Options(url=proxy.url))

    assert agent.ended() == 0
    first, second = proxy.times("requestJob")[:2]
    assert second - first >= 3
    assert scene.statuses()[job_id] == "Done"
    invariants.check(scene)


@pytest.mark.scenario(31, "the Matcher redirects to itself, for ever")
def test_redirects_are_not_followed(scene: Scene, proxy: FaultProxy) -> None:
    proxy.on("requestJob", *[fault_kinds.status(302, Location="/WorkloadManagement/TornadoMatcher")] * 3)
    job_id = scene.submit(SHORT)

    agent = scene.agent(Options(url=proxy.url, more={f"{AGENT}/StopAfterFailedMatches": "4"}))

    assert agent.ended() == 0
    assert scene.statuses()[job_id] == "Done"
    assert proxy.count("") == 0
    invariants.check(scene)


@pytest.mark.scenario(31, "an outage of 8 s: when do the requests for work come")
def test_requests_are_spread_during_an_outage(scene: Scene, proxy: FaultProxy) -> None:
    proxy.always("requestJob", fault_kinds.status(503))
    agent = scene.agent(Options(url=proxy.url, more=PATIENT))
    scene.until(lambda: proxy.count("requestJob") > 0, "it asks")
    within(8, lambda: False)

    times = proxy.times("requestJob")
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    agent.signal(15)
    assert agent.ended(15) == 0
    took_s = times[-1] - times[0]  # more than 8 on a busy machine
    assert 4 <= len(times) < 5 * max(8, took_s), f"{len(times)} requests in {took_s:.1f} s"
    assert len({round(gap, 2) for gap in gaps}) > len(gaps) / 2, f"no jitter: {gaps}"
    invariants.check(scene)


@pytest.mark.scenario(31, "the first URL's name cannot be resolved, the second one's port refuses, the third one works")
def test_failover_urls_are_used(scene: Scene) -> None:
    job_id = scene.submit(SHORT, 'OutputSandbox = {"std.out"};', sandbox=True)
    dead = ("https://localhost:1", scene.endpoint.url)

    agent = scene.agent(Options(url="https://no-such-host.invalid:8443", failover_urls=dead))

    assert agent.ended() == 0, agent.written()
    assert scene.statuses()[job_id] == "Done"
    invariants.check(scene)


@pytest.mark.scenario(31, "the WMS itself is ended and started again while a job runs")
def test_agent_outlives_a_restart_of_the_wms(tmp_path: Path) -> None:
    home, folder = tmp_path / "wms", tmp_path / "scene"
    folder.mkdir()
    with contextlib.ExitStack() as everything:
        wms = everything.enter_context(contextlib.ExitStack())
        endpoint = wms.enter_context(running(home))
        proxy = everything.enter_context(before(endpoint))
        scene = Scene(endpoint, folder)
        everything.callback(scene.close)
        job_id = scene.submit(sleeps(3))
        agent = scene.agent(Options(url=proxy.url, more=PATIENT))
        scene.until(lambda: scene.is_running(job_id), "the payload runs")

        wms.close()
        time.sleep(2)
        again = everything.enter_context(running(home))
        proxy.lead_to(again)
        scene.lead_to(again)

        scene.until(lambda: scene.statuses()[job_id] == "Done", "the end is told", 40)
        agent.signal(15)
        assert agent.ended() == 0
        invariants.check(scene)
