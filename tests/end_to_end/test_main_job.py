"""From the pilot to Done, over HTTPS, with nothing faked: local WMS, pilot, agent and payloads are real processes."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from agents.local_wms.client import Client, connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from tests.waiting import PATIENCE_S, within

ROOT = Path(__file__).parents[2]
FINAL = ("Done", "Failed", "Killed")
KNOWN_POWER = ("-o", "/LocalSite/CPUNormalizationFactor=10.0")  # else each pilot measures it for seconds


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running(tmp_path_factory.mktemp("wms")) as started:
        yield started


@pytest.fixture
def client(endpoint: Endpoint) -> Iterator[Client]:
    """A client of a WMS in which nothing waits when the test is over."""
    connected = connect(endpoint)
    yield connected
    jobs = connected.call("JobMonitoring", "getJobs")
    summary = connected.call("JobMonitoring", "getJobsSummary", jobs) if jobs else {}
    for job_id, job in summary.items():
        if job["Status"] not in FINAL:
            connected.call("JobManager", "killJob", int(job_id))


def submit(client: Client, folder: Path, jdl: str, **files: str) -> int:
    """Submit one job; keyword arguments are files beside the JDL, `_` for the dot."""
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    path = folder / "job.jdl"
    path.write_text(jdl, encoding="utf-8")
    (job_id,) = client.submit(path)
    return job_id


class Pilot:
    """A pilot process and what it wrote."""

    def __init__(self, endpoint: Endpoint, folder: Path, *options: str, power: Sequence[str] = KNOWN_POWER) -> None:
        self.work_dir = folder / "pilot"
        self.out = folder / "pilot.out"
        argv = [sys.executable, "-m", "pilot", "-n", endpoint.site, "-N", endpoint.ce, "-Q", endpoint.queue]
        argv += ["-C", endpoint.configuration, "--wnVO", endpoint.vo, "--PollingTime", "0.2"]
        argv += ["--StopAfterFailedMatches", "1", "--work-dir", str(self.work_dir), *power, *options]
        environment = {**os.environ, "X509_USER_PROXY": endpoint.pilot_proxy, "X509_CERT_DIR": endpoint.ca_dir}
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)

    def __enter__(self) -> "Pilot":
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def ended(self) -> int:
        until(lambda: self.process.poll() is not None, "the pilot ends", self)
        return self.process.wait()

    def written(self) -> str:
        return self.out.read_text(encoding="utf-8", errors="replace")


def until(condition: Callable[[], bool], what: str, pilot: Pilot) -> None:
    assert within(PATIENCE_S, condition), f"{what}: not within {PATIENCE_S} s; the pilot wrote:\n{pilot.written()}"


def status(client: Client, job_id: int) -> dict[str, str]:
    summary = client.call("JobMonitoring", "getJobsSummary", [job_id])[str(job_id)]
    return {**summary, **client.call("JobMonitoring", "getJobParameters", [job_id]).get(str(job_id), {})}


def output(client: Client, job_id: int, folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in client.output(job_id, folder / str(job_id))}


PRINTS_PROCESSORS = """
    Executable = "/bin/sh"; Arguments = "-c 'echo $DIRAC_JOB_PROCESSORS'";
    StdOutput = "std.out"; OutputSandbox = {"std.out"};
"""


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        ("MinNumberOfProcessors = 2; MaxNumberOfProcessors = 8;", "2\n"),
        ("", "1\n"),
        ("NumberOfProcessors = 2;", "2\n"),
        ("WholeNode = true;", "2\n"),
    ],
)
def test_payload_sees_exactly_the_processors_it_was_granted_on_a_2_core_slot(
    endpoint: Endpoint, client: Client, tmp_path: Path, wanted: str, seen: str
) -> None:
    job_id = submit(client, tmp_path, PRINTS_PROCESSORS + wanted)

    with Pilot(endpoint, tmp_path, "-y", "Pool", "-P", "2", "-t", "WholeNode") as pilot:
        code = pilot.ended()

    assert code == 0, pilot.written()
    assert output(client, job_id, tmp_path) == {"std.out": seen}
    assert status(client, job_id)["NumberOfProcessors"] == seen.strip()


def test_statuses_of_a_job_follow_each_other_as_dirac_writes_them(
    endpoint: Endpoint, client: Client, tmp_path: Path
) -> None:
    jdl = 'Executable = "run.sh"; InputSandbox = {"run.sh"}; StdOutput = "std.out"; OutputSandbox = {"std.out"};'
    job_id = submit(client, tmp_path, jdl, run_sh="#!/bin/sh\necho ran\n")

    with Pilot(endpoint, tmp_path, power=()) as pilot:  # as on a site that knows nothing of its nodes
        assert pilot.ended() == 0, pilot.written()

    told = [(row[0], row[1], row[4]) for row in client.call("JobMonitoring", "getJobLoggingInfo", job_id)]
    matched = told.index(("Matched", "Assigned", "Matcher"))
    agent, wrapper = f"JobAgent@{endpoint.site}", f"JobWrapper@{endpoint.site}"
    assert told[matched + 1 :] == [
        ("Matched", "Job Received by Agent", agent),
        ("Matched", "Submitting To CE", agent),
        ("Running", "Job Initialization", wrapper),
        ("Running", "Downloading InputSandbox", wrapper),
        ("Running", "Application", wrapper),
        ("Completing", "Application Finished Successfully", wrapper),
        ("Completing", "Uploading Output Sandbox", wrapper),
        ("Completing", "Output Sandbox Uploaded", wrapper),
        ("Done", "Execution Complete", wrapper),
    ]


def test_payload_sees_neither_the_pilots_proxy_nor_its_environment(
    endpoint: Endpoint, client: Client, tmp_path: Path
) -> None:
    jdl = 'Executable = "/usr/bin/env"; StdOutput = "std.out"; OutputSandbox = {"std.out"};'
    job_id = submit(client, tmp_path, jdl)

    with Pilot(endpoint, tmp_path) as pilot:
        pilot.ended()

    seen = dict(line.partition("=")[::2] for line in output(client, job_id, tmp_path)["std.out"].splitlines())
    assert Path(seen["X509_USER_PROXY"]).is_relative_to(pilot.work_dir)  # the owner's
    assert endpoint.pilot_proxy not in seen.values()
    assert seen["JOBID"] == seen["DIRACJOBID"] == str(job_id)
    assert seen["DIRACSITE"] == endpoint.site
    assert seen["OMP_NUM_THREADS"] == "1"


def test_nothing_is_left_in_the_work_directory_of_closed_jobs(
    endpoint: Endpoint, client: Client, tmp_path: Path
) -> None:
    submit(client, tmp_path, PRINTS_PROCESSORS)

    with Pilot(endpoint, tmp_path, "-y", "Pool") as pilot:
        assert pilot.ended() == 0, pilot.written()

    assert list((pilot.work_dir / "jobs").iterdir()) == []
    assert list((pilot.work_dir / "tasks").iterdir()) == []
    assert json.loads((pilot.work_dir / "agent_end.json").read_text(encoding="utf-8"))["done"] == 1


def test_two_hundred_jobs_all_end_done_and_each_runs_once(endpoint: Endpoint, client: Client, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    jdl = f"""Executable = "/bin/sh"; Arguments = "-c 'echo $JOBID >>{trace}'"; Parameters = 200; JobName = "many";"""
    path = tmp_path / "many.jdl"
    path.write_text(jdl, encoding="utf-8")
    job_ids = client.submit(path)

    with Pilot(endpoint, tmp_path, "-y", "Pool", "-P", "2") as pilot:
        assert pilot.ended() == 0, pilot.written()

    summary = client.call("JobMonitoring", "getJobsSummary", job_ids)
    assert {job["Status"] for job in summary.values()} == {"Done"}
    assert sorted(map(int, trace.read_text(encoding="utf-8").split())) == sorted(job_ids)


def test_job_too_big_for_the_slot_stays_waiting_and_says_why(
    endpoint: Endpoint, client: Client, tmp_path: Path
) -> None:
    job_id = submit(client, tmp_path, 'Executable = "/bin/true"; NumberOfProcessors = 64;')

    with Pilot(endpoint, tmp_path, "-P", "2") as pilot:
        assert pilot.ended() == 0, pilot.written()

    assert status(client, job_id)["Status"] == "Waiting"
    assert "64 processors" in status(client, job_id)["WhyWaiting"]


SLEEPS = 'Executable = "/bin/sleep"; Arguments = "600"; StdOutput = "std.out";'


def test_sigterm_hands_the_running_job_back(endpoint: Endpoint, client: Client, tmp_path: Path) -> None:
    job_id = submit(client, tmp_path, SLEEPS)

    with Pilot(endpoint, tmp_path) as pilot:
        until(lambda: status(client, job_id)["MinorStatus"] == "Application", "the payload runs", pilot)
        pilot.process.send_signal(signal.SIGTERM)
        code = pilot.ended()

    assert code == 0, pilot.written()
    told = [row[0] for row in client.call("JobMonitoring", "getJobLoggingInfo", job_id)]
    assert "Rescheduled" in told
    assert status(client, job_id)["Status"] in ("Received", "Checking", "Waiting")


def test_sigkill_of_the_agent_loses_nothing_and_runs_nothing_twice(
    endpoint: Endpoint, client: Client, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    job_id = submit(client, tmp_path, f"""Executable = "/bin/sh"; Arguments = "-c 'echo ran >>{trace}; sleep 3'";""")

    with Pilot(endpoint, tmp_path) as pilot:
        until(trace.exists, "the payload runs", pilot)
        agent = subprocess.check_output(["pgrep", "-f", f"agents --cfg {pilot.work_dir}"], text=True)
        os.kill(int(agent), signal.SIGKILL)
        code = pilot.ended()

    assert code == 0, pilot.written()
    assert trace.read_text(encoding="utf-8") == "ran\n"
    assert status(client, job_id)["Status"] == "Done"


def test_job_killed_by_its_owner_is_killed(endpoint: Endpoint, client: Client, tmp_path: Path) -> None:
    job_id = submit(client, tmp_path, SLEEPS)
    heartbeat = "/Systems/WorkloadManagement/Agents/JobAgent/HeartBeatPeriod=0.3"

    with Pilot(endpoint, tmp_path, "-o", heartbeat) as pilot:
        until(lambda: status(client, job_id)["MinorStatus"] == "Application", "the payload runs", pilot)
        client.call("JobManager", "killJob", job_id)
        assert pilot.ended() == 0, pilot.written()

    assert status(client, job_id)["Status"] == "Killed"


def test_pilot_is_registered_and_done_in_the_end(endpoint: Endpoint, tmp_path: Path) -> None:
    with Pilot(endpoint, tmp_path, "-R", "pilot-of-this-test") as pilot:
        assert pilot.ended() == 0, pilot.written()

    operator = connect(dataclasses.replace(endpoint, user_proxy=endpoint.admin_proxy))
    found = operator.call("PilotManager", "getPilotInfo", "pilot-of-this-test")
    assert found["pilot-of-this-test"]["Status"] == "Done"


def test_what_became_of_a_job_is_told_after_the_agent_has_ended(
    endpoint: Endpoint, client: Client, tmp_path: Path
) -> None:
    job_id = submit(client, tmp_path, """Executable = "/bin/sh"; Arguments = "-c 'exit 3'";""")
    with Pilot(endpoint, tmp_path) as pilot:
        pilot.ended()
    ask = [sys.executable, "-m", "pilot", "explain", str(job_id), "--work-dir", str(pilot.work_dir)]

    told = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout

    told = " ".join(told.split())  # it fits 80 columns
    assert "Failed, Application Finished With Errors, exit code 3: Exit code 3; user has to act (closed)" in told
    assert "it got: 1 processor (" in told


def test_sigkill_of_the_pilot_hands_the_running_job_back(endpoint: Endpoint, client: Client, tmp_path: Path) -> None:
    job_id = submit(client, tmp_path, SLEEPS)

    with Pilot(endpoint, tmp_path) as pilot:
        until(lambda: status(client, job_id)["MinorStatus"] == "Application", "the payload runs", pilot)
        pilot.process.kill()
        until(lambda: status(client, job_id)["Status"] in ("Received", "Waiting"), "the job is back", pilot)
        until((pilot.work_dir / "agent_end.json").exists, "the agent has ended", pilot)

    assert "Rescheduled" in [row[0] for row in client.call("JobMonitoring", "getJobLoggingInfo", job_id)]


def test_second_sigterm_ends_a_payload_that_does_not_want_to(
    endpoint: Endpoint, client: Client, tmp_path: Path
) -> None:
    stubborn = """Executable = "/bin/sh"; Arguments = "-c 'trap : TERM; while :; do sleep 1; done'";"""
    job_id = submit(client, tmp_path, stubborn)
    grace = "/Resources/Computing/Pool/KillGraceTime=1000"

    with Pilot(endpoint, tmp_path, "-y", "Pool", "-o", grace) as pilot:
        until(lambda: status(client, job_id)["MinorStatus"] == "Application", "the payload runs", pilot)
        pilot.process.send_signal(signal.SIGTERM)
        until(lambda: "job.stopping" in pilot.written(), "the agent has heard it", pilot)
        pilot.process.send_signal(signal.SIGTERM)
        code = pilot.ended()

    assert code == 0, pilot.written()
    assert "exit_code=137" in pilot.written(), "it did not end by the first one"
    assert "Rescheduled" in [row[0] for row in client.call("JobMonitoring", "getJobLoggingInfo", job_id)]


def test_job_whose_input_sandbox_is_gone_fails_and_harms_no_other(
    endpoint: Endpoint, client: Client, tmp_path: Path
) -> None:
    jdl = 'Executable = "run.sh"; InputSandbox = {"run.sh"}; StdOutput = "std.out";'
    lost = submit(client, tmp_path, jdl, run_sh="#!/bin/sh\necho lost\n")
    for sandbox in (Path(endpoint.ca_dir).parents[1] / "sandboxes").rglob("*.tar.bz2"):
        sandbox.unlink()
    other = submit(client, tmp_path, jdl, run_sh="#!/bin/sh\necho other\n")

    with Pilot(endpoint, tmp_path, "-y", "Pool") as pilot:
        assert pilot.ended() == 0, pilot.written()

    failed = status(client, lost)
    assert (failed["Status"], failed["MinorStatus"]) == ("Failed", "Failed Downloading InputSandbox")
    assert status(client, other)["Status"] == "Done"
