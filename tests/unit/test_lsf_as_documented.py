"""LSF's dialect against answers written after IBM's manuals of LSF 10.1: no real LSF has been asked."""

from dataclasses import replace

import pytest

from ce_backends.base import Accepted, Limit, Rejected, TaskState, Uncertain
from ce_backends.batch.options import Needs
from ce_backends.batch.system import BatchJob
from ce_backends.batch.systems.lsf import Lsf
from ce_backends.batch.transport import Done
from ce_backends.errors import CEError, CEUnavailable
from tests.unit.answering import Answering

STAMP = "0123456789abcdef0123456789abcdef"
JOB = BatchJob(name=STAMP, size=1, script="/a/jobs/s", log="/a/jobs/s.log", processors=1, memory_mb=0, gpus=0, wall_s=0)


def listed(stat: str, job_id: str = "12", index: str = "0", code: str = "-", reason: str = "-") -> str:
    """Return what bjobs prints for one job."""
    return f"{job_id}|{index}|{stat}|{code}|{reason}|100 second(s)|50.0 second(s)|gridpilot_{STAMP}\n"


def dialect(needs: Needs = Needs(), **answers: Done) -> tuple[Lsf, Answering]:  # noqa: B008 - frozen
    transport = Answering(answers)
    return Lsf(transport, needs), transport


@pytest.mark.parametrize(
    ("stat", "state", "remark"),
    [
        ("PEND", TaskState.WAITING, ""),
        ("PROV", TaskState.WAITING, ""),
        ("WAIT", TaskState.WAITING, ""),
        ("PSUSP", TaskState.WAITING, "held"),
        ("RUN", TaskState.RUNNING, ""),
        ("USUSP", TaskState.RUNNING, "suspended"),
        ("SSUSP", TaskState.RUNNING, "suspended by LSF"),
        ("UNKWN", TaskState.UNKNOWN, "LSF has lost contact with its host"),
        ("ZOMBI", TaskState.UNKNOWN, "killed while LSF had no contact with its host"),
        ("MOONING", TaskState.UNKNOWN, "LSF says 'MOONING'"),
    ],
)
def test_every_word_of_the_manual_is_known_and_no_other(stat: str, state: TaskState, remark: str) -> None:
    lsf, _ = dialect(bjobs=Done(0, listed(stat), ""))

    status = lsf.states(["12"])["12"]

    assert (status.state, status.native, status.reason) == (state, stat, remark)


@pytest.mark.parametrize(
    ("line", "state", "limit", "reason"),
    [
        (listed("DONE"), TaskState.DONE, None, ""),
        (listed("EXIT", code="7"), TaskState.DONE, None, ""),
        (listed("EXIT", code="137"), TaskState.FAILED, None, "killed by signal 9"),
        (
            listed("EXIT", code="140", reason="TERM_RUNLIMIT: job killed after reaching LSF run time limit"),
            TaskState.FAILED,
            Limit.WALL,
            "ended at its limit of wall, killed by signal 12, TERM_RUNLIMIT",
        ),
        (
            listed("EXIT", code="137", reason="TERM_MEMLIMIT: job killed after reaching LSF memory usage limit"),
            TaskState.FAILED,
            Limit.MEMORY,
            "limit of memory",
        ),
        (
            listed("EXIT", code="130", reason="TERM_OWNER: job killed by owner"),
            TaskState.FAILED,
            None,
            "killed by signal 2, TERM_OWNER: job killed by owner",
        ),
    ],
)
def test_an_end_is_told_by_exit_code_and_reason(line: str, state: TaskState, limit: Limit | None, reason: str) -> None:
    lsf, _ = dialect(bjobs=Done(0, line, ""))

    status = lsf.states(["12"])["12"]

    assert (status.state, status.limit) == (state, limit)
    assert reason in status.reason
    assert (status.usage.wall_s, status.usage.cpu_s) == (100.0, 50.0)


def test_words_beside_a_good_answer_do_not_spoil_it() -> None:
    lsf, _ = dialect(bjobs=Done(0, listed("RUN"), "No job found in cluster east\n"))

    assert set(lsf.states(["12"])) == {"12"}


@pytest.mark.parametrize("written", [("12", "3"), ("12[3]", "3")], ids=["apart", "together"])
def test_an_element_is_known_however_its_index_is_written(written: tuple[str, str]) -> None:
    lsf, transport = dialect(bjobs=Done(0, listed("RUN", *written) + listed("RUN", "99"), ""))

    assert set(lsf.states([lsf.element("12", 3, 5)])) == {"12[3]"}
    assert len(transport.commands) == 1


def test_when_there_are_no_jobs_nothing_is_told() -> None:
    lsf, _ = dialect(bjobs=Done(0, "", "No job found\n"))

    assert lsf.states(["12"]) == {}


@pytest.mark.parametrize(
    "answer",
    [
        Done(None, "", "batch system daemon not responding ... still trying\n"),
        Done(0, "", ""),
        Done(0, "Segmentation fault\n", ""),
        Done(0, listed("RUN") + "13|0|RU", ""),
        Done(255, "", "Failed in an LSF library call: LIM is down; try later. Job not submitted.\n"),
    ],
    ids=["slow", "empty", "garbage", "truncated", "down"],
)
def test_no_answer_of_bjobs_says_nothing_of_any_task(answer: Done) -> None:
    lsf, _ = dialect(bjobs=answer)

    with pytest.raises(CEError, match="bjobs"):
        lsf.states(["12"])


@pytest.mark.parametrize("queue", ["queue <normal>", "default queue <normal>"])
def test_a_submitted_job_is_accepted_by_its_number(queue: str) -> None:
    lsf, _ = dialect(bsub=Done(0, f"Job <12> is submitted to {queue}.\n", ""))

    assert lsf.submit(JOB) == Accepted("12")


@pytest.mark.parametrize("answer", [Done(None, "", ""), Done(0, "", ""), Done(0, "Welcome!\n", "")])
def test_a_lost_answer_of_bsub_is_uncertain(answer: Done) -> None:
    lsf, _ = dialect(bsub=answer)

    assert isinstance(lsf.submit(JOB), Uncertain)


@pytest.mark.parametrize(
    "said",
    [
        "LSF is down. Please wait ...",
        "Failed in an LSF library call: LIM is down; try later. Job not submitted.",
        "Pending job threshold reached. Retrying in 60 seconds...",
    ],
)
def test_a_passing_refusal_leaves_the_task_to_a_later_try(said: str) -> None:
    lsf, _ = dialect(bsub=Done(255, "", said))

    with pytest.raises(CEUnavailable):
        lsf.submit(JOB)


def test_any_other_refusal_is_of_this_task() -> None:
    lsf, _ = dialect(bsub=Done(255, "", "nowhere: No such queue. Job not submitted.\n"))

    answer = lsf.submit(JOB)

    assert isinstance(answer, Rejected)
    assert "No such queue" in answer.reason


def test_what_a_task_needs_is_asked_for() -> None:
    needs = Needs(queue="grid", account="cms", whole_node=True, submit_options=["-sp", "10"])
    lsf, transport = dialect(needs, bsub=Done(0, "Job <12> is submitted to queue <grid>.\n", ""))

    lsf.submit(replace(JOB, size=3, processors=4, memory_mb=2000, gpus=1, wall_s=3600))

    text = " ".join(transport.commands[0])
    for part in (
        f"-J gridpilot_{STAMP}[1-3]",
        "-n 4 -R span[hosts=1]",
        "-M 2000MB",
        "-W 62",
        "-gpu num=1",
        "-q grid",
        "-P cms",
        " -x ",
        "-rn",
    ):
        assert part in text
    assert transport.commands[0][-3:] == ["-sp", "10", "/bin/sh '/a/jobs/s'"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "Job <12> is being terminated"),
        (255, "Job <12>: Job has already finished"),
        (255, "Job <12>: No matching job found"),
    ],
)
def test_ending_what_is_gone_or_going_is_no_error(code: int, said: str) -> None:
    lsf, transport = dialect(bkill=Done(code, f"{said}\n", ""))

    lsf.cancel(["12", "13[2]"])

    assert transport.commands == [["bkill", "12", "13[2]"]]


@pytest.mark.parametrize("answer", [Done(None, "", ""), Done(255, "Job <12>: User permission denied\n", "")])
def test_an_end_that_was_refused_or_not_answered_is_told(answer: Done) -> None:
    lsf, _ = dialect(bkill=answer)

    with pytest.raises(CEError, match="bkill"):
        lsf.cancel(["12"])


@pytest.mark.parametrize("line", [listed("PEND"), listed("PEND", "12", "3").replace(STAMP, f"{STAMP}[3]")])
def test_a_job_is_found_by_its_name(line: str) -> None:
    lsf, _ = dialect(bjobs=Done(0, line, ""))

    assert lsf.find([STAMP, "f" * 32]) == {STAMP: "12"}
