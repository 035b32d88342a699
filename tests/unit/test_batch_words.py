"""What the words mean that batch systems say: of states, of limits, in refusals. Written down here a second time."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from ce_backends.base import Limit, Rejected, TaskState, Uncertain
from ce_backends.batch.system import BatchJob
from ce_backends.batch.transport import Done
from ce_backends.errors import CEError, CEUnavailable
from tests.unit.batch_systems import batch_system

NOTHING = Done(0, "", "")
JOB = BatchJob(name="a" * 32, size=1, script="/s/jobs/x", log="/s/log", processors=1, memory_mb=0, gpus=0, wall_s=0)
ARRAY = replace(JOB, size=3)
WAITING, RUNNING, DONE, FAILED = TaskState.WAITING, TaskState.RUNNING, TaskState.DONE, TaskState.FAILED


def condor(**ad: object) -> Done:
    return Done(0, json.dumps([{"ClusterId": 7, "ProcId": 0, **ad}]), "")


@pytest.mark.parametrize(
    ("state", "letter", "reason"),
    [
        (WAITING, "Q", ""),
        (WAITING, "H", "held"),
        (WAITING, "W", ""),
        (WAITING, "T", "being moved"),
        (WAITING, "M", "moved to another server"),
        (RUNNING, "R", ""),
        (RUNNING, "E", ""),
        (RUNNING, "B", ""),
        (RUNNING, "S", "suspended"),
        (RUNNING, "U", "suspended"),
        (DONE, "C", ""),
        (DONE, "F", ""),
        (DONE, "X", ""),
    ],
)
def test_pbs_letter_for_a_state(state: TaskState, letter: str, reason: str) -> None:
    told = f"Job Id: 7.s\n    job_state = {letter}\n    exit_status = 0\n\n"
    system, _ = batch_system("Torque", {"qstat": Done(0, told, "")})

    status = system.states(["7.s"])["7.s"]

    assert (status.state, status.reason) == (state, reason)


@pytest.mark.parametrize(
    ("flavour", "code", "limit"),
    [
        ("Torque", -10, Limit.MEMORY),
        ("Torque", -11, Limit.WALL),
        ("Torque", -12, Limit.CPU),
        ("Torque", -3, None),
        ("OpenPBS", -26, Limit.MEMORY),
        ("OpenPBS", -27, Limit.MEMORY),
        ("OpenPBS", -28, Limit.CPU),
        ("OpenPBS", -29, Limit.WALL),
        ("OpenPBS", -10, None),
    ],
)
def test_pbs_exit_status_for_a_limit(flavour: str, code: int, limit: Limit | None) -> None:
    told = f"Job Id: 7.s\n    job_state = F\n    Exit_status = {code}\n\n"
    system, _ = batch_system(flavour, {"qstat": Done(0, told, "")})

    status = system.states(["7.s"])["7.s"]

    assert (status.state, status.limit) == (FAILED, limit)
    assert status.reason == (f"ended at its limit of {limit}" if limit else f"F, exit status {code}")


@pytest.mark.parametrize(
    ("state", "word", "reason"),
    [
        (WAITING, "PEND", ""),
        (WAITING, "PROV", ""),
        (WAITING, "PSUSP", "held"),
        (WAITING, "WAIT", ""),
        (RUNNING, "RUN", ""),
        (RUNNING, "USUSP", "suspended"),
        (RUNNING, "SSUSP", "suspended by LSF"),
        (TaskState.UNKNOWN, "UNKWN", "LSF has lost contact with its host"),
        (TaskState.UNKNOWN, "ZOMBI", "killed while LSF had no contact with its host"),
        (DONE, "DONE", ""),
        (DONE, "EXIT", ""),
    ],
)
def test_lsfs_word_for_a_state(state: TaskState, word: str, reason: str) -> None:
    system, _ = batch_system("LSF", {"bjobs": Done(0, f"7|0|{word}|-|-|5 second(s)|1.5 second(s)|n\n", "")})

    status = system.states(["7"])["7"]

    assert (status.state, status.reason) == (state, reason)
    if state is DONE:
        assert (status.usage.wall_s, status.usage.cpu_s) == (5.0, 1.5)


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ("TERM_RUNLIMIT", Limit.WALL),
        ("TERM_CPULIMIT", Limit.CPU),
        ("TERM_MEMLIMIT", Limit.MEMORY),
        ("TERM_SWAP", Limit.MEMORY),
        ("TERM_PROCESSLIMIT", Limit.PROCESSES),
        ("TERM_THREADLIMIT", Limit.PROCESSES),
        ("TERM_OWNER", None),
    ],
)
def test_lsfs_word_for_a_limit(said: str, limit: Limit | None) -> None:
    row = f"7|0|EXIT|137|{said}: it was over it|5 second(s)|-|n\n"
    system, _ = batch_system("LSF", {"bjobs": Done(0, row, "")})

    status = system.states(["7"])["7"]

    assert (status.state, status.limit) == (FAILED, limit)
    assert status.reason.endswith(f"killed by signal 9, {said}: it was over it")


@pytest.mark.parametrize(
    ("state", "word", "reason"),
    [
        *((WAITING, word, "") for word in ("Waiting", "toAckReservation", "toLaunch", "Launching")),
        (WAITING, "Hold", "held"),
        *((RUNNING, word, "") for word in ("Running", "Resuming", "Finishing", "toError")),
        (RUNNING, "Suspended", "suspended"),
        (DONE, "Terminated", ""),
        (FAILED, "Error", "no luck"),
    ],
)
def test_oars_word_for_a_state(state: TaskState, word: str, reason: str) -> None:
    told = f'{{"7": {{"state": "{word}", "message": "no luck", "startTime": 10, "stopTime": 25, "exit_code": 0}}}}'
    system, _ = batch_system("OAR", {"oarstat": Done(0, told, "")})

    status = system.states(["7"])["7"]

    assert (status.state, status.reason) == (state, reason)
    if state.is_final:
        assert status.usage.wall_s == 15.0


@pytest.mark.parametrize(
    ("state", "number", "native"),
    [
        (WAITING, 1, "idle"),
        (RUNNING, 2, "running"),
        (RUNNING, 3, "removed"),
        (DONE, 4, "completed"),
        (FAILED, 5, "held"),
        (RUNNING, 6, "transferring output"),
        (RUNNING, 7, "suspended"),
    ],
)
def test_htcondors_number_for_a_state(state: TaskState, number: int, native: str) -> None:
    system, _ = batch_system(
        "Condor", {"condor_q": condor(JobStatus=number), "condor_rm": NOTHING, "condor_history": NOTHING}
    )

    status = system.states(["7.0"])["7.0"]

    assert (status.state, status.native) == (state, native)


@pytest.mark.parametrize(
    ("code", "subcode", "limit"),
    [
        (34, 0, Limit.MEMORY),
        (46, 0, Limit.WALL),
        (47, 0, Limit.WALL),
        (3, 4711, Limit.MEMORY),
        (3, 0, None),
        (1, 4711, None),
    ],
)
def test_htcondors_hold_for_a_limit(code: int, subcode: int, limit: Limit | None) -> None:
    held = condor(JobStatus=5, HoldReason="why", HoldReasonCode=code, HoldReasonSubCode=subcode, ResidentSetSize=2000)
    system, transport = batch_system("Condor", {"condor_q": held, "condor_rm": NOTHING})

    status = system.states(["7.0"])["7.0"]

    assert (status.state, status.reason, status.limit) == (FAILED, "held: why", limit)
    assert status.usage.memory_peak_mb == 2.048
    assert transport.commands[1] == ["condor_rm", "7.0"]


@pytest.mark.parametrize(
    ("letters", "state", "reason"),
    [
        ("qw", WAITING, ""),
        ("hqw", WAITING, "held"),
        ("r", RUNNING, ""),
        ("t", RUNNING, ""),
        ("Rr", RUNNING, ""),
        ("s", RUNNING, "suspended"),
        ("S", RUNNING, "queue suspended"),
        ("T", RUNNING, "over a load threshold"),
        ("dr", RUNNING, "being deleted"),
        ("hr", RUNNING, "held"),
    ],
)
def test_grid_engines_letters_for_a_state(letters: str, state: TaskState, reason: str) -> None:
    listed = f"<job_info><job_list><JB_job_number>7</JB_job_number><state>{letters}</state></job_list></job_info>\n"
    system, _ = batch_system("GE", {"qstat": Done(0, listed, "")})

    status = system.states(["7"])["7"]

    assert (status.state, status.native, status.reason) == (state, letters, reason)


# ---- words of refusals ----

NOT_NOW = {
    "SLURM": (
        "Unable to contact slurm controller (connect failure)",
        "Slurm temporarily unable to accept job, sleeping and retrying",
        "Resource temporarily unavailable",
        "Job violates accounting/QOS policy",
        "Zero Bytes were transmitted or received",
        "Required partition not available (inactive or drain)",
        "Required node not available (down, drained or reserved)",
        "Slurm backup controller in standby mode",
        "I/O error writing script/environment to file",
        "Invalid authentication credential",
        "Munge encode failed",
        "If munged is up, restart with --num-threads=10",
        "Communication connection failure",
    ),
    "GE": (
        "unable to send message to qmaster using port 6444",
        "unable to contact qmaster using port 6444",
        "can't get configuration from qmaster",
        "Unable to initialize environment because of error",
    ),
    "Torque": (
        "qsub: cannot connect to server here (errno=15034)",
        "Maximum number of jobs already in queue",
        "would exceed the limit of the complex",
        "No Permission now",
        "Cannot connect to specified server host",
        "Queue is not enabled",
        "Server shutting down",
        "No free connections",
        "PBS: System error",
    ),
    "LSF": (
        "LSF is down. Please wait ...",
        "Failed, try later",
        "batch system daemon not responding ... still trying",
        "Pending job threshold reached. Retrying in 60 seconds...",
        "Queue has been closed",
        "mbatchd is not ready yet",
        "LIM is down; try again",
    ),
    "OAR": (
        "DBI connect('database=oar') failed",
        "Cannot connect to the database",
        "Couldn't connect to the database",
        "sorry, too many clients already",
    ),
    "Condor": (
        "ERROR: Failed to connect to local queue manager",
        "Failed to authenticate",
        "AUTHENTICATE:1003: it failed",
        "Can't find address of schedd",
        "Can't resolve collector",
        "unknown host collector",
        "would exceed MAX_JOBS_PER_OWNER",
        "Unable to locate schedd",
        "the pool has no record of it",
        "Error: Collector is away",
    ),
}
MAYBE = {
    "SLURM": ("Socket timed out on send/recv operation", "Unexpected message received"),
    "GE": ("failed receiving gdi request response", "got read error (closing connection)"),
    "Torque": ("End of File", "Communication failure", "Premature end of message"),
    "LSF": ("Communication time out", "Timeout in contacting mbatchd"),
    "Condor": (
        "ERROR: Failed to commit job submission into the queue",
        "spoolJobFiles: it broke",
        "Failed to spool job files",
        "Failed to end transaction",
    ),
}
TOO_LONG = {
    "SLURM": ("Invalid job array specification", "AssocMaxSubmitJobLimit"),
    "GE": ("you tried to submit a job with more than 75000 tasks", "over max_aj_tasks", "over max_aj_instances"),
    "Torque": ("Array job exceeds server size", "over the array job size limit", "over max_job_array_size"),
    "LSF": ("Job array index too large", "over MAX_JOB_ARRAY_SIZE"),
    "Condor": ("would exceed MAX_JOBS_PER_SUBMISSION",),
}
FOR_GOOD = {
    "SLURM": ("QOSMaxCpuPerJobLimit: violates accounting/QOS policy",),
    "Torque": (
        "Job exceeds queue resource limits MSG=would exceed the queue's",
        "Job violates queue and/or server resource limits, would exceed them",
    ),
    "Condor": (
        "Failed to commit: Submit requirement Proxy not met",
        "Failed to commit: SUBMIT_REQUIREMENT_Proxy",
        "Collector has no units",
    ),
}
SUBMITS = {"SLURM": "sbatch", "GE": "qsub", "Torque": "qsub", "LSF": "bsub", "OAR": "oarsub", "Condor": "condor_submit"}


def pairs(table: Mapping[str, Sequence[str]]) -> Sequence[tuple[str, str]]:
    return [(name, said) for name, all_said in table.items() for said in all_said]


def refused(name: str, said: str, job: BatchJob = JOB) -> object:
    system, _ = batch_system(name, {SUBMITS[name]: Done(1, "", f"{said}\n")})
    return system.submit(job)


@pytest.mark.parametrize(("name", "said"), pairs(NOT_NOW))
def test_a_word_for_not_now(name: str, said: str) -> None:
    with pytest.raises(CEUnavailable):
        refused(name, said)


@pytest.mark.parametrize(("name", "said"), pairs(MAYBE))
def test_a_word_for_perhaps(name: str, said: str) -> None:
    assert isinstance(refused(name, said), Uncertain)


@pytest.mark.parametrize(("name", "said"), pairs(TOO_LONG))
def test_a_word_for_too_long_an_array(name: str, said: str) -> None:
    with pytest.raises(CEError) as halves:
        refused(name, said, ARRAY)

    assert not isinstance(halves.value, CEUnavailable)


@pytest.mark.parametrize(("name", "said"), pairs(FOR_GOOD))
def test_a_word_for_never(name: str, said: str) -> None:
    assert isinstance(refused(name, said), Rejected)


@pytest.mark.parametrize("name", SUBMITS)
def test_a_word_that_nobody_knows_is_a_refusal_for_good(name: str) -> None:
    answer = refused(name, "the moon is full")

    assert answer == Rejected(f"{SUBMITS[name]}: {Done(1, '', 'the moon is full').sentence}")
