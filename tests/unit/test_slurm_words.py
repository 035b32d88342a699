"""Slurm's words: of states, of reasons to wait, of its accounting. Written down here a second time."""

from collections.abc import Iterable, Sequence

import pytest

from ce_backends.base import TaskState
from ce_backends.batch.systems import slurm
from ce_backends.batch.transport import Done
from tests.unit.batch_systems import batch_system

NOTHING = Done(0, "", "")
WAITING, RUNNING, DONE, FAILED = TaskState.WAITING, TaskState.RUNNING, TaskState.DONE, TaskState.FAILED


def words(state: TaskState, text: str) -> Iterable[tuple[TaskState, str]]:
    return ((state, word) for word in text.split())


SLURM = (
    *words(WAITING, "PENDING CONFIGURING REQUEUED REQUEUE_FED REQUEUE_HOLD RESV_DEL_HOLD SPECIAL_EXIT"),
    *words(RUNNING, "RUNNING COMPLETING SUSPENDED STOPPED SIGNALING RESIZING STAGE_OUT"),
    *words(DONE, "COMPLETED"),
    *words(FAILED, "FAILED NODE_FAIL BOOT_FAIL DEADLINE REVOKED LAUNCH_FAILED RECONFIG_FAIL"),
    *words(FAILED, "TIMEOUT OUT_OF_MEMORY CANCELLED PREEMPTED"),
)


@pytest.mark.parametrize(("state", "word"), SLURM)
def test_slurms_word_for_a_state(state: TaskState, word: str) -> None:
    system, _ = batch_system("SLURM", {"squeue": Done(0, f"7|{word}|None\n", "")})

    status = system.states(["7"])["7"]

    assert (status.state, status.native, status.reason) == (state, word, word if state is FAILED else "")


@pytest.mark.parametrize(
    ("reason", "state", "sentence"),
    [
        ("DependencyNeverSatisfied", FAILED, "will never run here: a job that it depends on has failed ({})"),
        ("PartitionConfig", FAILED, "will never run here: more time, nodes or processors than the partition has ({})"),
        ("PartitionTimeLimit", FAILED, "will never run here: more wall time than the partition allows ({})"),
        ("AssocMaxCpuPerJobLimit", FAILED, "will never run here: more than one job may ever have ({})"),
        ("BadConstraints", WAITING, "may never run here: no node has the features asked for ({})"),
        ("InvalidAccount", WAITING, "may never run here: the account is not valid ({})"),
        ("InvalidQOS", WAITING, "may never run here: the QoS is not valid ({})"),
        ("Priority", WAITING, "{}"),
    ],
)
def test_why_a_job_of_slurm_waits(reason: str, state: TaskState, sentence: str) -> None:
    answers = {"squeue": Done(0, f"7|PENDING|{reason}\n", ""), "scancel": NOTHING}
    system, transport = batch_system("SLURM", answers)

    status = system.states(["7"])["7"]

    assert (status.state, status.native, status.reason) == (state, "PENDING", sentence.format(reason))
    assert (["scancel", "7"] in transport.commands) is (state is FAILED)


@pytest.mark.parametrize(
    ("steps", "peak_mb"),
    [
        (["7.batch|COMPLETED|0:0|"], None),
        (["7.batch|COMPLETED|0:0|1000000"], 1.0),
        (["7.batch|COMPLETED|0:0|1000K"], 1.024),
        (["7.batch|COMPLETED|0:0|1.5M"], 1.572864),
        (["7.batch|COMPLETED|0:0|2G", "7.0|COMPLETED|0:0|1G", "7.extern|COMPLETED|0:0|"], 2147.483648),
        (["7.0|COMPLETED|0:0|1G", "7.batch|COMPLETED|0:0|2G"], 2147.483648),
        (["7.batch|COMPLETED|0:0|1T"], 1099511.627776),
        (["8.batch|COMPLETED|0:0|1G"], None),
        (["7.batch|COMPLETED|0:0|nonsense"], None),
    ],
)
def test_the_most_memory_of_all_steps_is_the_peak_of_a_task(steps: Sequence[str], peak_mb: float | None) -> None:
    said = "".join(f"{line}\n" for line in ("7|COMPLETED|0:0|", *steps))
    system, _ = batch_system("SLURM", {"squeue": NOTHING, "sacct": Done(0, said, "")})

    usage = system.states(["7"])["7"].usage

    assert (usage.memory_peak_mb if usage else None) == peak_mb


@pytest.mark.parametrize(
    ("code", "sentence"),
    [("0:0", "FAILED"), ("3:0", "FAILED: exit code 3"), ("0:9", "FAILED: killed by signal 9"), ("", "FAILED")],
)
def test_slurms_exit_code_in_words(code: str, sentence: str) -> None:
    system, _ = batch_system("SLURM", {"squeue": NOTHING, "sacct": Done(0, f"7|FAILED|{code}|\n", "")})

    assert system.states(["7"])["7"].reason == sentence


@pytest.mark.parametrize("word", ["RUNNING", "PENDING"])
def test_an_accounting_that_is_behind_the_queue_is_waited_for_a_moment(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It alone knows by whom a job was cancelled."""
    behind, told = Done(0, f"7|{word}|0:0|\n", ""), Done(0, "7|CANCELLED by 0|0:0|\n", "")
    answers = {"squeue": Done(0, "7|CANCELLED|None\n", ""), "sacct": behind}
    system, _ = batch_system("SLURM", answers)
    assert not system.states(["7"])["7"].state.is_final

    answers["sacct"] = told
    assert (system.states(["7"])["7"].state, system.states(["7"])["7"].reason) == (FAILED, "CANCELLED by uid 0")

    answers["sacct"] = behind
    monkeypatch.setattr(slurm, "_BEHIND_S", 0.0)
    assert (system.states(["7"])["7"].state, system.states(["7"])["7"].reason) == (FAILED, "CANCELLED")
