"""Scenarios 36 and 37: clocks that jump, processes that are suspended."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import invariants
from tests.faults.box import send
from tests.faults.fault_proxy import FaultProxy
from tests.faults.payloads import sleeps, waits_for
from tests.faults.scene import AGENT, Options, Scene

SOURCE = Path(__file__).parent / "clock_shift.c"
BEATS = {f"{AGENT}/HeartBeatPeriod": "0.5", f"{AGENT}/StopAfterFailedMatches": "1000"}
Need = Callable[[str, bool, str], None]
HOUR_S, TEN_YEARS_S = 3600, 315_360_000
# the clock before and after the jump; an hour back begins two hours ahead, where the certificates are valid too
JUMPS = {"an hour ahead": (0, HOUR_S), "an hour back": (2 * HOUR_S, HOUR_S), "ten years ahead": (0, TEN_YEARS_S)}


class ShiftedClock:
    """A wall clock for one process that can be set while it runs; intervals stay true."""

    def __init__(self, folder: Path, offset_s: int) -> None:
        self._file = folder / "clock"
        self._library = folder / "clock_shift.so"
        argv = ["cc", "-shared", "-fPIC", "-O1", "-o", str(self._library), str(SOURCE), "-ldl"]
        subprocess.run(argv, check=True, timeout=60)
        self.set(offset_s)

    def set(self, offset_s: int) -> None:
        """Let the clock be so many seconds off from now on."""
        aside = self._file.with_suffix(".new")
        aside.write_text(str(offset_s), encoding="ascii")
        aside.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """What the process needs to believe it."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_SHIFT_FILE": str(self._file)}


@pytest.mark.scenario(36, "the wall clock jumps an hour ahead, an hour back, ten years ahead for 4 s, while a job runs")
@pytest.mark.parametrize("kind", JUMPS)
def test_no_timer_fires_wrongly_and_durations_are_right_when_the_clock_jumps(
    scene: Scene, proxy: FaultProxy, need: Need, kind: str
) -> None:
    need("cc", bool(shutil.which("cc")), "a C compiler makes the shifted clock")
    first, then = JUMPS[kind]
    clock = ShiftedClock(scene.folder, first)
    go, submitted_at = scene.folder / "go", time.monotonic()
    job_id = scene.submit(waits_for(go))
    agent = scene.agent(Options(url=proxy.url, more=BEATS, environment=clock.environment))
    scene.until(lambda: scene.is_running(job_id), "the payload runs")
    running_at = time.monotonic()
    time.sleep(1)

    clock.set(then)
    jumped_at = time.monotonic()
    time.sleep(4)
    asked = [at for at in proxy.times("requestJob") if at > jumped_at]
    if kind == "ten years ahead":  # every certificate has expired there
        clock.set(0)
    else:
        scene.until(lambda: any(at > jumped_at + 1 for at in proxy.times("sendHeartBeat")), "heartbeats go on")
    least_s = time.monotonic() - running_at
    go.touch()

    scene.until(lambda: scene.statuses()[job_id] == "Done", "the job ends", 30)
    most_s = time.monotonic() - submitted_at
    assert int(least_s) <= float(scene.status(job_id)["WallClockTime(s)"]) <= most_s
    assert len(asked) < 25, "it asked for work without a pause"
    agent.signal(signal.SIGUSR1)
    assert agent.ended(15) == 0
    invariants.check(scene)


@pytest.mark.scenario(37, "the agent is stopped for 4 s and goes on, while a job runs and ends")
def test_suspended_agent_goes_on_and_reports_the_true_end(scene: Scene, proxy: FaultProxy) -> None:
    go = scene.folder / "go"
    job_id, long = scene.submit(sleeps(4)), scene.submit(waits_for(go))
    agent = scene.agent(Options(url=proxy.url, more=BEATS))
    scene.until(lambda: scene.has_begun(job_id) and scene.is_running(long), "the payloads run")

    agent.signal(signal.SIGSTOP)
    time.sleep(4)
    scene.until(lambda: job_id in scene.books.ends(), "one of them ends")
    agent.signal(signal.SIGCONT)
    again_at = time.monotonic()

    scene.until(lambda: scene.statuses()[job_id] == "Done", "the end is told", 5)
    scene.until(lambda: any(at > again_at for at in proxy.times("sendHeartBeat")), "heartbeats resume", 3)
    go.touch()
    agent.signal(signal.SIGUSR1)
    assert agent.ended() == 0
    assert scene.statuses() == {job_id: "Done", long: "Done"}
    invariants.check(scene)


@pytest.mark.scenario(37, "the payload is stopped for 6 s, as a batch system suspends a job, and goes on")
def test_suspended_payload_is_not_taken_for_a_stalled_one(scene: Scene, proxy: FaultProxy) -> None:
    count = "import time\nfor _ in range(30): time.sleep(0.1)"
    job_id = scene.submit(f'exec {sys.executable} -c "{count}"')
    agent = scene.agent(Options(url=proxy.url, more=BEATS))
    scene.until(lambda: scene.is_running(job_id), "the payload runs")
    members = scene.box.pids() - {agent.pid}

    for pid in members:
        send(pid, signal.SIGSTOP)
    before = proxy.count("sendHeartBeat")
    time.sleep(6)
    scene.until(lambda: proxy.count("sendHeartBeat") >= before + 5, "heartbeats go on")
    assert scene.statuses()[job_id] == "Running"
    for pid in members:
        send(pid, signal.SIGCONT)

    scene.until(lambda: scene.statuses()[job_id] == "Done", "it ends well", 20)
    agent.signal(signal.SIGUSR1)
    assert agent.ended() == 0
    invariants.check(scene)
