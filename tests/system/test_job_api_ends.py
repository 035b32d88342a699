"""Jobs of DIRAC's own Job API on a real DIRAC 9.1, run by our pilot without a DIRAC, read back by DIRAC's client.

All go through one pilot; each test looks at one of them. What they must end in is the table of job_api_ends.py.
"""

import shutil
import subprocess
import uuid
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.dirac_stack import FINAL, Pilot, Stack, script
from tests.system.job_api_ends import JOBS, End
from tests.system.job_api_files import INPUTS, fill
from tests.system.storage import DiracData

RUN_S = 300.0
OVER = (*FINAL, "Completed")


@dataclass(frozen=True)
class Run:
    """What one pilot did with the jobs.

    Attributes:
        name: part of all logical names.
        folder: for downloads; the input files are in it.
        jobs: numbers of each job of the table.
        states: what DIRAC says of each at the end, with history and parameters.
        known: what the catalogue says of what must be there.
    """

    stack: Stack
    data: DiracData
    name: str
    folder: Path
    jobs: Mapping[str, list[int]]
    states: Mapping[int, Mapping[str, Any]]
    known: dict[str, Any]

    def filled(self, text: str, job: int) -> str:
        """A text of the table for one job."""
        for name in INPUTS:
            text = text.replace(f"{{cksum {name}}}", cksum(self.folder / f"{name}.root"))
        folders = {"data": f"/labvo/data/{self.name}", "home": f"/labvo/user/l/labuser/{self.name}", "run": self.name}
        for name, value in (folders | {"job": str(job), "thousands": str(job // 1000)}).items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def output(self, job: int) -> dict[str, str]:
        """Return what DIRAC's client has downloaded of the job's output sandbox."""
        return {file.name: file.read_text(encoding="utf-8") for file in (self.folder / str(job)).iterdir()}

    def wanted(self, job: int, end: End) -> dict[str, tuple[bytes, tuple[str, ...]]]:
        """Return what must be in the catalogue, by LFN."""
        return {self.filled(lfn, job): what for lfn, what in end.is_at.items()}


def cksum(path: Path) -> str:
    """What job.sh writes of a file; both a.root have one base name."""
    said = subprocess.run(["cksum", path.name], cwd=path.parent, check=True, capture_output=True, text=True)
    return said.stdout.strip().replace("other.root", "a.root")


@pytest.fixture(scope="module")
def from_here() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def run(
    stack: Stack, data: DiracData, from_here: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    assert shutil.which("dirac-jobexec") is None, "this node has a DIRAC; the jobs must run without one"
    script("publish.sh", "dips")
    script("sweep.sh")
    folder = tmp_path_factory.mktemp("job-api")
    name = f"run-{uuid.uuid4().hex[:8]}"
    fill(data, folder, name)
    reference = uuid.uuid4().hex
    stack.client("admin", "add-pilot", reference)
    jobs = data.job_api("user", name, *JOBS)
    numbers = [number for several in jobs.values() for number in several]
    for variable, value in data.storage.endpoint["client_env"].items():
        from_here.setenv(variable, value)
    options = ["-y", "Pool", "-t", "GPU,WholeNode", "--StopAfterFailedMatches", "10000"]
    try:
        with Pilot(stack, folder, reference, *options) as pilot:
            stack.wait(numbers, lambda status: status in OVER, RUN_S, pilot)
            pilot.drain()
        states = stack.status(*numbers, full=True)
        stack.client("user", "outputs", *map(str, numbers), "--into", str(folder))
        found = Run(stack, data, name, folder, jobs, states, {})
        ends = [pair for several in jobs for pair in zip(jobs[several], JOBS[several], strict=True)]
        found.known.update(data.look(*(lfn for job, end in ends for lfn in found.wanted(job, end))))
        yield found
    finally:
        stack.client("admin", "delete", *map(str, numbers))


@pytest.mark.parametrize("name", JOBS)
def test_a_job_ends_as_it_must(run: Run, name: str) -> None:
    ends = dict(zip(run.jobs[name], JOBS[name], strict=True))
    for job, end in ends.items():
        state = run.states[job]
        said = (state["Status"], state["MinorStatus"])
        assert said == (end.status, end.minor), f"{state['History']}\n{state['Parameters']}"
        assert state["ApplicationStatus"].startswith(run.filled(end.application, job))
        for file, text in end.says.items():
            assert run.filled(text, job) in run.output(job)[file]
        for parameter, text in end.parameters.items():
            assert run.filled(text, job) in state["Parameters"][parameter]
        check_files(run, job, end)


def check_files(run: Run, job: int, end: End) -> None:
    for lfn, (content, elements) in run.wanted(job, end).items():
        there = run.known[lfn]
        assert there is not None, f"{lfn} is not in the catalogue"
        assert (there["Size"], there["Replicas"]) == (len(content), sorted(elements))
        assert int(there["Checksum"], 16) == zlib.adler32(content)
        assert [run.data.path(element, lfn).read_bytes() for element in elements] == [content] * len(elements)


def test_what_could_not_be_stored_where_it_should_is_moved_there_by_dirac_itself(run: Run) -> None:
    """The job's element is down for good, so the Request names another one in its place before DIRAC executes it."""
    (job,) = run.jobs["output_failover"]
    (request,) = run.data.client("admin", "request", str(job))
    kinds = [operation["Type"] for operation in request["Operations"]]
    assert (request["Status"], request["JobID"], kinds) == ("Waiting", job, ["ReplicateAndRegister", "RemoveReplica"])
    assert [operation["TargetSE"] for operation in request["Operations"]] == ["DOWN-disk", "FAR-disk"]
    run.data.retarget(job, "LAB-disk")
    run.data.execute_requests(job)
    lfn = run.filled("{home}/failover/out.root", job)
    assert run.data.look(lfn)[lfn]["Replicas"] == ["LAB-disk"]
    assert run.data.path("LAB-disk", lfn).read_bytes() == b"out\n"
    assert run.stack.status(job)[job]["Status"] == "Done"
