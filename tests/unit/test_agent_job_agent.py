"""The agent's loop: when it asks, how long it waits, why it ends, and what it does with what it has in hand."""

import itertools
import threading
import time
from collections.abc import Callable

import pytest

from agents.errors import AccessDenied, BadAnswer, Busy, ExitCode, NoAnswer, Refused, Unreachable
from agents.jobs.job import MatchedJob
from agents.process.events import LookAround, SignalReceived
from agents.slot import farewell
from tests.unit.agent_scene import NO_MATCH, Scene, job, scene
from tests.waiting import PATIENCE_S

__all__ = ["scene"]


def test_an_agent_for_which_there_is_nothing_ends_after_its_limit(scene: Scene) -> None:
    ending = scene.run()

    assert (ending.reason, ending.exit_code) == ("Nothing to do for more than 2 requests", ExitCode.ENDED)
    assert len(scene.matcher.offers) == 3


def test_jobs_run_one_after_another_without_a_pause_and_the_count_of_empty_answers_begins_anew(scene: Scene) -> None:
    scene.matcher.answers = [NO_MATCH, NO_MATCH, job(1), job(2)]

    ending = scene.run()

    assert (ending.tally.matched, ending.tally.done) == (2, 2)
    assert len(scene.matcher.offers) == 7
    assert [status for job_id, status in scene.wms.statuses if job_id == 2][-1] == "Done"


def test_a_slot_of_several_processors_is_filled(scene: Scene) -> None:
    scene.processors = 3
    scene.ce.holds_until = 2
    scene.matcher.answers = [job(1), job(2, "NumberOfProcessors = 2;")]

    scene.run()

    assert [offer["NumberOfProcessors"] for offer in scene.matcher.offers[:2]] == [3, 2]
    assert scene.ce.most_at_once == 2


def test_an_in_process_ce_has_one_job_whatever_its_processors(scene: Scene) -> None:
    scene.ce_type, scene.processors = "InProcess", 4
    scene.matcher.answers = [job(1), job(2)]

    ending = scene.run()

    assert (ending.tally.done, scene.ce.most_at_once) == (2, 1)


def test_only_the_first_request_reports_the_pilots_power(scene: Scene) -> None:
    scene.run()

    assert [offer["PilotInfoReportedFlag"] for offer in scene.matcher.offers] == [False, True, True]


def test_without_filling_the_agent_ends_after_one_job(scene: Scene) -> None:
    scene.matcher.answers = [job(1), job(2)]

    ending = scene.run(FillingModeFlag="no")

    assert (ending.reason, ending.tally.matched) == ("Filling Mode is Disabled", 1)


def test_the_limit_of_requests_ends_the_agent(scene: Scene) -> None:
    scene.matcher.answers = [job(1)]

    ending = scene.run(MaxCycles="2")

    assert ending.reason == "The limit of 2 requests to the Matcher is reached"
    assert len(scene.matcher.offers) == 2


def test_a_slot_without_time_is_never_offered(scene: Scene) -> None:
    scene.end_s = 100.0

    ending = scene.run()

    assert (ending.reason, scene.matcher.offers) == ("No more time left", [])


def test_a_drained_node_takes_nothing_more_and_ends_what_it_has(scene: Scene) -> None:
    scene.matcher.answers = [job(1), job(2)]
    scene.matcher.before = (scene.work_dir / "drain").touch

    ending = scene.run()

    assert (ending.reason, ending.tally.done) == ("Node is being drained by an operator", 1)


def test_a_failed_payload_ends_the_agent_where_that_is_wished(scene: Scene) -> None:
    scene.matcher.answers = [job(1), job(2)]
    scene.ce.exit_code = 1

    ending = scene.run(StopOnApplicationFailure="yes")

    assert ending.reason == "A payload failed and StopOnApplicationFailure is set"
    assert (ending.tally.matched, ending.tally.failed) == (1, 1)


def test_a_node_that_can_start_nothing_ends_the_agent_as_unfit(scene: Scene) -> None:
    scene.matcher.answers = [job(number) for number in range(1, 9)]
    scene.ce.rejects = True

    ending = scene.run()

    assert ending.reason == "3 jobs in a row were handed back for the node's fault"
    assert (ending.exit_code, scene.wms.rescheduled) == (ExitCode.NODE_UNFIT, [1, 2, 3])


@pytest.mark.parametrize(
    "answer", [AccessDenied("HTTP 401"), {"OK": False, "Errno": 1511, "Message": "Pilot version does not match"}]
)
def test_a_pilot_that_the_wms_refuses_ends_at_once(scene: Scene, answer: object) -> None:
    scene.matcher.answers = [answer]

    ending = scene.run()

    assert ending.reason.startswith("The WMS refused this pilot: ")
    assert (ending.exit_code, len(scene.matcher.offers)) == (ExitCode.PILOT_REFUSED, 1)


@pytest.mark.parametrize(
    "error", [Unreachable("x"), NoAnswer("x"), BadAnswer("x"), Refused("x"), {"OK": False, "Message": "Error"}]
)
def test_a_matcher_that_fails_is_asked_again_and_counts_as_empty(scene: Scene, error: object) -> None:
    scene.matcher.answers = [error, job(1)]

    ending = scene.run()

    assert (ending.tally.done, len(scene.matcher.offers)) == (1, 5)


def test_at_most_one_request_is_under_way(scene: Scene) -> None:
    scene.processors = 4
    scene.events.put(LookAround())

    def look_around_meanwhile() -> None:
        scene.events.put(LookAround())

    scene.matcher.before = look_around_meanwhile
    scene.run()

    assert len(scene.matcher.offers) == 3


def test_a_signal_that_drains_lets_what_runs_end(scene: Scene) -> None:
    scene.matcher.answers = [job(1), job(2)]
    scene.matcher.before = lambda: scene.events.put(SignalReceived("SIGUSR1", is_urgent=False))

    ending = scene.run()

    assert ending.reason == "The pilot was asked to end by SIGUSR1"
    assert (ending.tally.done, scene.wms.rescheduled) == (1, [])


def test_an_urgent_signal_hands_back_what_runs(scene: Scene) -> None:
    scene.ce.holds = True
    scene.processors = 2
    scene.matcher.answers = [job(1), job(2)]

    def signal_at_the_second() -> None:
        if len(scene.matcher.offers) == 2:
            scene.events.put(SignalReceived("SIGTERM", is_urgent=True))

    scene.matcher.before = signal_at_the_second

    ending = scene.run()

    assert ending.reason == "The pilot was asked to end by SIGTERM"
    assert sorted(scene.wms.rescheduled) == [1, 2]
    assert ending.tally.handed_back == 2


def test_the_first_reason_to_end_stays(scene: Scene) -> None:
    scene.events.put(SignalReceived("SIGUSR1", is_urgent=False))
    scene.events.put(SignalReceived("SIGUSR2", is_urgent=False))

    assert scene.run().reason == "The pilot was asked to end by SIGUSR1"


def test_waits_between_empty_answers_double_whatever_else_happens(scene: Scene) -> None:
    asked_at: list[float] = []
    scene.matcher.before = lambda: asked_at.append(time.monotonic())
    stop = threading.Event()

    def nudge() -> None:
        while not stop.wait(0.002):
            scene.events.put(LookAround())

    nudging = threading.Thread(target=nudge)
    nudging.start()
    try:
        scene.run(PollingTime="0.02", StopAfterFailedMatches="4")
    finally:
        stop.set()
        nudging.join(PATIENCE_S)

    waits = [later - earlier for earlier, later in itertools.pairwise(asked_at)]
    assert len(waits) == 4
    assert all(wait >= 0.5 * 0.02 * 2**number for number, wait in enumerate(waits))
    assert len(scene.jitters) == 5


def test_jobs_are_closed_in_the_ledger_when_the_agent_ends(scene: Scene) -> None:
    scene.matcher.answers = [job(1), job(2)]

    scene.run()

    assert (scene.ledger.open_jobs(), scene.ledger.unsent()) == ([], [])


def test_a_node_that_loses_what_it_starts_gives_few_jobs_back_and_is_unfit(scene: Scene) -> None:
    scene.matcher.answers = [job(number) for number in range(1, 9)]
    scene.ce.exit_code = None  # type: ignore[assignment] # none was left

    ending = scene.run()

    assert (ending.exit_code, scene.wms.rescheduled) == (ExitCode.NODE_UNFIT, [1, 2, 3])


def test_a_job_that_comes_back_to_the_node_that_lost_it_is_lost_once_more_at_most(scene: Scene) -> None:
    scene.matcher.answers = [job(1) for _ in range(9)]
    scene.ce.exit_code = None  # type: ignore[assignment]

    ending = scene.run()

    assert ending.reason == "Job 1 was handed back twice in a row for the node's fault"
    assert (ending.exit_code, scene.wms.rescheduled) == (ExitCode.NODE_UNFIT, [1, 1])


def test_no_job_is_asked_for_at_once_after_one_was_lost(scene: Scene) -> None:
    scene.matcher.answers = [job(1), job(2)]
    asked: list[float] = []
    scene.matcher.before = lambda: asked.append(time.monotonic())
    scene.ce.exit_code = None  # type: ignore[assignment]

    scene.run(PollingTime="0.4", MaxCycles="2")

    assert asked[1] - asked[0] >= 0.2


def test_looks_at_an_unfit_node_are_no_empty_matches(scene: Scene) -> None:
    scene.troubles = lambda: ["no program can be started"]

    ending = scene.run(StopAfterFailedMatches="0")

    assert ending.reason == "The node is not fit for jobs: no program can be started"
    assert (ending.exit_code, scene.matcher.offers) == (ExitCode.NODE_UNFIT, [])


@pytest.mark.parametrize("option", [{"MaxCycles": "1"}, {"MaxCycles": "2"}])
def test_an_unfit_node_is_told_whatever_ends_the_agent_first(scene: Scene, option: dict[str, str]) -> None:
    scene.troubles = lambda: ["no program can be started"]

    ending = scene.run(**option)

    assert (ending.exit_code, scene.matcher.offers) == (ExitCode.NODE_UNFIT, [])


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [
        (Refused("Unauthorized query"), ExitCode.PILOT_REFUSED),
        (Unreachable("nothing listens there"), ExitCode.SERVICE_MISSING),
        (NO_MATCH, ExitCode.ENDED),
    ],
)
def test_an_agent_that_never_got_an_answer_does_not_end_well(scene: Scene, answer: object, exit_code: ExitCode) -> None:
    scene.matcher.answers = [answer, answer, answer]

    assert scene.run().exit_code is exit_code


def test_an_agent_whose_wms_came_back_ends_well(scene: Scene) -> None:
    scene.matcher.answers = [Unreachable("nothing listens there"), job(1)]

    assert scene.run().exit_code is ExitCode.ENDED


def test_an_agent_whose_last_words_nobody_takes_says_so_and_does_not_end_well(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farewell, "UNKNOWN_S", 0.0)
    scene.end_s = 0.0
    scene.matcher.answers = [job(1)]
    scene.wms.is_away = True

    ending = scene.run()

    assert ending.reason == "Nothing to do for more than 2 requests; the WMS has not heard how job 1 ended"
    assert ending.exit_code is ExitCode.SERVICE_MISSING


def test_an_agent_waits_for_its_last_words_as_long_as_the_slot_lasts(scene: Scene) -> None:
    scene.matcher.answers = [job(1)]
    scene.wms.is_away = True
    threading.Timer(3.0, scene.wms.come_back).start()

    ending = scene.run()

    assert (ending.exit_code, scene.wms.statuses[-1]) == (ExitCode.ENDED, (1, "Done"))


def test_the_patience_for_last_words_is_that_of_the_slot_where_the_site_says_how_long_it_lasts() -> None:
    now = [0.0]
    patience = farewell.Patience(lambda: now[0])
    now[0] = 201.0

    assert patience.is_over(is_now=False, is_end_known=False)
    assert not patience.is_over(is_now=False, is_end_known=True)
    assert not patience.is_over(is_now=True, is_end_known=True)
    now[0] = 222.0
    assert patience.is_over(is_now=True, is_end_known=True)


@pytest.mark.parametrize(
    ("jobs", "words"),
    [([7], "job 7"), ([7, 8], "jobs 7, 8"), (range(1, 13), "jobs 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more")],
)
def test_jobs_are_named_as_far_as_there_is_room(jobs: list[int], words: str) -> None:
    assert farewell.jobs_in_words(list(jobs)) == words


class Lost:
    """Finds one job when all else is done."""

    may_have_found = False

    def __init__(self, found: MatchedJob) -> None:
        self.found: list[MatchedJob | None] = [found, None]
        self.before: Callable[[], object] = lambda: None

    def is_due(self, *, is_end: bool = False) -> bool:
        return is_end and bool(self.found)

    def is_over(self) -> bool:
        return not self.found

    def look(self) -> MatchedJob | None:
        self.before()
        return self.found.pop(0)

    def taken(self) -> None:
        """Nothing is noted."""


def test_a_match_that_was_lost_is_looked_for_when_all_else_is_told_and_runs(scene: Scene) -> None:
    scene.lost = lost = Lost(MatchedJob(job_id=5, jdl='[ JobID = 5; Executable = "x"; ]', owner="o", group="g"))
    told: list[list[int]] = []
    lost.before = lambda: told.append([job_id for job_id, status in scene.wms.statuses if status == "Done"])
    scene.matcher.answers = [job(1)]

    ending = scene.run()

    assert (told, ending.tally.done) == ([[1], [1, 5]], 2)


def test_the_matcher_is_left_alone_as_long_as_it_asks(scene: Scene) -> None:
    scene.matcher.answers = [Busy("HTTP 503", retry_after_s=0.4), job(1)]
    asked: list[float] = []
    scene.matcher.before = lambda: asked.append(time.monotonic())

    scene.run()

    assert asked[1] - asked[0] >= 0.4


def test_an_agent_that_was_told_to_end_while_the_wms_is_away_ends_well(scene: Scene) -> None:
    scene.matcher.answers = [Unreachable("nothing listens there")] * 9
    scene.matcher.before = lambda: scene.events.put(SignalReceived("SIGTERM", is_urgent=True))

    assert scene.run().exit_code is ExitCode.ENDED
