"""In one sentence, what keeps payloads from the pilot and from the node; docs/security.md says more.

The agent's log tells the same of the node as it found it (`payloads.held`).
"""

from __future__ import annotations

CONTAINERS = ("Singularity", "Apptainer", "Podman", "Bubblewrap")
PLAIN = ("InProcess", "Pool")


def sentence(ce_type: str, *, is_root: bool) -> str:
    """Return what follows from the type of the CE that runs the jobs, and from who the pilot is."""
    if any(ce_type.endswith(name) for name in CONTAINERS):
        whose = "another account's processes" if is_root else "processes of the pilot's account"
        return f"payloads are {whose} in containers, which show them neither the pilot nor other jobs"
    if ce_type not in PLAIN:
        return f"payloads run where {ce_type} starts them, as the account that it gives them, not beside the pilot"
    if is_root:
        return "payloads are root's plain processes, which may do all that root may on this node"
    return "payloads are plain processes of the pilot's account, and may do all that it may, to pilot and jobs too"
