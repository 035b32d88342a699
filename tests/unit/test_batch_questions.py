"""What each dialect asks its batch system, word for word; a command that fails is no answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from ce_backends.batch.transport import Done
from ce_backends.errors import CEError
from tests.unit.batch_systems import batch_system

NAME = "a" * 32
NOTHING = Done(0, "", "")


# ---- questions, word for word ----

QSTAT = '<?xml version="1.0"?><job_info></job_info>\n'
BJOBS = "jobid jobindex stat exit_code exit_reason run_time cpu_used name delimiter='|'"
ATTRIBUTES = (
    "ClusterId,ProcId,JobStatus,HoldReason,HoldReasonCode,HoldReasonSubCode,LastHoldReason,LastHoldReasonCode,"
    "LastHoldReasonSubCode,RemoveReason,ExitBySignal,ExitSignal,JobDisconnectedDate,ResidentSetSize,RemoteWallClockTime"
)
NONE_THERE = Done(255, "", "No job found\n")
UNKNOWN = Done(153, "", "qstat: Unknown Job Id 42\n")


@dataclass(frozen=True)
class Asked:
    """One call of a dialect.

    Args:
        answers: by command.
        call: what is called.
        commands: what is run for it, in this order.
    """

    answers: Mapping[str, Done]
    call: Callable[[Any], object]
    commands: Sequence[Sequence[str]]


def states(*task_ids: str) -> Callable[[Any], object]:
    return lambda system: system.states(task_ids)


def cancel(*task_ids: str) -> Callable[[Any], object]:
    return lambda system: system.cancel(task_ids)


def find(system: Any) -> object:
    return system.find([NAME])


QUESTIONS: Mapping[str, tuple[str, Asked]] = {
    "Slurm, states": (
        "SLURM",
        Asked(
            {"squeue": NOTHING, "sacct": NOTHING},
            states("42_2", "42_1", "7"),
            [
                [
                    *("squeue", "--all", "--noheader", "--array", "--states=all", "--format=%i|%T|%r"),
                    "--jobs=42,7",
                ],
                [
                    *("sacct", "--noheader", "--parsable2", "--duplicates", "--format=JobID,State,ExitCode,MaxRSS"),
                    "--jobs=42,7",
                ],
            ],
        ),
    ),
    "Slurm, cancel": ("SLURM", Asked({"scancel": NOTHING}, cancel("7", "42_1"), [["scancel", "42_1", "7"]])),
    "Slurm, find": (
        "SLURM",
        Asked(
            {"squeue": NOTHING, "sacct": NOTHING},
            find,
            [
                ["squeue", "--all", "--noheader", "--states=all", "--format=%j|%F", f"--name={NAME}"],
                [
                    *("sacct", "--noheader", "--parsable2", "--allocations", "--starttime=now-30days"),
                    *("--format=JobName,JobID", f"--name={NAME}"),
                ],
            ],
        ),
    ),
    "Grid Engine, states": (
        "GE",
        Asked(
            {"qstat": Done(0, QSTAT, ""), "qacct": NOTHING},
            states("7", "42.1"),
            [
                ["qstat", "-xml", "-g", "d", "-u", "$user"],
                ["qacct", "-j", "7"],
                ["qacct", "-j", "42"],
            ],
        ),
    ),
    "Grid Engine, cancel": ("GE", Asked({"qdel": NOTHING}, cancel("7", "42.1"), [["qdel", "42.1", "7"]])),
    "Grid Engine, find": (
        "GE",
        Asked(
            {"qstat": Done(0, QSTAT, ""), "qacct": NOTHING},
            find,
            [["qstat", "-xml", "-g", "d", "-u", "$user"], ["qacct", "-j", f"gridpilot_{NAME}"]],
        ),
    ),
    "Torque, states": (
        "Torque",
        Asked({"qstat": UNKNOWN}, states("42[1].s", "42[2].s", "7.s"), [["qstat", "-f", "-t", "42[].s", "7.s"]]),
    ),
    "OpenPBS, states": ("OpenPBS", Asked({"qstat": UNKNOWN}, states("7.s"), [["qstat", "-f", "-t", "-x", "7.s"]])),
    "Torque, cancel": ("Torque", Asked({"qdel": NOTHING}, cancel("7.s", "42[1].s"), [["qdel", "42[1].s", "7.s"]])),
    "Torque, find": ("Torque", Asked({"qstat": NOTHING}, find, [["qstat", "-f"]])),
    "OpenPBS, find": ("OpenPBS", Asked({"qstat": NOTHING}, find, [["qstat", "-f", "-x"]])),
    "LSF, states": ("LSF", Asked({"bjobs": NONE_THERE}, states("7"), [["bjobs", "-a", "-noheader", "-o", BJOBS]])),
    "LSF, cancel": ("LSF", Asked({"bkill": NOTHING}, cancel("7", "42[1]"), [["bkill", "42[1]", "7"]])),
    "LSF, find": ("LSF", Asked({"bjobs": NONE_THERE}, find, [["bjobs", "-a", "-noheader", "-o", BJOBS]])),
    "OAR, states": (
        "OAR",
        Asked({"oarstat": NOTHING}, states("42", "7"), [["oarstat", "-J", "-f", "--sql", "job_id IN (7,42)"]]),
    ),
    "OAR, cancel": (
        "OAR",
        Asked(
            {"oarstat": Done(0, '{"51": {"state": "Waiting"}, "9": {}}', ""), "oardel": NOTHING},
            cancel("42", "7"),
            [["oarstat", "-J", "-f", "--sql", "resubmit_job_id IN (7,42)"], ["oardel", "7", "42", "9", "51"]],
        ),
    ),
    "OAR, find": (
        "OAR",
        Asked({"oarstat": NOTHING}, find, [["oarstat", "-J", "-f", "--sql", f"job_name IN ('{NAME}')"]]),
    ),
    "HTCondor, states": (
        "Condor",
        Asked(
            {"condor_q": NOTHING, "condor_history": NOTHING},
            states("7.0", "42.0", "42.1"),
            [
                ["condor_q", "-json", "-attributes", ATTRIBUTES, "42", "7"],
                ["condor_history", "-json", "-attributes", ATTRIBUTES, "-limit", "3", "42", "7"],
            ],
        ),
    ),
    "HTCondor, cancel": (
        "Condor",
        Asked({"condor_rm": NOTHING}, cancel("7.0", "42.1"), [["condor_rm", "42.1", "7.0"]]),
    ),
    "HTCondor, find": (
        "Condor",
        Asked(
            {"condor_q": NOTHING, "condor_history": NOTHING},
            find,
            [
                [
                    *(command, "-json", "-attributes", f"{ATTRIBUTES},GridpilotName", "-constraint"),
                    f'stringListMember(GridpilotName, "{NAME}")',
                ]
                for command in ("condor_history", "condor_q")
            ],
        ),
    ),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_batch_system_is_asked_word_for_word(name: str) -> None:
    system_name, asked = QUESTIONS[name]
    system, transport = batch_system(system_name, asked.answers)

    asked.call(system)

    assert transport.commands == [list(argv) for argv in asked.commands]


def test_slurms_commands_name_the_cluster_where_a_site_has_several() -> None:
    system, transport = batch_system("SLURM", {"scancel": NOTHING}, Cluster="north")

    system.cancel(["7"])

    assert transport.commands == [["scancel", "--clusters=north", "7"]]


@pytest.mark.parametrize(
    ("name", "command", "most"),
    [
        ("SLURM", "scancel", 1000),
        ("GE", "qdel", 1000),
        ("Torque", "qdel", 500),
        ("LSF", "bkill", 500),
        ("Condor", "condor_rm", 500),
    ],
)
def test_one_command_names_so_many_tasks_at_most_and_none_is_left_out(name: str, command: str, most: int) -> None:
    system, transport = batch_system(name, {command: NOTHING})
    task_ids = [str(number) for number in range(10_000, 10_000 + most + 1)]

    system.cancel(task_ids)

    assert [len(argv) - 1 for argv in transport.commands] == [most, 1]
    assert sorted(word for argv in transport.commands for word in argv[1:]) == task_ids


# ---- no answer to a question ----

BROKEN = Done(1, "", "it is on fire\n")
COMPLAINTS: Sequence[tuple[str, Mapping[str, Done], Callable[[Any], object], str]] = (
    ("SLURM", {"squeue": BROKEN}, find, "squeue: .*on fire"),
    ("SLURM", {"squeue": NOTHING, "sacct": BROKEN}, find, "sacct: .*on fire"),
    ("SLURM", {"squeue": NOTHING, "sacct": BROKEN}, states("7"), "sacct: .*on fire"),
    ("SLURM", {"scancel": BROKEN}, cancel("7"), "scancel: .*on fire"),
    ("GE", {"qstat": BROKEN}, find, "qstat: .*on fire"),
    ("GE", {"qstat": Done(0, QSTAT, ""), "qacct": BROKEN}, find, "qacct: .*on fire"),
    ("GE", {"qstat": Done(0, QSTAT, ""), "qacct": BROKEN}, states("7"), "qacct: .*on fire"),
    ("GE", {"qdel": BROKEN}, cancel("7"), "qdel: it is on fire"),
    ("GE", {}, cancel("7"), "qdel: "),
    ("Torque", {"qstat": BROKEN}, find, "qstat: .*on fire"),
    ("Torque", {"qstat": BROKEN}, states("7.s"), "qstat: .*on fire"),
    ("Torque", {"qdel": BROKEN}, cancel("7.s"), "qdel: .*on fire"),
    ("Torque", {}, cancel("7.s"), "qdel: "),
    ("LSF", {"bjobs": BROKEN}, find, "bjobs: .*on fire"),
    ("LSF", {"bjobs": NOTHING}, states("7"), "bjobs: "),
    ("LSF", {"bkill": BROKEN}, cancel("7"), "bkill: it is on fire"),
    ("LSF", {}, cancel("7"), "bkill: "),
    ("OAR", {"oarstat": BROKEN}, find, "oarstat: .*on fire"),
    ("OAR", {"oarstat": Done(0, "", "DBD::Pg failed\n")}, states("7"), "oarstat: .*failed"),
    ("OAR", {"oarstat": Done(0, "[]", "")}, states("7"), "oarstat -J: expected jobs by number"),
    ("OAR", {"oarstat": NOTHING, "oardel": BROKEN}, cancel("7"), "oardel: .*on fire"),
    ("OAR", {"oarstat": NOTHING}, cancel("7"), "oardel: "),
    ("Condor", {"condor_history": BROKEN}, find, "condor_history: .*on fire"),
    ("Condor", {"condor_history": NOTHING, "condor_q": BROKEN}, find, "condor_q: .*on fire"),
    ("Condor", {"condor_q": BROKEN}, states("7.0"), "condor_q: .*on fire"),
    ("Condor", {"condor_rm": BROKEN}, cancel("7.0"), "condor_rm: .*on fire"),
)


@pytest.mark.parametrize(("name", "answers", "call", "sentence"), COMPLAINTS)
def test_a_command_that_fails_is_no_answer(
    name: str, answers: Mapping[str, Done], call: Callable[[Any], object], sentence: str
) -> None:
    system, _ = batch_system(name, answers)

    with pytest.raises(CEError, match=sentence):
        call(system)


@pytest.mark.parametrize(
    ("name", "command", "said"),
    [
        ("SLURM", "scancel", "scancel: error: Kill job error on job id 7: Invalid job id specified"),
        ("GE", "qdel", 'denied: job "7" does not exist'),
        ("GE", "qdel", "griduser has deleted job 7"),
        ("GE", "qdel", "griduser has registered the job 7 for deletion"),
        ("GE", "qdel", "job 7 is already in deletion"),
        ("GE", "qdel", "error: unable to sync state with remote execd"),
        ("Torque", "qdel", "qdel: Unknown Job Id 7.s"),
        ("OpenPBS", "qdel", "qdel: Job has finished 7.s"),
        ("Torque", "qdel", "qdel: Request invalid for state of job 7.s"),
        ("LSF", "bkill", "Job <7>: No matching job found"),
        ("LSF", "bkill", "Job <7>: Job has already finished"),
        ("LSF", "bkill", "Job <7> is being terminated"),
        ("LSF", "bkill", "Job <7> is not found"),
        ("OAR", "oardel", "The job 7 was already killed"),
        ("OAR", "oardel", "You are not the right user to delete the job 7"),
        ("OAR", "oardel", "Could not connect to the socket"),
        ("Condor", "condor_rm", "Couldn't find/remove all jobs in cluster 7"),
        ("Condor", "condor_rm", "Job 7.0 not found"),
        ("Condor", "condor_rm", "Job 7.0 already marked for removal"),
    ],
)
def test_cancelling_what_is_gone_is_no_error(name: str, command: str, said: str) -> None:
    system, transport = batch_system(name, {command: Done(1, "", f"{said}\n"), "oarstat": NOTHING})

    system.cancel(["7"])

    assert transport.commands[-1][0] == command


@pytest.mark.parametrize(
    ("name", "command", "gone"),
    [
        ("GE", "qdel", "job 7 is already in deletion"),
        ("Torque", "qdel", "qdel: Unknown Job Id 7.s"),
        ("LSF", "bkill", "Job <7>: No matching job found"),
        ("OAR", "oardel", "The job 7 was already killed"),
    ],
)
def test_what_is_gone_hides_no_other_complaint(name: str, command: str, gone: str) -> None:
    system, _ = batch_system(name, {command: Done(1, "", f"{gone}\nit is on fire\n"), "oarstat": NOTHING})

    with pytest.raises(CEError, match=f"{command}: .*on fire"):
        system.cancel(["7", "8"])


def test_an_unknown_job_of_pbs_hides_no_other_complaint() -> None:
    told = "Job Id: 7.s\n    job_state = R\n\n"
    unknown, broken = "qstat: Unknown Job Id 8.s\n", "qstat: it is on fire\n"
    good, _ = batch_system("Torque", {"qstat": Done(153, told, unknown)})
    bad, _ = batch_system("Torque", {"qstat": Done(153, told, unknown + broken)})

    assert list(good.states(["7.s", "8.s"])) == ["7.s"]
    with pytest.raises(CEError, match="qstat: "):
        bad.states(["7.s", "8.s"])
