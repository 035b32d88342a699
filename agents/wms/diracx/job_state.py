"""What a job's life is told DiracX: the calls of `JobState`, over REST."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from agents.errors import BadAnswer, NoAnswer, Refused
from agents.log import EventLog
from agents.wms import answers
from agents.wms.diracx.rest import Rest
from agents.wms.job_state import Heartbeat
from agents.wms.server_clock import ServerClock

log = EventLog("diracx")

_STATUS, _METADATA, _HEARTBEAT = "/api/jobs/status", "/api/jobs/metadata", "/api/jobs/heartbeat"
_MILLISECOND = timedelta(milliseconds=1)


class DiracXJobState:
    """The calls of a job's life after it was matched. Used by the reporter's one thread.

    Args:
        rest: as the pilot, who may tell of any job.
        clock: how far DiracX's clock is from ours.
    """

    def __init__(self, rest: Rest, clock: ServerClock) -> None:
        self._rest = rest
        self._clock = clock
        self._uncertain: dict[int, set[str]] = {}  # moments that may have been told already, by job

    def set_statuses(self, job_id: int, statuses: Mapping[str, Mapping[str, str]]) -> None:
        """Tell several moments at once: UTC time → Status, MinorStatus, ApplicationStatus, Source.

        What DiracX has not applied because it seems older than what it knows is told once more, with the present
        moment: unless it may be the repetition of what was applied, to which it gives the same answer.

        Raises:
            Refused: DiracX does not take it, finally.
            ServiceError: as of `Rest.post`.
        """
        may_be_known = bool(self._uncertain.get(job_id, set()) & set(statuses))
        said = {_with_zone(when): dict(words) for when, words in statuses.items()}
        applied = self._tell(job_id, said, statuses)
        if applied is None and not may_be_known:
            log.warning("status.too_old", job_id=job_id, moments=len(said), note="told again with the present moment")
            applied = self._tell(job_id, dict(zip(self._moments_now(len(said)), said.values(), strict=True)), statuses)
        asked = [words["Status"] for words in said.values() if words.get("Status")]
        if asked and applied != asked[-1] and not (applied is None and may_be_known):
            log.warning("status.not_applied", job_id=job_id, asked=asked[-1], holds=applied)

    def set_parameters(self, job_id: int, parameters: Sequence[tuple[str, str]]) -> None:
        """Set job parameters, all texts; errors as of `set_statuses`."""
        self._rest.patch(_METADATA, {str(job_id): dict(parameters)})

    def heartbeat(self, beat: Heartbeat) -> dict[str, str]:
        """Send a sign of life; return the commands that wait for the job, `Kill` among them."""
        said = {name: float(number) for name, number in beat.dynamic.items()} | dict(beat.static)
        call = f"DiracX: PATCH {_HEARTBEAT}"
        answer = self._rest.patch(_HEARTBEAT, {str(beat.job_id): said})
        found: dict[str, str] = {}
        for row in answers.sequence(answer if answer is not None else [], call, "a list of commands"):
            command = answers.mapping(row, call, "a command")
            if answers.job_number(command.get("job_id"), call, "job_id ") == beat.job_id:
                argument = command.get("arguments")
                name = answers.text(command.get("command"), call, "a text as command")
                found[name] = argument if isinstance(argument, str) else ""
        return found

    def reschedule(self, job_id: int) -> None:
        """Put the job back into the WMS's queues; the WMS fails it instead when its limit is reached."""
        self._rest.post("/api/jobs/reschedule", {"job_ids": [job_id]}, repeatable=False)

    def _tell(
        self, job_id: int, said: Mapping[str, Mapping[str, str]], statuses: Mapping[str, Mapping[str, str]]
    ) -> str | None:
        """Make one call; return the status that it has set, None where it has set none."""
        try:
            answer = self._rest.patch(_STATUS, {str(job_id): said})
        except (NoAnswer, BadAnswer):
            self._uncertain.setdefault(job_id, set()).update(statuses)
            raise
        self._uncertain.pop(job_id, None)
        return _applied(answer, job_id)

    def _moments_now(self, count: int) -> list[str]:
        """Return so many moments, the last of them not before anything that the server has stamped until now."""
        now = self._clock.now() + self._clock.ahead_at_most()
        return [(now + number * _MILLISECOND).isoformat() for number in range(count)]


def _with_zone(written: str) -> str:
    return datetime.fromisoformat(written).replace(tzinfo=UTC).isoformat()


def _applied(answer: object, job_id: int) -> str | None:
    """Return the status that an answer says it has set.

    Raises:
        Refused: the job was not found, or is not ours to tell of.
        BadAnswer: the answer says nothing of the job.
    """
    call = f"DiracX: PATCH {_STATUS}"
    told = answers.mapping(answer, call, "success and failed")
    success = answers.mapping(told.get("success", {}), call, "jobs as success")
    if str(job_id) in success:
        status = answers.mapping(success[str(job_id)], call, "what was set").get("Status")
        return status if isinstance(status, str) else None
    failed = answers.mapping(told.get("failed", {}), call, "jobs as failed")
    if str(job_id) in failed:
        detail = answers.mapping(failed[str(job_id)], call, "a reason").get("detail")
        raise Refused(f"{call}: job {job_id}: {str(detail)[:300]}", is_final=True)
    raise BadAnswer(f"{call}: the answer says nothing of job {job_id}")
