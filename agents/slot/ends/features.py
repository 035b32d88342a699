"""Machine/Job Features (HSF-TN-2016-02): files of the site that may change while the job runs.

The specification allows a URL in place of a folder; that is not followed.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from agents.slot.ends.source import Node, SlotEnd, number_in


def features(node: Node) -> Sequence[SlotEnd] | None:
    """See Source."""
    return list(_ends(node)) if {"MACHINEFEATURES", "JOBFEATURES"} & set(node.environ) else None


def _ends(node: Node) -> Iterator[SlotEnd]:
    for folder, name in (("MACHINEFEATURES", "shutdowntime"), ("JOBFEATURES", "shutdowntime_job")):
        end_s = _feature(node, folder, name)
        if end_s is not None:
            yield SlotEnd(f"{folder}/{name}", end_s)
    start_s = _feature(node, "JOBFEATURES", "jobstart_secs") or node.started_s
    wall_s, cpu_s = (_feature(node, "JOBFEATURES", name) for name in ("wall_limit_secs", "cpu_limit_secs"))
    if wall_s is not None:
        yield SlotEnd("JOBFEATURES/wall_limit_secs", start_s + wall_s)
    if cpu_s is not None:  # of all processors together, which may be busy all the time
        yield SlotEnd("JOBFEATURES/cpu_limit_secs", start_s + cpu_s / max(1, node.processors))


def _feature(node: Node, folder: str, name: str) -> float | None:
    """Return a feature's number; 0 stands for none, as sites write what has no limit."""
    directory = node.environ.get(folder, "")
    return (number_in(Path(directory, name)) or None) if directory.startswith("/") else None
