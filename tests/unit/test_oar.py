"""OAR's dialect against what OAR 2.5.9 said: tests/captures/oar."""

import json
import logging
from dataclasses import replace

import pytest

from ce_backends.base import Accepted, Limit, Rejected, TaskState, Uncertain
from ce_backends.batch.options import Needs
from ce_backends.batch.system import BatchJob
from ce_backends.batch.systems.oar import Oar
from ce_backends.batch.transport import Done
from ce_backends.errors import CEError
from tests.unit.captured import Captured, capture

STAMP = "0123456789abcdef0123456789abcdef"
JOB = BatchJob(name=STAMP, size=1, script="/a/jobs/s", log="/a/jobs/s.log", processors=1, memory_mb=0, gpus=0, wall_s=0)
NO_ANSWER = Done(None, "", "")
NOTHING = "stat_unknown"


def dialect(answers: dict[str, str | Done], needs: Needs = Needs()) -> tuple[Oar, Captured]:  # noqa: B008 - frozen
    transport = Captured("oar", answers)
    return Oar(transport, needs), transport


def only(name: str) -> str:
    """Return the number of the one job in a capture."""
    (number,) = json.loads(capture("oar", name).stdout)
    return str(number)


def in_state(word: str) -> Done:
    """Return the answer for job 1 in a state: recorded for another one, and only the word is changed."""
    (job,) = json.loads(capture("oar", "stat_Running").stdout).values()
    return Done(0, json.dumps({"1": {**job, "state": word}}), "")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        *((word, TaskState.WAITING) for word in ("Waiting", "Hold", "toAckReservation", "toLaunch", "Launching")),
        *((word, TaskState.RUNNING) for word in ("Running", "Suspended", "Resuming", "Finishing", "toError")),
    ],
)
def test_every_state_before_the_end_is_known(word: str, state: TaskState) -> None:
    oar, _ = dialect({"oarstat": in_state(word)})

    status = oar.states(["1"])["1"]

    assert (status.state, status.native) == (state, word)


def test_what_waits_runs_and_is_held_is_told_apart_with_one_command() -> None:
    oar, transport = dialect({"oarstat": "stat_mixed"})
    asked = sorted(json.loads(capture("oar", "stat_mixed").stdout), key=int)

    natives = [oar.states(asked)[number].native for number in asked]

    assert natives[:3] == ["Running", "Hold", "Waiting"]
    assert transport.commands[0] == ["oarstat", "-J", "-f", "--sql", f"job_id IN ({','.join(asked)})"]


@pytest.mark.parametrize(
    ("capture_", "state", "limit", "reason"),
    [
        ("stat_done", TaskState.DONE, None, ""),
        ("stat_exit_7", TaskState.DONE, None, ""),
        ("stat_kill_9", TaskState.FAILED, None, "killed by signal 9"),
        ("stat_walltime", TaskState.FAILED, Limit.WALL, "ended at its limit of wall"),
        ("stat_deleted_running", TaskState.FAILED, None, "deleted by griduser"),
        ("stat_deleted_held", TaskState.FAILED, None, "deleted by griduser"),
        ("stat_no_directory", TaskState.FAILED, None, "Cannot go into the working directory /no/such/directory"),
    ],
)
def test_an_end_is_told_with_its_reason(capture_: str, state: TaskState, limit: Limit | None, reason: str) -> None:
    oar, _ = dialect({"oarstat": capture_})
    number = only(capture_)

    status = oar.states([number])[number]

    assert (status.state, status.limit) == (state, limit)
    assert reason in status.reason


def test_a_job_that_oar_submitted_again_is_followed_under_its_new_number() -> None:
    gone = json.loads(capture("oar", "stat_node_gone").stdout)
    first = next(number for number, job in gone.items() if job["state"] == "Error")
    again = only("stat_resubmitted")
    oar, _ = dialect({"oarstat": "stat_node_gone", f"oarstat -J -f --sql job_id IN ({again})": "stat_resubmitted"})

    status = oar.states([first])[first]

    assert (status.state, status.native) == (TaskState.WAITING, "Waiting")


def test_cancelling_a_job_that_oar_submitted_again_deletes_both() -> None:
    again = only("stat_resubmitted")
    oar, transport = dialect({"oarstat": "stat_resubmitted", "oardel": "oardel_several"})

    oar.cancel(["9"])

    assert transport.commands[-1] == ["oardel", "9", again]


def test_a_word_nobody_knows_is_unknown_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    oar, _ = dialect({"oarstat": in_state("Levitating")})

    with caplog.at_level(logging.WARNING):
        states = {oar.states(["1"])["1"].state for _ in range(3)}

    assert states == {TaskState.UNKNOWN}
    assert [record.getMessage() for record in caplog.records] == ["ce.unknown_state batch_system=OAR word='Levitating'"]


def test_a_job_that_oar_does_not_know_is_left_out() -> None:
    oar, _ = dialect({"oarstat": NOTHING})

    assert oar.states(["999999"]) == {}


@pytest.mark.parametrize(
    "answer",
    [
        NO_ANSWER,
        "stat_no_database",
        "stat_bad_sql",
        Done(0, "Segmentation fault", ""),
        Done(0, "[]", ""),
        Done(0, capture("oar", "stat_mixed").stdout[:900], ""),
    ],
    ids=["slow", "no database", "error with exit code 0", "garbage", "a list", "truncated"],
)
def test_no_answer_of_oarstat_says_nothing_of_any_task(answer: str | Done) -> None:
    oar, _ = dialect({"oarstat": answer})

    with pytest.raises(CEError, match="oarstat"):
        oar.states(["9"])


def test_a_submitted_job_is_accepted_by_its_number() -> None:
    oar, _ = dialect({"oarsub": "oarsub"})
    number = only("stat_done")

    assert oar.submit(JOB) == Accepted(number)
    assert oar.element(number, 1, 1) == number


def test_an_array_is_as_many_jobs_and_each_has_its_number() -> None:
    oar, _ = dialect({"oarsub": "oarsub_array"})

    answer = oar.submit(replace(JOB, size=3))

    assert isinstance(answer, Accepted)
    numbers = [oar.element(answer.task_id, number, 3) for number in (1, 2, 3)]
    assert numbers == sorted(numbers, key=int)
    assert len(set(numbers)) == 3


def test_what_a_task_needs_is_asked_for() -> None:
    needs = Needs(queue="besteffort", account="cms", submit_options=["-t", "besteffort"])
    oar, transport = dialect({"oarsub": "oarsub_array"}, needs)

    oar.submit(replace(JOB, size=3, processors=4, wall_s=3600))

    text = " ".join(transport.commands[0])
    for part in (f"-n {STAMP}", "-l /nodes=1/core=4,walltime=1:1:30", "--array 3", "-q besteffort", "--project cms"):
        assert part in text
    assert text.endswith("-t besteffort '/a/jobs/s'")


@pytest.mark.parametrize(
    ("capture_", "sentence"),
    [
        ("oarsub_no_queue", "The queue nowhere does not exist"),
        ("oarsub_too_big", "There are not enough resources for your request"),
        ("oarsub_no_property", 'column "unheard_of" does not exist'),
    ],
)
def test_a_refusal_is_of_this_task_with_oars_sentence(capture_: str, sentence: str) -> None:
    oar, _ = dialect({"oarsub": capture_})

    answer = oar.submit(JOB)

    assert isinstance(answer, Rejected)
    assert sentence in answer.reason


def test_gpus_are_refused_in_a_sentence() -> None:
    oar, _ = dialect({})

    assert oar.submit(replace(JOB, gpus=1)) == Rejected(
        "OAR: GPUs are not asked for, because sites name them differently; use SubmitOptions"
    )


def test_a_job_whose_server_is_down_is_queued_whatever_oarsub_says() -> None:
    oar, _ = dialect({"oarsub": "oarsub_no_server"})

    assert isinstance(oar.submit(JOB), Accepted)


@pytest.mark.parametrize("answer", [NO_ANSWER, Done(0, "", ""), Done(0, "OAR_JOB_ID=\n", "")])
def test_a_lost_answer_of_oarsub_is_uncertain(answer: Done) -> None:
    oar, _ = dialect({"oarsub": answer})

    assert isinstance(oar.submit(JOB), Uncertain)


@pytest.mark.parametrize("capture_", ["oardel_several", "oardel_again", "oardel_unknown", "oardel_no_server"])
def test_deleting_what_is_gone_or_going_is_no_error(capture_: str) -> None:
    oar, transport = dialect({"oarstat": NOTHING, "oardel": capture_})

    oar.cancel(["14", "9"])

    assert transport.commands[-1] == ["oardel", "9", "14"]


def test_a_deletion_without_an_answer_is_told() -> None:
    oar, _ = dialect({"oarstat": NOTHING, "oardel": NO_ANSWER})

    with pytest.raises(CEError, match="oardel: no answer in time"):
        oar.cancel(["9"])


def test_a_job_is_found_by_its_name() -> None:
    oar, _ = dialect({"oarstat": "stat_by_name"})

    assert oar.find([STAMP]) == {STAMP: only("stat_by_name")}


def test_an_array_is_found_with_all_of_its_numbers_in_order() -> None:
    listed = json.loads(capture("oar", "stat_mixed").stdout)
    array = {number: job for number, job in listed.items() if job["name"] == "array"}
    oar, _ = dialect({"oarstat": Done(0, json.dumps(dict(reversed(array.items()))), "")})

    assert oar.find(["array"]) == {"array": ",".join(sorted(array, key=int))}


def test_a_job_that_was_never_queued_is_not_found() -> None:
    oar, _ = dialect({"oarstat": NOTHING})

    assert oar.find([STAMP]) == {}
