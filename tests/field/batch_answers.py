"""What batch systems answer about tasks: the dialect, each command's output, states and limits, the source.

An answer is what stdout holds; a pair is an exit code and stderr.
"""

import json

from ce_backends.base import Limit, TaskState

W, R, D, F, U = TaskState.WAITING, TaskState.RUNNING, TaskState.DONE, TaskState.FAILED, TaskState.UNKNOWN
Answer = str | tuple[int, str]
Row = tuple[str, dict[str, Answer], dict[str, tuple[TaskState, Limit | None]], str]


def _ge(state: str, number: str = "12", tasks: str = "") -> str:
    element = f"<tasks>{tasks}</tasks>" if tasks else ""
    fields = f"<JB_job_number>{number}</JB_job_number><JB_name>n</JB_name><state>{state}</state>{element}"
    job = f'<job_list state="x">{fields}</job_list>'
    return f"<?xml version='1.0'?>\n<job_info><queue_info>{job}</queue_info></job_info>\n"


def _ended_ge(failed: str, code: str, **more: str) -> str:
    fields = {"jobname": "n", "jobnumber": "12", "taskid": "undefined", "failed": failed, "exit_status": code}
    fields |= {"ru_wallclock": "10s", "cpu": "1.5s", "category": more.get("category", ""), "maxvmem": "1.000MB"}
    return "=" * 62 + "\n" + "".join(f"{name:<13}{value}\n" for name, value in fields.items())


def _ad(**more: object) -> str:
    return json.dumps([{"ClusterId": 12, "ProcId": 0, **more}])


def _pbs(**fields: str) -> str:
    return "Job Id: 12.srv\n" + "".join(f"    {name} = {value}\n" for name, value in fields.items()) + "\n"


GONE = (1, "slurm_load_jobs error: Invalid job id specified")
NO_DBD = (1, "Slurm accounting storage is disabled")
ANSWERS: list[Row] = [
    ("SLURM", {"squeue": "12|PENDING|Resources\n"}, {"12": (W, None)}, "Slurm 20.11"),
    ("SLURM", {"squeue": "12|CONFIGURING|None\n"}, {"12": (W, None)}, "Slurm in clouds: a node boots"),
    (
        "SLURM",
        {"squeue": "12_1|RUNNING|None\n12_2|PENDING|Priority\n"},
        {"12_1": (R, None), "12_2": (W, None)},
        "Slurm 22.05: an array",
    ),
    ("SLURM", {"squeue": "12|COMPLETING|None\n"}, {"12": (R, None)}, "Slurm: an epilog that hangs is no end"),
    (
        "SLURM",
        {"squeue": GONE, "sacct": "12|COMPLETED|0:0|\n12.batch|COMPLETED|0:0|2048K\n"},
        {"12": (D, None)},
        "left squeue after MinJobAge",
    ),
    (
        "SLURM",
        {"squeue": GONE, "sacct": "12|TIMEOUT|0:0|\n"},
        {"12": (F, Limit.WALL)},
        "tardis issue 240: exit code 0:0",
    ),
    (
        "SLURM",
        {"squeue": GONE, "sacct": "12|OUT_OF_MEMORY|0:125|\n"},
        {"12": (F, Limit.MEMORY)},
        "unknown to DIRAC 8's plug-in",
    ),
    ("SLURM", {"squeue": GONE, "sacct": "12|CANCELLED by 4000|0:0|\n"}, {"12": (F, None)}, "the word has a user in it"),
    (
        "SLURM",
        {"squeue": GONE, "sacct": "12|NODE_FAIL|1:0|\n12|PENDING|0:0|\n"},
        {"12": (W, None)},
        "requeued: of two lines the last",
    ),
    ("SLURM", {"squeue": GONE, "sacct": NO_DBD}, {}, "no accounting: nothing is known, nothing has ended"),
    ("SLURM", {"squeue": "", "sacct": ""}, {}, "DIRAC issue 8417: an empty answer"),
    ("SLURM", {"squeue": "CLUSTER: c1\n12|RUNNING|None\n"}, {"12": (R, None)}, "a heading though none is asked for"),
    ("SLURM", {"squeue": "12|SOME_NEW_STATE|None\n"}, {"12": (U, None)}, "a state of a later release is no end"),
    ("GE", {"qstat": _ge("qw")}, {"12": (W, None)}, "SGE 8.1.9"),
    ("GE", {"qstat": _ge("hqw")}, {"12": (W, None)}, "a job that is held"),
    ("GE", {"qstat": _ge("Rr")}, {"12": (R, None)}, "restarted after its node was lost"),
    ("GE", {"qstat": _ge("dr")}, {"12": (R, None)}, "being deleted: not over yet"),
    ("GE", {"qstat": _ge("qw", tasks="1-2:1")}, {"12.1": (W, None), "12.2": (W, None)}, "an array in one line"),
    (
        "GE",
        {"qstat": _ge("r", number="9"), "qacct": _ended_ge("0", "3")},
        {"12": (D, None)},
        "exit code 3 is the task's",
    ),
    (
        "GE",
        {"qstat": _ge("r", number="9"), "qacct": _ended_ge("100 : assumedly after job", "137")},
        {"12": (F, None)},
        "a signal",
    ),
    ("Torque", {"qstat": _pbs(job_state="Q")}, {"12.srv": (W, None)}, "Torque 6"),
    ("Torque", {"qstat": _pbs(job_state="E")}, {"12.srv": (R, None)}, "E is exiting, and no error"),
    ("Torque", {"qstat": _pbs(job_state="C", exit_status="0")}, {"12.srv": (D, None)}, "keep_completed"),
    ("Torque", {"qstat": _pbs(job_state="C", exit_status="-11")}, {"12.srv": (F, Limit.WALL)}, "JOB_EXEC_OVERLIMIT_WT"),
    (
        "Torque",
        {"qstat": (153, "qstat: Unknown Job Id Error 12.srv")},
        {},
        "one id that is gone does not spoil the answer",
    ),
    ("Condor", {"condor_q": _ad(JobStatus=1)}, {"12.0": (W, None)}, "HTCondor 10"),
    ("Condor", {"condor_q": _ad(JobStatus=2)}, {"12.0": (R, None)}, "HTCondor 23"),
    ("Condor", {"condor_q": _ad(JobStatus=6)}, {"12.0": (R, None)}, "output is transferred"),
    ("Condor", {"condor_q": _ad(JobStatus=7)}, {"12.0": (R, None)}, "suspended"),
    (
        "Condor",
        {"condor_q": _ad(JobStatus=5, HoldReasonCode=16, HoldReason="spooling")},
        {"12.0": (W, None)},
        "code 16",
    ),
    ("Condor", {"condor_q": _ad(JobStatus=2, JobDisconnectedDate=1)}, {"12.0": (R, None)}, "a lease that still runs"),
    (
        "Condor",
        {"condor_q": "", "condor_history": "[\n]\n"},
        {},
        "condor_q of an unknown job: exit code 0, not even []",
    ),
    (
        "Condor",
        {"condor_q": "", "condor_history": _ad(JobStatus=4, ExitBySignal=False)},
        {"12.0": (D, None)},
        "left at once",
    ),
    ("Condor", {"condor_q": _ad(JobStatus=99)}, {"12.0": (U, None)}, "a number of a later release is no end"),
    ("LSF", {"bjobs": "12|0|PEND|-|-|-|-|n\n"}, {"12": (W, None)}, "LSF 10.1"),
    (
        "LSF",
        {"bjobs": "12|3|RUN|-|-|5 second(s)|1.0 second(s)|n[3]\n"},
        {"12[3]": (R, None)},
        "an element by its index",
    ),
    (
        "LSF",
        {"bjobs": "12[3]|3|RUN|-|-|5 second(s)|1.0 second(s)|n\n"},
        {"12[3]": (R, None)},
        "releases with the index in the id",
    ),
    ("LSF", {"bjobs": "12|0|UNKWN|-|-|-|-|n\n"}, {"12": (U, None)}, "its host does not answer: no end"),
    (
        "LSF",
        {"bjobs": "12|0|EXIT|143|TERM_RUNLIMIT: job killed|60 second(s)|1 second(s)|n\n"},
        {"12": (F, Limit.WALL)},
        "DIRAC took EXIT for Done",
    ),
    ("LSF", {"bjobs": (255, "No job found")}, {}, "no job of ours"),
]
