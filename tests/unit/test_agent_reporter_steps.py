"""The reporter step by step, without its thread: what it takes note of, whom it tells, when it waits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.errors import AccessDenied, BadAnswer, NoAnswer, Refused, ServiceError, Unreachable
from agents.jobs.job import Job, JobStatus, MatchedJob, Phase
from agents.jobs.ledger import Ledger, Report, ReportKind
from agents.reporting.reporter import Reporter
from agents.wms.job_state import Heartbeat
from agents.wms.service import Clock
from tests.unit.reporter_scene import Wms


class Notes:
    """Stands for the reading back and for the doubts: notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.waiting: set[int] = set()
        self.over: set[int] = set()
        self.in_s: float | None = None

    def said(self, job_id: int, not_before: float) -> None:
        self.told.append(("said", job_id, not_before))

    def forget(self, job_id: int) -> None:
        self.told.append(("forget", job_id))

    def about(self, job_id: int) -> None:
        self.told.append(("about", job_id))

    def settle(self) -> set[int]:
        return self.over

    def look(self, *, is_all: bool) -> None:
        self.told.append(("look",))

    def next_s(self, *, is_all: bool) -> float | None:
        return self.in_s

    def untold(self) -> set[int]:
        return self.waiting


class Scene:
    """A reporter whose clock stands still until it is moved."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.wms, self.back, self.ownership = ledger, Wms(), Notes(), Notes()
        self.now = 1000.0
        self.accepted: list[int] = []
        self.commanded: list[tuple[int, object]] = []
        self.settled = 0
        self.begin()

    def begin(self) -> None:
        self.reporter = Reporter(
            self.ledger,
            self.wms.job_state,
            self.accepted.append,
            lambda job_id, commands: self.commanded.append((job_id, commands)),
            Clock(monotonic=lambda: self.now),
            ownership=self.ownership,  # type: ignore[arg-type]
            read_back=self.back,  # type: ignore[arg-type]
            settled=self._settle,
        )

    def _settle(self) -> None:
        self.settled += 1

    def say(
        self, job_id: int, *reports: tuple[ReportKind, str], status: str = "", phase: Phase = Phase.RUNNING
    ) -> None:
        matched = MatchedJob(job_id=job_id, jdl="", owner="", group="")
        said = [
            Report(job_id, kind, str(at), {"Status": word} if word else {}) for at, (kind, word) in enumerate(reports)
        ]
        self.ledger.save(Job(matched=matched, stamp="s", phase=phase, status=JobStatus(status or "Running")), said)

    def fail(self, error: ServiceError | None) -> None:
        self.wms.trouble = lambda call, job_id: error

    def step(self) -> bool:
        return self.reporter._try()


STATUS, PARAMETERS, RESCHEDULE = ReportKind.STATUS, ReportKind.PARAMETERS, ReportKind.RESCHEDULE


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield Scene(ledger)
    ledger.close()


# ---- what is the last word ----


@pytest.mark.parametrize("end", ["Done", "Failed", "Killed"])
def test_an_end_that_was_taken_is_to_be_read_back(scene: Scene, end: str) -> None:
    scene.say(1, (STATUS, "Running"), (STATUS, end))

    assert scene.step()
    assert scene.back.told == [("said", 1, 0.0), ("look",)]


@pytest.mark.parametrize(
    ("reports", "noted"),
    [
        ([(STATUS, "Done"), (STATUS, "Running")], [("forget", 1)]),
        ([(STATUS, "Rescheduled"), (RESCHEDULE, "")], [("forget", 1), ("forget", 1)]),
        ([(RESCHEDULE, "")], [("forget", 1)]),
        ([(PARAMETERS, "")], []),
    ],
)
def test_what_is_no_end_ends_the_reading_back(
    scene: Scene, reports: list[tuple[ReportKind, str]], noted: list[tuple[object, ...]]
) -> None:
    scene.say(1, *reports)

    assert scene.step()
    assert scene.back.told == [*noted, ("look",)]


def test_a_job_is_accepted_when_all_was_said_and_nothing_is_to_be_read_back(scene: Scene) -> None:
    scene.back.waiting = {2}
    scene.say(1, (STATUS, "Running"))
    scene.say(2, (STATUS, "Done"))

    assert scene.step()
    assert (scene.accepted, scene.reporter.untold()) == ([1], [2])


# ---- after a restart ----


def test_what_a_former_agent_said_last_is_taken_up_once(scene: Scene) -> None:
    scene.say(1, status="Done", phase=Phase.REPORTING)
    scene.say(2, (STATUS, "Failed"), status="Failed", phase=Phase.REPORTING)
    scene.say(3, status="Rescheduled", phase=Phase.REPORTING)
    scene.say(4, status="Running", phase=Phase.RUNNING)
    scene.begin()
    scene.back.waiting = {1}

    scene.reporter._take_up()
    scene.reporter._take_up()

    assert scene.back.told == [("said", 1, 1015.0)]
    assert scene.accepted == [3]


def test_jobs_of_a_former_agent_are_in_doubt_for_as_long_as_its_calls_may_be_under_way(scene: Scene) -> None:
    scene.say(1, (STATUS, "Rescheduled"), (RESCHEDULE, ""), status="Rescheduled", phase=Phase.REPORTING)
    scene.begin()

    scene.step()
    at_first, in_s = list(scene.wms.told), scene.reporter._next_s()
    scene.now += 15.0
    scene.step()

    assert (at_first, in_s) == ([], 15.0)
    assert [call for call, _, _ in scene.wms.told] == ["statuses", "reschedule"]
    assert ("about", 1) in scene.ownership.told


def test_that_everything_was_asked_about_is_told_once(scene: Scene) -> None:
    scene.step()
    scene.step()

    assert scene.settled == 1


def test_of_a_job_that_was_taken_away_neither_heartbeat_nor_reading_back_goes_on(scene: Scene) -> None:
    scene.reporter.beat(Heartbeat(job_id=1))
    scene.reporter.beat(Heartbeat(job_id=2))
    scene.ownership.over = {1}

    assert scene.step()
    assert [job_id for _, job_id, _ in scene.wms.told] == [2]
    assert ("forget", 1) in scene.back.told


# ---- refusals and failures ----


@pytest.mark.parametrize(
    "said",
    [
        "User is not authorized",
        "unauthorised",
        "No Matching Job",
        "Job 1 does not exist",
        "Maximum number of reschedulings",
        "maximum number of rescheduling",
        "Wrong job",
    ],
)
def test_a_refusal_for_good_is_given_up_at_once(scene: Scene, said: str) -> None:
    scene.fail(Refused(said))
    scene.say(1, (STATUS, "Running"))

    assert scene.step()
    assert (scene.ledger.unsent(), scene.accepted) == ([], [1])


def test_a_refusal_that_may_pass_is_given_up_at_the_eighth_time(scene: Scene) -> None:
    scene.fail(Refused("Can't connect to database"))
    scene.say(1, (STATUS, "Running"))

    steps = [scene.step() for _ in range(8)]

    assert steps == [False] * 7 + [True]
    assert scene.ledger.unsent() == []


def test_refusals_are_counted_anew_after_one_word_was_taken(scene: Scene) -> None:
    scene.say(1, (STATUS, "Running"))
    scene.fail(Refused("Can't connect to database"))
    for _ in range(7):
        scene.step()
    scene.fail(None)
    scene.step()
    scene.say(1, (STATUS, "Done"))
    scene.fail(Refused("Can't connect to database"))

    assert not scene.step()
    assert len(scene.ledger.unsent()) == 1


@pytest.mark.parametrize(
    ("kind", "error", "is_in_doubt"),
    [
        (RESCHEDULE, Refused("Can't connect to database"), True),
        (STATUS, Refused("Can't connect to database"), False),
        (RESCHEDULE, NoAnswer("x"), True),
        (STATUS, NoAnswer("x"), True),
        (STATUS, BadAnswer("x"), True),
        (STATUS, Unreachable("x"), False),
        (STATUS, AccessDenied("x"), True),
    ],
)
def test_after_a_call_that_may_have_been_received_what_puts_back_waits(
    scene: Scene, kind: ReportKind, error: ServiceError, *, is_in_doubt: bool
) -> None:
    scene.say(1, (kind, "Running" if kind is STATUS else ""))
    scene.fail(error)

    assert not scene.step()
    scene.fail(None)
    scene.ledger.sent(scene.ledger.unsent())
    scene.say(1, (RESCHEDULE, ""))
    scene.step()

    assert ([call for call, _, _ in scene.wms.told] == []) is is_in_doubt


def test_a_wms_that_is_away_ends_the_round_one_that_stumbles_does_not(scene: Scene) -> None:
    for job_id in (1, 2):
        scene.say(job_id, (STATUS, "Running"))
    asked: list[int] = []
    scene.wms.before = lambda call, job_id: asked.append(job_id)

    scene.fail(NoAnswer("x"))
    away = (scene.step(), list(asked))
    asked.clear()
    scene.fail(BadAnswer("x"))
    stumbles = (scene.step(), list(asked))

    assert (away, stumbles) == ((False, [1]), (False, [1, 2]))


def test_a_status_that_is_not_taken_holds_up_the_order_to_reschedule_parameters_hold_up_nothing(scene: Scene) -> None:
    scene.say(1, (PARAMETERS, "a fact"), (STATUS, "Running"), (RESCHEDULE, ""))
    scene.wms.trouble = lambda call, job_id: Refused("busy") if call == "parameters" else None

    assert not scene.step()
    assert [call for call, _, _ in scene.wms.told] == ["statuses", "reschedule"]
    assert scene.accepted == []


def test_a_lost_heartbeat_raises_a_doubt_and_orders_are_passed_on(scene: Scene) -> None:
    scene.fail(NoAnswer("x"))
    scene.reporter.beat(Heartbeat(job_id=1))
    assert scene.step()
    scene.fail(None)
    scene.wms.commands = {"Kill": ""}
    scene.reporter.beat(Heartbeat(job_id=2))
    scene.step()

    assert scene.ownership.told == [("about", 1)]
    assert scene.commanded == [(2, {"Kill": ""})]


def test_no_orders_are_no_call(scene: Scene) -> None:
    scene.reporter.beat(Heartbeat(job_id=1))
    scene.step()

    assert scene.commanded == []


# ---- when there is something to do ----


def test_the_next_thing_to_do_is_the_earliest(scene: Scene) -> None:
    nothing = scene.reporter._next_s()
    scene.back.in_s = 20.0
    only_back = scene.reporter._next_s()
    scene.fail(NoAnswer("x"))
    scene.say(1, (RESCHEDULE, ""))
    scene.step()
    scene.now += 4.0
    held = scene.reporter._next_s()
    scene.now += 100.0
    overdue = scene.reporter._next_s()

    assert (nothing, only_back, held, overdue) == (None, 20.0, 11.0, 0.0)


def test_an_end_after_a_doubt_is_read_back_when_nothing_can_be_under_way(scene: Scene) -> None:
    scene.fail(NoAnswer("x"))
    scene.reporter.beat(Heartbeat(job_id=1))
    scene.step()
    scene.fail(None)
    scene.say(1, (STATUS, "Done"))
    scene.step()

    assert ("said", 1, 1015.0) in scene.back.told


def test_statuses_and_parameters_go_with_their_moments_and_pairs(scene: Scene) -> None:
    scene.say(1, (STATUS, "Running"), (STATUS, "Done"), (PARAMETERS, "x"))

    scene.step()

    assert scene.wms.told == [("parameters", 1, [("Status", "x")]), ("statuses", 1, ["0 Running", "1 Done"])]
