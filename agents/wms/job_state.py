"""JobStateUpdate and JobManager: telling the WMS what became of a job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agents.wms import answers
from agents.wms.service import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """One sign of life, in DIRAC's keys: numbers that change, and texts.

    Attributes:
        job_id: whose.
        dynamic: `LoadAverage`, `MemoryUsed` (MB), `Vsize`, `AvailableDiskSpace` (MB), `CPUConsumed` (s),
            `WallClockTime` (s).
        static: `StandardOutput`, the last lines of it.
    """

    job_id: int
    dynamic: Mapping[str, float] = field(default_factory=dict)
    static: Mapping[str, str] = field(default_factory=dict)


class JobState:
    """The calls of a job's life after it was matched."""

    def __init__(self, job_state_update: Service, job_manager: Service) -> None:
        self._update = job_state_update
        self._manager = job_manager

    def set_statuses(self, job_id: int, statuses: Mapping[str, Mapping[str, str]]) -> None:
        """Tell several moments at once: UTC time → Status, MinorStatus, ApplicationStatus, Source."""
        self._update.call("setJobStatusBulk", job_id, {when: dict(words) for when, words in statuses.items()}, False)  # noqa: FBT003 - the wire's own argument: force

    def set_parameters(self, job_id: int, parameters: Sequence[tuple[str, str]]) -> None:
        """Set job parameters, all texts."""
        self._update.call("setJobParameters", job_id, [[name, value] for name, value in parameters])

    def heartbeat(self, beat: Heartbeat) -> dict[str, str]:
        """Send a sign of life; return the commands that wait for the job, `Kill` among them.

        The server sets the job Running whatever it was: never call this after its end.
        """
        answer = self._update.call("sendHeartBeat", beat.job_id, dict(beat.dynamic), dict(beat.static))
        if answer is None or answer == "":
            return {}
        commands = answers.mapping(answer, "JobStateUpdate.sendHeartBeat", "commands")
        return {command: argument if isinstance(argument, str) else "" for command, argument in commands.items()}

    def reschedule(self, job_id: int) -> None:
        """Put the job back into the WMS's queues; the WMS fails it instead when its limit is reached."""
        self._manager.call("rescheduleJob", job_id, repeatable=False)
