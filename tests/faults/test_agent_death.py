"""Scenarios 1 to 5: the agent, the pilot or a wrapper dies by SIGKILL."""

import os
import random
import signal
import time

import pytest

from tests.faults import invariants
from tests.faults.box import command_line, parent_of, read_proc, send
from tests.faults.payloads import SHORT, once, sleeps
from tests.faults.scene import AGENT, Options, Process, Scene
from tests.waiting import FairTime

RESTART_S = 1.0  # the pilot's pause before it starts a crashed agent again
SEED = 20260801
SLOTS, LOOP_S = 6, 600  # which no loop needs that gets on
EARLY = 0.3
LATE_KILLS = 5  # when all payloads have ended; who has died at requests for jobs needs longer to end than he is given


def agent_of(scene: Scene) -> int:
    """Return the pid of the agent that a pilot runs; a child that it is about to start looks like it for a moment."""
    alike = {pid for pid in scene.box.pids() if " -m agents " in command_line(pid)}
    (pid,) = [pid for pid in alike if parent_of(pid) not in alike]
    return pid


def wrapper_of(scene: Scene, job_id: int) -> int:
    """Return the process that waits for a job's payload: its uppermost ancestor below the agent."""
    payload = next(line.pid for line in scene.books.lines() if line.job_id == job_id)
    above = [payload]
    while above[-1] > 1:
        above.append(parent_of(above[-1]))
    wrappers = [pid for pid in above if b"node_script" in read_proc(pid, "cmdline")]
    assert wrappers, "the payload has no wrapper above it"
    return wrappers[-1]


def killed_at_work(scene: Scene, body: str) -> tuple[int, Process]:
    """Kill the agent of a pilot while its job's payload runs; return the job and the pilot."""
    job_id, pilot = scene.submit(body), scene.pilot()
    scene.until(lambda: scene.has_begun(job_id), "the payload runs")
    os.kill(agent_of(scene), signal.SIGKILL)
    return job_id, pilot


@pytest.mark.quick
@pytest.mark.scenario(1, "SIGKILL of the agent while a job runs; the pilot starts it again")
def test_running_job_is_adopted_and_reported_once_and_soon(scene: Scene) -> None:
    job_id, pilot = killed_at_work(scene, sleeps(3))
    scene.until(lambda: job_id in scene.books.ends(), "the payload ends")

    scene.until(lambda: scene.status(job_id)["Status"] == "Done", "the end is told", RESTART_S + 5)

    assert pilot.ended() == 0
    invariants.check(scene)


@pytest.mark.quick
@pytest.mark.scenario(2, "SIGKILL of the agent while a job runs, and SIGTERM to the pilot before the next one starts")
@pytest.mark.parametrize("pause_s", [0.0, 0.3], ids=["with it", "in the pause"])
def test_job_of_a_killed_agent_is_given_back_by_the_next_one_where_the_slot_goes(scene: Scene, pause_s: float) -> None:
    job_id, pilot = killed_at_work(scene, once(sleeps(600)))
    time.sleep(pause_s)
    pilot.signal(signal.SIGTERM)

    assert pilot.ended() == 0
    assert invariants.reported_ends(scene, job_id) == ["Rescheduled"]
    scene.client.call("JobManager", "killJob", job_id)
    invariants.check(scene)


@pytest.mark.scenario(2, "SIGKILL of the agent while a job runs, and the order to drain before it is started again")
def test_job_of_a_killed_agent_is_followed_to_its_end_by_the_next_one_which_takes_no_other(scene: Scene) -> None:
    job_id, pilot = killed_at_work(scene, sleeps(3))
    pilot.signal(signal.SIGUSR1)
    waiting = scene.submit(SHORT)

    assert pilot.ended() == 0
    assert scene.statuses([job_id, waiting]) == {job_id: "Done", waiting: "Waiting"}
    scene.client.call("JobManager", "killJob", waiting)
    invariants.check(scene)


@pytest.mark.scenario(3, "SIGKILL of pilot, agent and wrapper at one moment; the payload survives")
def test_survivors_of_a_dead_pilot_are_ended_and_their_job_is_given_back(scene: Scene) -> None:
    job_id = scene.submit(sleeps(600))
    pilot = scene.pilot()
    scene.until(lambda: scene.is_running(job_id), "the payload runs")
    for pid in (pilot.pid, agent_of(scene), wrapper_of(scene, job_id)):
        send(pid, signal.SIGKILL)
    pilot.killed()

    scene.agent(Options(more={f"{AGENT}/MaxCycles": "1", f"{AGENT}/StopAfterFailedMatches": "0"}))
    scene.until(lambda: "Rescheduled" in invariants.reported_ends(scene, job_id), "the job is given back", 20)

    scene.client.call("JobManager", "killJob", job_id)
    scene.processes[-1].signal(signal.SIGTERM)
    scene.processes[-1].ended()
    invariants.check(scene)


@pytest.mark.quick
@pytest.mark.scenario(4, "SIGKILL of one job's wrapper while another job runs")
def test_only_the_job_of_a_killed_wrapper_is_affected(scene: Scene) -> None:
    hit, other = scene.submit(once(sleeps(600))), scene.submit(sleeps(6))
    agent = scene.agent(Options(more={f"{AGENT}/StopAfterFailedMatches": "1000"}))
    scene.until(lambda: scene.is_running(hit) and scene.is_running(other), "both payloads run")

    send(wrapper_of(scene, hit), signal.SIGKILL)

    scene.until(lambda: invariants.reported_ends(scene, hit), "the loss is told", 10)
    third = scene.submit(SHORT)
    scene.until(lambda: scene.statuses()[third] == "Done", "the slot is used again")
    scene.until(lambda: scene.statuses([hit, other]) == {hit: "Done", other: "Done"}, "all are done")
    agent.signal(signal.SIGUSR1)
    assert agent.ended() == 0
    invariants.check(scene)


@pytest.mark.long
@pytest.mark.scenario(5, "SIGKILL of the agent every 0.5 to 3 s while 200 short jobs run")
def test_two_hundred_jobs_survive_a_loop_of_kills_exactly_once(scene: Scene) -> None:
    kill_loop(scene, jobs=200, body=sleeps(0.3))


def kill_loop(scene: Scene, *, jobs: int, body: str) -> None:
    """Kill the agent again and again, at moments that a seed decides; then count both ways."""
    chance, time_ = random.Random(SEED), FairTime()
    wide = Options(more={"/Resources/Computing/CEDefaults/NumberOfProcessors": str(SLOTS)})
    submitted = scene.submit_many(body, count=jobs)
    kills = late = 0
    agent = scene.agent(wide)
    while not agent.is_over and late < LATE_KILLS:
        assert time_.passed_s() < LOOP_S, f"{len(scene.books.ends())} of {jobs} after {kills} kills"
        until, begun = time.monotonic() + chance.uniform(0.5, 3.0), len(scene.books.begins())
        may_be_early = chance.random() < EARLY  # while it starts: but on a busy machine not always, or nothing is done
        while not agent.is_over and (
            time.monotonic() < until or (len(scene.books.begins()) == begun < jobs and not may_be_early)
        ):
            time.sleep(0.02)
        if not agent.is_over:
            agent.killed()
            kills += 1
            late += len(scene.books.ends()) == jobs
            agent = scene.agent(wide)
    assert agent.ended() == 0, agent.written()
    assert kills >= 3
    assert scene.books.begins() == dict.fromkeys(submitted, 1)
    assert scene.books.ends() == {job_id: [0] for job_id in submitted}
    assert set(scene.statuses().values()) == {"Done"}
    invariants.check(scene)
