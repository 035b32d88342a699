"""Grid Engine: the job's own limits (`qstat -j`) and the queue's (`qconf -sq`), from the job's start.

Recorded on Son of Grid Engine 8.1.9. Univa's writes times in milliseconds.
"""

import re
from collections.abc import Iterator, Sequence

from agents.slot.ends.source import Node, SlotEnd, duration_s

_OF_JOB = re.compile(
    r"<CE_name>([sh]_(?:rt|cpu))</CE_name>.*?<CE_doubleval>(\d{1,15}(?:\.\d{0,15})?)<", re.DOTALL | re.ASCII
)
_CONTINUED = re.compile(r"\\[ \t]*\n[ \t]*")  # values of single hosts go on in the next line
_OF_QUEUE = re.compile(r"^([sh]_(?:rt|cpu))[ \t]+(\S.*?)[ \t]*$", re.MULTILINE)
_OVERRIDE = re.compile(r"\[([^\]=]{1,200})=([^\]]{0,200})\]")
_MILLISECONDS = 1e11  # a time above it (year 5138 in seconds) is one in milliseconds


def grid_engine(node: Node) -> Sequence[SlotEnd] | None:
    """See Source."""
    job_id = node.environ.get("JOB_ID", "")
    if not job_id or "SGE_TASK_ID" not in node.environ:
        return None
    job = node.ask("qstat", "-xml", "-j", job_id) or ""
    queue = node.ask("qconf", "-sq", node.environ["QUEUE"]) if "QUEUE" in node.environ else None
    if "JB_job_number" not in job and queue is None:
        return None
    start_s = _start_s(job) or node.started_s
    limits = [*_of_job(job), *_of_queue(queue or "", node.environ.get("HOSTNAME", ""))]
    return list(_ends(node, start_s, limits))


def _start_s(job: str) -> float | None:
    found = re.search(r"<JAT_start_time>(\d{1,15})<", job, re.ASCII)
    seconds = float(found[1]) if found else 0.0
    return (seconds / 1000 if seconds > _MILLISECONDS else seconds) or None


def _of_job(job: str) -> Iterator[tuple[str, float]]:
    flags = re.DOTALL | re.ASCII
    for name, text in re.findall(
        r"<CE_name>([sh]_(?:rt|cpu))</CE_name>.*?<CE_doubleval>(\d{1,15}(?:\.\d{0,15})?)<", job, flags
    ):
        yield name, float(text)


def _of_queue(queue: str, host: str) -> Iterator[tuple[str, float]]:
    for name, text in _OF_QUEUE.findall(_CONTINUED.sub("", queue)):
        limit_s = _here(text, host)
        if limit_s is not None:
            yield name, limit_s


def _here(text: str, host: str) -> float | None:
    """Return what `48:00:00,[wn1=01:00:00],[@fast=12:00:00]` means on this host; None for no limit, INFINITY.

    Who is in a host group nobody tells us: of the queue's own value and those of groups the least is taken.
    """
    overrides = [(where.strip(), duration_s(value)) for where, value in _OVERRIDE.findall(text)]
    for where, limit_s in overrides:
        if where.partition(".")[0].lower() == host.partition(".")[0].lower():
            return limit_s
    possible = [duration_s(text.partition(",")[0]), *(limit_s for where, limit_s in overrides if where.startswith("@"))]
    return min((limit_s for limit_s in possible if limit_s is not None), default=None)


def _ends(node: Node, start_s: float, limits: Sequence[tuple[str, float]]) -> Iterator[SlotEnd]:
    for name, limit_s in limits:
        share = max(1, node.processors) if name.endswith("cpu") else 1  # all processors may be busy all the time
        yield SlotEnd(f"Grid Engine {name}", start_s + limit_s / share)
