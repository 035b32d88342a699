"""How running payloads are limited and watched: DIRAC's options of the Watchdog, and their meaning here."""

from dataclasses import dataclass, replace

from agents.settings.identity import IdentitySettings
from agents.settings.option import WRAPPER, option
from ce_backends.base import TaskSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchdogSettings(IdentitySettings):
    """What every payload meets alike; a part of the agent's settings."""

    limits_wall_time: bool = option(
        f"{WRAPPER}/CheckWallClockFlag", default=True, doc="End a payload that exceeds MaxWallClockTime."
    )
    most_wall_s: int = option(
        f"{WRAPPER}/MaxWallClockTime", default=259_200, unit="s", doc="Wall time that a payload may take; 0 for any."
    )
    limits_cpu_time: bool = option(
        f"{WRAPPER}/CheckCPULimitFlag",
        default=False,
        doc="End a payload that uses more CPU time than the JDL's CPUTime and the margin.",
    )
    cpu_margin_percent: float = option(
        f"{WRAPPER}/JobCPULimitMargin", default=20.0, unit="%", doc="What a payload may use beyond its CPUTime."
    )
    most_disk_mb: int = option(
        f"{WRAPPER}/DiskLimit", default=0, unit="MB", doc="Disk that a payload's directory may take; 0 for any."
    )
    ends_stalled: bool = option(
        f"{WRAPPER}/CheckCPUConsumedFlag",
        default=True,
        doc="End a payload that shows no sign of life: little CPU time, and nothing read, written or changed. The "
        "JDL's DisableCPUCheck, the JobType Test, and DISABLE_WATCHDOG_CPU_WALLCLOCK_CHECK as a variable or a file of "
        "the payload switch it off too.",
    )
    sample_s: float = option(
        f"{WRAPPER}/CPUSampleTime", default=1800.0, unit="s", doc="Time over which signs of life are looked for."
    )
    least_cpu_percent: float = option(
        f"{WRAPPER}/MinCPUWallClockRatio",
        default=5.0,
        unit="%",
        doc="CPU time per wall time that is a sign of life by itself.",
    )
    quiet_samples: int = option(
        f"{WRAPPER}/NullCPUCountLimit",
        default=2,
        doc="A payload is ended after this many consecutive CPUSampleTime periods without a sign of life; "
        "the first one warns.",
    )

    looping_s: float = option(
        f"{WRAPPER}/LoopingTime",
        default=7200.0,
        unit="s",
        doc="The owner is told of a payload that computes for so long and reads, writes, changes nothing; 0 for never.",
    )
    ends_looping: bool = option(
        f"{WRAPPER}/EndLooping", default=False, doc="End such a payload with its stacks: a VO's decision, or a site's."
    )

    def limited(self, task: TaskSpec, asked_cpu_s: int | None, *, is_remote: bool) -> TaskSpec:
        """Return a task with the limits that every payload meets.

        Args:
            task: the same without them.
            asked_cpu_s: the JDL's CPUTime, None when not said.
            is_remote: it runs elsewhere, where its wall time is for the queue to say.
        """
        wall_s = 0 if is_remote else self.wall_limit_s
        return replace(task, wall_s=wall_s, cpu_s=self.cpu_limit_s(asked_cpu_s), disk_mb=self.most_disk_mb)

    def cpu_limit_s(self, asked_s: int | None) -> int:
        """Return the limit of a job's CPU time, 0 for none.

        Args:
            asked_s: the JDL's CPUTime, None when not said.
        """
        return int((asked_s or 0) * (1 + self.cpu_margin_percent / 100)) if self.limits_cpu_time else 0

    @property
    def wall_limit_s(self) -> int:
        """The limit of a payload's wall time, 0 for none."""
        return self.most_wall_s if self.limits_wall_time else 0
