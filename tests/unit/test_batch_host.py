"""A plain host as a batch system: which answers of its shell are an answer, and what they mean."""

from collections.abc import Collection
from typing import Any

import pytest

from ce_backends.base import Accepted, Submission, TaskState, Uncertain
from ce_backends.batch.system import BatchJob
from ce_backends.batch.transport import Done
from ce_backends.errors import CEError, CEUnavailable
from tests.unit.answering import Answering
from tests.unit.batch_systems import batch_system

JOB = BatchJob(name="a" * 32, size=1, script="/s/x", log="/s/log", processors=1, memory_mb=0, gpus=0, wall_s=0)


def host(code: int | None, out: str, err: str = "") -> tuple[Any, Answering]:
    return batch_system("Host", {"/bin/sh": Done(code, out, err)})


def without_script(transport: Answering) -> Collection[list[str]]:
    return [[*argv[:2], *argv[3:]] for argv in transport.commands]


@pytest.mark.parametrize(
    ("code", "out", "answer"),
    [
        (0, "123.456.0f-a9\n", Accepted(f"{'a' * 32}.123.456.0f-a9")),
        (0, "welcome\n123.456.0f-a9\n", Accepted(f"{'a' * 32}.123.456.0f-a9")),
        (0, "123.456.0f-a9\nbye\n", Uncertain(f"start of {'a' * 32} answered '123.456.0f-a9\\nbye\\n'")),
        (0, "", Uncertain(f"start of {'a' * 32} answered ''")),
    ],
)
def test_a_start_answers_with_pid_start_and_boot(code: int, out: str, answer: Submission) -> None:
    system, transport = host(code, out)

    assert system.submit(JOB) == answer
    assert without_script(transport) == [["/bin/sh", "-c", "sh", "/s/x", "/s/log"]]


def test_a_start_without_an_end_is_uncertain_one_that_failed_did_not_happen() -> None:
    silent, _ = host(None, "")
    without, _ = host(3, "", "there is no setsid\n")

    assert isinstance(silent.submit(JOB), Uncertain)
    with pytest.raises(CEUnavailable, match=f"start of {'a' * 32}: .*there is no setsid"):
        without.submit(JOB)


def test_who_is_not_seen_in_a_whole_answer_has_ended() -> None:
    system, transport = host(0, "7.1.2.ab\nthat is all\n")

    states = system.states(["7.1.2.ab", "8.1.2.ab"])

    assert [(states[each].state, states[each].native) for each in ("7.1.2.ab", "8.1.2.ab")] == [
        (TaskState.RUNNING, "running"),
        (TaskState.DONE, "gone"),
    ]
    assert without_script(transport) == [["/bin/sh", "-c", "sh", "GRIDPILOT_TASK"]]


@pytest.mark.parametrize(
    ("code", "out"), [(0, ""), (0, "7.1.2.ab\n"), (1, "that is all\n"), (None, "that is all\n"), (0, "that is all")]
)
def test_an_answer_that_is_cut_ends_nobody(code: int | None, out: str) -> None:
    system, _ = host(code, out, "oops\n" if code else "")

    with pytest.raises(CEError, match="the processes of a host that is not there cannot be seen"):
        system.states(["7.1.2.ab"])


def test_tasks_are_ended_by_their_stamps_after_five_seconds_of_grace() -> None:
    system, transport = host(0, "")

    system.cancel(["7.1.2.ab"])

    assert without_script(transport) == [["/bin/sh", "-c", "sh", "GRIDPILOT_TASK", "5"]]
    assert transport.read == [b"7\n"]


@pytest.mark.parametrize("code", [1, None])
def test_an_end_that_could_not_be_sent_is_said(code: int | None) -> None:
    system, _ = host(code, "", "oops\n")

    with pytest.raises(CEError, match="processes cannot be ended on a host that is not there"):
        system.cancel(["7.1.2.ab"])


def test_a_start_that_may_have_happened_is_found_by_its_name() -> None:
    system, _ = host(0, "")

    assert system.find(["a", "b"]) == {"a": "a...", "b": "b..."}
    assert system.element("7.1.2.ab", 1, 1) == "7.1.2.ab"
