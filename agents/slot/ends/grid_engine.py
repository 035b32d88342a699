"""Grid Engine: the job's own limits (`qstat -j`) and the queue's (`qconf -sq`), from the job's start.

Recorded on Son of Grid Engine 8.1.9. Univa's writes times in milliseconds.
"""

import re
from collections.abc import Iterator, Sequence

from agents.slot.ends.source import Node, SlotEnd, duration_s

_OF_JOB = re.compile(
    r"<CE_name>([sh]_(?:rt|cpu))</CE_name>.*?<CE_doubleval>(\d{1,15}(?:\.\d{0,15})?)<", re.DOTALL | re.ASCII
)
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
    return list(_ends(node, start_s, [*_of_job(job), *_of_queue(queue or "")]))


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


def _of_queue(queue: str) -> Iterator[tuple[str, float]]:
    for name, text in re.findall(r"^([sh]_(?:rt|cpu))\s+(\S+)$", queue, re.MULTILINE):
        limit_s = duration_s(text)  # None for INFINITY
        if limit_s is not None:
            yield name, limit_s


def _ends(node: Node, start_s: float, limits: Sequence[tuple[str, float]]) -> Iterator[SlotEnd]:
    for name, limit_s in limits:
        share = max(1, node.processors) if name.endswith("cpu") else 1  # all processors may be busy all the time
        yield SlotEnd(f"Grid Engine {name}", start_s + limit_s / share)
