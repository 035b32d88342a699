"""SIGKILL of the agent at each step of an output file in its ledger, on a real DIRAC and real storage.

GRIDPILOT_ROUNDS=N adds deaths before a step is written, another protocol, and jobs whose element is down, so that a
file goes to failover and a Request remains; and does all of it N times, some at a time, each with a tag of its own.
"""

import os
import signal
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.agent_at_points import AgentAtPoints
from tests.system.dirac_stack import Stack, script
from tests.system.storage import DiracData

DEATH_S = 180.0
CONTENT = b"what the payload found\n"
DOWN, FAILOVER = "DOWN-disk", "FAR-disk"
ONE_JOB = "/Systems/WorkloadManagement/Agents/JobAgent/FillingModeFlag=False"
_MOST_DEATHS = 3
_AT_ONCE = 4
TIMES = int(os.environ.get("GRIDPILOT_ROUNDS", "0"))  # of all; 0: a few, once


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One death.

    Attributes:
        wanted: the element that the job names.
        step: of its file in the ledger, and the element in it.
        when: before or after it is written.
    """

    wanted: str
    step: str
    when: str

    @property
    def name(self) -> str:
        return f"{self.wanted}-{self.step}-{self.when}".replace(" ", "-")

    @property
    def place(self) -> str:
        """Return the element where the file must be."""
        return FAILOVER if self.wanted == DOWN else self.wanted


def steps(wanted: str) -> list[str]:
    """Return the steps of a file in their order."""
    if wanted != DOWN:
        return ["measured -", f"storing {wanted}", f"stored {wanted}", f"registered {wanted}"]
    failed_over = [f"{step} {FAILOVER}" for step in ("storing", "stored", "registered")]
    return ["measured -", f"storing {DOWN}", *failed_over, "requesting -", "requested -"]


def rounds() -> list[Round]:
    elements = ["LAB-disk", "XRD-https", DOWN] if TIMES else ["LAB-disk"]
    whens = ["before", "after"] if TIMES else ["after"]
    return [Round(wanted=one, step=step, when=when) for one in elements for step in steps(one) for when in whens]


@dataclass(frozen=True)
class Run:
    """What has come of it; one job after the other, for an agent gives up a job at which two have died.

    Attributes:
        home: folder of the outputs in the catalogue.
        jobs: by round.
        states: what DIRAC says of each.
        known: what the catalogue says, by LFN.
        deaths: how often the agent was started anew.
        points: see transfer_points.
    """

    data: DiracData
    home: str
    jobs: Mapping[Round, int]
    states: Mapping[int, Mapping[str, Any]]
    known: Mapping[str, Any]
    deaths: int
    points: Path


@pytest.fixture(scope="module")
def runs(stack: Stack, data: DiracData, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence["Future[Run]"]]:
    """Begin all of them; each is looked at when it is over."""
    script("publish.sh", "dips")
    script("sweep.sh")
    folders = [tmp_path_factory.mktemp("kills") for _ in range(TIMES or 1)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield [pool.submit(_ran, stack, data, folder) for folder in folders]


@pytest.fixture(scope="module", params=range(TIMES or 1), ids=lambda number: f"round {number + 1}")
def run(runs: Sequence["Future[Run]"], request: pytest.FixtureRequest) -> Run:
    return runs[request.param].result()


def _ran(stack: Stack, data: DiracData, folder: Path) -> Run:
    name = f"kills-{uuid.uuid4().hex[:8]}"
    home, tag = f"/labvo/user/l/labuser/{name}", name
    jobs = _submitted(stack, home, tag)
    try:
        with AgentAtPoints(stack, folder, tag, "-P", "1", "-o", ONE_JOB) as agent:
            for one, job in jobs.items():
                (agent.points / f"{job}.root.kill").write_text(f"{one.step} {one.when}", encoding="ascii")
            deaths = sum(_round(agent) for _ in jobs)
        known = data.look(*(f"{home}/{job}.root" for job in jobs.values()))
        return Run(data, home, jobs, stack.status(*jobs.values(), full=True), known, deaths, agent.points)
    finally:
        stack.client("admin", "delete", *map(str, jobs.values()))


def _submitted(stack: Stack, home: str, tag: str) -> dict[Round, int]:
    """Return a job for each round; its one output has the job's number for a name."""
    jobs: dict[Round, int] = {}
    for element in dict.fromkeys(one.wanted for one in rounds()):
        jdl = (
            f'[ Executable = "/bin/sh"; Arguments = "-c \'echo what the payload found >$JOBID.root\'"; Tags = "{tag}"; '
            f'OutputData = "LFN:{home}/*.root"; OutputSE = "{element}"; ]'
        )
        there = [one for one in rounds() if one.wanted == element]
        jobs |= zip(there, stack.submit(jdl, count=len(there)), strict=True)
    return jobs


def _round(agent: AgentAtPoints) -> int:
    """Let the agent take one job, die, and end it; return how often it died."""
    for deaths in range(_MOST_DEATHS):
        exit_code = agent.ran(DEATH_S, takes_jobs=deaths == 0)
        if exit_code == 0:
            return deaths
        assert exit_code == -signal.SIGKILL, agent.said()
    raise AssertionError(f"it is killed again and again: {agent.said()}")


def test_every_death_took_place(run: Run) -> None:
    killed = {path.name for path in run.points.glob("*.killed")}
    assert killed == {f"{job}.root.killed" for job in run.jobs.values()}
    assert run.deaths == len(killed)


@pytest.mark.parametrize("one", rounds(), ids=lambda one: one.name)
def test_a_file_is_stored_and_registered_once(run: Run, one: Round) -> None:
    job, is_down = run.jobs[one], one.wanted == DOWN
    state, lfn = run.states[job], f"{run.home}/{job}.root"
    wanted = ("Completed", "Pending Requests") if is_down else ("Done", "Execution Complete")
    assert (state["Status"], state["MinorStatus"]) == wanted, state["History"]
    known = run.known[lfn]
    assert known is not None, state["History"]
    assert (known["Size"], int(known["Checksum"], 16)) == (len(CONTENT), zlib.adler32(CONTENT))
    assert known["Replicas"] == [one.place]
    assert run.data.path(one.place, lfn).read_bytes() == CONTENT
    assert run.data.count_of_requests(job) == is_down


def test_nothing_is_left_beside_the_files(run: Run) -> None:
    for element in {one.place for one in run.jobs}:
        there = {path.name for path in run.data.path(element, run.home).iterdir()}
        assert there == {f"{job}.root" for one, job in run.jobs.items() if one.place == element}
