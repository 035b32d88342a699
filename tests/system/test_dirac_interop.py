"""Real jobs on a real DIRAC: submitted by DIRAC's client, run by our pilot, read back by DIRAC's client.

Each test looks at one job of a run in which all of them go through one pilot; there is one run with the Matcher over
dips, as DIRAC ships it, and with DIRAC 9.1 one with the handler for https (docs/https-matcher.md). GRIDPILOT_DIRAC says
which DIRAC (docs/versions.md).
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.operations_cases import CASES, VO, text_of
from tests.system.dirac_stack import FINAL, IS_DIRAC_8, RELEASE, ROOT, Pilot, Stack, home, outage, script

OUTAGE_S = 30
RUN_S = 240.0  # a rescheduled job alone is held back for 60 s by the optimizers
AGENT = "/Systems/WorkloadManagement/Agents/JobAgent"
# Priority: DIRAC 9.1.22 gives a rescheduled job that names none the least one, and its queue is never looked at
KEPT = 'Priority = 5; StdOutput = "std.out"; StdError = "std.err"; OutputSandbox = {"std.out", "std.err"};'
WHO = """\
openssl x509 -in "$X509_USER_PROXY" -noout -subject -ext proxyCertInfo
stat -c %a "$X509_USER_PROXY"
"""
ONCE = """\
if mkdir {mark}; then exit 222; fi
echo second attempt
"""
BY_THE_JOB_API = """\
def hello(job):
    job.setExecutable("/bin/echo", arguments="made by the Job API")
    job.setPriority(5)
"""
LISTING = "cat one.txt two.txt; echo made > made.txt; echo complaint >&2\n"


def jdls(folder: Path) -> dict[str, str]:
    """The jobs of one run by name, with their input files."""
    files = {
        "who.sh": WHO,
        "once.sh": ONCE.format(mark=folder / "was-here"),
        "listing.sh": LISTING,
        "one.txt": "one\n",
        "two.txt": "two\n",
        "env.sh": 'env | sort; nproc; echo "cpus $(taskset -pc $$ | sed s/.*:.//)"\n',
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    inputs = ", ".join(f'"{folder / name}"' for name in ("listing.sh", "one.txt", "two.txt"))
    env = f'Executable = "env.sh"; InputSandbox = {{"{folder / "env.sh"}"}}; {KEPT}'
    who = f'Executable = "who.sh"; InputSandbox = {{"{folder / "who.sh"}"}}; {KEPT}'
    return {
        "plain": f'Executable = "/bin/echo"; Arguments = "hello world"; {KEPT}',
        "two processors": f"{env} NumberOfProcessors = 2;",
        "one to two processors": f"{env} MinNumberOfProcessors = 1; MaxNumberOfProcessors = 2;",
        "whole node": f"{env} WholeNode = True;",
        "tagged": f'{env} Tags = {{"special"}};',
        "tag that nobody offers": f'{env} Tags = {{"nowhere"}};',
        "failing": f'Executable = "/bin/sh"; Arguments = "-c \'exit 3\'"; {KEPT}',
        "missing executable": f'Executable = "not-there.sh"; {KEPT}',
        "killed": f'Executable = "/bin/sleep"; Arguments = "600"; {KEPT}',
        "rescheduled": f'Executable = "once.sh"; InputSandbox = {{"{folder / "once.sh"}"}}; {KEPT}',
        "both sandboxes": f'Executable = "listing.sh"; InputSandbox = {{{inputs}}}; StdOutput = "std.out"; '
        'StdError = "std.err"; OutputSandbox = {"std.out", "std.err", "made*.txt", "never.made"};',
        "first owner": who,
        "second owner": who,
    }


@dataclass(frozen=True)
class Run:
    """What one pilot did.

    Attributes:
        stack: where.
        folder: for downloads.
        jobs: DIRAC's number of each job by its name.
        states: what DIRAC says of each at the end, with history and parameters.
        pilot: DIRAC's record of the pilot.
        exit_code: of the pilot.
        calls: what the servers executed meanwhile.
    """

    stack: Stack
    folder: Path
    jobs: Mapping[str, int]
    states: Mapping[int, Mapping[str, Any]]
    pilot: Mapping[str, Any]
    exit_code: int
    calls: list[dict[str, Any]]

    def of(self, name: str) -> Mapping[str, Any]:
        return self.states[self.jobs[name]]

    def end(self, name: str) -> tuple[str, str]:
        return self.of(name)["Status"], self.of(name)["MinorStatus"]

    def output(self, name: str, who: str = "user") -> dict[str, str]:
        into = self.folder / name.replace(" ", "-")
        files = self.stack.client(who, "output", str(self.jobs[name]), "--into", str(into))
        return {file: (into / file).read_text(encoding="utf-8") for file in files}


def is_final(status: str) -> bool:
    return status in FINAL


@pytest.fixture(scope="session", params=["dips", "https"] if RELEASE == "9.1" else ["dips"])
def run(request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    if RELEASE == "9.1":
        script("publish.sh", request.param)
    script("sweep.sh")
    folder = tmp_path_factory.mktemp(f"matcher-{request.param}")
    reference = uuid.uuid4().hex  # PilotLogging takes nothing else for a stamp
    since = stack.capture_size()
    stack.client("admin", "add-pilot", reference)
    jobs = submitted(stack, jdls(folder)) | by_the_job_api(stack, folder)
    options = ["-y", "Pool", "-t", "special,WholeNode", "--StopAfterFailedMatches", "10000"]
    options += ["-o", f"{AGENT}/HeartBeatPeriod=4"]
    options += [] if IS_DIRAC_8 else ["--pilotLogging", "--loggerURL", stack.logging_url()]
    try:
        with Pilot(stack, folder, reference, *options) as pilot:
            drive(stack, jobs, pilot)
            exit_code = pilot.drain()
        states = stack.status(*jobs.values(), full=True)
        record = stack.client("admin", "pilot", reference)
        yield Run(stack, folder, jobs, states, record, exit_code, stack.captured(since))
    finally:
        stack.client("admin", "delete", *map(str, jobs.values()))  # the next pilot shall not find what still waits


def submitted(stack: Stack, wanted: Mapping[str, str]) -> dict[str, int]:
    with ThreadPoolExecutor(2) as pool:  # each starts a Python with all of DIRAC
        owners = {"second owner": "user2"}
        numbers = pool.map(lambda item: stack.submit(item[1], owners.get(item[0], "user")), wanted.items())
        return {name: found[0] for name, found in zip(wanted, numbers, strict=True)}


def by_the_job_api(stack: Stack, folder: Path) -> dict[str, int]:
    """A job that this DIRAC's own Job API makes: an XML of its workflow, and its own runner for Executable."""
    (folder / "made.py").write_text(BY_THE_JOB_API, encoding="utf-8")
    made = stack.client("user", "submit-api", "--file", str(folder / "made.py"), "--tag", "special")
    return {"by the Job API": made["hello"][0]}


def drive(stack: Stack, jobs: dict[str, int], pilot: Pilot) -> None:
    """Kill one job while it runs, take the servers away under another, wait for the end of all."""
    stack.wait([jobs["killed"]], lambda status: status == "Running", RUN_S, pilot)
    stack.client("user", "kill", str(jobs["killed"]))
    stack.wait([jobs["killed"]], is_final, RUN_S, pilot)
    jobs["through an outage"] = stack.submit(f'Executable = "/bin/sleep"; Arguments = "15"; {KEPT}')[0]
    stack.wait([jobs["through an outage"]], lambda status: status in ("Running", *FINAL), RUN_S, pilot)
    outage(OUTAGE_S)
    waited_for = [job for name, job in jobs.items() if name != "tag that nobody offers"]
    stack.wait(waited_for, is_final, RUN_S, pilot)


DONE = ("Done", "Execution Complete")


def test_a_plain_job_is_done_and_its_output_is_there(run: Run) -> None:
    assert run.end("plain") == DONE
    assert run.output("plain")["std.out"] == "hello world\n"


def test_a_job_passes_through_dirac_s_states_in_order(run: Run) -> None:
    ours = [tuple(row[:2]) for row in run.of("plain")["History"] if row[4].startswith(("Matcher", "Job"))]

    assert ours[-9:] == [
        ("Matched", "Assigned"),
        ("Matched", "Job Received by Agent"),
        ("Matched", "Submitting To CE"),
        ("Running", "Job Initialization"),
        ("Running", "Application"),
        ("Completing", "Application Finished Successfully"),
        ("Completing", "Uploading Output Sandbox"),
        ("Completing", "Output Sandbox Uploaded"),
        ("Done", "Execution Complete"),
    ]


@pytest.mark.parametrize("name", ["two processors", "one to two processors", "whole node"])
def test_every_number_of_processors_is_the_same(run: Run, name: str) -> None:
    lines = run.output(name)["std.out"].splitlines()
    said = dict(line.partition("=")[::2] for line in lines if "=" in line)

    assert run.end(name) == DONE
    assert said["DIRAC_JOB_PROCESSORS"] == said["OMP_NUM_THREADS"] == run.of(name)["Parameters"]["NumberOfProcessors"]
    assert said["DIRAC_WHOLENODE"] == str(name == "whole node")
    if name != "one to two processors":
        assert said["DIRAC_JOB_PROCESSORS"] == "2"


def test_a_job_with_a_tag_that_is_offered_runs(run: Run) -> None:
    assert run.end("tagged") == DONE


def test_a_job_with_a_tag_that_is_not_offered_still_waits(run: Run) -> None:
    assert run.of("tag that nobody offers")["Status"] == "Waiting"


def test_a_failing_job_is_failed_with_its_exit_code_and_its_output(run: Run) -> None:
    assert run.end("failing") == ("Failed", "Application Finished With Errors")
    assert run.of("failing")["ApplicationStatus"] == "Exit code 3"
    assert "std.out" in run.output("failing")


def test_a_missing_executable_is_said(run: Run) -> None:
    assert run.end("missing executable") == ("Failed", "Application not found")


def test_a_job_killed_while_it_runs_is_killed_and_stays_so(run: Run) -> None:
    assert run.end("killed") == ("Killed", "Received Kill signal")


def test_a_payload_that_asks_for_it_is_rescheduled_and_then_done(run: Run) -> None:
    job = run.of("rescheduled")

    assert run.end("rescheduled") == DONE
    assert job["RescheduleCounter"] in (1, "1")
    assert ["Rescheduled", "Going to reschedule job"] in [row[:2] for row in job["History"]]
    assert run.output("rescheduled")["std.out"] == "second attempt\n"


def test_sandboxes_travel_both_ways(run: Run) -> None:
    found = run.output("both sandboxes")

    assert run.end("both sandboxes") == DONE
    assert found == {"std.out": "one\ntwo\n", "std.err": "complaint\n", "made.txt": "made\n"}
    assert run.of("both sandboxes")["Parameters"]["OutputSandboxMissingFiles"] == "never.made"


def test_a_job_of_this_dirac_s_own_job_api_is_done(run: Run) -> None:
    assert run.end("by the Job API") == DONE
    assert "made by the Job API" in "".join(run.output("by the Job API").values())


@pytest.mark.parametrize(("name", "who", "owner"), [("first owner", "user", "Lab User"), ("second owner", "user2", "")])
def test_each_payload_has_the_limited_proxy_of_its_own_owner(run: Run, name: str, who: str, owner: str) -> None:
    text = run.output(name, who)["std.out"]

    assert run.end(name) == DONE
    assert f"CN = {owner or 'Lab User Two'}, CN = " in text
    assert "1.3.6.1.4.1.3536.1.1.1.9" in text
    assert text.splitlines()[-1] == "600"


def test_a_job_that_ends_while_the_servers_are_away_is_done(run: Run) -> None:
    assert run.end("through an outage") == DONE


def test_each_attempt_that_ran_has_one_account(run: Run) -> None:
    records = [record for call in run.calls if call["method"] == "commitRegisters" for record in call["args"][0]]
    ends = sorted(record[3][7] for record in records)

    results = [call["result"] for call in run.calls if call["method"] == "requestJob"]
    assert len(ends) == sum(isinstance(result, dict) and result["OK"] for result in results)
    assert (ends.count("Failed"), ends.count("Killed"), ends.count("Rescheduled")) == (2, 1, 1)


def test_the_pilot_was_running_and_is_done(run: Run) -> None:
    statuses = [call["args"][1] for call in run.calls if call["method"] == "setPilotStatus"]

    assert run.exit_code == 0
    assert run.pilot["Status"] == "Done"
    assert statuses[0] == "Running"


@pytest.mark.skipif(IS_DIRAC_8, reason="DIRAC 8 has no service for it")
def test_the_pilot_s_log_reached_the_server(run: Run) -> None:
    methods = {call["method"] for call in run.calls if call["service"].endswith("PilotLogging")}

    assert methods == {"sendMessage", "finaliseLogs"}


def test_no_call_was_refused_for_what_it_was(run: Run) -> None:
    """Errors of the outage aside: those never reached a service."""
    ours = [call for call in run.calls if call["user"] == "labpilot" and isinstance(call["result"], dict)]
    refused = [(call["method"], call["result"].get("Message")) for call in ours if call["result"].get("OK") is False]

    assert {method for method, _ in refused} <= {"requestJob", "getPilotInfo"}


def test_a_pilot_with_a_host_certificate_runs_jobs(stack: Stack, tmp_path: Path) -> None:
    (job,) = stack.submit(f'Executable = "/bin/hostname"; {KEPT}')
    reference = uuid.uuid4().hex  # PilotLogging takes nothing else for a stamp

    with Pilot(stack, tmp_path, reference, "--StopAfterFailedMatches", "10000", by_host=True) as pilot:
        stack.wait([job], is_final, RUN_S, pilot)
        assert pilot.drain() == 0

    attributes = stack.status(job)[job]
    assert (attributes["Status"], attributes["MinorStatus"]) == DONE
    assert stack.client("user", "output", str(job), "--into", str(tmp_path / "out"))


def test_operations_are_read_in_this_dirac_s_order(stack: Stack, tmp_path: Path) -> None:
    """Pilot and agent are held to the same table by tests/unit/test_operations_order.py."""
    cases = {f"{at}.cfg": case for at, case in enumerate(CASES) if case.has_setups == IS_DIRAC_8 and case.vo}
    for name, case in cases.items():
        (tmp_path / name).write_text(text_of(case), encoding="utf-8")
    files = [str(tmp_path / name) for name in cases]

    said = stack.client("user", "operations", "Order/option", *files, "--vo", VO, "--setup", "Lab")

    assert said == {name: case.expected for name, case in cases.items()}


@pytest.mark.skipif(RELEASE != "9.1", reason="the contract is that of DIRAC 9.1")
def test_the_embedded_wms_keeps_the_contract_of_the_real_one(stack: Stack) -> None:
    """The cases that `make contract` runs on the embedded WMS hold here too, so that it cannot drift from the truth."""
    argv = [sys.executable, "-m", "pytest", "-q", "--tb=short", str(ROOT / "tests" / "contract")]
    environment = {**os.environ, "GRIDPILOT_CONTRACT_ENDPOINT": str(home() / "endpoint.json")}
    script("sweep.sh")

    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stdout[-4000:]
