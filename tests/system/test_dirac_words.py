"""What our agent tells the WMS of a job, beside what the JobAgent and the JobWrapper of the same DIRAC tell of it."""

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bench.dirac_contestants import Contestant, dirac, gridpilot, with_token
from tests.system.dirac_stack import FINAL, IS_JOINED, Stack, script

RUN_S, END_S = 600.0, 30.0
KEPT = (
    'Priority = 5; CPUTime = 300; StdOutput = "std.out"; StdError = "std.err"; OutputSandbox = {"std.out", "std.err"};'
)
NAMES = ("failing", "sandboxes")
# what DIRAC's agent says on the way although it does nothing: there is no software to install
THEIRS_ONLY = ("Matched", "Installing Software")
SAME_PARAMETERS = ("CPUNormalizationFactor", "HostName", "Pilot_Reference")
SAME_IF_TOLD_IN_TIME = ("CEQueue", "GridCE")  # which DIRAC's agent may tell after the job's end


def jdls(folder: Path) -> dict[str, str]:
    """The jobs by name: each ends in another way."""
    (folder / "said.sh").write_text("echo said\necho complained >&2\n", encoding="utf-8")
    return {
        "failing": f'Executable = "/bin/sh"; Arguments = "-c \'exit 3\'"; {KEPT}',
        "sandboxes": f'Executable = "said.sh"; InputSandbox = {{"{folder / "said.sh"}"}}; {KEPT}',
    }


@dataclass(frozen=True)
class Told:
    """What DIRAC holds of each job by its name, once by its own agent's word and once by ours."""

    theirs: Mapping[str, Mapping[str, Any]]
    ours: Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def told(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Told:
    script("sweep.sh")
    found = []
    for start in (dirac, gridpilot):
        folder = tmp_path_factory.mktemp(start.__name__)
        contestant = start(stack, folder)
        if IS_JOINED:  # DIRAC's agent reports to DiracX with the token in its proxy file
            contestant = replace(contestant, environment=with_token(stack, contestant.environment, folder))
        found.append(run(stack, contestant, folder))
    return Told(*found)


def run(stack: Stack, agent: Contestant, folder: Path) -> dict[str, Mapping[str, Any]]:
    """Let an agent run the jobs; what DIRAC holds of them at the end."""
    jobs = {name: stack.submit(jdl)[0] for name, jdl in jdls(folder).items()}
    try:
        with (folder / "agent.out").open("wb") as out:
            process = subprocess.Popen(
                agent.argv, cwd=folder, env=agent.environment, stdout=out, stderr=subprocess.STDOUT
            )
        try:
            stack.wait(list(jobs.values()), lambda status: status in FINAL, RUN_S)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        states = stack.status(*jobs.values(), full=True)
        return {name: states[job] for name, job in jobs.items()}
    finally:
        stack.client("admin", "delete", *map(str, jobs.values()))


def words(job: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Status and minor status of each step that an agent told, as the WMS has them."""
    told = [(row[0], row[1]) for row in job["History"] if row[4].startswith(("JobAgent", "JobWrapper"))]
    return [step for step in told if step != THEIRS_ONLY]


@pytest.mark.parametrize("name", NAMES)
def test_each_step_is_told_in_this_dirac_s_words_and_order(told: Told, name: str) -> None:
    assert len(words(told.theirs[name])) > 5
    assert words(told.ours[name]) == words(told.theirs[name])


@pytest.mark.parametrize("name", NAMES)
def test_the_job_ends_in_the_same_status(told: Told, name: str) -> None:
    theirs, ours = told.theirs[name], told.ours[name]

    assert (ours["Status"], ours["MinorStatus"]) == (theirs["Status"], theirs["MinorStatus"])


@pytest.mark.parametrize("name", NAMES)
def test_parameters_of_the_same_name_have_the_same_value(told: Told, name: str) -> None:
    theirs, ours = told.theirs[name]["Parameters"], told.ours[name]["Parameters"]

    shared = [*SAME_PARAMETERS, *(key for key in SAME_IF_TOLD_IN_TIME if key in theirs)]
    assert {key: plain(ours[key]) for key in shared} == {key: plain(theirs[key]) for key in shared}


def plain(value: object) -> float | str:
    """What a parameter says: DIRAC 9's agent sends numbers as numbers, DIRAC 8's and ours as texts."""
    try:
        return float(str(value))
    except ValueError:
        return str(value)
