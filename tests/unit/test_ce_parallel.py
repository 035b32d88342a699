"""`gridpilot ce test --at-once`: verdicts of checks that run at the same time."""

import json
import os
from pathlib import Path

import pytest

from ce_backends.__main__ import main
from ce_backends.conformance import checks
from ce_backends.conformance.parallel import Trials
from ce_backends.conformance.subject import Subject
from tests.waiting import PATIENCE_S


def trials(scratch: Path) -> Trials:
    options = {"BatchSystem": "Host", "StatusInterval": 0.1, "SharedArea": f"{scratch}/area"}
    return Trials(ce_type="Local", options=options, scratch=scratch, deadline_s=PATIENCE_S)


def first_to_come(subject: Subject) -> None:
    """Can only be kept while the other one runs."""
    (subject.scratch.parent / "first").touch()
    subject.until((subject.scratch.parent / "second").exists, "the other check")


def second_to_come(subject: Subject) -> None:
    """The other one."""
    subject.until((subject.scratch.parent / "first").exists, "the first check")
    (subject.scratch.parent / "second").touch()


def never_kept(subject: Subject) -> None:
    """Nobody keeps it."""
    raise AssertionError(f"not with a deadline of {subject.deadline_s:g} s")


def test_checks_run_at_the_same_time_and_are_told_in_their_order(tmp_path: Path) -> None:
    results = list(trials(tmp_path).run([first_to_come, never_kept, second_to_come], 3))

    never = f"not with a deadline of {PATIENCE_S:g} s"
    expected = [("first to come", ""), ("never kept", never), ("second to come", "")]
    assert [(result.check, result.problem) for result in results] == expected


def test_each_check_has_its_own_state(tmp_path: Path) -> None:
    kept = [checks.output_and_exit_code_come_back, checks.several_tasks_keep_apart]

    results = list(trials(tmp_path).run(kept, 2))

    assert [result.problem for result in results] == ["", ""]
    assert {path.name for path in (tmp_path / "states").iterdir()} == {check.__name__ for check in kept}


def test_command_line_runs_clauses_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    area, work = f"SharedArea={tmp_path}/area", str(tmp_path / "work")
    host = ["Local", "-o", "BatchSystem=Host", "-o", "StatusInterval=0.1", "-o", area, "--work-dir", work]

    code = main(["test", *host, "--quick", "--at-once", "2", "--json"])

    assert (code, [result["passed"] for result in json.loads(capsys.readouterr().out)["results"]]) == (0, [True, True])


@pytest.mark.parametrize("wrong", ["0", "-1", "two"])
def test_number_of_clauses_at_once_is_one_or_more(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["test", "Local", f"--at-once={wrong}"])

    assert f"'{wrong}': expected a whole number, 1 to 1000" in capsys.readouterr().err


def dies(_: Subject) -> None:
    """As a CE does whose library ends the process."""
    os._exit(3)


def test_a_check_that_ends_its_process_is_a_broken_clause(tmp_path: Path) -> None:
    (result,) = trials(tmp_path).run([dies], 2)

    assert (result.passed, result.problem) == (
        False,
        "the CE, or what it has started, ended the process of the suite",
    )
