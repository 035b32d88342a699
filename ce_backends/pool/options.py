"""What can be set for the CE types Pool and InProcess."""

from collections.abc import Mapping, Sequence

from ce_backends.containment.cell import Level
from ce_backends.options import Option, OptionValue
from ce_backends.pool.monitor import Bounds
from ce_backends.task.log_limit import Cap

BYTES_PER_MB = 1_000_000

OPTIONS: Sequence[Option] = (
    Option(
        name="NumberOfProcessors",
        kind=int,
        default=None,
        doc="Processors to share; as many as this process may run on when it is not set.",
        minimum=1,
    ),
    Option(
        name="KillGraceTime",
        kind=float,
        default=5.0,
        unit="s",
        doc="Time between SIGTERM and SIGKILL for a task that is to end.",
        minimum=0,
    ),
    Option(
        name="Containment",
        kind=str,
        default=Level.V2.name,
        doc="The best way to hold a task's processes that is tried; the node decides which is had.",
        choices=[level.name for level in Level],
    ),
    Option(
        name="OutputLimit",
        kind=int,
        default=64,
        unit="MB",
        doc="What is kept of a task's standard output, and of its standard error: the first and the last half of this. "
        "A task whose output cannot be kept small (a file system without holes) is ended.",
        minimum=1,
    ),
    Option(
        name="MemoryLimitMB",
        kind=int,
        default=0,
        unit="MB",
        doc="Memory limit of a task that has none of its own; 0 for none.",
        minimum=0,
    ),
    Option(
        name="MemoryNoSwap",
        kind=bool,
        default=True,
        doc="A limit of memory is one of memory and swap together; no lets tasks swap beyond it.",
    ),
    Option(
        name="MinDiskSpace",
        kind=int,
        default=10,
        unit="MB",
        doc="Free disk below which the task furthest over its share of it is ended; 0 for never.",
        minimum=0,
    ),
)


def bounds_of(options: Mapping[str, OptionValue | None]) -> Bounds:
    """Return what holds for every task."""
    return Bounds(
        output=Cap(int(options["OutputLimit"] or 0) * BYTES_PER_MB),
        least_disk_mb=int(options["MinDiskSpace"] or 0),
        memory_mb=int(options["MemoryLimitMB"] or 0),
        may_swap=not options["MemoryNoSwap"],
    )
