"""The Matcher: one offer out, at most one job back."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from agents.errors import BadAnswer, PilotRefused, Refused
from agents.jobs.jdl import JdlError, describe
from agents.jobs.job import MatchedJob
from agents.log import EventLog
from agents.wms import answers
from agents.wms.service import Service

log = EventLog("matcher")

_NO_MATCH, _WRONG_VERSION = 1510, 1511  # DErrno.EWMSNOMATCH, EWMSPLTVER
_NEEDED = ("JDL", "JobID", "Group")


class Asks(Protocol):
    """The Matcher, or who does something beside asking it."""

    def request_job(self, offer: Mapping[str, object]) -> MatchedJob | None:
        """Return the job that fits the offer, None when there is none."""


class Matcher:
    """Asks for jobs. `requestJob` has no lease and no undo, so it is never sent twice for one answer.

    Args:
        service: the Matcher.
        name_of: the Registry's name of a distinguished name, empty for nobody's. DIRAC 8 says whose a job is by this.
    """

    def __init__(self, service: Service, name_of: Callable[[str], str | None]) -> None:
        self._service = service
        self._name_of = name_of

    def request_job(self, offer: Mapping[str, object]) -> MatchedJob | None:
        """Return the job that fits the offer, None when there is none.

        Raises:
            PilotRefused: the WMS does not accept this pilot's release.
            BadAnswer: the answer names no usable job; whatever was matched is in the message.
            ServiceError: no answer could be had.
        """
        asked_s = time.monotonic()
        try:
            answer = self._service.call("requestJob", dict(offer), repeatable=False)
        except Refused as refusal:
            if refusal.errno == _NO_MATCH:
                return None
            if refusal.errno == _WRONG_VERSION:
                raise PilotRefused(str(refusal)) from refusal
            raise
        return replace(_matched(answer, self._name_of), match_s=round(time.monotonic() - asked_s, 3))


def _matched(answer: object, name_of: Callable[[str], str | None]) -> MatchedJob:
    """Check the answer's types before anything is believed."""
    answer = answers.mapping(answer, "Matcher.requestJob", "a job")
    for key in _NEEDED:
        if not answer.get(key):
            raise BadAnswer(f"Matcher.requestJob: the match of job {answer.get('JobID')!r} has no {key}")
    job_id = answers.job_number(answer["JobID"], "Matcher.requestJob", "JobID ")
    jdl, owner, group = answer["JDL"], _owner(answer, job_id, name_of), answer["Group"]
    if not (isinstance(jdl, str) and isinstance(group, str)):
        raise BadAnswer(f"Matcher.requestJob: JDL and Group of job {job_id} must be texts")
    extra = {name: value for name, value in answer.items() if name not in (*_NEEDED, "Owner")}
    job = MatchedJob(job_id=job_id, jdl=jdl, owner=owner, group=group, extra=extra)
    _check_number(job)
    return job


def _owner(answer: Mapping[str, object], job_id: int, name_of: Callable[[str], str | None]) -> str:
    """Return whose the job is: a name (DIRAC 9), or who has the distinguished name (DIRAC 7.3 and 8)."""
    match = f"Matcher.requestJob: the match of job {job_id}"
    owner, dn = answer.get("Owner"), answer.get("DN")
    if not (owner or dn):
        raise BadAnswer(f"{match} has no Owner")
    if not isinstance(owner or dn, str):
        raise BadAnswer(f"{match}: its owner must be a text")
    if owner := owner or name_of(str(dn)):
        return str(owner)
    raise BadAnswer(f"{match} is of {str(dn)[:200]!r}, whom the Registry does not know")


def _check_number(job: MatchedJob) -> None:
    """Believe neither number when the answer and the JDL in it name two jobs: the WMS knows which it gave us."""
    with suppress(JdlError):  # a job that cannot be understood is ended with that reason
        named = describe(job.jdl).job_id
        if named != job.job_id:
            raise BadAnswer(f"Matcher.requestJob: the match of job {job.job_id} has the JDL of job {named}")
