"""Jobs made and submitted by DIRAC's own Job API, run by our pilot without DIRAC, read back by DIRAC's client."""

import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.dirac_stack import FINAL, ROOT, Pilot, Stack, script

RUN_S = 240.0
TAG = "jobapi"  # other pilots on this DIRAC do not offer it
CAPTURES = ROOT / "tests/captures/job_api"
CAPTURED = (
    "plain",
    "arguments_and_log",
    "local_script",
    "several_steps",
    "parametric_arguments",
    "parametric_workflow",
    "environment",
    "environment_of_old_names",
    "named",
)
MORE = """
def failing(j):
    j.setExecutable("/bin/sh", arguments="-c 'echo one; exit 3'", logFile="one.log")
    j.setExecutable("/bin/sh", arguments="-c 'echo two; exit 5'", logFile="two.log")


def missing(j):
    j.setExecutable("nosuch.sh")


def speaking(j):
    j.setExecutable("slow.sh")


def of_a_vo(j):
    from DIRAC.Core.Workflow.Module import ModuleDefinition
    from DIRAC.Core.Workflow.Step import StepDefinition

    module, step = ModuleDefinition("Greeting"), StepDefinition("GreetingStep")
    module.setBody("from greeting import Greeting\\n")
    step.addModule(module)
    step.createModuleInstance("Greeting", "Greeting")
    j.workflow.addStep(step)
    j.workflow.createStepInstance("GreetingStep", "RunGreeting")
    j.setInputSandbox(["greeting.py"])
"""
GREETING = """
import os

from DIRAC import S_OK
from DIRAC.Workflow.Modules.ModuleBase import ModuleBase


class Greeting(ModuleBase):
    def execute(self):
        print("greetings from a module of a VO")
        self.jobID = int(os.environ["JOBID"])
        self.jobReport = self._getJobReporter()
        self.setApplicationStatus("greetings sent")
        return S_OK()
"""
HELLO = "<<<<<<<<<< job.sh Standard Output >>>>>>>>>>\n\nhello from job.sh{}\n "
ECHO = "<<<<<<<<<< echo Standard Output >>>>>>>>>>\n\n{}\n "
LOGS: Mapping[str, tuple[Mapping[str, str], ...]] = {  # of each part of a job
    "plain": ({"Script1_echo.log": ECHO.format("")},),
    "arguments_and_log": ({"hello.log": ECHO.format("hello world -x two words")},),
    "local_script": ({"Script1_job.sh.log": HELLO.format(" 42")},),
    "several_steps": (
        {
            "Script1_echo.log": ECHO.format("first"),
            "Script2_job.sh.log": HELLO.format(" second"),
            "third.log": "<<<<<<<<<< analysis.py Standard Output >>>>>>>>>>\n\nanalysis ['third']\n ",
        },
    ),
    "parametric_arguments": tuple(
        {"Script1_job.sh.log": HELLO.format(f" --seed {seed} --name {name}")}
        for seed, name in ((1, "a"), (2, "b"), (3, "c"))
    ),
    "parametric_workflow": tuple({"Script1_job.sh.log": HELLO.format(f" {word}")} for word in ("one", "two")),
    "environment_of_old_names": ({"Script1_job.sh.log": HELLO.format("")},),
    "named": ({"Script1_job.sh.log": HELLO.format(" <a> & b c $HOME n")},),
}


@dataclass(frozen=True)
class Run:
    """What one pilot did: jobs by name, and what DIRAC says of them at the end."""

    stack: Stack
    folder: Path
    jobs: Mapping[str, list[int]]
    states: Mapping[int, Mapping[str, Any]]
    said: str

    def of(self, name: str) -> list[Mapping[str, Any]]:
        return [self.states[job] for job in self.jobs[name]]

    def output(self, job: int) -> dict[str, str]:
        into = self.folder / f"output-{job}"
        files = self.stack.client("user", "output", str(job), "--into", str(into))
        return {file: (into / file).read_text(encoding="utf-8") for file in files}


def files_of_jobs(folder: Path) -> Path:
    """Lay out what the jobs name; return the file that makes them."""
    for name in ("job.sh", "analysis.py", "notes.txt"):
        shutil.copy(CAPTURES / name, folder)
    (folder / "greeting.py").write_text(GREETING, encoding="utf-8")
    (folder / "slow.sh").write_text("#!/bin/sh\necho begun\nsleep 10\n", encoding="utf-8")
    (folder / "myvo.cfg").touch()
    cases = [(CAPTURES / f"{name}.py").read_text(encoding="utf-8") for name in CAPTURED]
    file = folder / "cases.py"
    file.write_text("\n\n".join([*cases, MORE]), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def run(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    script("sweep.sh")
    folder, reference = tmp_path_factory.mktemp("job-api"), uuid.uuid4().hex
    stack.client("admin", "add-pilot", reference)
    jobs = stack.client("user", "submit-api", "--file", str(files_of_jobs(folder)), "--tag", TAG)
    every = [job for numbers in jobs.values() for job in numbers]
    (of_a_vo,) = jobs["of_a_vo"]
    agent = "/Systems/WorkloadManagement/Agents/JobAgent"
    options = ["-y", "Pool", "-t", TAG, "--requiredTag", TAG, "--StopAfterFailedMatches", "10000"]
    options += ["-o", f"{agent}/HeartBeatPeriod=3"]
    try:
        with Pilot(stack, folder, reference, *options) as pilot:
            stack.wait([job for job in every if job != of_a_vo], lambda status: status in FINAL, RUN_S, pilot)
            stack.wait(
                [of_a_vo], lambda status: status in ("Rescheduled", "Received", "Checking", "Waiting"), 60, pilot
            )
            pilot.drain()
        yield Run(stack, folder, jobs, stack.status(*every, full=True), pilot.said())
    finally:
        stack.client("admin", "delete", *map(str, every))


@pytest.mark.parametrize("name", CAPTURED)
def test_a_captured_job_is_done_without_any_dirac_on_the_node(run: Run, name: str) -> None:
    for state in run.of(name):
        assert (state["Status"], state["MinorStatus"]) == ("Done", "Execution Complete"), state["History"]
        assert state["ApplicationStatus"].endswith(" successful")
        assert state["Parameters"]["ExitCode"] == "0"
        assert state["Parameters"]["WorkflowRunner"].startswith("gridpilot's own")


@pytest.mark.parametrize("name", LOGS)
def test_its_logs_are_those_of_dirac(run: Run, name: str) -> None:
    for job, logs in zip(sorted(run.jobs[name]), LOGS[name], strict=True):
        found = run.output(job)
        assert {log: found.get(log) for log in logs} == logs
        assert "Application status: " in found["std.out"]


def test_a_failure_is_told_in_dirac_s_words(run: Run) -> None:
    ((failing,), (missing,)) = run.of("failing"), run.of("missing")

    assert (failing["Status"], failing["MinorStatus"]) == ("Failed", "Application Finished With Errors")
    assert (failing["ApplicationStatus"], failing["Parameters"]["ExitCode"]) == ("sh Exited With Status 3", "3")
    assert "two.log" not in run.output(run.jobs["failing"][0])
    assert missing["ApplicationStatus"] == "nosuch.sh Exited With Status 1000"


def test_its_step_is_told_while_it_runs(run: Run) -> None:
    (state,) = run.of("speaking")

    assert ["Running", "Application", "Executing RunScriptStep1"] in [list(row[:3]) for row in state["History"]]


def test_a_job_with_modules_of_a_vo_is_handed_back_before_it_runs(run: Run) -> None:
    (state,) = run.of("of_a_vo")
    history = [tuple(row[:3]) for row in state["History"]]

    (said,) = [words for status, minor, words in history if status == "Rescheduled" and minor.startswith("Job needs")]
    assert said.startswith(
        "No DIRAC client here, which the job needs for from greeting import Greeting "
        "(looked for dirac-jobexec on the PATH, /cvmfs/"
    )
    assert ("Running", "Application") not in [row[:2] for row in history]
    assert "workflows.no_client" in run.said


def test_a_job_with_modules_of_a_vo_runs_with_the_client_that_the_pilot_was_told_of(
    stack: Stack, tmp_path: Path
) -> None:
    script("sweep.sh")
    reference = uuid.uuid4().hex
    stack.client("admin", "add-pilot", reference)
    files_of_jobs(tmp_path)
    (tmp_path / "cases.py").write_text(MORE[MORE.index("def of_a_vo") :], encoding="utf-8")
    ((job,),) = stack.client("user", "submit-api", "--file", str(tmp_path / "cases.py"), "--tag", TAG).values()
    environment = {**stack.endpoint["dirac_env"], "PATH": f"{Path(stack.endpoint['dirac_python']).parent}:$PATH"}
    del environment["X509_USER_PROXY"], environment["DIRACSYSCONFIG"]  # the payload has its own
    rc = tmp_path / "diracosrc"
    rc.write_text("".join(f'export {name}="{text}"\n' for name, text in environment.items()), encoding="utf-8")
    options = ["-y", "Pool", "-t", TAG, "--requiredTag", TAG, "--StopAfterFailedMatches", "10000"]
    try:
        with Pilot(stack, tmp_path, reference, *options, "--preinstalledEnv", str(rc)) as pilot:
            stack.wait([job], lambda status: status in FINAL, RUN_S, pilot)
            pilot.drain()
        state = stack.status(job, full=True)[job]
        into = tmp_path / "output"
        stack.client("user", "output", str(job), "--into", str(into))
    finally:
        stack.client("admin", "delete", str(job))

    said = (into / "std.out").read_text(encoding="utf-8")
    assert state["Status"] == "Done", said
    assert "greetings from a module of a VO" in said
    assert state["ApplicationStatus"] == "greetings sent"
    assert state["Parameters"]["WorkflowRunner"] == f"DIRAC client, {rc}"
