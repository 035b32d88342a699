"""A pilot as a batch job: how each batch system is given one, names it, and takes its slot away."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.systems.real_system import RealSystem

PROCESSORS = 1  # fewer than any node has, and than the pilot would take when nobody limits it
_WMS = "/Systems/WorkloadManagement"
ASKED = "The pilot was asked to end by {signal}"


@dataclass(frozen=True)
class BatchJob:
    """One that runs the pilot.

    Attributes:
        reference: by which the WMS must know the pilot.
        end: the command that makes the batch system take the slot; empty when its time is over by itself.
        kill: the command that makes it take the slot without notice.
        remove: the command after which nothing is left of it, in whatever state it is.
    """

    reference: str
    end: list[str]
    kill: list[str]
    remove: list[str]


@dataclass(frozen=True, kw_only=True)
class BatchSystem(ABC):
    """One way in which a slot is given and taken.

    Attributes:
        case: of the test.
        name: of its folder in tests/clusters.
        variables: for its scripts.
        options: of the pilot.
        limit_s: of wall time, in whole minutes.
        told_by: who names the end of the slot, as the agent's log has it.
        cause: for which the job is handed back.
    """

    case: str
    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    limit_s: int = 1500
    told_by: str
    cause: str = ASKED.format(signal="SIGTERM")

    @abstractmethod
    def submit(self, system: RealSystem, script: Path, ce: str) -> BatchJob:
        """Submit the script as the unprivileged user."""


@dataclass(frozen=True, kw_only=True)
class Slurm(BatchSystem):
    """A job of Slurm that is pre-empted by one that wants all nodes: SIGTERM, and SIGKILL after GraceTime and KillWait.

    With proctrack/cgroup SIGTERM goes to the batch script itself and to no child of it: hence the script's `exec`.
    """

    case: str = "slurm_preemption"
    name: str = "slurm"
    told_by: str = "Slurm's scontrol"

    def submit(self, system: RealSystem, script: Path, ce: str) -> BatchJob:
        argv = ["sbatch", "--parsable", f"--time={self.limit_s // 60}", f"--cpus-per-task={PROCESSORS}"]
        number = said(system, *argv, "--partition=preempt", "--no-requeue", "--output=/dev/null", str(script))
        kill = ["scancel", "--signal=KILL", "--full", number]
        return BatchJob(f"sshslurm://{ce}/{number}", self._end(number), kill, ["scancel", number])

    def _end(self, number: str) -> list[str]:
        wanted = ["--partition=grid", "--nodes=3", "--exclusive", "--time=1", "--output=/dev/null"]
        return ["sbatch", *wanted, "--wrap", "true"]


@dataclass(frozen=True, kw_only=True)
class SlurmTimeLimit(Slurm):
    """The same, ended by its time limit, which is cut short; Slurm looks at limits every 30 s."""

    case: str = "slurm_time_limit"

    def _end(self, number: str) -> list[str]:
        return ["scontrol", "update", f"JobId={number}", "EndTime=now+2"]


@dataclass(frozen=True, kw_only=True)
class GridEngine(BatchSystem):
    """A job of Grid Engine that asks for a notice, ended by `qdel`: SIGUSR2, and SIGKILL after the queue's `notify`.

    Attributes:
        notice: it asks for one; without, SIGKILL comes at once.
    """

    case: str = "grid_engine"
    name: str = "grid_engine"
    told_by: str = "Grid Engine h_rt"
    cause: str = ASKED.format(signal="SIGUSR2")
    notice: bool = True

    def submit(self, system: RealSystem, script: Path, ce: str) -> BatchJob:
        argv = ["qsub", "-terse", "-S", "/bin/sh", *(["-notify"] if self.notice else []), "-pe", "smp", str(PROCESSORS)]
        argv += ["-l", f"h_rt={self.limit_s}", "-o", "/dev/null", "-j", "y", str(script)]
        number = said(system, *argv)
        return BatchJob(f"sshge://{ce}/{number}", *[["qdel", number]] * 3)


@dataclass(frozen=True, kw_only=True)
class HTCondor(BatchSystem):
    """A job of HTCondor that is pre-empted: SIGTERM, and SIGKILL after the machine's MachineMaxVacateTime.

    It would then start again elsewhere; this one is held.
    """

    case: str = "htcondor"
    name: str = "htcondor"
    told_by: str = "HTCondor AllowedJobDuration"

    def submit(self, system: RealSystem, script: Path, ce: str) -> BatchJob:
        lines = [f"executable = {script}", f"request_cpus = {PROCESSORS}", "request_memory = 500"]
        lines += [f"allowed_job_duration = {self.limit_s}", "environment = CONDOR_JOBID=$(Cluster).$(Process)"]
        lines += ["periodic_hold = JobStatus == 1 && NumShadowStarts =!= undefined && NumShadowStarts > 0", "queue"]
        description = script.with_suffix(".sub")
        description.write_text("\n".join(lines) + "\n", encoding="utf-8")
        number = said(system, "condor_submit", "-terse", str(description)).partition(" ")[0]
        vacate = ["condor_vacate_job", number]
        return BatchJob(f"sshcondor://{ce}/{number}", vacate, [*vacate, "-fast"], ["condor_rm", number])


@dataclass(frozen=True, kw_only=True)
class Arc(BatchSystem):
    """A job of ARC that is one of Slurm there, at the end of its time.

    ARC's `kill` is no notice: its job script, a child of which the pilot is, ends at SIGTERM, and Slurm kills the rest.
    The pilot leaves before the time limit does the same.
    """

    case: str = "arc"
    name: str = "arc"
    variables: Mapping[str, str] = field(default_factory=lambda: {"GRIDPILOT_ARC_LRMS": "slurm"})
    options: Sequence[str] = (
        "-o",
        f"{_WMS}/JobWrapper/StopMargin=60",
        "-o",
        f"{_WMS}/Agents/JobAgent/MinimumTimeLeft=50",
    )
    limit_s: int = 120
    told_by: str = "Slurm's scontrol"
    cause: str = "The slot ends, says Slurm's scontrol"

    def submit(self, system: RealSystem, script: Path, ce: str) -> BatchJob:
        description = script.with_suffix(".adl")
        text = ADL.format(script=script, processors=PROCESSORS, limit_s=self.limit_s)
        description.write_text(text, encoding="utf-8")
        answer = said(system, *_rest(system, "jobs?action=new", description, "application/xml"))
        found = json.loads(answer)["job"]
        number = (found[0] if isinstance(found, list) else found)["id"]
        wanted = script.with_suffix(".kill")
        wanted.write_text(json.dumps({"job": [{"id": number}]}), encoding="utf-8")
        kill = _rest(system, "jobs?action=kill", wanted, "application/json")
        return BatchJob(f"{_arex(system)}/{number}", [], kill, kill)


ADL = """\
<ActivityDescription xmlns="http://www.eu-emi.eu/es/2010/12/adl">
 <Application><Executable><Path>/bin/sh</Path><Argument>{script}</Argument></Executable></Application>
 <Resources>
  <SlotRequirement><NumberOfSlots>{processors}</NumberOfSlots><SlotsPerHost>{processors}</SlotsPerHost></SlotRequirement>
  <WallTime>{limit_s}</WallTime>
 </Resources>
</ActivityDescription>
"""


def _arex(system: RealSystem) -> str:
    return f"https://{system.env['GRIDPILOT_ARC_CE']}:{system.env['GRIDPILOT_ARC_PORT']}/arex"


def _rest(system: RealSystem, what: str, body: Path, kind: str) -> list[str]:
    who = ["--cert", system.env["X509_USER_PROXY"], "--capath", system.env["X509_CERT_DIR"]]
    headers = ["-H", "Accept: application/json", "-H", f"Content-Type: {kind}"]
    return [
        "curl",
        "-sSf",
        "--noproxy",
        "*",
        *who,
        *headers,
        "--data-binary",
        f"@{body}",
        f"{_arex(system)}/rest/1.0/{what}",
    ]


def said(system: RealSystem, *argv: str) -> str:
    """Run a command as the unprivileged user; what it wrote."""
    done = system.run(argv)
    assert done.returncode == 0, f"{argv}: {done.stderr or done.stdout}"
    return done.stdout.rstrip()
