"""`make loop-diracx`: jobs in a loop on a real DIRAC joined with a real DiracX, each round with a fault, counted.

Every job must end Done, once: its payload writes a line each time that it begins, the servers' databases say how it
ended, how often that was told, and whether its output is there. What is not so is named, and the exit code is 1.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.joined import joined_stack
from tests.joined.joined_stack import Joined
from tests.system.dirac_stack import FINAL, Pilot

JOBS, ROUND_S, LOOK_S = 4, 420.0, 1.0
JDL = """\
Executable = "run.sh"; JobName = "loop"; JobType = "User"; CPUTime = 600;
StdOutput = "std.out"; StdError = "std.err"; OutputSandbox = {"std.out", "std.err", "result.txt"};
"""
PAYLOAD = """\
#!/bin/bash
echo began >> {begun}/$JOBID
cat data.txt
sleep {seconds}
echo done > result.txt
"""
MODES = (
    (),
    ("retired=JobStateUpdate,SandboxStore",),
    ("retired=SandboxStore",),
    ("future=false",),
    ("sandbox=dips", "backend=true"),
)
OPTIONS = ("-y", "Pool", "-P", "2", "-o", "/Systems/WorkloadManagement/Agents/JobAgent/HeartBeatPeriod=10")


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault meets."""

    stack: Joined
    pilot: Pilot
    dice: random.Random


Fault = Callable[[Scene], int]  # returns how often it took effect


def _away(*names: str) -> Fault:
    def fault(scene: Scene) -> int:
        time.sleep(scene.dice.uniform(0, 10))
        with scene.stack.away(*names):
            time.sleep(scene.dice.uniform(5, 30))
        return 1

    return fault


def _agent_dies(scene: Scene) -> int:
    """The agent is killed; the pilot starts it again."""
    time.sleep(scene.dice.uniform(0, 8))
    agents = [each for each in psutil.Process(scene.pilot.process.pid).children() if "agents" in each.cmdline()]
    for process in agents:
        os.kill(process.pid, signal.SIGKILL)
    return len(agents)


def _nothing(_scene: Scene) -> int:
    return 1


FAULTS: Mapping[str, Fault] = {
    "nothing": _nothing,
    "the agent is killed": _agent_dies,
    "DiracX is away": _away("diracx"),
    "DIRAC's https services are away": _away("tornado"),
    "S3 is away": _away("s3"),
}
PASSING: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "S3 says 503": ("s3", {"path": "sha256", "status": 503, "code": "SlowDown", "times": 3}),
    "S3 says 403": ("s3", {"path": "sha256", "method": "GET", "status": 403, "times": 2}),
    "a download is spoilt": ("s3", {"path": "sha256", "method": "GET", "spoil": True, "times": 1}),
    "a download is cut": ("s3", {"path": "sha256", "method": "GET", "cut": 50, "times": 1}),
    "DiracX says 503": ("diracx", {"path": "^/api/jobs/", "status": 503, "headers": {"Retry-After": "2"}, "times": 5}),
    "DiracX says 429": ("diracx", {"path": "^/api/jobs/", "status": 429, "headers": {"Retry-After": "1"}, "times": 5}),
    "DiracX says 500": ("diracx", {"path": "^/api/jobs/", "status": 500, "times": 4}),
    "answers of DiracX are lost": ("diracx", {"path": "^/api/jobs/(status|metadata)", "drop": "after", "times": 4}),
}


class Database:
    """What the servers hold, whichever of them are away."""

    def __init__(self, stack: Joined) -> None:
        self._ask = stack.query

    def states(self, jobs: Sequence[int]) -> dict[int, tuple[str, int]]:
        """Return status and reschedulings of each job."""
        rows = self._ask("JobDB", f"SELECT JobID, Status, RescheduleCounter FROM Jobs WHERE JobID IN ({_listed(jobs)})")
        return {int(job): (status, int(times)) for job, status, times in rows}

    def ends_told(self, jobs: Sequence[int]) -> dict[int, int]:
        """Return how often each job was said to be Done."""
        query = f"SELECT JobID FROM LoggingInfo WHERE Status = 'Done' AND JobID IN ({_listed(jobs)})"
        return Counter(int(job) for (job,) in self._ask("JobLoggingDB", query))

    def outputs(self, jobs: Sequence[int]) -> set[int]:
        """Return the jobs that have an output sandbox."""
        names = ",".join(f"'Job:{job}'" for job in jobs)
        query = f"SELECT DISTINCT EntityId FROM sb_EntityMapping WHERE Type = 'Output' AND EntityId IN ({names})"
        return {int(name.partition(":")[2]) for (name,) in self._ask("SandboxMetadataDB", query)}


def _drained(pilot: Pilot) -> int:
    """Return the pilot's exit code; -1 for one that does not end."""
    try:
        return pilot.drain()
    except subprocess.TimeoutExpired:
        return -1


def _listed(jobs: Sequence[int]) -> str:
    return ",".join(map(str, jobs))


class Loop:
    """Rounds of jobs, and what was counted in them.

    Args:
        stack: of the servers.
        folder: for files of the rounds.
        seed: of the order of faults.
    """

    def __init__(self, stack: Joined, folder: Path, seed: int) -> None:
        self._stack = stack
        self._folder = folder
        self._dice = random.Random(seed)
        self._database = Database(stack)
        self._begun = folder / "begun"
        self._begun.mkdir()
        self._order: list[str] = []
        self.counted: Counter[str] = Counter()
        self.by_fault: Counter[str] = Counter()
        self.wrong: list[str] = []

    def round(self, number: int) -> None:
        """Run some jobs through one pilot, with one fault."""
        if number % len(FAULTS) == 0:
            self._stack.publish(*self._dice.choice(MODES))
        self._order = self._order or self._dice.sample([*FAULTS, *PASSING], len(FAULTS) + len(PASSING))
        name = self._order.pop()
        joined_stack.script("of_dirac.sh", "sweep.sh")  # among a hundred empty queues DIRAC's Matcher finds no job
        folder = self._folder / f"round{number}"
        folder.mkdir()
        jobs = self._submitted(folder)
        since = self._stack.sizes()
        with self._passing(name), self._pilot(folder) as pilot:
            met = FAULTS.get(name, _nothing)(Scene(self._stack, pilot, self._dice))
            self._wait(jobs)
            code = _drained(pilot)
        if name in PASSING:
            met = sum(1 for line in self._stack.seen(PASSING[name][0], since) if line["fault"])
        self.by_fault[name] += met
        before = len(self.wrong)
        self._judge(number, name, jobs, code)
        if len(self.wrong) > before:
            self.wrong.append(pilot.said()[-4000:])

    def _submitted(self, folder: Path) -> list[int]:
        payload = PAYLOAD.format(begun=self._begun, seconds=self._dice.randint(0, 8))
        files = {"run.sh": payload, "data.txt": f"data of {folder.name}\n"}
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        paths = [str(folder / name) for name in files]
        jobs: list[int] = self._stack.diracx_client(folder, "submit_many", "--jdl", JDL, "--count", str(JOBS), *paths)
        self._stack.optimize(*jobs)
        return jobs

    def _passing(self, name: str) -> AbstractContextManager[None]:
        return self._stack.faults(PASSING[name][0], PASSING[name][1]) if name in PASSING else nullcontext()

    @contextmanager
    def _pilot(self, folder: Path) -> Iterator[Pilot]:
        name = uuid.uuid4().hex
        self._stack.client("admin", "add-pilot", name)
        with Pilot(self._stack, folder, name, *OPTIONS) as pilot:
            yield pilot

    def _wait(self, jobs: Sequence[int]) -> None:
        deadline = time.monotonic() + ROUND_S
        while time.monotonic() < deadline:
            states = self._database.states(jobs)
            if len(states) == len(jobs) and all(status in FINAL for status, _ in states.values()):
                return
            time.sleep(LOOK_S)

    def _judge(self, number: int, name: str, jobs: Sequence[int], code: int) -> None:
        states, told, kept = self._database.states(jobs), self._database.ends_told(jobs), self._database.outputs(jobs)
        for job in jobs:
            status, again = states.get(job, ("lost", 0))
            begun = self._began(job)
            self.counted.update(("jobs", status))
            self.counted["rescheduled"] += again
            for fault in (
                f"is {status}" * (status != "Done"),
                f"began {begun} times, rescheduled {again} times" * (begun != 1),
                f"was told Done {told.get(job, 0)} times" * (told.get(job, 0) != 1),
                "has no output" * (job not in kept),
            ):
                if fault:
                    self.wrong.append(f"round {number}, {name}: job {job} {fault}")
        if code:
            self.wrong.append(f"round {number}, {name}: the pilot ended with {code}")

    def _began(self, job: int) -> int:
        path = self._begun / str(job)
        return len(path.read_text("utf-8").splitlines()) if path.exists() else 0


def main() -> int:
    """Run rounds until the time is over."""
    parser = argparse.ArgumentParser(prog="python -m tests.joined.loop", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=14)
    asked = parser.parse_args()
    was_up, started, rounds = joined_stack.is_up(), time.monotonic(), 0
    joined_stack.script("up.sh")
    try:
        with tempfile.TemporaryDirectory(prefix="loop-diracx-") as name:
            stack = Joined()
            stack.sweep()
            loop = Loop(stack, Path(name), asked.seed)
            while time.monotonic() - started < asked.minutes * 60:
                loop.round(rounds)
                rounds += 1
                print(f"{(time.monotonic() - started) / 60:.1f} min, {rounds} rounds: {dict(loop.counted)}", flush=True)
    finally:
        joined_stack.script("publish.sh")
        if not was_up:
            joined_stack.script("down.sh")
    print(f"how often each took effect: {dict(sorted(loop.by_fault.items()))}")
    loop.wrong += [f"{name}: never took effect" for name, met in loop.by_fault.items() if not met]
    print("\n".join(loop.wrong) or "nothing lost, nothing twice")
    return 1 if loop.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
