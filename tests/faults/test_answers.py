"""Scenarios 27, 30, 32: answers that are lost, malformed, or hand out what they should not."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults import fault_kinds, invariants
from tests.faults.box import rss_mb
from tests.faults.fault_proxy import FaultProxy
from tests.faults.payloads import SHORT, sleeps, waits_for
from tests.faults.scene import AGENT, BACK, Options, Scene

PATIENT = {f"{AGENT}/StopAfterFailedMatches": "100", f"{AGENT}/PollingTime": "0.05"}
LEAST = {f"{AGENT}/StopAfterFailedMatches": "3"}
GROWTH_MB = 150.0  # body_mb of agents.wms.https.Limits, decoded and as objects


@pytest.mark.quick
@pytest.mark.scenario(27, "the connection is cut exactly after the Matcher has given a job, before its answer is read")
def test_job_whose_match_was_lost_is_found_again(scene: Scene, proxy: FaultProxy) -> None:
    proxy.on("requestJob", fault_kinds.cut_after)
    job_id = scene.submit(SHORT)

    agent = scene.agent(Options(url=proxy.url, more=LEAST))

    assert agent.ended() == 0
    assert scene.statuses()[job_id] in (*BACK, "Done"), scene.history(job_id)
    invariants.check(scene)


@pytest.mark.scenario(27, "the answer with a job is cut in its middle")
def test_job_whose_match_was_cut_short_is_found_again(scene: Scene, proxy: FaultProxy) -> None:
    proxy.on("requestJob", fault_kinds.truncated)
    job_id = scene.submit(SHORT)

    agent = scene.agent(Options(url=proxy.url, more=LEAST))

    assert agent.ended() == 0
    assert scene.statuses()[job_id] in (*BACK, "Done"), scene.history(job_id)
    invariants.check(scene)


AFTER = {
    "HTTP 503": fault_kinds.after(503),
    "HTTP 429": fault_kinds.after(429, {"Retry-After": "1"}),
    "HTTP 404": fault_kinds.after(404),
    "HTTP 502": fault_kinds.after(502),
    "a fatal TLS alert": fault_kinds.alert_after,
    "S_ERROR": fault_kinds.refused_after("Lock wait timeout exceeded; try restarting transaction"),
    "delivered twice": fault_kinds.twice,
    "delivered late": fault_kinds.cut_and_late(1.5),
}


@pytest.mark.parametrize("kind", AFTER)
@pytest.mark.scenario(27, "the Matcher has given a job, and an error comes in place of its answer")
def test_job_that_was_matched_behind_an_error_is_found_again_and_runs_once(
    scene: Scene, proxy: FaultProxy, kind: str
) -> None:
    proxy.on("requestJob", AFTER[kind])
    job_id = scene.submit(SHORT)

    agent = scene.agent(Options(url=proxy.url, more=LEAST))

    assert agent.ended() == 0
    assert scene.statuses()[job_id] == "Done", scene.history(job_id)
    invariants.check(scene)


@pytest.mark.parametrize("kind", ["HTTP 503", "a fatal TLS alert", "S_ERROR", "delivered late"])
@pytest.mark.scenario(28, "an order to reschedule is carried out, and an error comes in place of its answer")
def test_order_to_reschedule_behind_an_error_is_given_once(scene: Scene, proxy: FaultProxy, kind: str) -> None:
    proxy.on("rescheduleJob", AFTER[kind])
    marker = scene.folder / "was-here"
    job_id = scene.submit(f"if [ ! -e {marker} ]; then : >{marker}; exit 222; fi")

    assert scene.agent(Options(url=proxy.url, more=LEAST)).ended() == 0
    assert scene.agent(Options(more=LEAST)).ended() == 0

    assert (scene.statuses()[job_id], invariants.matches(scene, job_id)) == ("Done", 2), scene.history(job_id)
    invariants.check(scene)


@pytest.mark.scenario(27, "three agents share one pilot reference")
def test_agents_that_share_a_reference_run_no_jobs_of_each_other(scene: Scene) -> None:
    jobs = scene.submit_many(sleeps(3), count=6)

    agents = [scene.agent(Options(work_dir=scene.folder / f"work-{number}", more=LEAST)) for number in range(3)]

    assert {agent.ended() for agent in agents} == {0}
    assert {scene.statuses()[job] for job in jobs} == {"Done"}
    invariants.check(scene)


@pytest.mark.scenario(30, "27 malformed answers to requestJob, one after the other, then a good one")
def test_no_answer_of_the_matcher_ends_the_agent_or_makes_it_big(scene: Scene, proxy: FaultProxy) -> None:
    corpus = fault_kinds.corpus()
    running = scene.submit(sleeps(4))
    proxy.on("requestJob", fault_kinds.delayed(0), *corpus.values())
    agent = scene.agent(Options(url=proxy.url, more=PATIENT))
    scene.until(lambda: proxy.count("requestJob") > 1, "it asks")
    before, most = rss_mb(agent.pid), 0.0

    def is_through() -> bool:
        nonlocal most
        most = max(most, rss_mb(agent.pid))
        return proxy.count("requestJob") > len(corpus) + 1

    scene.until(is_through, "all were answered", 90)
    after = scene.submit(SHORT)
    scene.until(lambda: scene.statuses()[after] == "Done", "it works on")
    agent.signal(10)
    assert agent.ended() == 0, agent.written()
    assert most - before < GROWTH_MB, f"it grew from {before:.0f} to {most:.0f} MB"
    assert scene.statuses()[running] == "Done"
    assert "Traceback" not in agent.written()
    invariants.check(scene)


# what is answered to calls of other services
MALFORMED = {
    "truncated": fault_kinds.truncated,
    "page": fault_kinds.text(b"<html>log in</html>", "text/html"),
    "wrong type": fault_kinds.text(b'["OK", true]'),
    "server error": fault_kinds.status(500),
}


@pytest.mark.scenario(30, "malformed answers to reports, heartbeats and sandboxes")
@pytest.mark.parametrize("method", ["setJobStatusBulk", "sendHeartBeat", "streamToClient", "streamFromClient"])
def test_no_answer_of_another_service_costs_the_job(scene: Scene, proxy: FaultProxy, method: str) -> None:
    proxy.on(method, *MALFORMED.values())
    job_id = scene.submit(sleeps(1), 'OutputSandbox = {"std.out"};', sandbox=True)

    agent = scene.agent(Options(url=proxy.url, more={f"{AGENT}/HeartBeatPeriod": "0.3", **LEAST}))

    assert agent.ended() == 0, agent.written()
    ends = ("Done", *BACK) if method == "streamToClient" else ("Done",)  # without its inputs it runs elsewhere
    assert scene.statuses()[job_id] in ends, scene.history(job_id)
    if scene.statuses()[job_id] in BACK:
        scene.client.call("JobManager", "killJob", job_id)
    invariants.check(scene)


def another_number(job: Any) -> Any:
    """Say a wrong job number."""
    return {**job, "JobID": job["JobID"] + 100_000}


def no_description(job: Any) -> Any:
    """Leave out what is to be done."""
    return {**job, "JDL": "[ ]"}


def broken_description(job: Any) -> Any:
    """Cut the JDL."""
    return {**job, "JDL": job["JDL"][: len(job["JDL"]) // 2]}


@pytest.mark.scenario(30, "the Matcher gives a job with an empty or broken JDL")
@pytest.mark.parametrize("change", [no_description, broken_description])
def test_job_that_cannot_be_understood_is_ended_with_the_reason(
    scene: Scene, proxy: FaultProxy, change: Callable[[Any], Any]
) -> None:
    proxy.on("requestJob", fault_kinds.altered(change))
    job_id = scene.submit(SHORT)

    agent = scene.agent(Options(url=proxy.url))

    assert agent.ended() == 0, agent.written()
    assert scene.status(job_id)["Status"] in ("Failed", *BACK)
    assert not scene.has_begun(job_id)
    if scene.statuses()[job_id] in BACK:
        scene.client.call("JobManager", "killJob", job_id)
    invariants.check(scene)


@pytest.mark.scenario(30, "the Matcher gives a job under the number of another one")
def test_job_under_a_wrong_number_is_given_back(scene: Scene, proxy: FaultProxy) -> None:
    proxy.on("requestJob", fault_kinds.altered(another_number))
    job_id = scene.submit(SHORT)

    agent = scene.agent(Options(url=proxy.url))

    assert agent.ended() == 0, agent.written()
    assert scene.statuses()[job_id] in (*BACK, "Failed", "Done"), scene.history(job_id)
    if scene.statuses()[job_id] in BACK:
        scene.client.call("JobManager", "killJob", job_id)
    invariants.check(scene)


@pytest.mark.quick
@pytest.mark.scenario(30, "the Matcher gives a job with keys that nobody knows")
def test_unknown_keys_do_not_matter(scene: Scene, proxy: FaultProxy) -> None:
    proxy.on("requestJob", fault_kinds.altered(lambda job: {**job, "Later": {"a": [1, None]}, "": 0}))
    job_id = scene.submit(SHORT)

    assert scene.agent(Options(url=proxy.url)).ended() == 0

    assert scene.statuses()[job_id] == "Done"
    invariants.check(scene)


class Recorder:
    """Keeps the first job that was given, to give it again."""

    def __init__(self) -> None:
        self.job: Any = None

    def keep(self, job: Any) -> Any:
        """Pass a job on, and remember it."""
        self.job = job
        return job

    def again(self, exchange: Any) -> None:
        """Answer with the job that was kept."""
        fault_kinds.value(self.job)(exchange)


@pytest.mark.quick
@pytest.mark.scenario(32, "the Matcher gives the same job again while it runs")
def test_job_in_hand_is_not_run_twice(scene: Scene, proxy: FaultProxy) -> None:
    recorder = Recorder()
    proxy.on("requestJob", fault_kinds.altered(recorder.keep), recorder.again)
    go = scene.folder / "go"
    job_id = scene.submit(waits_for(go))

    agent = scene.agent(Options(url=proxy.url))
    scene.until(lambda: proxy.count("requestJob") > 2, "it was given again, and another one was asked for")
    go.touch()

    assert agent.ended() == 0, agent.written()
    assert "job.matched_twice" in agent.written()
    assert scene.books.begins() == {job_id: 1}
    invariants.check(scene)


@pytest.mark.scenario(32, "the Matcher gives a job again that has ended here")
def test_job_that_has_ended_is_not_run_again(scene: Scene, proxy: FaultProxy) -> None:
    recorder, has_ended = Recorder(), threading.Event()
    proxy.on("requestJob", fault_kinds.altered(recorder.keep), fault_kinds.held(has_ended), recorder.again)
    job_id = scene.submit(SHORT)

    agent = scene.agent(Options(url=proxy.url, more={**LEAST, f"{AGENT}/PollingTime": "0.5"}))
    scene.until(lambda: scene.statuses()[job_id] == "Done", "the job has ended")
    has_ended.set()

    assert agent.ended() == 0, agent.written()
    assert proxy.count("requestJob") >= 3
    assert scene.books.begins() == {job_id: 1}
    assert scene.statuses()[job_id] == "Done"
    invariants.check(scene)


@pytest.mark.scenario(32, "the Matcher gives a job that is bigger than the slot")
def test_job_bigger_than_the_slot_is_given_back(scene: Scene, proxy: FaultProxy) -> None:
    proxy.on("requestJob", fault_kinds.altered(lambda job: {**job, "JDL": bigger(job["JDL"])}))
    job_id = scene.submit(SHORT)
    agent = scene.agent(Options(url=proxy.url, more={f"{AGENT}/MaxCycles": "1"}))

    assert agent.ended() == 0, agent.written()

    assert invariants.reported_ends(scene, job_id) == ["Rescheduled"]
    assert not scene.has_begun(job_id)
    scene.client.call("JobManager", "killJob", job_id)
    invariants.check(scene)


def bigger(jdl: str) -> str:
    """Let a JDL ask for 64 processors."""
    head, _, tail = jdl.rpartition("]")
    return f"{head} NumberOfProcessors = 64; ]{tail}"
