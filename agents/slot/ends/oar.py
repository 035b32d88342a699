"""OAR: the wall time is in the environment, and the file of nodes was written when the job started."""

import os
from collections.abc import Sequence

from agents.slot.ends.source import Node, SlotEnd, duration_s


def oar(node: Node) -> Sequence[SlotEnd] | None:
    """See Source."""
    limit_s = duration_s(node.environ.get("OAR_JOB_WALLTIME_SECONDS") or node.environ.get("OAR_JOB_WALLTIME", ""))
    if limit_s is None:
        return None
    return [SlotEnd("OAR wall time", _start_s(node, limit_s) + limit_s)]


def _start_s(node: Node, limit_s: float) -> float:
    """Return when the job started; a file's time after which it would be over is of a clock that is late."""
    try:
        written_s = os.stat(node.environ.get("OAR_NODEFILE", "")).st_mtime  # noqa: PTH116 - the name may be empty
    except OSError:
        return node.started_s
    return min(written_s, node.started_s) if node.started_s - written_s < limit_s else node.started_s
