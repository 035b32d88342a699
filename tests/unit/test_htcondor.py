"""HTCondor's dialect against what HTCondor 23.9 said: tests/captures/htcondor."""

from dataclasses import replace

import pytest

from ce_backends.base import Accepted, Limit, Rejected, TaskState, Uncertain
from ce_backends.batch.options import Needs
from ce_backends.batch.system import BatchJob
from ce_backends.batch.systems.htcondor import Condor
from ce_backends.batch.systems.htcondor_schedd import Schedd
from ce_backends.batch.transport import Done
from ce_backends.errors import CEError, CEUnavailable
from tests.unit.captured import Captured, capture

STAMP = "0123456789abcdef0123456789abcdef"
JOB = BatchJob(
    name=STAMP, size=3, script=f"/a/jobs/{STAMP}", log="/a/log", processors=2, memory_mb=1000, gpus=1, wall_s=600
)
REMOTE = Schedd(name="ce", pool="ce:9619", environment={"A": "b"})
NOTHING = Done(0, "", "")
NO_ANSWER = Done(None, "", "")


class Typed(Captured):
    """Keeps what the commands read, too."""

    def __init__(self, answers: dict[str, str | Done]) -> None:
        super().__init__("htcondor", answers)
        self.read: list[str] = []

    def run(self, argv, *, timeout_s, stdin=b"", into=None):  # type: ignore[no-untyped-def]
        self.read.append(stdin.decode())
        return super().run(argv, timeout_s=timeout_s, stdin=stdin, into=into)


def dialect(answers: dict[str, str | Done], schedd: Schedd = Schedd()) -> tuple[Condor, Typed]:  # noqa: B008 - frozen
    transport = Typed({"condor_history": NOTHING, "condor_rm": NOTHING, **answers})
    return Condor(transport, Needs(), schedd=schedd), transport


def state_of(answer: str, command: str = "condor_q") -> tuple[TaskState, str, Limit | None]:
    answers: dict[str, str | Done] = {"condor_q": NOTHING, command: answer}
    ids = [f"{number}.0" for number in range(1, 40)]
    (status,) = dialect(answers)[0].states(ids).values()
    return status.state, status.reason, status.limit


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("q_never_matches", TaskState.WAITING),
        ("q_running", TaskState.RUNNING),
        ("q_lost_again", TaskState.WAITING),
        ("q_exit_7", TaskState.DONE),
    ],
)
def test_states_of_queued_jobs(answer: str, state: TaskState) -> None:
    assert state_of(answer) == (state, "", None)


@pytest.mark.parametrize(
    ("answer", "limit", "words"),
    [
        ("q_signal_9", None, "killed by signal 9"),
        ("q_held_input_missing", None, "held: Transfer input files failure"),
        ("q_held_output_missing", None, "held: Transfer output files failure"),
        ("q_held_exec_failed", None, "held: Error from slot1_"),
        ("q_held_by_user", None, "held: via condor_hold (by user griduser)"),
        ("q_held_execute_duration", Limit.WALL, "held: The job exceeded allowed execute duration"),
    ],
)
def test_held_and_killed_jobs_have_failed_with_the_reason(answer: str, limit: Limit | None, words: str) -> None:
    state, reason, seen = state_of(answer)

    assert (state, seen) == (TaskState.FAILED, limit)
    assert reason.startswith(words)


@pytest.mark.parametrize(
    ("answer", "limit", "words"),
    [
        ("history_rm_by_root", None, "removed: via condor_rm (by user condor)"),
        ("history_rm_by_policy", None, "removed: The job attribute PeriodicRemove"),
        ("history_rm_held", Limit.WALL, "held: The job exceeded allowed execute duration"),
        ("history_lost_once", None, "removed: its node was lost after it may have begun; it was not started again"),
    ],
)
def test_jobs_that_have_left_the_queue_have_failed_with_the_reason(
    answer: str, limit: Limit | None, words: str
) -> None:
    state, reason, seen = state_of(answer, "condor_history")

    assert (state, seen) == (TaskState.FAILED, limit)
    assert reason.startswith(words)


def test_our_own_hold_for_memory_is_a_memory_limit() -> None:
    held = capture("htcondor", "q_held_by_policy")
    ours = replace(held, stdout=held.stdout.replace("71", "4711"))
    (status,) = dialect({"condor_q": ours})[0].states([f"{number}.0" for number in range(1, 40)]).values()

    assert status.limit is Limit.MEMORY


def test_a_job_that_is_removed_has_not_ended_while_it_is_in_the_queue() -> None:
    removed = Done(0, '[{"ClusterId": 5, "ProcId": 0, "JobStatus": 3}]', "")
    condor, transport = dialect({"condor_q": removed})

    status = condor.states(["5.0"])["5.0"]

    assert (status.state, status.reason) == (TaskState.RUNNING, "it is being removed")
    assert "condor_rm" not in [command[0] for command in transport.commands]


def test_a_job_on_a_silent_node_still_runs() -> None:
    assert state_of("q_lost") == (TaskState.RUNNING, "its node is out of reach", None)


def test_one_question_answers_for_all_tasks_of_an_array() -> None:
    condor, transport = dialect({"condor_q": "q_array"})

    states = condor.states(["4.0", "4.1", "4.2", "4.3"])

    assert {task_id: status.state for task_id, status in states.items()} == dict.fromkeys(
        ("4.0", "4.1", "4.2"), TaskState.DONE
    )
    assert [command[0] for command in transport.commands] == ["condor_q", "condor_rm", "condor_history"]


def test_ended_and_held_jobs_are_taken_out_of_the_queue() -> None:
    condor, transport = dialect({"condor_q": "q_several"})
    condor.states(["4.0", "12.0"])

    assert ["condor_rm", "12.0", "4.0"] in transport.commands


def test_unknown_jobs_are_left_out() -> None:
    condor, _ = dialect({"condor_q": "q_unknown", "condor_history": "history_unknown"})

    assert condor.states(["999999.0"]) == {}


@pytest.mark.parametrize("answer", ["q_down", "q_remote_down", "q_wrong_schedd", "q_no_pool"])
def test_no_answer_says_nothing_of_any_task(answer: str) -> None:
    condor, _ = dialect({"condor_q": answer})

    with pytest.raises(CEError, match=r"^condor_q: ") as error:
        condor.states(["1.0"])
    assert "Extra Info" not in str(error.value)


@pytest.mark.parametrize("text", ["{", '[{"JobStatus": 4}]', "[1]", '{"ClusterId": 1}'])
def test_what_cannot_be_understood_says_nothing_of_any_task(text: str) -> None:
    condor, _ = dialect({"condor_q": Done(0, text, "")})

    with pytest.raises(CEError):
        condor.states(["1.0"])


def test_truncated_json_says_nothing_of_any_task() -> None:
    whole = capture("htcondor", "q_array")
    condor, _ = dialect({"condor_q": replace(whole, stdout=whole.stdout[:-20])})

    with pytest.raises(CEError, match="expected JSON to its end"):
        condor.states(["4.0"])


def test_a_schedd_without_history_still_tells_of_what_is_in_its_queue() -> None:
    none = Done(1, "", "Error: No history file is defined\n\nExtra Info: The variable HISTORY is not defined.\n")
    running = '[{"ClusterId": 1, "ProcId": 0, "JobStatus": 2, "GridpilotName": "' + "a" * 32 + '"}]'
    condor, _ = dialect({"condor_q": Done(0, running, ""), "condor_history": none})

    assert set(condor.states(["1.0", "2.0"])) == {"1.0"}
    assert condor.find(["a" * 32]) == {"a" * 32: "1"}


def test_unlisted_status_is_unknown_and_no_end() -> None:
    condor, _ = dialect({"condor_q": Done(0, '[{"ClusterId": 1, "ProcId": 0, "JobStatus": 99}]', "")})

    assert condor.states(["1.0"])["1.0"].state is TaskState.UNKNOWN


# ---- submission


def test_submit_returns_the_cluster_and_elements_are_its_procs() -> None:
    condor, _ = dialect({"condor_submit": "submit_array"})

    answer = condor.submit(JOB)

    assert isinstance(answer, Accepted)
    assert condor.element(answer.task_id, 1, 3) == f"{answer.task_id}.0"
    assert condor.element(answer.task_id, 3, 3) == f"{answer.task_id}.2"


def test_description_asks_for_what_the_tasks_need() -> None:
    condor, transport = dialect({"condor_submit": "submit_array"})
    condor.submit(JOB)
    lines = transport.read[0].splitlines()

    assert {"request_cpus = 2", "request_memory = 954M", "request_gpus = 1", "allowed_execute_duration = 690"} <= set(
        lines
    )
    assert lines[-1] == f"queue gridpilot_stamp from /a/jobs/{STAMP}.tasks"


def test_description_forbids_a_second_start_unless_the_node_refused_the_first() -> None:
    condor, transport = dialect({"condor_submit": "submit_array"})
    condor.submit(JOB)
    lines = transport.read[0].splitlines()

    has_not_begun = "NumShadowStarts =?= undefined || NumShadowStarts == 0 || VacateReasonCode =?= 1006"
    assert f"requirements = {has_not_begun}" in lines
    assert f"periodic_remove = JobStatus == 1 && !({has_not_begun})" in lines


def test_extra_lines_come_before_queue() -> None:
    transport = Typed({"condor_submit": "submit_array"})
    Condor(transport, Needs(), options={"ExtraSubmitString": r"My.A = 1\nMy.B = 2"}).submit(JOB)

    assert transport.read[0].splitlines()[-3:-1] == ["My.A = 1", "My.B = 2"]


def test_remote_schedd_is_named_and_gets_the_files() -> None:
    condor, transport = dialect({"env A=b condor_submit": "submit_spooled"}, REMOTE)
    condor.submit(JOB)

    expected = ["env", "A=b", "condor_submit", "-name", "ce", "-pool", "ce:9619", "-terse", "-spool", "-"]
    assert transport.commands == [expected]


@pytest.mark.parametrize("answer", ["submit_garbage", "submit_no_file"])
def test_a_wrong_description_is_refused(answer: str) -> None:
    assert isinstance(dialect({"condor_submit": answer})[0].submit(JOB), Rejected)


@pytest.mark.parametrize("answer", ["submit_down", "submit_no_pool", "submit_wrong_schedd", "submit_refused"])
def test_a_schedd_out_of_reach_has_surely_taken_nothing(answer: str) -> None:
    with pytest.raises(CEUnavailable):
        dialect({"condor_submit": answer})[0].submit(JOB)


def test_the_collector_that_did_not_know_the_schedd_is_named() -> None:
    condor, _ = dialect({"env A=b condor_submit": "submit_wrong_schedd"}, REMOTE)

    with pytest.raises(CEUnavailable, match=r"nobody@localhost.*; the collector asked is ce:9619"):
        condor.submit(JOB)


@pytest.mark.parametrize(
    "answer",
    [NO_ANSWER, Done(1, "", "ERROR: Failed to commit job submission into the queue."), Done(0, "eh?", "")],
)
def test_an_answer_that_may_be_lost_is_uncertain(answer: Done) -> None:
    assert isinstance(dialect({"condor_submit": answer})[0].submit(JOB), Uncertain)


# ---- remote results


def completed(code: int) -> dict[str, str | Done]:
    return {
        "env A=b condor_q": "q_spooled",
        "env A=b condor_history": NOTHING,
        "env A=b condor_rm": NOTHING,
        "env A=b condor_transfer_data": Done(code, "", "broken pipe"),
    }


def test_results_are_brought_before_the_job_is_removed() -> None:
    condor, transport = dialect(completed(0), REMOTE)
    job = capture("htcondor", "submit_spooled").stdout.partition(".")[0]

    states = condor.states([f"{job}.0"])

    assert states[f"{job}.0"].state is TaskState.DONE
    assert [command[2] for command in transport.commands] == ["condor_q", "condor_transfer_data", "condor_rm"]


def test_a_task_whose_results_cannot_be_brought_has_not_ended_and_stays_in_the_queue() -> None:
    condor, transport = dialect(completed(1), REMOTE)
    job = capture("htcondor", "submit_spooled").stdout.partition(".")[0]

    status = condor.states([f"{job}.0"])[f"{job}.0"]

    assert (status.state, "broken pipe" in status.reason) == (TaskState.RUNNING, True)
    assert "condor_rm" not in [command[2] for command in transport.commands]


# ---- ending, finding


@pytest.mark.parametrize(
    "answer",
    ["rm_unknown", "rm_done", Done(1, "", "Job 27.0 not found"), Done(1, "", "Job 117.0 already marked for removal")],
)
def test_cancel_of_what_is_gone_is_no_error(answer: str | Done) -> None:
    dialect({"condor_rm": answer})[0].cancel(["1.0"])


def test_cancel_without_a_schedd_is_an_error() -> None:
    with pytest.raises(CEError, match="no answer from the schedd"):
        dialect({"condor_rm": "rm_down"})[0].cancel(["1.0"])


def test_find_returns_the_cluster_of_a_name() -> None:
    named = '[{"ClusterId": 5, "ProcId": 0, "JobStatus": 1, "GridpilotName": "s"}]'
    condor, _ = dialect({"condor_q": Done(0, named, "")})

    assert condor.find(["s"]) == {"s": "5"}


def test_find_removes_what_never_got_its_files() -> None:
    half = '[{"ClusterId": 5, "ProcId": 0, "JobStatus": 5, "HoldReasonCode": 16, "GridpilotName": "s"}]'
    condor, transport = dialect({"condor_q": Done(0, half, "")})

    assert condor.find(["s"]) == {}
    assert transport.commands[-1] == ["condor_rm", "5.0"]
