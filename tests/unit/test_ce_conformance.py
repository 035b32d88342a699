"""The conformance suite on every backend, and on backends that are wrong."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from types import FunctionType

import pytest

from ce_backends.base import ComputingElement, Submission, TaskSpec, TaskState, TaskStatus
from ce_backends.conformance import checks, concurrency, grants, keeping, limits
from ce_backends.conformance.subject import Subject
from ce_backends.conformance.suite import CHECKS, Check, run
from ce_backends.options import OptionValue
from ce_backends.pool.ce import Pool
from ce_backends.pool.monitor import Bounds
from ce_backends.pool.options import PoolSettings, bounds_of
from ce_backends.registry import create
from tests.waiting import PATIENCE_S

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


def looks_often(settings: PoolSettings) -> Bounds:
    """Let a pool look at its tasks each second: one over its limit need not compute for ten seconds beside others."""
    return replace(bounds_of(settings), processes_s=1.0, disk_s=1.0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_backend_conforms(check: Check, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    monkeypatch.setattr("ce_backends.pool.ce.bounds_of", looks_often)
    ce_type, options = BACKENDS[backend]

    def created(state: Path) -> ComputingElement:
        return create(ce_type, options, state)

    (result,) = run(Subject(lambda: created(tmp_path / "state"), tmp_path, PATIENCE_S, create_at=created), [check])

    if result.unkept:
        pytest.skip(f"{backend} does not keep this clause: {result.unkept}")
    assert result.problem == ""


def test_every_check_is_in_the_suite() -> None:
    written = {
        name
        for module in (checks, limits, grants, keeping, concurrency)
        for name, check in vars(module).items()
        if isinstance(check, FunctionType) and check.__module__ == module.__name__
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
    subject = Subject(lambda: kind(tmp_path / "state", processors=1), tmp_path, PATIENCE_S)

    (result,) = run(subject, [check])

    assert not result.passed
    assert result.problem.startswith(seen)


class Hanging(Pool):
    """A pool whose poll never returns, and which catches everything."""

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        while task_ids:
            try:
                time.sleep(1000)
            except Exception:  # noqa: BLE001 # a fault of this CE
                continue
        return {}


class Raising(Pool):
    """A pool that raises what nobody expects of it."""

    raised: BaseException = KeyError("no such field")

    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        raise self.raised


class Leaving(Raising):
    """A pool that ends the program."""

    raised = SystemExit(3)


class Unmade(Pool):
    """A pool that cannot even be made."""

    def __init__(self, *_: object, **__: object) -> None:
        raise ZeroDivisionError("in its constructor")


class Forgetful(Pool):
    """A pool that forgets a task for an instant when it ends, so that a stamp submitted again is another task."""

    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        over = [task.stamp for task in tasks if self._tasks.status(task.stamp).state.is_final]
        self.clean(over)
        return super().submit(tasks)


class Unguarded(Pool):
    """A pool whose fetch goes through one file for all."""

    def fetch(self, task_id: str, into: Path) -> None:
        super().fetch(task_id, into)
        shared = self._work_dir.parent / "shared"
        shared.write_bytes((into / "stdout").read_bytes())
        time.sleep(0.01)
        (into / "stdout").write_bytes(shared.read_bytes())


@pytest.mark.parametrize(
    ("kind", "check", "seen"),
    [
        (Hanging, checks.output_and_exit_code_come_back, "TookTooLong: poll did not return within 0.5 s"),
        (Raising, checks.output_and_exit_code_come_back, "KeyError: 'no such field'; see "),
        (Leaving, checks.output_and_exit_code_come_back, "SystemExit: 3; see "),
        (Unmade, checks.output_and_exit_code_come_back, "ZeroDivisionError: in its constructor; see "),
        (Forgetful, concurrency.stamp_submitted_again_at_its_end_loses_nothing, ""),
        (Unguarded, concurrency.calls_from_several_threads_keep_apart, "while other threads called, stdout of task"),
    ],
)
def test_no_fault_of_a_backend_ends_the_suite(kind: type[Pool], check: Check, seen: str, tmp_path: Path) -> None:
    deadline_s = 0.5 if kind is Hanging else 2
    subject = Subject(lambda: kind(tmp_path / "state", processors=4, grace_s=0.1), tmp_path, deadline_s)

    first, second = run(subject, [check, limits.names_may_hold_any_letter])

    assert not first.passed
    assert first.problem.startswith(seen)
    assert second.check == "names may hold any letter"
    if "; see " in first.problem:
        assert "Traceback" in Path(first.problem.partition("; see ")[2]).read_text()


def test_step_that_takes_too_long_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"something: not within 0\.05 s"):
        Subject(lambda: Pool(tmp_path, processors=1), tmp_path, 0.05).until(lambda: False, "something")


def test_suite_is_one_command_of_pytest_for_anybodys_backend(tmp_path: Path) -> None:
    suite = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "ce_backends.cli.pytest_plugin",
        "--pyargs",
        "ce_backends.conformance.test_suite",
    ]
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
