"""Grid Engine's dialect against what Son of Grid Engine 8.1.9 said: tests/captures/grid_engine."""

import logging
import re
from dataclasses import replace

import pytest

from ce_backends.base import Accepted, Limit, Rejected, TaskState, Uncertain
from ce_backends.batch.options import Needs
from ce_backends.batch.system import BatchJob
from ce_backends.batch.systems.grid_engine import GridEngine
from ce_backends.batch.transport import Done
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.options import OptionValue
from tests.unit.captured import Captured, capture

STAMP = "0123456789abcdef0123456789abcdef"
JOB = BatchJob(name=STAMP, size=1, script="/a/jobs/s", log="/a/jobs/s.log", processors=1, memory_mb=0, gpus=0, wall_s=0)
NO_ANSWER = Done(None, "", "")
UNKNOWN = "qacct_unknown"


def dialect(answers: dict[str, str | Done], **options: OptionValue) -> tuple[GridEngine, Captured]:
    transport = Captured("grid_engine", answers)
    return GridEngine(transport, Needs(), options=options), transport


def submitted(job: BatchJob, needs: Needs = Needs()) -> list[str]:  # noqa: B008 - frozen
    transport = Captured("grid_engine", {"qsub": "qsub"})
    GridEngine(transport, needs).submit(job)
    return transport.commands[0]


def test_what_qstat_lists_is_told_by_its_letters() -> None:
    ge, _ = dialect({"qstat": "qstat_mixed", "qdel": "qdel_several"})

    states = ge.states(["10", "11", "9", "14.1", "14.2", "14.3", "14.5"])

    assert {task_id: (status.state, status.native) for task_id, status in states.items()} == {
        "10": (TaskState.RUNNING, "r"),
        "11": (TaskState.WAITING, "qw"),
        "9": (TaskState.WAITING, "hqw"),
        "14.1": (TaskState.RUNNING, "r"),
        "14.2": (TaskState.RUNNING, "r"),
        "14.3": (TaskState.WAITING, "qw"),
        "14.5": (TaskState.WAITING, "qw"),
    }
    assert states["9"].reason == "held"


def test_elements_that_wait_folded_are_the_same_as_apart() -> None:
    folded, _ = dialect({"qstat": "qstat_without_g_d"})
    apart, _ = dialect({"qstat": "qstat_mixed"})
    asked = ["14.1", "14.3", "14.4", "14.5"]

    assert folded.states(asked) == apart.states(asked)


@pytest.mark.parametrize(
    ("capture_", "task_id", "state", "native", "remark"),
    [
        ("qstat_suspended", "10", TaskState.RUNNING, "s", "suspended"),
        ("qstat_node_lost", "31", TaskState.RUNNING, "dr", "being deleted"),
        ("qstat_rescheduled", "30", TaskState.WAITING, "Rq", ""),
        ("qstat_restarted", "30", TaskState.RUNNING, "Rr", ""),
    ],
)
def test_rarer_states_are_understood(capture_: str, task_id: str, state: TaskState, native: str, remark: str) -> None:
    ge, _ = dialect({"qstat": capture_})

    status = ge.states([task_id])[task_id]

    assert (status.state, status.native, status.reason) == (state, native, remark)


def test_a_job_in_error_is_failed_with_grid_engines_reason_and_deleted() -> None:
    ge, transport = dialect({"qstat -xml": "qstat_mixed", "qstat -j": "qstat_j_errors", "qdel": "qdel_several"})

    states = ge.states(["13", "15.1"])

    for task_id in ("13", "15.1"):
        assert states[task_id].state is TaskState.FAILED
        assert states[task_id].reason == (
            "Grid Engine could not start it: can't chdir to /no/such/directory: No such file or directory"
        )
    assert ["qdel", "13", "15.1"] in transport.commands


def test_a_letter_nobody_knows_is_unknown_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    odd = capture("grid_engine", "qstat_suspended")
    ge, _ = dialect({"qstat": replace(odd, stdout=odd.stdout.replace("<state>s<", "<state>Zq<"))})

    with caplog.at_level(logging.WARNING):
        states = [ge.states(["10"])["10"] for _ in range(3)]

    assert {status.state for status in states} == {TaskState.UNKNOWN}
    assert [record.getMessage() for record in caplog.records] == ["ce.unknown_state batch_system=Grid Engine word='Zq'"]


@pytest.mark.parametrize(
    ("capture_", "task_id", "state", "limit", "said"),
    [
        ("qacct_done", "1", TaskState.DONE, None, ""),
        ("qacct_exit_7", "2", TaskState.DONE, None, ""),
        ("qacct_h_rt_of_job", "3", TaskState.FAILED, Limit.WALL, "limit of wall, killed by signal 9"),
        ("qacct_s_rt_of_job", "4", TaskState.FAILED, Limit.WALL, "limit of wall, killed by signal 10"),
        ("qacct_h_rt_of_queue", "5", TaskState.FAILED, Limit.WALL, "limit of wall, killed by signal 9"),
        ("qacct_h_cpu", "6", TaskState.FAILED, None, "killed by signal 9"),
        ("qacct_kill_9", "8", TaskState.FAILED, None, "killed by signal 9, assumedly after job"),
        ("qacct_qdel_running", "10", TaskState.FAILED, None, "killed by signal 9"),
        ("qacct_node_lost", "29", TaskState.FAILED, None, "before writing exit_status"),
        ("qacct_restarted", "30", TaskState.FAILED, None, "killed by signal 9"),
        ("qacct_array", "14.2", TaskState.DONE, None, ""),
    ],
)
def test_what_has_ended_is_told_by_the_accounting(
    capture_: str, task_id: str, state: TaskState, limit: Limit | None, said: str
) -> None:
    ge, _ = dialect({"qstat": "qstat_nothing", "qacct": capture_})

    status = ge.states([task_id])[task_id]

    assert (status.state, status.limit) == (state, limit)
    assert said in status.reason


def test_what_an_ended_task_used_is_in_seconds() -> None:
    ge, _ = dialect({"qstat": "qstat_nothing", "qacct": "qacct_h_cpu"})

    usage = ge.states(["6"])["6"].usage

    assert usage.wall_s is not None
    assert usage.wall_s >= 4
    assert usage.cpu_s == pytest.approx(1.7, abs=0.3)


@pytest.mark.parametrize("capture_", ["qacct_unknown", "qacct_qdel_waiting", "qacct_no_file"])
def test_a_task_that_neither_queue_nor_accounting_knows_is_left_out(capture_: str) -> None:
    ge, _ = dialect({"qstat": "qstat_nothing", "qacct": capture_})

    assert ge.states(["9"]) == {}


@pytest.mark.parametrize(
    "answer",
    [
        NO_ANSWER,
        Done(0, "", ""),
        Done(0, "Segmentation fault", ""),
        Done(0, capture("grid_engine", "qstat_mixed").stdout[:1500], ""),
        capture("grid_engine", "qstat_down"),
    ],
    ids=["slow", "empty", "garbage", "truncated", "down"],
)
def test_no_answer_of_qstat_says_nothing_of_any_task(answer: Done) -> None:
    ge, _ = dialect({"qstat": answer})

    with pytest.raises(CEError, match="qstat"):
        ge.states(["10"])


def test_an_accounting_that_does_not_answer_ends_no_task() -> None:
    ge, _ = dialect({"qstat": "qstat_nothing", "qacct": NO_ANSWER})

    with pytest.raises(CEError, match="qacct: no answer in time"):
        ge.states(["10"])


def test_where_the_accounting_is_switched_off_it_is_not_asked() -> None:
    ge, transport = dialect({"qstat": "qstat_nothing"}, Accounting=False)

    assert ge.states(["10"]) == {}
    assert len(transport.commands) == 1


def test_two_hundred_tasks_that_wait_are_one_command() -> None:
    ge, transport = dialect({"qstat": "qstat_many"})
    number = max(re.findall(r"number>(\d+)<", capture("grid_engine", "qstat_many").stdout), key=int)

    states = ge.states([f"{number}.{element}" for element in range(1, 201)])

    assert len(states) == 200
    assert len(transport.commands) == 1


def test_many_that_have_ended_are_asked_for_at_once() -> None:
    ge, transport = dialect({"qstat": "qstat_nothing", "qacct": UNKNOWN, "qacct -d 1": "qacct_owner_days"})

    states = ge.states([str(number) for number in range(1, 1001)])

    assert states["2"].native == "failed 0, exit_status 7"
    assert len(transport.commands) <= 12


def test_a_submitted_job_is_accepted_by_its_number() -> None:
    ge, _ = dialect({"qsub": "qsub"})

    assert ge.submit(JOB) == Accepted("1")


def test_an_arrays_number_is_that_of_its_job() -> None:
    ge, _ = dialect({"qsub": Done(0, "13.1-5:1\n", "")})

    assert ge.submit(replace(JOB, size=5)) == Accepted("13")
    assert [ge.element("13", number, 5) for number in (1, 5)] == ["13.1", "13.5"]
    assert ge.element("13", 1, 1) == "13"


def test_what_a_task_needs_is_asked_for() -> None:
    needs = Needs(queue="grid.q", account="cms", submit_options=["-p", "-10"])

    argv = submitted(replace(JOB, size=3, processors=4, memory_mb=8000, gpus=1, wall_s=600), needs)

    assert argv[:3] == ["qsub", "-terse", "-N"]
    text = " ".join(argv)
    for part in (
        f"-N gridpilot_{STAMP}",
        "-wd /a/jobs",
        "-t 1-3",
        "-pe smp 4",
        "-l h_rt=690,h_vmem=1908M,gpu=1",
        "-q grid.q",
        "-P cms",
    ):
        assert part in text
    assert argv[-3:] == ["-p", "-10", "/a/jobs/s"]


@pytest.mark.parametrize(
    ("capture_", "sentence"),
    [
        ("qsub_no_queue", 'unknown queue "nowhere.q"'),
        ("qsub_no_pe", 'parallel environment "nothing" does not exist'),
        ("qsub_no_resource", 'unknown resource "unheard_of"'),
        ("qsub_no_project", 'project "nobody" does not exist'),
        ("qsub_no_script", "error opening /no/such/script"),
        ("qsub_array_too_long", "more than 75000 tasks"),
    ],
)
def test_a_refusal_is_of_this_task_with_grid_engines_sentence(capture_: str, sentence: str) -> None:
    ge, _ = dialect({"qsub": capture_})

    answer = ge.submit(JOB)

    assert isinstance(answer, Rejected)
    assert sentence in answer.reason


def test_what_no_queue_can_run_is_refused_with_the_reason() -> None:
    transport = Captured("grid_engine", {f"qsub -terse -N gridpilot_{STAMP}": "qsub_hopeless_verified"})
    verify = " ".join(["qsub", *GridEngine(transport, Needs())._qsub(JOB, verify="v")])
    transport = Captured("grid_engine", {"qsub": "qsub_hopeless_verified", verify: "qsub_hopeless_why"})

    answer = GridEngine(transport, Needs()).submit(JOB)

    assert isinstance(answer, Rejected)
    assert 'cannot run in PE "smp" because it only offers 0 slots' in answer.reason


@pytest.mark.parametrize("capture_", ["qsub_too_many_jobs", "qsub_down"])
def test_a_passing_refusal_leaves_the_task_to_a_later_try(capture_: str) -> None:
    ge, _ = dialect({"qsub": capture_})

    with pytest.raises(CEUnavailable):
        ge.submit(JOB)


@pytest.mark.parametrize("answer", [NO_ANSWER, Done(0, "", ""), Done(0, "Welcome!\n", "")])
def test_a_lost_answer_of_qsub_is_uncertain(answer: Done) -> None:
    ge, _ = dialect({"qsub": answer})

    assert isinstance(ge.submit(JOB), Uncertain)


@pytest.mark.parametrize("capture_", ["qdel_several", "qdel_again", "qdel_unknown", "qdel_of_lost", "qdel_element"])
def test_deleting_what_is_gone_or_going_is_no_error(capture_: str) -> None:
    ge, transport = dialect({"qdel": capture_})

    ge.cancel(["14.4", "12"])

    assert transport.commands == [["qdel", "12", "14.4"]]


@pytest.mark.parametrize("answer", ["qdel_foreign", "qdel_down", NO_ANSWER])
def test_a_deletion_that_was_refused_or_not_answered_is_told(answer: str | Done) -> None:
    ge, _ = dialect({"qdel": answer})

    with pytest.raises(CEError, match="qdel"):
        ge.cancel(["12"])


def test_a_job_is_found_by_its_name_in_the_queue() -> None:
    listed = capture("grid_engine", "qstat_mixed")
    ge, _ = dialect({"qstat": replace(listed, stdout=listed.stdout.replace("gp_array", f"gridpilot_{STAMP}"))})

    assert ge.find([STAMP]) == {STAMP: "14"}


def test_a_job_that_has_ended_is_found_by_its_name_in_the_accounting() -> None:
    ge, transport = dialect({"qstat": "qstat_nothing", "qacct": "qacct_by_name"})

    assert ge.find([STAMP]) == {STAMP: "1"}
    assert transport.commands[-1] == ["qacct", "-j", f"gridpilot_{STAMP}"]


def test_a_job_that_was_never_queued_is_not_found() -> None:
    ge, _ = dialect({"qstat": "qstat_mixed", "qacct": "qacct_unknown_name"})

    assert ge.find([STAMP]) == {}
