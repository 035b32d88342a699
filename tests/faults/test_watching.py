"""Payloads that do nothing, and payloads that are asked to end: what the watchdog sees through a real CE."""

import shlex
import signal
import sys

import pytest

from tests.faults import invariants
from tests.faults.box import send
from tests.faults.scene import AGENT, Options, Scene

WRAPPER = "/Systems/WorkloadManagement/JobWrapper"
IMPATIENT = {f"{AGENT}/HeartBeatPeriod": "0.5", f"{WRAPPER}/CPUSampleTime": "5"}
HEEDS = """\
import signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(0))
print('ready', flush=True)
time.sleep(600)"""


@pytest.mark.long
@pytest.mark.scenario(37, "of two payloads that do nothing one has stalled, the other is stopped by its batch system")
def test_stalled_payload_is_ended_with_its_stacks_and_a_suspended_one_is_not(scene: Scene) -> None:
    stalled = scene.submit("echo begun; sleep 600", 'OutputSandbox = {"std.out"};')
    suspended = scene.submit("kill -STOP 0; echo on again")
    agent = scene.agent(Options(more=IMPATIENT))

    scene.until(lambda: invariants.reported_ends(scene, stalled), "the stalled one ends", 90)
    assert scene.statuses()[suspended] == "Running"
    for pid in scene.box.pids() - {agent.pid}:
        send(pid, signal.SIGCONT)

    assert agent.ended() == 0
    told = scene.status(stalled)
    assert (told["Status"], told["MinorStatus"]) == ("Failed", "Watchdog identified this job as stalled"), told
    assert told["ApplicationStatus"].startswith("Stalled: in "), told
    files = {path.name: path for path in scene.client.output(stalled, scene.folder / "output")}
    assert "sleep 600" in files["gridpilot-stacks.txt"].read_text(encoding="utf-8")
    assert scene.statuses()[suspended] == "Done"
    invariants.check(scene)


@pytest.mark.scenario(9, "SIGTERM while a payload runs that wants SIGUSR1 before its end")
def test_payload_that_ends_well_on_its_signal_is_done(scene: Scene) -> None:
    wants = 'StopSigRegex = "import signal"; StopSigNumber = 10;'
    job_id = scene.submit(f"exec {shlex.join([sys.executable, '-c', HEEDS])}", wants)
    agent = scene.agent(Options(more={f"{AGENT}/HeartBeatPeriod": "0.5"}))
    scene.until(lambda: "ready" in scene.status(job_id).get("StandardOutput", ""), "the payload is ready")

    agent.signal(signal.SIGTERM)

    assert agent.ended(20) == 0
    assert scene.statuses()[job_id] == "Done"
    invariants.check(scene)
