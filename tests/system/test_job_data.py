"""Jobs with input and output data on the real DIRAC and real storage: moved by us, read back by DIRAC's own client."""

import os
import uuid
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.dirac_stack import FINAL, Pilot, Stack
from tests.system.storage import DiracData

TAG = "jobdata"  # other pilots on this DIRAC do not offer it
RUN_S = 240.0
LARGE = os.urandom(3_000_000)


@dataclass(frozen=True)
class Run:
    """What one pilot did: jobs by name, and what DIRAC says of them at the end."""

    data: DiracData
    base: str
    jobs: Mapping[str, int]
    states: Mapping[int, Mapping[str, Any]]

    def of(self, name: str) -> Mapping[str, Any]:
        return self.states[self.jobs[name]]

    def folder(self, name: str) -> str:
        job = self.jobs[name]
        return f"/labvo/user/l/labuser/{job // 1000}/{job}"

    def read(self, lfn: str, folder: Path) -> bytes:
        """Download a file by DIRAC's own client, which chooses the replica."""
        self.data.client("user", "get", lfn, "--into", str(folder))
        return (folder / lfn.rpartition("/")[2]).read_bytes()


def jdls(base: str) -> dict[str, str]:
    """Return the jobs; `base` is the folder of what they read, which DIRAC's client has put there."""
    copies = "cat large.root small.root >both.root"
    plain = f'Executable = "/bin/sh"; StdOutput = "std.out"; OutputSandbox = "std.out"; Tags = "{TAG}"; '

    def job(name: str, command: str, attributes: str) -> str:
        return f'[ {plain} JobName = "{name}"; Arguments = "-c \'{command}\'"; {attributes} ]'

    both = f'InputData = {{"LFN:{base}/large.root", "LFN:{base}/small.root"}};'
    late = 'OutputData = "late.root"; OutputSE = "DOWN-disk";'
    return {
        "reads": job("reads", copies, f'{both} OutputData = "both.root";'),
        "elsewhere": job("elsewhere", "echo xrd >x.root", 'OutputData = "x.root"; OutputSE = "XRD-https";'),
        "webdav": job("webdav", "echo dav >d.root", 'OutputData = "d.root"; OutputSE = "DAV-disk";'),
        "down": job("down", "echo late >late.root", late),
        "missing": job("missing", "true", 'OutputData = "none.root";'),
        "clash": job("clash", "echo other >small.root", f'OutputData = "LFN:{base}/small.root";'),
    }


@pytest.fixture(scope="module")
def run(stack: Stack, data: DiracData, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder, reference = tmp_path_factory.mktemp("job-data"), uuid.uuid4().hex
    base = f"/labvo/data/job-data-{reference[:8]}"
    data.client("admin", "directories", "", "/data", "/user", base.removeprefix("/labvo"))
    (folder / "large.root").write_bytes(LARGE)
    (folder / "small.root").write_bytes(b"small")
    data.put(f"{base}/large.root", folder / "large.root", "LAB-disk")
    data.put(f"{base}/small.root", folder / "small.root", "LAB-disk", "XRD-https")
    stack.client("admin", "add-pilot", reference)
    jobs = {name: stack.submit(jdl)[0] for name, jdl in jdls(base).items()}
    options = ["-y", "Pool", "-P", "2", "-t", TAG, "--requiredTag", TAG, "--StopAfterFailedMatches", "10000"]
    try:
        with Pilot(stack, folder, reference, *options) as pilot:
            stack.wait(list(jobs.values()), lambda status: status in (*FINAL, "Completed"), RUN_S, pilot)
            pilot.drain()
        yield Run(data, base, jobs, stack.status(*jobs.values(), full=True))
    finally:
        stack.client("admin", "delete", *map(str, jobs.values()))


def test_input_data_are_read_and_the_output_is_what_the_payload_wrote(run: Run, tmp_path: Path) -> None:
    state, lfn = run.of("reads"), f"{run.folder('reads')}/both.root"

    assert (state["Status"], state["MinorStatus"]) == ("Done", "Execution Complete"), state["History"]
    assert run.read(lfn, tmp_path) == LARGE + b"small"
    known = run.data.look(lfn)[lfn]
    assert (known["Size"], int(known["Checksum"], 16)) == (3_000_005, zlib.adler32(LARGE + b"small"))
    assert state["Parameters"]["DownloadInputData"].startswith("Successfully downloaded 2 LFN(s) from local SEs:")
    assert state["Parameters"]["UploadedOutputData"] == lfn
    wanted = ["Input Data Resolution", "Application", "Uploading Output Data", "Output Data Uploaded"]
    assert [row[1] for row in state["History"] if row[1] in wanted] == wanted


@pytest.mark.parametrize(("name", "file", "text"), [("elsewhere", "x.root", b"xrd\n"), ("webdav", "d.root", b"dav\n")])
def test_output_is_where_the_job_wants_it(run: Run, tmp_path: Path, name: str, file: str, text: bytes) -> None:
    lfn = f"{run.folder(name)}/{file}"

    assert run.of(name)["Status"] == "Done", run.of(name)["History"]
    assert run.read(lfn, tmp_path) == text


def test_a_request_that_dirac_takes_remains_of_an_element_that_is_down(run: Run, tmp_path: Path) -> None:
    state, lfn = run.of("down"), f"{run.folder('down')}/late.root"

    assert (state["Status"], state["MinorStatus"]) == ("Completed", "Pending Requests"), state["History"]
    assert run.read(lfn, tmp_path) == b"late\n"
    (request,) = run.data.client("user", "request", str(run.jobs["down"]))
    kinds = [(one["Type"], one["SourceSE"], one["TargetSE"]) for one in request["Operations"]]
    assert kinds == [("ReplicateAndRegister", "FAR-disk", "DOWN-disk"), ("RemoveReplica", None, "FAR-disk")]
    assert (request["Owner"], request["JobID"]) == ("labuser", run.jobs["down"])


def test_what_is_missing_or_taken_fails_the_job_once_and_by_name(run: Run, tmp_path: Path) -> None:
    missing, clash = run.of("missing"), run.of("clash")

    assert (missing["Status"], missing["ApplicationStatus"]) == ("Failed", "Output data missing: none.root")
    assert clash["Status"] == "Failed"
    assert clash["ApplicationStatus"] == f"LFN exists with other content: {run.base}/small.root"
    assert run.read(f"{run.base}/small.root", tmp_path) == b"small"
    assert "Rescheduled" not in [row[0] for row in clash["History"]]
