"""DIRAC's services or DiracX, chosen at each call by what is published then; the other one while the first is away.

Both write to the same databases, so that it does not matter through which of them a job's life is told.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from agents.errors import AccessDenied, Busy, ServiceError, Unreachable
from agents.log import EventLog
from agents.wms.diracx.published import is_in_s3
from agents.wms.job_state import Heartbeat

log = EventLog("diracx")

Value = TypeVar("Value")
_UNHEARD = (Unreachable, AccessDenied)  # surely nothing was done
_AWAY = (*_UNHEARD, Busy)  # hardly ever anything, and for what may be repeated that does not matter


class TellsJobState(Protocol):
    """`agents.wms.job_state.JobState`, or who tells the same elsewhere."""

    def set_statuses(self, job_id: int, statuses: Mapping[str, Mapping[str, str]]) -> None:
        """See JobState."""

    def set_parameters(self, job_id: int, parameters: Sequence[tuple[str, str]]) -> None:
        """See JobState."""

    def heartbeat(self, beat: Heartbeat) -> dict[str, str]:
        """See JobState."""

    def reschedule(self, job_id: int) -> None:
        """See JobState."""


class KeepsSandboxes(Protocol):
    """`agents.wms.sandbox_store.SandboxStore`, or who keeps the same elsewhere."""

    def download(self, reference: str) -> bytes:
        """See SandboxStore."""

    def upload_output(self, job_id: int, packed: bytes) -> str:
        """See SandboxStore."""


Way = Callable[[], Sequence[str]]
"""Says which way to go now: "dirac", "diracx" or both, the first to be tried first."""


class EitherJobState:
    """Tells of jobs where the configuration wants it. Used by the reporter's one thread.

    Args:
        dirac: JobStateUpdate and JobManager.
        diracx: the same by REST.
        way: of statuses, parameters and signs of life.
        way_back: of orders to put a job back into the queues.
    """

    def __init__(self, dirac: TellsJobState, diracx: TellsJobState, way: Way, way_back: Way) -> None:
        self._either = {"dirac": dirac, "diracx": diracx}
        self._way = way
        self._way_back = way_back

    def set_statuses(self, job_id: int, statuses: Mapping[str, Mapping[str, str]]) -> None:
        """See JobState."""
        self._first(lambda one: one.set_statuses(job_id, statuses))

    def set_parameters(self, job_id: int, parameters: Sequence[tuple[str, str]]) -> None:
        """See JobState."""
        self._first(lambda one: one.set_parameters(job_id, parameters))

    def heartbeat(self, beat: Heartbeat) -> dict[str, str]:
        """See JobState."""
        commands: dict[str, str] = {}
        self._first(lambda one: commands.update(one.heartbeat(beat)))
        return commands

    def reschedule(self, job_id: int) -> None:
        """See JobState."""
        in_turn(self._way_back(), lambda name: self._either[name].reschedule(job_id), passes_on=_UNHEARD)

    def _first(self, call: Callable[[TellsJobState], None]) -> None:
        in_turn(self._way(), lambda name: call(self._either[name]))


class EitherSandboxes:
    """Keeps sandboxes where their path says, and outputs where the installation wants them. Any thread may call.

    Args:
        dirac: the SandboxStore.
        diracx: S3 by DiracX.
        way_in: of an input sandbox in S3; what is not there is DIRAC's.
        way_out: of output sandboxes.
    """

    def __init__(self, dirac: KeepsSandboxes, diracx: KeepsSandboxes, way_in: Way, way_out: Way) -> None:
        self._either = {"dirac": dirac, "diracx": diracx}
        self._way_in = way_in
        self._way_out = way_out

    def download(self, reference: str) -> bytes:
        """See SandboxStore."""
        names = self._way_in() if is_in_s3(reference) else ("dirac",)
        return in_turn(names, lambda name: self._either[name].download(reference))

    def upload_output(self, job_id: int, packed: bytes) -> str:
        """See SandboxStore."""
        names = self._way_out()
        return in_turn(names, lambda name: self._either[name].upload_output(job_id, packed), passes_on=_UNHEARD)


def in_turn(
    names: Sequence[str], call: Callable[[str], Value], *, passes_on: tuple[type[ServiceError], ...] = _AWAY
) -> Value:
    """Return what the first gives; the next one is asked where one is away: it failed with one of these errors."""
    for name in names[:-1]:
        try:
            return call(name)
        except passes_on as error:
            log.warning("way.changed", away=name, cause=error)
    return call(names[-1])
