"""PBS Pro, OpenPBS and Torque: `qstat -f`. What is used lags behind by up to some minutes; our own start is a floor."""

import re
from collections.abc import Iterator, Mapping, Sequence

from agents.slot.ends.source import Node, SlotEnd, duration_s


def pbs(node: Node) -> Sequence[SlotEnd] | None:
    """See Source."""
    job_id = node.environ.get("PBS_JOBID", "")
    answer = node.ask("qstat", "-f", job_id) if job_id else None
    fields = _fields(answer or "")
    return list(_ends(node, fields)) if fields else None


def _fields(answer: str) -> dict[str, str]:
    unfolded = re.sub(r"\n\t", "", answer)  # long values go on in the next line, after a tab
    return dict(re.findall(r"^\s*([\w.]+) = (.*)$", unfolded, re.MULTILINE))


def _ends(node: Node, fields: Mapping[str, str]) -> Iterator[SlotEnd]:
    wall_s, used_s = _pair(fields, "walltime")
    if wall_s is not None:
        yield SlotEnd("PBS walltime", node.now_s + wall_s - max(used_s, node.elapsed_s))
    for name in ("cput", "pcput"):
        cpu_s, used_s = _pair(fields, name)
        if cpu_s is not None:
            yield SlotEnd(f"PBS {name}", node.now_s + (cpu_s - used_s) / max(1, node.processors))
    remaining_s = duration_s(fields.get("Walltime.Remaining", ""))  # Torque
    if remaining_s is not None:
        yield SlotEnd("PBS Walltime.Remaining", node.now_s + remaining_s)


def _pair(fields: Mapping[str, str], name: str) -> tuple[float | None, float]:
    """Return limit and use of a resource in seconds."""
    used_s = duration_s(fields.get(f"resources_used.{name}", ""))
    return duration_s(fields.get(f"Resource_List.{name}", "")), used_s or 0.0
