"""Jobs that were matched for this pilot and never arrived are found again."""

from collections.abc import Callable, Sequence

import pytest

from agents.errors import NoAnswer, ServiceError
from agents.wms.lost_matches import PilotJobs, SureMatcher
from agents.wms.matcher import Matcher
from agents.wms.service import Retry, Service

REFERENCE = "pilot-1"
URL = "https://wms.example:8443/Service"


class Wms:
    """A transport that plays the WMS; answers are values, or errors to raise."""

    def __init__(self) -> None:
        self.given: list[int] | ServiceError = [7, 8, 9]
        self.minor_statuses = {7: "Application", 8: "Assigned", 9: "Assigned"}
        self.matches: list[object] = []
        self.calls: list[str] = []

    def exchange(self, url: str, method: str, arguments: Sequence[object], *, raw: bool) -> object:
        self.calls.append(method)
        answer = getattr(self, method)(*arguments)
        if isinstance(answer, ServiceError):
            raise answer
        return answer

    def getPilotInfo(self, reference: str) -> object:  # noqa: N802 - DIRAC's name
        if isinstance(self.given, ServiceError):
            return self.given
        return ok({reference: {"Jobs": self.given}} if self.given else {reference: {}})

    def getJobsStates(self, job_ids: list[int]) -> object:  # noqa: N802
        return ok({str(job): {"Status": "Matched", "MinorStatus": self.minor_statuses[job]} for job in job_ids})

    def getJobSummary(self, job_id: int) -> object:  # noqa: N802
        return ok({"Owner": "somebody", "OwnerGroup": "vo_user"})

    def getJobJDL(self, job_id: int, original: bool) -> object:  # noqa: N802
        return ok(f"[ JobID = {job_id}; ]")

    def requestJob(self, offer: object) -> object:  # noqa: N802
        return self.matches.pop(0)


def ok(value: object) -> object:
    return {"OK": True, "Value": value}


NO_MATCH = {"OK": False, "Errno": 1510, "Message": ""}
REFUSED = {"OK": False, "Errno": 1550, "Message": "No pilots found"}


@pytest.fixture
def wms() -> Wms:
    return Wms()


@pytest.fixture
def sure(wms: Wms) -> Callable[..., SureMatcher]:
    def build(in_hand: set[int] | None = None) -> SureMatcher:
        def service(name: str) -> Service:
            return Service(name, [URL], wms, Retry(attempts=1))

        jobs = PilotJobs(service("PilotManager"), service("JobMonitoring"), [REFERENCE])
        return SureMatcher(Matcher(service("Matcher")), jobs, lambda: in_hand or set())

    return build


def test_job_that_nobody_has_touched_is_taken_before_the_matcher_is_asked(
    wms: Wms, sure: Callable[..., SureMatcher]
) -> None:
    found = sure(in_hand={9}).request_job({})

    assert found is not None
    assert (found.job_id, found.jdl, found.owner, found.group) == (8, "[ JobID = 8; ]", "somebody", "vo_user")
    assert "requestJob" not in wms.calls


def test_job_in_hand_is_not_taken_for_a_lost_one(wms: Wms, sure: Callable[..., SureMatcher]) -> None:
    wms.matches = [NO_MATCH]

    assert sure(in_hand={8, 9}).request_job({}) is None


def test_nobody_is_asked_again_when_nothing_was_lost(wms: Wms, sure: Callable[..., SureMatcher]) -> None:
    wms.given, wms.matches = [], [NO_MATCH, NO_MATCH]
    matcher = sure()
    matcher.request_job({})
    wms.calls.clear()

    matcher.request_job({})

    assert wms.calls == ["requestJob"]


def test_lost_answer_makes_it_look_again(wms: Wms, sure: Callable[..., SureMatcher]) -> None:
    wms.given, wms.matches = [], [NoAnswer("silence")]
    matcher = sure()
    with pytest.raises(NoAnswer):
        matcher.request_job({})
    wms.given = [8]

    found = matcher.request_job({})

    assert found is not None
    assert found.job_id == 8


def test_pilot_that_nobody_registered_asks_the_matcher_all_the_same(wms: Wms, sure: Callable[..., SureMatcher]) -> None:
    wms.getPilotInfo = lambda reference: REFUSED  # type: ignore[method-assign]
    wms.matches = [NO_MATCH, NO_MATCH]
    matcher = sure()
    matcher.request_job({})

    matcher.request_job({})

    assert wms.calls == ["getPilotInfo", "requestJob", "requestJob"]


def test_services_that_cannot_be_asked_stop_no_request(wms: Wms, sure: Callable[..., SureMatcher]) -> None:
    wms.given, wms.matches = NoAnswer("silence"), [NO_MATCH]

    assert sure().request_job({}) is None
