"""The Slurm dialect, answered with what real Slurms of three versions said (tests/captures/slurm)."""

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO

import pytest

from ce_backends.base import Accepted, Limit, Rejected, TaskState, Uncertain
from ce_backends.batch.options import Needs
from ce_backends.batch.system import MAY_NEVER, BatchJob
from ce_backends.batch.systems.slurm import Slurm
from ce_backends.batch.transport import Done
from ce_backends.errors import CEError, CEUnavailable

CAPTURES = Path(__file__).parents[1] / "captures/slurm"
VERSIONS = ["20.11", "22.05", "24.11"]
NOTHING = Done(0, "", "")
NO_ANSWER = Done(None, "", "")
JOB = BatchJob(name="a" * 32, size=1, script="/x/s", log="/x/l", processors=2, memory_mb=100, gpus=0, wall_s=60)
ARRAY = BatchJob(name="a" * 32, size=3, script="/x/s", log="/x/l", processors=1, memory_mb=0, gpus=0, wall_s=0)


class Answers:
    """A fake submit host: each command has one answer, and is noted."""

    where = "a fake submit host"

    def __init__(self, **answers: Done) -> None:
        self._answers = answers
        self.asked: list[Sequence[str]] = []

    def run(
        self, argv: Sequence[str], *, timeout_s: float, stdin: IO[bytes] | bytes = b"", into: Path | None = None
    ) -> Done:
        self.asked.append(argv)
        return self._answers[argv[0]]

    def put(self, source: Path, target: str, *, timeout_s: float) -> None:
        raise AssertionError("the dialect brings no files")

    def close(self) -> None:
        pass


def captured(version: str, name: str) -> Done:
    with (CAPTURES / version / "index.tsv").open(encoding="utf-8") as file:
        codes = {row[0]: int(row[1]) for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)}
    out, err = (CAPTURES / version / f"{name}.{stream}" for stream in ("out", "err"))
    return Done(codes[name], out.read_text() if out.exists() else "", err.read_text() if err.exists() else "")


def slurm(**answers: Done) -> Slurm:
    return Slurm(Answers(**answers), Needs())


def asked_of(version: str, name: str) -> Collection[str]:
    """Return the ids that were asked for, as far as anybody knew them."""
    said = [captured(version, f"{command}_{name}").stdout for command in ("squeue", "sacct")]
    return {line.partition("|")[0].partition(".")[0] for text in said for line in text.splitlines()}


ENDS: Mapping[str, tuple[TaskState, str, Limit | None]] = {
    "done": (TaskState.DONE, "", None),
    "exit_7": (TaskState.FAILED, "FAILED: exit code 7", None),
    "kill_9": (TaskState.FAILED, "FAILED: killed by signal 9", None),
    "segmentation_fault": (TaskState.FAILED, "FAILED: killed by signal 11", None),
    "memory": (TaskState.FAILED, "OUT_OF_MEMORY: killed by signal 125", Limit.MEMORY),
    "timeout": (TaskState.FAILED, "TIMEOUT", Limit.WALL),
    "cancelled_running": (TaskState.FAILED, "CANCELLED by uid 4000", None),
    "cancelled_waiting": (TaskState.FAILED, "CANCELLED by uid 4000", None),
    "cancelled_by_root": (TaskState.FAILED, "CANCELLED by uid 0", None),
    "preempted": (TaskState.FAILED, "PREEMPTED", None),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ENDS)
def test_accounting_tells_the_end_and_why(version: str, name: str) -> None:
    answers = slurm(squeue=captured(version, "squeue_unknown"), sacct=captured(version, f"sacct_{name}"))

    (status,) = answers.states(asked_of(version, name)).values()

    assert (status.state, status.reason, status.limit) == ENDS[name]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ENDS)
def test_queue_and_accounting_together_tell_the_same(version: str, name: str) -> None:
    answers = slurm(squeue=captured(version, f"squeue_{name}"), sacct=captured(version, f"sacct_{name}"))

    (status,) = answers.states(asked_of(version, name)).values()

    assert (status.state, status.reason if name != "done" else "", status.limit) == ENDS[name]


@pytest.mark.parametrize("version", VERSIONS)
def test_end_is_told_without_accounting(version: str) -> None:
    disabled = Done(1, "", "Slurm accounting storage is disabled\n")
    answers = slurm(squeue=captured(version, "squeue_timeout"), sacct=disabled)

    (status,) = answers.states(asked_of(version, "timeout")).values()

    assert (status.state, status.reason, status.limit) == (TaskState.FAILED, "TIMEOUT: TimeLimit", Limit.WALL)


@pytest.mark.parametrize("version", VERSIONS)
def test_lost_node_is_a_failure_with_its_name(version: str) -> None:
    answers = slurm(squeue=captured(version, "squeue_node_fail"), sacct=captured(version, "sacct_node_fail"))

    (status,) = answers.states(asked_of(version, "node_fail")).values()

    assert (status.state, status.native, status.limit) == (TaskState.FAILED, "NODE_FAIL", None)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["preempted_and_requeued", "node_fail_requeued"])
def test_job_that_is_queued_again_waits(version: str, name: str) -> None:
    answers = slurm(squeue=captured(version, f"squeue_{name}"), sacct=captured(version, f"sacct_{name}"))

    (status,) = answers.states(asked_of(version, name)).values()

    assert status.state is TaskState.WAITING


@pytest.mark.parametrize("version", VERSIONS)
def test_last_of_several_records_of_one_job_counts(version: str) -> None:
    again = Done(0, "7|NODE_FAIL|0:0|\n7.batch|CANCELLED||\n7|PENDING|0:0|\n", "")
    answers = slurm(squeue=captured(version, "squeue_unknown"), sacct=again)

    assert answers.states(["7"])["7"].state is TaskState.WAITING


@pytest.mark.parametrize("version", VERSIONS)
def test_elements_of_an_array_are_told_apart(version: str) -> None:
    answers = slurm(squeue=captured(version, "squeue_array_running"))
    job = captured(version, "sbatch_array").stdout.strip()

    states = [status.state for _, status in sorted(answers.states([f"{job}_{n}" for n in (1, 2, 3, 4)]).items())]

    assert states == [TaskState.RUNNING, TaskState.RUNNING, TaskState.WAITING, TaskState.WAITING]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_waits_for_ever_fails_and_is_taken_out_of_the_queue(version: str) -> None:
    transport = Answers(squeue=captured(version, "squeue_waiting"), scancel=NOTHING, sacct=NOTHING)
    never = [
        line.partition("|")[0]
        for line in captured(version, "squeue_waiting").stdout.splitlines()
        if line.endswith(("PartitionConfig", "PartitionTimeLimit", "QOSMaxCpuPerJobLimit"))
    ]

    statuses = Slurm(transport, Needs()).states(never)

    assert never
    assert {status.state for status in statuses.values()} == {TaskState.FAILED}
    assert all(status.reason.startswith("will never run here: ") for status in statuses.values())
    assert ["scancel", *sorted(never)] in [list(argv) for argv in transport.asked]


@pytest.mark.parametrize("reason", ["BadConstraints", "PartitionNodeLimit", "InvalidAccount", "InvalidQOS"])
def test_a_reason_that_may_pass_is_no_end_at_first_sight(reason: str) -> None:
    transport = Answers(squeue=Done(0, f"12|PENDING|{reason}\n", ""), scancel=NOTHING)

    status = Slurm(transport, Needs()).states(["12"])["12"]

    assert status.state is TaskState.WAITING
    assert status.reason.startswith(MAY_NEVER)
    assert [argv[0] for argv in transport.asked] == ["squeue"]


def test_hidden_partitions_are_asked_too() -> None:
    transport = Answers(squeue=Done(0, "12|RUNNING|None\n", ""), sacct=NOTHING)
    answers = Slurm(transport, Needs())

    answers.states(["12"])
    answers.find(["a" * 32])
    asked = [argv for argv in transport.asked if argv[0] == "squeue"]

    assert len(asked) == 2
    assert all("--all" in argv for argv in asked)


@pytest.mark.parametrize(
    "said",
    [
        "Required partition not available (inactive or drain)",
        "Slurm backup controller in standby mode",
        "I/O error writing script/environment to file",
        "Protocol authentication error",
        'Munge encode failed: Failed to access "/run/munge/munge.socket.2": No such file or directory',
        "Slurm temporarily unable to accept job, sleeping and retrying",
        "No space left on device",
    ],
)
def test_what_passes_by_itself_refuses_no_task(said: str) -> None:
    refused = Done(1, "", f"sbatch: error: Batch job submission failed: {said}\n")

    with pytest.raises(CEUnavailable, match="sbatch: "):
        slurm(sbatch=refused).submit(JOB)


@pytest.mark.parametrize("limit", ["AssocMaxWallDurationPerJobLimit", "QOSMaxCpuPerJobLimit", "QOSMaxMemoryPerJob"])
def test_a_limit_of_one_job_never_passes(limit: str) -> None:
    policy = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
    refused = Done(1, "", f"sbatch: error: {limit}\nsbatch: error: Batch job submission failed: {policy}\n")

    assert isinstance(slurm(sbatch=refused).submit(JOB), Rejected)


def test_an_array_that_is_too_long_is_halved_a_job_is_refused() -> None:
    refused = Done(1, "", "sbatch: error: Batch job submission failed: Invalid job array specification\n")

    with pytest.raises(CEError) as halves:
        slurm(sbatch=refused).submit(ARRAY)

    assert not isinstance(halves.value, CEUnavailable)
    assert isinstance(slurm(sbatch=refused).submit(JOB), Rejected)


@pytest.mark.parametrize("version", VERSIONS)
def test_held_and_suspended_go_on_with_their_reason(version: str) -> None:
    waiting = slurm(squeue=captured(version, "squeue_waiting"), scancel=NOTHING, sacct=NOTHING)
    statuses = waiting.states(asked_of(version, "waiting"))
    (suspended,) = slurm(squeue=captured(version, "squeue_suspended")).states(asked_of(version, "suspended")).values()

    assert {"JobHeldUser", "BeginTime", "PartitionDown", "Resources"} <= {s.reason for s in statuses.values()}
    assert suspended.state is TaskState.RUNNING


@pytest.mark.parametrize("version", VERSIONS)
def test_unknown_job_is_left_out(version: str) -> None:
    answers = slurm(squeue=captured(version, "squeue_unknown"), sacct=captured(version, "sacct_unknown"))

    assert answers.states(["999999"]) == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_forgotten_job_is_told_by_the_accounting(version: str) -> None:
    answers = slurm(squeue=captured(version, "squeue_forgotten"), sacct=captured(version, "sacct_forgotten"))

    (status,) = answers.states(asked_of(version, "forgotten")).values()

    assert status.state is TaskState.DONE


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("squeue", "sacct"), [("squeue_down", "sacct_done"), ("squeue_unknown", "sacct_without_slurmdbd")]
)
def test_no_answer_is_no_word_on_any_task(version: str, squeue: str, sacct: str) -> None:
    answers = slurm(squeue=captured(version, squeue), sacct=captured(version, sacct))

    with pytest.raises(CEError):
        answers.states(["1"])


@pytest.mark.parametrize(
    "said",
    [
        "\x00\x01\x7fELF",
        "<html><body>503</body></html>\n",
        "7|RUNNING|None\n8|RUNN",
        "7|RUNNING|None\n8|RUNNING|None",
        "module: loaded slurm/22.05\n7|RUNNING|None\n",
        "\n7|RUNNING|None\n",
    ],
)
def test_garbage_is_no_word_on_any_task(said: str) -> None:
    answers = slurm(squeue=Done(0, said, ""), sacct=Done(0, "7|COMPLETED|0:0|\n", ""))

    with pytest.raises(CEError, match="squeue: "):
        answers.states(["7", "8"])


def test_unknown_word_is_unknown_and_no_end() -> None:
    answers = slurm(squeue=Done(0, "7|HIBERNATING|None\n", ""))

    assert answers.states(["7"])["7"].state is TaskState.UNKNOWN


def test_hundred_thousand_rows_of_others_are_passed_over() -> None:
    others = "".join(f"{number}|RUNNING|None\n" for number in range(100_000))
    answers = slurm(squeue=Done(0, f"{others}700007|RUNNING|None\n", ""))

    assert list(answers.states(["700007"])) == ["700007"]


def test_accounting_that_is_away_hides_no_failure() -> None:
    answers = slurm(squeue=captured("22.05", "squeue_exit_7"), sacct=captured("22.05", "sacct_without_slurmdbd"))

    (status,) = answers.states(asked_of("22.05", "exit_7")).values()

    assert (status.state, status.reason) == (TaskState.FAILED, "FAILED: NonZeroExitCode")


@pytest.mark.parametrize("version", VERSIONS)
def test_accepted_jobs_have_their_number(version: str) -> None:
    single = slurm(sbatch=captured(version, "sbatch")).submit(JOB)
    clustered = slurm(sbatch=captured(version, "sbatch_named_cluster")).submit(JOB)

    assert single == Accepted(captured(version, "sbatch").stdout.strip())
    assert clustered == Accepted(captured(version, "sbatch_named_cluster").stdout.partition(";")[0])


REFUSALS = {
    "no_partition": "Invalid partition name specified",
    "no_account": "Invalid account or account/partition combination specified",
    "no_qos": "Invalid qos specification",
    "no_constraint": "Invalid feature specification",
    "no_resource": "Invalid generic resource (gres) specification",
    "too_many_gpus": "Requested node configuration is not available",
    "too_much_memory": "Memory specification can not be satisfied",
    "too_long_array": "Invalid job array specification",
    "bad_time": "Invalid --time specification",
    "no_option": "unrecognized option '--no-such-option'",
    "no_script": "Unable to open file /no/such/script",
    "no_reservation": "Requested reservation is invalid",
    "no_cluster": "No cluster 'nowhere' known by database",
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_has_slurms_own_words(version: str, name: str) -> None:
    answer = slurm(sbatch=captured(version, f"sbatch_{name}")).submit(JOB)

    assert isinstance(answer, Rejected)
    assert REFUSALS[name] in answer.reason


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["down", "too_many_jobs"])
def test_not_now_is_not_never(version: str, name: str) -> None:
    with pytest.raises(CEUnavailable):
        slurm(sbatch=captured(version, f"sbatch_{name}")).submit(JOB)


@pytest.mark.parametrize(
    "answer",
    [
        NO_ANSWER,
        Done(1, "", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"),
        Done(0, "", ""),
        Done(0, "Submitted batch job 42\n", ""),
        Done(0, "42\nwelcome to the cluster\n", ""),
    ],
)
def test_sbatch_without_a_clear_answer_is_uncertain_not_refused(answer: Done) -> None:
    assert isinstance(slurm(sbatch=answer).submit(JOB), Uncertain)


@pytest.mark.parametrize("version", VERSIONS)
def test_found_by_name_in_the_queue_or_in_the_accounting(version: str) -> None:
    names = ["0123456789abcdef0123456789abcdef", "nobody"]
    job_id = captured(version, "sbatch").stdout.strip()
    in_queue = slurm(squeue=captured(version, "squeue_by_name"), sacct=captured(version, "sacct_unknown"))
    in_accounts = slurm(squeue=captured(version, "squeue_by_unknown_name"), sacct=captured(version, "sacct_by_name"))

    assert in_queue.find(names) == {names[0]: job_id}
    assert in_accounts.find(names) == {names[0]: job_id}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["ended", "unknown", "waiting", "running"])
def test_cancelling_what_is_gone_is_no_error(version: str, name: str) -> None:
    slurm(scancel=captured(version, f"scancel_{name}")).cancel(["1"])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["foreign", "down"])
def test_cancelling_that_failed_is_said(version: str, name: str) -> None:
    with pytest.raises(CEError, match="scancel: "):
        slurm(scancel=captured(version, f"scancel_{name}")).cancel(["1"])


def test_needs_become_arguments() -> None:
    transport = Answers(sbatch=Done(0, "1\n", ""))
    needs = Needs(queue="grid", account="atlas", whole_node=True, nodes="2", gpus=1, submit_options=["--qos=tiny"])

    Slurm(transport, needs).submit(ARRAY)

    (argv,) = transport.asked
    expected = {"--array=1-3", "--partition=grid", "--account=atlas", "--exclusive", "--nodes=2", "--gpus-per-node=1"}
    assert expected | {"--qos=tiny", "--no-requeue", f"--job-name={'a' * 32}", "--cpus-per-task=1"} <= set(argv)
    assert argv[-1] == "/x/s"


def test_memory_and_wall_are_rounded_up() -> None:
    transport = Answers(sbatch=Done(0, "1\n", ""))

    Slurm(transport, Needs()).submit(JOB)

    assert {"--mem=96M", "--time=3"} <= set(transport.asked[0])
