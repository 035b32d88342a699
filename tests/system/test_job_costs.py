"""What a job of DIRAC's Job API costs a real DIRAC 9.1 server: counted as its services execute it, all in one run.

How often it is told of a job depends on how long that takes, for its words are gathered; everything else does not.
"""

import math
import signal
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from agents.pacing import GATHER_S
from bench.dirac_contestants import gridpilot
from tests.system.dirac_stack import END_S, FINAL, Stack, script
from tests.system.job_api_files import fill
from tests.system.job_costs import KINDS, by_method, is_at_an_element
from tests.system.storage import DiracData

RUN_S = 240.0
ONCE_FOR_EACH = ("requestJob", "streamToClient", "streamFromClient")
TOLD = ("setJobStatusBulk", "setJobParameters")
OF_DATA = {"getFileMetadata": 3, "getReplicas": 1, "addFile": 2}  # of three jobs with data together
SHARED = ("getJobsStatus", "commitRegisters", "select")


@dataclass(frozen=True)
class Cost:
    """What the servers executed.

    Attributes:
        jobs: their numbers by kind.
        calls: all that was called for them.
    """

    jobs: Mapping[str, int]
    calls: list[Mapping[str, Any]]

    def told(self, job: int, method: str) -> list[float]:
        """Return when a method was called for a job."""
        return [call["t"] for call in self.calls if call["method"] == method and call["args"][0] == job]


@pytest.fixture(scope="module")
def cost(stack: Stack, data: DiracData, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cost]:
    folder, run = tmp_path_factory.mktemp("job-costs"), f"costs-{uuid.uuid4().hex[:8]}"
    script("publish.sh", "dips")
    fill(data, folder, run)
    script("sweep.sh")
    jobs = {name: numbers[0] for name, numbers in data.job_api("user", run, *KINDS).items()}
    try:
        stack.wait([*jobs.values()], lambda status: status == "Waiting", RUN_S)
        since, agent = stack.capture_size(), gridpilot(stack, folder)
        with (folder / "agent.out").open("wb") as out:
            process = subprocess.Popen(agent.argv, cwd=folder, env=agent.environment, stdout=out, stderr=out)
        try:
            stack.wait([*jobs.values()], lambda status: status in FINAL, RUN_S)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(END_S)
        yield Cost(jobs, [call for call in stack.captured(since) if call["user"] in ("labpilot", "labuser")])
    finally:
        stack.client("admin", "delete", *map(str, jobs.values()))


def test_what_does_not_hang_on_time_is_called_once(cost: Cost) -> None:
    counted = by_method(cost.calls)

    assert {name: counted[name] for name in ONCE_FOR_EACH} == dict.fromkeys(ONCE_FOR_EACH, len(KINDS))
    assert {name: counted[name] for name in OF_DATA} == OF_DATA


def test_nothing_else_is_called(cost: Cost) -> None:
    known = {*ONCE_FOR_EACH, *TOLD, *OF_DATA, *SHARED}

    assert set(by_method(cost.calls)) <= known


def test_what_is_for_all_jobs_together_is_not_called_for_each(cost: Cost) -> None:
    counted = by_method(cost.calls)

    assert counted["select"] == 1
    assert 1 <= counted["getJobsStatus"] <= len(KINDS)
    assert 1 <= counted["commitRegisters"] <= len(KINDS)


def test_of_a_job_is_told_once_and_once_more_for_each_time_that_words_may_wait(cost: Cost) -> None:
    begun = {call["result"]["Value"]["JobID"]: call["t"] for call in cost.calls if _is_match(call)}

    for job in cost.jobs.values():
        statuses, parameters = (cost.told(job, method) for method in TOLD)
        took_s = statuses[-1] - begun[job]
        assert 1 <= len(statuses) <= 1 + math.floor(took_s / GATHER_S), (job, took_s)
        assert 1 <= len(parameters) <= 1 + math.floor(took_s / (4 * GATHER_S)), (job, took_s)


def test_an_element_is_asked_twice_about_a_file_that_is_put_there(cost: Cost) -> None:
    asked = Counter(call["method"] for call in cost.calls if is_at_an_element(call))

    assert asked == {"exists": 3, "getMetadata": 3}


def _is_match(call: Mapping[str, Any]) -> bool:
    return call["method"] == "requestJob" and bool(call["result"]["OK"])
