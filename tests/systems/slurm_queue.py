"""What the admin of a Slurm does to its nodes and its queue."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.systems.real_system import RealSystem


@contextmanager
def drained(slurm: RealSystem) -> Iterator[None]:
    """Let no job start until the block ends, however it ends."""
    nodes = ",".join(sorted(set(slurm.run(["sinfo", "-h", "-N", "-o", "%N"]).stdout.split())))
    slurm.admin(["scontrol", "update", f"nodename={nodes}", "state=drain", "reason=test"])
    try:
        yield
    finally:
        slurm.admin(["scontrol", "update", f"nodename={nodes}", "state=resume"])


def empty(slurm: RealSystem) -> None:
    """Take every job out of the queue."""
    for user in ("root", slurm.user):
        slurm.admin(["scancel", "--user", user])
