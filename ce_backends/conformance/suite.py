"""The suite every backend passes, ours and those of others: `python -m ce_backends test TYPE`, or from pytest.

@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_my_ce_conforms(check: Check, tmp_path: Path) -> None:
    check(Subject(lambda: MyCE(tmp_path / "state"), tmp_path, deadline_s=30))
"""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ce_backends.base import Admits
from ce_backends.conformance import checks, concurrency, grants, keeping, limits
from ce_backends.conformance.subject import NotTried, Subject, offers, open_to_tasks
from ce_backends.errors import CEError

CONTRACT_VERSION = "4"
"""Of `ce_backends.base`: raised when a method or an outcome is added or changes its meaning."""
SUITE_VERSION = "4"
"""Of the clauses: raised when one is added, or demands more."""

Check = Callable[[Subject], None]

CHECKS: Sequence[Check] = (
    checks.output_and_exit_code_come_back,
    checks.missing_command_is_exit_code_127,
    checks.output_may_hold_any_byte,
    checks.inputs_arrive,
    checks.outputs_come_back_by_pattern,
    checks.outputs_never_lead_out_of_the_work_directory,
    checks.fetch_gives_the_same_names_everywhere,
    checks.environment_is_exactly_the_tasks,
    checks.environment_values_survive_quoting,
    checks.bad_variable_name_is_refused_in_a_sentence,
    checks.several_tasks_keep_apart,
    checks.poll_answers_exactly_what_was_asked,
    checks.same_stamp_runs_once,
    checks.new_object_finds_a_running_task,
    checks.new_object_tells_an_ended_task,
    checks.cancel_ends_the_whole_tree,
    checks.cancel_ends_what_ignores_sigterm,
    checks.cancel_of_an_ended_or_unknown_task_is_no_error,
    checks.end_of_a_task_ends_its_daemons,
    checks.others_processes_are_never_touched,
    checks.clean_forgets_the_task,
    limits.many_at_once_are_told_apart,
    limits.exit_codes_from_0_to_255_come_back,
    limits.end_by_a_signal_is_told,
    limits.large_output_comes_back,
    limits.names_may_hold_any_letter,
    limits.processors_are_held,
    grants.credential_is_delivered,
    grants.secrets_are_delivered_and_stay,
    grants.processor_ids_are_kept,
    grants.gpus_are_the_tasks_alone,
    grants.image_is_used_or_refused,
    grants.wall_limit_ends_a_task,
    grants.memory_limit_ends_a_task,
    grants.cpu_limit_ends_a_task,
    grants.disk_limit_ends_a_task,
    grants.usage_is_true,
    keeping.files_come_back_whole,
    keeping.executable_files_stay_executable,
    keeping.one_bad_task_spares_the_others,
    keeping.calls_return_while_a_task_runs,
    keeping.running_task_shows_its_output,
    keeping.look_leads_out_of_no_work_directory,
    keeping.ended_tasks_are_found_until_cleaned,
    keeping.fetch_gives_the_same_again,
    keeping.clean_leaves_no_files,
    keeping.work_directory_that_cannot_be_made_is_told,
    keeping.full_work_directory_harms_no_other_task,
    keeping.two_objects_keep_apart,
    limits.unknown_ids_are_no_error_and_no_end,
    limits.lost_answer_is_found_by_stamp,
    concurrency.stamp_submitted_again_at_its_end_loses_nothing,
    concurrency.calls_from_several_threads_keep_apart,
)

QUICK = ("output_and_exit_code_come_back", "cancel_ends_the_whole_tree")
"""Enough to see that a CE works at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one check went.

    Attributes:
        check: its name in words.
        passed: whether the CE did what it must, or says itself that it does not.
        problem: one sentence if not.
        unkept: why the CE does not keep this clause, in its own words, or why it was not tried; empty if it is kept.
        wall_s: how long it took.
    """

    check: str
    passed: bool
    problem: str
    unkept: str
    wall_s: float


def run(subject: Subject, all_checks: Sequence[Check] = CHECKS) -> Iterator[Result]:
    """Run the checks one after the other, each in a directory of its own, and tell of each as it ends.

    Whatever a CE raises, and however long a call takes, is a broken clause and no end of the suite.
    """
    unkept = _unkept(subject)
    for check in all_checks:
        scratch = subject.scratch / check.__name__
        scratch.mkdir(parents=True)
        own = replace(subject, scratch=open_to_tasks(scratch))
        yield _run_one(check, own, unkept.get(check.__name__, ""))


def _unkept(subject: Subject) -> Mapping[str, str]:
    """Return what the CE says that it does not keep; nothing where it cannot even say that: each clause will tell."""
    with suppress(Exception), subject.object() as ce:
        return dict(getattr(ce, "unkept", {})) if offers(ce, Admits) else {}
    return {}


def broken(check: Check, problem: str) -> Result:
    """Return that a check could not even be run to its end."""
    return Result(check=_words(check), passed=False, problem=problem, unkept="", wall_s=0.0)


def _words(check: Check) -> str:
    return check.__name__.replace("_", " ")


def _run_one(check: Check, subject: Subject, unkept: str) -> Result:
    began_s, problem = time.monotonic(), ""
    try:
        problem = "" if unkept else _problem(check, subject)
    except NotTried as why:
        unkept = f"not tried: {why}"
    wall_s = time.monotonic() - began_s
    return Result(check=_words(check), passed=not problem, problem=problem, unkept=unkept, wall_s=wall_s)


def _problem(check: Check, subject: Subject) -> str:
    """Return how a check failed in a sentence, empty if it did not; for what nobody expects, with its traceback."""
    try:
        check(subject)
    except (KeyboardInterrupt, NotTried):
        raise
    except AssertionError as error:
        return str(error) or "an assertion failed"
    except (CEError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    except BaseException as error:  # noqa: BLE001 # also SystemExit: the CE is to be judged, not to be believed
        return f"{type(error).__name__}: {error}{_kept_aside(subject.scratch)}"
    return ""


def _kept_aside(scratch: Path) -> str:
    path = scratch / "traceback.txt"
    with suppress(OSError):
        path.write_text(traceback.format_exc(), encoding="utf-8", errors="backslashreplace")
        return f"; see {path}"
    return ""
