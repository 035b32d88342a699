"""Jobs that were matched for this agent and never arrived are found again, and no other agent's are taken for them."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agents.errors import AccessDenied, BadAnswer, Busy, NoAnswer, Refused, ServiceError, Unreachable
from agents.jobs.job import Job, MatchedJob, Phase
from agents.jobs.ledger import Ledger
from agents.wms.job_monitoring import JobMonitoring
from agents.wms.lost_matches import LostMatches, LostMatchFinder, PilotJobs
from agents.wms.matcher import Matcher
from agents.wms.service import Retry, Service
from agents.wms.testing import FakeTransport, ok

REFERENCE = "pilot-1"
AFTER_S = 45.0
URL = "https://wms.example:8443/Service"
NO_MATCH = {"OK": False, "Errno": 1510, "Message": "No match found"}
NO_PILOT = {"OK": False, "Errno": 1550, "Message": "No pilots found"}
LOCKED = {"OK": False, "Errno": 0, "Message": "Lock wait timeout exceeded; try restarting transaction"}


class Wms:
    """A WMS; answers are values, or errors to raise."""

    def __init__(self) -> None:
        self.given: object = []
        self.touched: set[int] = set()
        self.matches: list[object] = []
        self.transport = FakeTransport(
            {
                "getPilotInfo": self._pilot,
                "getJobsStates": self._states,
                "getJobSummary": ok({"Owner": "somebody", "OwnerGroup": "vo_user"}),
                "getJobJDL": lambda job_id, _original: ok(f"[ JobID = {job_id}; ]"),
                "requestJob": lambda _offer: self.matches.pop(0),
            }
        )

    def _pilot(self, reference: str) -> object:
        if isinstance(self.given, ServiceError | dict):
            return self.given
        return ok({reference: {"Jobs": self.given}} if self.given else {reference: {}})

    def _states(self, job_ids: list[int]) -> object:
        minor = {True: "Application", False: "Assigned"}
        return ok({str(job): {"Status": "Matched", "MinorStatus": minor[job in self.touched]} for job in job_ids})


def match(job_id: int) -> object:
    return ok({"JobID": job_id, "JDL": f"[ JobID = {job_id}; ]", "Owner": "o", "Group": "g"})


class Scene:
    """An agent's Matcher and its search, on a clock of ours."""

    def __init__(self, path: Path) -> None:
        self.path, self.wms, self.now = path, Wms(), 1000.0
        self.begin()

    def begin(self) -> None:
        """Begin, as an agent does that finds this ledger."""
        self.ledger = Ledger(self.path)
        monitoring = JobMonitoring(self.service("JobMonitoring"))
        jobs = PilotJobs(self.service("PilotManager"), monitoring)
        self.lost = LostMatches(self.ledger, jobs, REFERENCE, AFTER_S, lambda: self.now)
        self.sure = LostMatchFinder(Matcher(self.service("Matcher"), str), self.lost)

    def service(self, name: str) -> Service:
        return Service(name, [URL], self.wms.transport, Retry(attempts=1))

    def ask(self, answer: object, error: type[ServiceError] = ServiceError) -> None:
        self.wms.matches = [answer]
        with pytest.raises(error):
            self.sure.request_job({})

    def look_for(self, seconds: float) -> MatchedJob | None:
        """Look whenever that is due within this time."""
        ends = self.now + seconds
        while self.now <= ends:
            if self.lost.is_due() and (found := self.lost.look()):
                return found
            self.now += 1
        return None


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "ledger.sqlite")
    yield made
    made.ledger.close()


ERRORS = [NoAnswer("x"), BadAnswer("x"), Busy("503"), AccessDenied("401"), LOCKED, ok("odd")]


@pytest.mark.parametrize("answer", ERRORS, ids=str)
def test_whatever_leaves_a_request_open_its_job_is_found(scene: Scene, answer: object) -> None:
    scene.ask(answer)
    scene.wms.given = [8]

    found = scene.look_for(60)

    assert found is not None
    assert (found.job_id, found.jdl, found.owner, found.group) == (8, "[ JobID = 8; ]", "somebody", "vo_user")


@pytest.mark.parametrize("answer", [NO_MATCH, Unreachable("x")], ids=str)
def test_nobody_looks_where_surely_nothing_was_matched(scene: Scene, answer: object) -> None:
    scene.wms.matches, scene.wms.given = [answer], [8]
    with suppress(Unreachable):
        assert scene.sure.request_job({}) is None

    assert scene.look_for(200) is None
    assert scene.wms.transport.methods == ["requestJob"]


def test_a_plain_start_looks_for_nothing(scene: Scene) -> None:
    scene.wms.given = [8]

    assert scene.look_for(200) is None
    assert scene.wms.transport.methods == []


def test_a_request_that_a_killed_agent_left_open_is_looked_for_by_the_next(scene: Scene) -> None:
    scene.lost.begin({})
    scene.wms.given = [8]
    scene.begin()

    found = scene.look_for(60)

    assert found is not None
    assert found.job_id == 8


def test_a_match_that_was_not_taken_before_the_agent_died_is_looked_for(scene: Scene) -> None:
    scene.wms.matches, scene.wms.given = [match(8)], [8]
    assert scene.sure.request_job({}) is not None
    scene.begin()

    assert scene.look_for(60) is not None


def test_a_match_that_was_taken_is_not_looked_for(scene: Scene) -> None:
    scene.wms.matches, scene.wms.given = [match(8)], [8]
    scene.sure.request_job({})
    scene.lost.taken()
    scene.begin()

    assert scene.look_for(200) is None


def test_a_job_of_which_another_agent_tells_in_time_is_left_to_it(scene: Scene) -> None:
    scene.ask(NoAnswer("x"))
    scene.wms.given = [8]
    assert scene.look_for(30) is None
    assert scene.lost.may_have_found
    scene.wms.touched = {8}

    assert scene.look_for(200) is None
    assert scene.lost.is_over()


def test_a_job_that_was_given_away_long_after_the_request_is_not_ours(scene: Scene) -> None:
    scene.ask(NoAnswer("x"))
    assert scene.look_for(50) is None
    scene.wms.given = [8]

    assert scene.look_for(200) is None


def test_a_job_that_comes_late_is_found(scene: Scene) -> None:
    scene.ask(NoAnswer("x"))
    assert scene.look_for(2) is None
    scene.wms.given = [8]

    assert scene.look_for(60) is not None


def test_a_job_in_hand_is_not_taken_for_a_lost_one(scene: Scene) -> None:
    scene.ask(NoAnswer("x"))
    scene.wms.given = [8]
    scene.ledger.save(Job(matched=MatchedJob(job_id=8, jdl="", owner="", group=""), stamp="s"))

    assert scene.look_for(200) is None


@pytest.mark.parametrize("answer", [NoAnswer("x"), LOCKED, ok({REFERENCE: {"Jobs": ["x"]}}), ok([])], ids=str)
def test_a_search_that_fails_is_tried_again(scene: Scene, answer: object) -> None:
    scene.ask(NoAnswer("x"))
    scene.wms.given = answer
    assert scene.look_for(30) is None
    scene.wms.given = [8]

    assert scene.look_for(60) is not None


@pytest.mark.parametrize("answer", [NO_PILOT, AccessDenied("401")], ids=str)
def test_a_pilot_that_may_not_ask_does_not_ask_for_ever(scene: Scene, answer: object) -> None:
    scene.ask(NoAnswer("x"))
    scene.wms.given = answer
    scene.look_for(30)
    scene.wms.transport.forget_calls()

    assert scene.look_for(200) is None
    assert (scene.wms.transport.methods, scene.lost.is_over()) == ([], True)


# ---- the last look ----


def last_look(scene: Scene, seconds: float) -> MatchedJob | None:
    ends = scene.now + seconds
    while not scene.lost.is_over():
        assert scene.now <= ends, "the agent does not end"
        if scene.lost.is_due(is_end=True) and (found := scene.lost.look()):
            return found
        scene.now += 1
    return None


def asked(scene: Scene) -> None:
    scene.wms.matches = [NO_MATCH]
    scene.sure.request_job({})


def test_a_request_that_was_delivered_twice_is_put_right_before_the_agent_ends(scene: Scene) -> None:
    asked(scene)
    scene.wms.given = [8]

    found = last_look(scene, 100)

    assert found is not None
    assert found.job_id == 8


def test_the_last_look_costs_one_call_where_nothing_was_given(scene: Scene) -> None:
    asked(scene)
    scene.wms.transport.forget_calls()

    assert last_look(scene, 0) is None
    assert scene.wms.transport.methods == ["getPilotInfo"]


def test_an_agent_that_never_asked_has_no_last_look(scene: Scene) -> None:
    assert last_look(scene, 0) is None
    assert scene.wms.transport.methods == []


def test_where_other_agents_work_with_our_reference_the_last_look_takes_nothing(scene: Scene) -> None:
    asked(scene)
    scene.wms.given, scene.wms.touched = [7, 8], {7}

    assert last_look(scene, 10) is None


def test_our_own_jobs_of_before_are_no_other_agents(scene: Scene) -> None:
    asked(scene)
    closed = Job(matched=MatchedJob(job_id=7, jdl="", owner="", group=""), stamp="s", phase=Phase.CLOSED)
    scene.ledger.save(closed)
    scene.wms.given, scene.wms.touched = [7, 8], {7}

    assert last_look(scene, 100) is not None


def test_where_nobody_can_be_asked_an_agent_ends_at_once(scene: Scene) -> None:
    lost = LostMatches(scene.ledger, None, REFERENCE, AFTER_S)
    lost.in_doubt(lost.begin({}))

    assert lost.is_over()
    assert scene.ledger.open_requests() == {}


def test_the_search_waits_while_no_pilot_manager_is_published(scene: Scene) -> None:
    jobs = PilotJobs(scene.service("PilotManager"), JobMonitoring(scene.service("JobMonitoring")), lambda: False)
    lost = LostMatches(scene.ledger, jobs, REFERENCE, AFTER_S, lambda: scene.now)
    lost.in_doubt(lost.begin({}))

    assert (lost.is_due(), lost.is_over()) == (False, True)
    assert list(scene.ledger.open_requests().values()) == [REFERENCE]


def test_a_refused_request_passes_on_its_refusal(scene: Scene) -> None:
    scene.ask(LOCKED, Refused)


def test_an_agent_without_an_open_request_that_may_not_ask_ends_at_once(scene: Scene) -> None:
    asked(scene)
    scene.wms.given = AccessDenied("401")

    assert last_look(scene, 0) is None


def test_where_the_wms_cannot_tell_an_agent_without_an_open_request_ends_soon(scene: Scene) -> None:
    asked(scene)
    scene.wms.given = ok({REFERENCE: {"Jobs": [None]}})

    assert last_look(scene, 20) is None
