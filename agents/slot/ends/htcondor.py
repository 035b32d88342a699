"""HTCondor: the job's and the machine's ads, which the starter leaves beside the job. No command is needed.

Only plain numbers are read: an expression means nothing without the daemon that evaluates it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agents.slot.ends.source import Node, SlotEnd

# limits in seconds from the start, by those who set them: HTCondor itself (job, execution), HTCondor-CE, CERN, others
_LIMITS_S = ("AllowedJobDuration", "AllowedExecuteDuration", "BatchRuntime", "MaxRuntime", "JobMaxRuntime")
_LIMITS_MINUTES = ("MaxWallTimeMins", "maxWallTime")
_ENDS = ("TimerRemove", "GLIDEIN_ToDie")  # seconds since the epoch
_STARTS = ("JobCurrentStartExecutingDate", "JobCurrentStartDate", "JobStartDate")
# What a startd grants a job that it wants to be rid of, counted from the job's start. Above 0 it is what a site means
# by the length of its slots; the default 0 says nothing.
_RETIREMENT = "MaxJobRetirementTime"
_NUMBER = re.compile(r"^(\w+)\s*=\s*(\d{1,15}(?:\.\d{1,15})?)\s*$", re.MULTILINE | re.ASCII)


def htcondor(node: Node) -> Sequence[SlotEnd] | None:
    """See Source."""
    if "_CONDOR_JOB_AD" not in node.environ:
        return None
    job, machine = _ad(node.environ["_CONDOR_JOB_AD"]), _ad(node.environ.get("_CONDOR_MACHINE_AD", ""))
    update = _ad(str(Path(node.environ.get("_CONDOR_SCRATCH_DIR", ""), ".update.ad")))
    facts = {**machine, **job, **update}  # what the job was told last wins
    return list(_ends(node, facts)) if facts else None


def _ad(path: str) -> dict[str, float]:
    """Read the numbers of an ad by name, in small letters: HTCondor takes no notice of case."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace") if path else ""
    except OSError:
        return {}
    return {name.lower(): float(number) for name, number in _NUMBER.findall(text)}


def _ends(node: Node, facts: Mapping[str, float]) -> Iterator[SlotEnd]:
    known = (facts[name.lower()] for name in _STARTS if facts.get(name.lower()))
    # the ad may be of before the start: then the last time is that of another node
    start_s = next((start_s for start_s in known if start_s <= node.started_s), node.started_s)
    for name, unit_s in [*((name, 1) for name in (*_LIMITS_S, _RETIREMENT)), *((name, 60) for name in _LIMITS_MINUTES)]:
        if facts.get(name.lower()):
            yield SlotEnd(f"HTCondor {name}", start_s + unit_s * facts[name.lower()])
    for name in _ENDS:
        if facts.get(name.lower()):
            yield SlotEnd(f"HTCondor {name}", facts[name.lower()])
