"""The commands of a batch system that has only its words: what each answer means is decided once for all of them."""

import logging

import pytest

from ce_backends.base import Accepted, Rejected, Submission, TaskState, Uncertain
from ce_backends.batch.commands import Commands, Words, parsed_json
from ce_backends.batch.transport import Done
from ce_backends.errors import CEError, CEUnavailable
from tests.unit.answering import Answering

WORDS = Words(
    name="Toy",
    queued=("queued all the same",),
    not_now_codes=(25,),
    for_good=("no such queue",),
    no_answer=("lost its voice",),
    too_long=("too many elements",),
    not_now=("is full", "no such"),
    gone=("is gone",),
    unconfigured=("whose am I",),
    configure="set TOY_ROOT",
    at_once=2,
    clean=lambda said: said.partition("Advice:")[0],
)


def commands(done: Done) -> tuple[Commands, Answering]:
    transport = Answering({"toy": done})
    return Commands(transport, WORDS, timeout_s=1), transport


def submitted(done: Done, size: int = 1) -> Submission:
    toy, _ = commands(done)
    return toy.submitted(toy.run("toy"), "toy", size, lambda printed: printed.strip())


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        (Done(0, "42\n", "is full, it seems"), Accepted("42")),
        (Done(0, "\n", ""), Uncertain("toy printed '\\n' for a job number")),
        (Done(0, "\n", "hm\n"), Uncertain("toy printed '\\n' for a job number: hm (exit code 0)")),
        (Done(1, "42\n", "it is queued all the same"), Accepted("42")),
        (Done(None, "42\n", "is full"), Uncertain("toy: no answer: is full")),
        (Done(-9, "", "is full"), Uncertain("toy: no answer: is full")),
        (Done(129, "", "is full"), Uncertain("toy: no answer: is full")),
        (Done(151, "", "is full"), Uncertain("toy: no answer: is full")),
        (Done(128, "", "what a job"), Rejected("toy: what a job (exit code 128)")),
        (Done(153, "", "what a job"), Rejected("toy: what a job (exit code 153)")),
        (Done(1, "", ""), Uncertain("toy: no answer in time")),
        (Done(1, "42\n", ""), Uncertain("toy: 42 (exit code 1)")),
        (Done(1, "", "no such queue"), Rejected("toy: no such queue (exit code 1)")),
        (Done(1, "", "it lost its voice, is full"), Uncertain("toy: it lost its voice, is full (exit code 1)")),
        (Done(1, "", "too many elements"), Rejected("toy: too many elements (exit code 1)")),
        (Done(1, "", "Broken pipe"), Uncertain("toy: Broken pipe (exit code 1)")),
        (Done(1, "", "what a job\nAdvice: is full"), Rejected("toy: what a job (exit code 1)")),
    ],
)
def test_an_answer_is_a_number_a_refusal_or_none(done: Done, expected: Submission) -> None:
    assert submitted(done) == expected


@pytest.mark.parametrize("said", ["the queue is full", "no such thing today", "Disk quota exceeded"])
def test_a_full_queue_is_no_refusal(said: str) -> None:
    with pytest.raises(CEUnavailable, match=rf"^toy: {said}"):
        submitted(Done(1, "", said))


def test_an_exit_code_may_say_that_it_is_full() -> None:
    with pytest.raises(CEUnavailable, match=r"^toy: hm"):
        submitted(Done(25, "", "hm, no such queue"))


def test_an_array_that_is_too_long_is_no_refusal_of_its_tasks() -> None:
    with pytest.raises(CEError, match=r"^toy: too many elements") as raised:
        submitted(Done(1, "", "too many elements"), size=3)

    assert not isinstance(raised.value, CEUnavailable)


def test_a_command_without_its_configuration_was_asked_nothing() -> None:
    toy, _ = commands(Done(1, "", "whose am I?"))

    with pytest.raises(CEUnavailable, match=r"^toy finds no configuration on .*: whose am I\?.*; set TOY_ROOT, also"):
        toy.run("toy")


def test_a_command_begins_as_its_system_wants_it() -> None:
    transport = Answering({"env": Done(0, "", "")})
    toy = Commands(transport, WORDS, timeout_s=1, start=lambda command: ["env", "A=b", command, "-name", "ce"])

    toy.run("toy", "-x", stdin=b"read")

    assert transport.commands == [["env", "A=b", "toy", "-name", "ce", "-x"]]
    assert transport.read == [b"read"]


@pytest.mark.parametrize(
    ("done", "printed"), [(Done(0, "all\n", "no records"), "all\n"), (Done(1, "some\n", "there are no records"), "")]
)
def test_a_question_is_answered_also_by_nothing(done: Done, printed: str) -> None:
    assert commands(done)[0].ask("toy", nothing=("no records",)) == printed


@pytest.mark.parametrize("done", [Done(1, "some\n", "on fire"), Done(None, "some\n", "no records"), Done(1, "", "")])
def test_a_question_without_an_answer_says_so(done: Done) -> None:
    with pytest.raises(CEError, match=r"^toy: "):
        commands(done)[0].ask("toy", nothing=("no records",))


@pytest.mark.parametrize(
    "done",
    [
        Done(0, "on fire", "on fire"),
        Done(1, "", "1 is gone\n\n2 is gone\n"),
        Done(1, "1 is gone\n", ""),
        Done(1, "ERROR\n", "1 is gone\n"),
    ],
)
def test_what_is_gone_needs_no_end(done: Done) -> None:
    toy, transport = commands(done)

    toy.cancel("toy", ["1", "2", "3"])

    assert transport.commands == [["toy", "1", "2"], ["toy", "3"]]


@pytest.mark.parametrize(
    ("done", "sentence"),
    [
        (Done(1, "", "1 is gone\n2 is on fire\n"), "toy: 2 is on fire (exit code 1)"),
        (Done(1, "1 is gone\n2 is on fire\n", ""), "toy: 2 is on fire (exit code 1)"),
        (Done(None, "", "1 is gone\n"), "toy: no answer: 1 is gone"),
        (Done(1, "", ""), "toy: no answer in time"),
    ],
)
def test_what_is_gone_hides_no_other_complaint(done: Done, sentence: str) -> None:
    with pytest.raises(CEError) as raised:
        commands(done)[0].cancel("toy", ["1", "2"])

    assert str(raised.value) == sentence


def test_a_word_that_is_not_known_is_no_end(caplog: pytest.LogCaptureFixture) -> None:
    toy, _ = commands(Done(0, "", ""))

    with caplog.at_level(logging.WARNING):
        status = [toy.unknown("SHINY"), toy.unknown("SHINY")][0]

    assert status.state is TaskState.UNKNOWN
    assert status.reason == "Toy says 'SHINY'"
    assert len(caplog.records) == 1


@pytest.mark.parametrize("printed", ["", "[1, 2", "[] []"])
def test_half_an_answer_in_json_is_none(printed: str) -> None:
    with pytest.raises(CEError, match=r"^toy -J: expected JSON to its end, not "):
        parsed_json(printed, "toy -J")
