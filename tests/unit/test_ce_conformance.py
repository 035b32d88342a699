"""The conformance suite on every backend, and on backends that are wrong."""

import os
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ce_backends import conformance_bounds as bounds
from ce_backends import conformance_checks as checks
from ce_backends.base import Submission, TaskSpec, TaskState, TaskStatus
from ce_backends.conformance import CHECKS, Check, run
from ce_backends.options import OptionValue
from ce_backends.pool import Pool
from ce_backends.registry import create
from ce_backends.subject import Subject

DEADLINE_S = 20
PLUGIN = Path(__file__).parents[1] / "plugins/echo_ce"
BACKENDS: dict[str, tuple[str, dict[str, OptionValue]]] = {
    "Pool": ("Pool", {"NumberOfProcessors": 4, "KillGraceTime": 0.1}),
    "Pool without control groups": (
        "Pool",
        {"NumberOfProcessors": 4, "KillGraceTime": 0.1, "Containment": "SESSION"},
    ),
    "InProcess": ("InProcess", {"NumberOfProcessors": 4, "KillGraceTime": 0.1}),
    "a plug-in": ("Echo", {}),
    "Host": ("Local", {"BatchSystem": "Host", "MaxTotalJobs": 4, "StatusInterval": 0.1, "SharedArea": "$SCRATCH/area"}),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_backend_conforms(check: Check, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    ce_type, options = BACKENDS[backend]

    (result,) = run(Subject(lambda: create(ce_type, options, tmp_path / "state"), tmp_path, DEADLINE_S), [check])

    if result.unkept:
        pytest.skip(f"{backend} does not keep this clause: {result.unkept}")
    assert result.problem == ""


def test_every_check_is_in_the_suite() -> None:
    written = {
        name
        for module in (checks, bounds)
        for name, check in vars(module).items()
        if callable(check) and check.__module__ == module.__name__
    }

    assert {check.__name__ for check in CHECKS} == {name for name in written if not name.startswith("_")}


class Careless(Pool):
    """A pool with one fault."""

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        answers = super().poll(task_ids)
        return {
            task_id: replace(status, state=TaskState.DONE) if status.state is TaskState.UNKNOWN else status
            for task_id, status in answers.items()
        }


class Leaky(Pool):
    """A pool with another one."""

    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        return super().submit([replace(task, environment={**task.environment, "LEAK": "1"}) for task in tasks])


@pytest.mark.parametrize(
    ("kind", "check", "seen"),
    [
        (Careless, checks.poll_answers_exactly_what_was_asked, "an unknown task is TaskStatus(state=<TaskState.DONE"),
        (Leaky, checks.environment_is_exactly_the_tasks, "variables that nobody asked for: ['LEAK']"),
    ],
)
def test_fault_of_a_backend_is_told_in_a_sentence(
    kind: Callable[..., Pool], check: Check, seen: str, tmp_path: Path
) -> None:
    subject = Subject(lambda: kind(tmp_path / "state", processors=1), tmp_path, DEADLINE_S)

    (result,) = run(subject, [check])

    assert not result.passed
    assert result.problem.startswith(seen)


def test_step_that_takes_too_long_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"something: not within 0\.05 s"):
        Subject(lambda: Pool(tmp_path, processors=1), tmp_path, 0.05).until(lambda: False, "something")


def test_suite_is_one_command_of_pytest_for_anybodys_backend(tmp_path: Path) -> None:
    suite = ["-m", "pytest", "-q", "-p", "ce_backends.pytest_plugin", "--pyargs", "ce_backends.conformance_suite"]
    only = ["--ce", "Echo", "--ce-option", "MaxTotalJobs=1", "-k", "exit_code or memory", "-rs"]

    done = subprocess.run(
        [sys.executable, *suite, *only, "-p", "no:cacheprovider"],
        env={**os.environ, "PYTHONPATH": f"{PLUGIN.parents[2]}:{PLUGIN}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=tmp_path,
        check=False,
        text=True,
        capture_output=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed, 1 skipped" in done.stdout
    assert "not kept here: an example keeps no limits" in done.stdout
