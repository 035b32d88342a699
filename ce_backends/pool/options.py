"""What can be set for the CE types Pool and InProcess."""

from dataclasses import dataclass

from ce_backends.containment.cell import Level
from ce_backends.options import Option, setting, table_of
from ce_backends.pool.monitor import Bounds
from ce_backends.readers import MOST_PROCESSORS
from ce_backends.task.log_limit import Cap

BYTES_PER_MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """What can be set for a pool."""

    processors: int | None = setting(
        Option(
            name="NumberOfProcessors",
            kind=int,
            maximum=MOST_PROCESSORS,
            default=None,
            doc="Processors to share; as many as this process may run on when it is not set.",
            minimum=1,
        )
    )
    grace_s: float = setting(
        Option(
            name="KillGraceTime",
            kind=float,
            default=5.0,
            unit="s",
            doc="Time between SIGTERM and SIGKILL for a task that is to end.",
            minimum=0,
        )
    )
    containment: str = setting(
        Option(
            name="Containment",
            kind=str,
            default=Level.V2.name,
            doc="The best way to hold a task's processes that is tried; the node decides which is had.",
            choices=[level.name for level in Level],
        )
    )
    output_limit_mb: int = setting(
        Option(
            name="OutputLimit",
            kind=int,
            default=64,
            unit="MB",
            doc="What is kept of a task's standard output, and of its standard error: the first and the last half of "
            "this. A task whose output cannot be kept small (a file system without holes) is ended.",
            minimum=1,
        )
    )
    memory_limit_mb: int = setting(
        Option(
            name="MemoryLimitMB",
            kind=int,
            default=0,
            unit="MB",
            doc="Memory limit of a task that has none of its own; 0 for none.",
            minimum=0,
        )
    )
    has_no_swap: bool = setting(
        Option(
            name="MemoryNoSwap",
            kind=bool,
            default=True,
            doc="A limit of memory is one of memory and swap together; no lets tasks swap beyond it.",
        )
    )
    least_disk_mb: int = setting(
        Option(
            name="MinDiskSpace",
            kind=int,
            default=10,
            unit="MB",
            doc="Free disk below which the task furthest over its share of it is ended; 0 for never.",
            minimum=0,
        )
    )


OPTIONS = table_of(PoolSettings)


def bounds_of(settings: PoolSettings) -> Bounds:
    """Return what holds for every task."""
    return Bounds(
        output=Cap(settings.output_limit_mb * BYTES_PER_MB),
        least_disk_mb=settings.least_disk_mb,
        memory_mb=settings.memory_limit_mb,
        may_swap=not settings.has_no_swap,
    )
