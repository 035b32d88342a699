"""Which batch system runs this pilot, what it calls the pilot, and when the slot ends.

The reference must be, to the letter, what the submitter stored: the table is DIRAC's, its quirks included.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pilot.node.worker_node import Fact


@dataclass(frozen=True)
class BatchSystem:
    """How one batch system is recognised.

    Attributes:
        trigger: the variable that gives it away, and holds the job's id there.
        flavour: DIRAC's GridType for the pilot.
        kind: the batch system's DIRAC name, "" for none; selects how time left is asked for.
        reference: the pilot's name; {ce}, {id}, {job} (the id before its first dot) and variables are filled in.
        parameters: names in /LocalSite/BatchSystemInfo/Parameters, with their variables.
    """

    trigger: str
    flavour: str
    kind: str
    reference: str
    parameters: Mapping[str, str] = field(default_factory=dict)


# a later row wins over an earlier one
SYSTEMS = (
    BatchSystem("DIRAC_PILOT_STAMP", "DIRAC", "", "{id}"),
    BatchSystem(
        "PBS_JOBID", "SSHPBS", "PBS", "sshpbs://{ce}/{job}", {"BinaryPath": "PBS_O_PATH", "Queue": "PBS_O_QUEUE"}
    ),
    BatchSystem("OAR_JOBID", "SSHOAR", "OAR", "sshoar://{ce}/{id}"),
    BatchSystem(
        "SGE_TASK_ID", "SSHSGE", "SGE", "sshge://{ce}/{JOB_ID}", {"BinaryPath": "SGE_BINARY_PATH", "Queue": "QUEUE"}
    ),
    BatchSystem(
        "LSB_BATCH_JID",
        "SSHLSF",
        "LSF",
        "sshlsf://{ce}/{id}",
        {"BinaryPath": "LSF_BINDIR", "Host": "LSB_HOSTS", "InfoPath": "LSF_ENVDIR", "Queue": "LSB_QUEUE"},
    ),
    BatchSystem("SLURM_JOBID", "SSHSLURM", "SLURM", "sshslurm://{ce}/{id}"),
    BatchSystem(
        "_CONDOR_JOB_AD", "SSHHTCondor", "HTCondor", "sshcondor://{ce}/{CONDOR_JOBID}", {"InfoPath": "_CONDOR_JOB_AD"}
    ),
    BatchSystem("LOCAL_JOBID", "Local", "", "local://{ce}/{id}"),
    BatchSystem("SSHCE_JOBID", "SSH", "", "ssh://{ce}/{id}"),
    BatchSystem("SSHBATCH_JOBID", "SSHBATCH", "", "sshbatchhost://{ce}/{SSH_NODE_HOST}/{id}"),
    BatchSystem("HTCONDOR_JOBID", "HTCondorCE", "", "htcondorce://{ce}/{id}"),
    BatchSystem("GRID_GLOBAL_JOBURL", "ARC", "", "{id}"),
    BatchSystem("PILOT_UUID", "CLOUD", "", "{id}"),
)
_NUMBER = re.compile(r"([0-9]{1,15})(?:\.[0-9]*)?")
BATCH_KINDS_WITHOUT_ID = ("HTCondor",)


@dataclass(frozen=True)
class BatchSlot:
    """This pilot as the batch system sees it.

    Attributes:
        reference: the pilot's name in the WMS.
        stamp: its 32 hexadecimal digits, or what it was given instead.
        flavour: DIRAC's GridType.
        kind: the batch system, "" for none.
        job_id: the batch job's id there, "" if unknown.
        parameters: of the batch system, for /LocalSite/BatchSystemInfo/Parameters.
        end: when the slot ends, in seconds since the epoch; None if nothing says.
        origin: the variable that the reference comes from.
    """

    reference: str
    stamp: str
    flavour: str = "DIRAC"
    kind: str = ""
    job_id: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    end: Fact | None = None
    origin: str = "stamp"


def look(environ: Mapping[str, str], *, ce: str, stamp: str) -> BatchSlot:
    """Return what the environment says of this slot.

    Args:
        environ: the environment.
        ce: name of the computing element, part of most references.
        stamp: what names the pilot where no variable does.
    """
    stamp = environ.get("DIRAC_PILOT_STAMP") or stamp
    slot = BatchSlot(reference=stamp, stamp=stamp, end=end_of_slot(environ))
    for system in SYSTEMS:
        if environ.get(system.trigger) and _has(environ, system):
            slot = _recognised(slot, system, environ, ce)
    return slot


def _has(environ: Mapping[str, str], system: BatchSystem) -> bool:
    return system.trigger != "SSHBATCH_JOBID" or bool(environ.get("SSH_NODE_HOST"))


def _recognised(before: BatchSlot, system: BatchSystem, environ: Mapping[str, str], ce: str) -> BatchSlot:
    job_id = environ.get("JOB_ID", "") if system.kind == "SGE" else environ[system.trigger].partition(".")[0]
    return BatchSlot(
        reference=_reference(before, system, environ, ce),
        stamp=before.stamp,
        flavour=system.flavour,
        kind=system.kind or before.kind,
        job_id=(job_id if system.kind not in BATCH_KINDS_WITHOUT_ID else "") if system.kind else before.job_id,
        parameters=_parameters(system, environ) if system.kind else before.parameters,
        end=before.end,
        origin=system.trigger,
    )


def _reference(before: BatchSlot, system: BatchSystem, environ: Mapping[str, str], ce: str) -> str:
    if system.kind == "HTCondor" and not environ.get("CONDOR_JOBID"):  # the ad alone does not name the job
        return before.reference
    trigger = environ[system.trigger]
    known = {
        "ce": ce,
        "id": trigger,
        "job": trigger.partition(".")[0],
        "JOB_ID": environ.get("JOB_ID", ""),
        "CONDOR_JOBID": environ.get("CONDOR_JOBID", ""),
        "SSH_NODE_HOST": environ.get("SSH_NODE_HOST", ""),
    }
    return system.reference.format(**known)


def _parameters(system: BatchSystem, environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[variable] for name, variable in system.parameters.items() if environ.get(variable)}


def named(slot: BatchSlot, reference: str) -> BatchSlot:
    """Return the slot under the reference that the pilot was given."""
    return replace(slot, reference=reference, origin="option --reference")


def end_of_slot(environ: Mapping[str, str], now: Callable[[], float] = time.time) -> Fact | None:
    """Return the earliest end that Slurm or the Machine/Job Features announce, in seconds since the epoch.

    Files of the features are read as the agent reads them (`agents/slot/ends/features.py`): a zero names no end.
    """
    ends = [
        _fact(environ.get("SLURM_JOB_END_TIME", ""), "SLURM_JOB_END_TIME"),
        _fact(_feature(environ, "MACHINEFEATURES", "shutdowntime"), "MACHINEFEATURES/shutdowntime"),
        _fact(_feature(environ, "JOBFEATURES", "shutdowntime_job"), "JOBFEATURES/shutdowntime_job"),
        _wall_limit(environ, now),
    ]
    return min((end for end in ends if end is not None), key=lambda end: end.value, default=None)


def _wall_limit(environ: Mapping[str, str], now: Callable[[], float]) -> Fact | None:
    start = _fact(_feature(environ, "JOBFEATURES", "jobstart_secs"), "")
    limit = _fact(_feature(environ, "JOBFEATURES", "wall_limit_secs"), "")
    if limit is None:
        return None
    return Fact((start.value if start else int(now())) + limit.value, "JOBFEATURES/wall_limit_secs")


def _feature(environ: Mapping[str, str], folder: str, name: str) -> str:
    try:
        return Path(environ.get(folder, ""), name).read_text(encoding="ascii") if environ.get(folder) else ""
    except (OSError, UnicodeDecodeError):  # this feature is not offered here
        return ""


def _fact(text: str, origin: str) -> Fact | None:
    found = _NUMBER.fullmatch(text.strip())
    return Fact(int(found[1]), origin) if found and int(found[1]) > 0 else None
