"""Slurm: what the controller says, else its accounting, else the job's variable.

Recorded on Slurm 22.05: `RunTime` stands still while a job is suspended and `EndTime` moves, so that limit less run
time is right in both cases, and needs no clock to be right.
"""

import math
import re
from collections.abc import Sequence

from agents.slot.ends.source import Node, SlotEnd, duration_s

_UNLIMITED = ("UNLIMITED", "INFINITE")


def slurm(node: Node) -> Sequence[SlotEnd] | None:
    """See Source."""
    job_id = node.environ.get("SLURM_JOB_ID") or node.environ.get("SLURM_JOBID", "")
    if not job_id:
        return None
    for name, left_s in (("scontrol", _by_scontrol), ("sacct", _by_sacct)):
        remaining_s = left_s(node, job_id)
        if remaining_s is not None:
            return [] if math.isinf(remaining_s) else [SlotEnd(f"Slurm's {name}", node.now_s + remaining_s)]
    end = node.environ.get("SLURM_JOB_END_TIME", "")  # Slurm 23.02 and later; as it was at the job's start
    return [SlotEnd("SLURM_JOB_END_TIME", float(end))] if re.fullmatch(r"[0-9]{1,12}", end) else None


def _by_scontrol(node: Node, job_id: str) -> float | None:
    answer = node.ask("scontrol", "show", "job", "-o", job_id) or ""
    lines = (dict(re.findall(r"(\w+)=(\S*)", line)) for line in answer.split("\n"))
    # the number of an array's last task is also the whole array's: several lines
    fields = next((fields for fields in lines if fields.get("JobId") == job_id), {})
    return _remaining_s(fields.get("TimeLimit", ""), fields.get("RunTime", ""))


def _by_sacct(node: Node, job_id: str) -> float | None:
    answer = node.ask("sacct", "-j", job_id, "-X", "-n", "-P", "-o", "Timelimit,Elapsed") or ""
    limit, _, elapsed = answer.strip().rpartition("\n")[2].partition("|")
    return _remaining_s(limit, elapsed)


def _remaining_s(limit: str, elapsed: str) -> float | None:
    if limit in _UNLIMITED:
        return math.inf
    limit_s, elapsed_s = duration_s(limit), duration_s(elapsed)
    return None if limit_s is None or elapsed_s is None else limit_s - elapsed_s
