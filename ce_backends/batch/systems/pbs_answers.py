"""What `qstat -f` prints, the same in all of PBS, and what an exit status means there."""

import re
from collections.abc import Mapping

from ce_backends.base import Limit, TaskState, TaskStatus, Usage

_JOB = re.compile(r"^Job Id: (\S+)\s*$", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^ {4}([A-Za-z_.]+) = (.*)$", re.MULTILINE)
_SIZE = re.compile(r"(\d{1,18})([kmgt]?)b?$", re.IGNORECASE | re.ASCII)
_BYTES_PER_UNIT = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_EXIT_STATUS = ("exit_status", "Exit_status")  # Torque, OpenPBS
_INTEGER = re.compile(r"-?\d{1,9}", re.ASCII)
_BY_SIGNAL = 128  # a shell's exit status for what a signal has ended is above it
_ON_SIGNAL = 256  # and PBS's own for a job that a signal has ended is above this


def attributes(text: str) -> dict[str, dict[str, str]]:
    """Return the attributes of each job. A long value goes on in lines that begin with a tab.

    Each job's end in a blank line: of one that has no such end, what it ended with is left out.
    """
    parts = _JOB.split(text.replace("\n\t", ""))
    jobs = {job_id: dict(_ATTRIBUTE.findall(body)) for job_id, body in zip(parts[1::2], parts[2::2], strict=True)}
    if jobs and not text.endswith("\n\n"):
        for name in _EXIT_STATUS:
            jobs[parts[-2]].pop(name, None)
    return jobs


def ended(word: str, job: Mapping[str, str], limits: Mapping[int, Limit]) -> TaskStatus | None:
    """Return how a job ended: by its exit status, and for a signal by what it used of what it was given.

    None where there is no exit status.
    """
    text = next((job[name] for name in _EXIT_STATUS if name in job), "")
    if not _INTEGER.fullmatch(text):
        return None
    code = int(text)
    native = f"{word}, exit status {code}"
    usage = Usage(
        wall_s=_seconds(job.get("resources_used.walltime", "")),
        cpu_s=_seconds(job.get("resources_used.cput", "")),
        memory_peak_mb=_mb(job.get("resources_used.mem", "")),
    )
    if 0 <= code <= _BY_SIGNAL:
        return TaskStatus(state=TaskState.DONE, native=native, usage=usage)
    limit = limits.get(code) or (_limit_used_up(job) if code > 0 else None)
    words = (f"ended at its limit of {limit}" if limit else "", _signal(code), job.get("comment", ""))
    reason = ", ".join(word for word in words if word) or native
    return TaskStatus(state=TaskState.FAILED, native=native, reason=reason, limit=limit, usage=usage)


def _signal(code: int) -> str:
    if code < 0:
        return ""
    return f"killed by signal {code - (_ON_SIGNAL if code > _ON_SIGNAL else _BY_SIGNAL)}"


def _limit_used_up(job: Mapping[str, str]) -> Limit | None:
    for name, limit, number in (
        ("walltime", Limit.WALL, _seconds),
        ("cput", Limit.CPU, _seconds),
        ("mem", Limit.MEMORY, _mb),
    ):
        given, used = number(job.get(f"Resource_List.{name}", "")), number(job.get(f"resources_used.{name}", ""))
        if given and used and used >= given:
            return limit
    return None


def _seconds(text: str) -> float | None:
    """Return `01:02:03` as seconds."""
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isdecimal() and len(part) < 10 for part in parts):
        return None
    hours, minutes, seconds = map(int, parts)
    return float(hours * 3600 + minutes * 60 + seconds)


def _mb(text: str) -> float | None:
    """Return `2048kb` in MB (10^6 bytes)."""
    found = _SIZE.match(text)
    return int(found[1]) * _BYTES_PER_UNIT[found[2].lower()] / 1_000_000 if found else None
