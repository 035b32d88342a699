"""LSF: `bjobs -WL`, which knows all limits: of the job, the queue, the application, and how the host scales them."""

import re
from collections.abc import Sequence

from agents.slot.ends.source import Node, SlotEnd

# hours and minutes, and what they lead to: L, X a limit; E only the user's own estimate, beyond which the job runs on
_TIME_LEFT = re.compile(r"\s(?P<hours>\d{1,9}):(?P<minutes>\d{1,9})\s+[LX]\s*$", re.ASCII)
_NO_LIMIT = re.compile(r"\s-\s*$")


def lsf(node: Node) -> Sequence[SlotEnd] | None:
    """See Source."""
    job_id, index = node.environ.get("LSB_JOBID", ""), node.environ.get("LSB_JOBINDEX", "0")
    if not job_id:
        return None
    answer = node.ask("bjobs", "-w", "-WL", job_id if index == "0" else f"{job_id}[{index}]") or ""
    for line in answer.split("\n"):
        if line.split()[:1] == [job_id] and (found := _TIME_LEFT.search(line)):
            left_s = 3600 * int(found["hours"]) + 60 * int(found["minutes"])
            return [SlotEnd("LSF run limit", node.now_s + left_s)]
        if line.split()[:1] == [job_id] and _NO_LIMIT.search(line):
            return []
    return None
