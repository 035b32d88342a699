"""The last word on a job counts as told when the WMS holds it afterwards."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from agents.errors import AccessDenied, NoAnswer, ServiceError
from agents.jobs.job import Job, JobStatus, MatchedJob, Phase
from agents.jobs.ledger import Ledger, Report, ReportKind
from agents.reporting import read_back
from agents.reporting import reporter as reporter_module
from agents.reporting.read_back import ReadBack
from agents.reporting.reporter import Reporter
from agents.wms.job_monitoring import JobMonitoring
from agents.wms.job_state import Heartbeat, JobState
from agents.wms.service import Clock, Retry, Service
from agents.wms.testing import FakeTransport, ok
from tests.waiting import PATIENCE_S


class Wms:
    """Holds a status for each job, whatever it is told."""

    def __init__(self) -> None:
        self.held: dict[int, str] = {}
        self.pilots: dict[int, str] = {}
        self.believes = True
        self.error: ServiceError | None = None
        self.beat_error: ServiceError | None = None
        self.transport = FakeTransport(
            {
                "getJobParameters": self._references,
                "getJobsStatus": self._states,
                "setJobStatusBulk": self._set_statuses,
                "sendHeartBeat": lambda *_: self.beat_error or ok({}),
                "rescheduleJob": self._reschedule,
            }
        )
        self.service = Service("X", ["https://h/X"], self.transport, Retry(attempts=1))

    @property
    def asked(self) -> int:
        return self.transport.methods.count("getJobsStatus")

    def _references(self, *_: object) -> object:
        return ok({str(job): {"Pilot_Reference": name} for job, name in self.pilots.items()})

    def _states(self, *_: object) -> object:
        return self.error or ok({str(job): {"Status": status} for job, status in self.held.items()})

    def _set_statuses(self, job_id: int, statuses: Mapping[str, Mapping[str, str]], _is_forced: bool) -> object:
        if self.believes:
            self.held[job_id] = list(statuses.values())[-1]["Status"]
        return ok()

    def _reschedule(self, job_id: int) -> object:
        self.held[job_id] = "Received"
        return ok()


class Scene:
    """A reporter that reads back, over a real ledger and a WMS of our own."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.wms = ledger, Wms()
        self.told: list[int] = []
        self.not_held: list[tuple[int, JobStatus]] = []
        self.believes_next_time = True
        self.begin()

    def begin(self) -> None:
        monitoring = JobMonitoring(self.wms.service)
        self.reporter = Reporter(
            self.ledger,
            JobState(self.wms.service, self.wms.service),
            self.told.append,
            lambda job_id, commands: None,
            Clock(jitter=lambda: -0.99),
            read_back=ReadBack(monitoring, self.told.append, self._say_again, mine=["ours"]),
            gather_s=0.0,
        )

    def _say_again(self, job_id: int, held: JobStatus) -> None:
        self.wms.believes = self.believes_next_time
        self.not_held.append((job_id, held))
        self.say(job_id, "Done")

    def say(self, job_id: int, word: str, phase: Phase = Phase.REPORTING) -> None:
        matched = MatchedJob(job_id=job_id, jdl="", owner="", group="")
        job = Job(matched=matched, stamp="s", phase=phase, status=JobStatus(word))
        number = str(len(self.not_held))
        self.ledger.save(job, [Report(job_id, ReportKind.STATUS, number, {"Status": word})])
        self.reporter.wake()

    def run(self, within_s: float = PATIENCE_S) -> bool:
        self.reporter.start()
        return self.reporter.flush(within_s)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(read_back, "_LONGER_S", 0.01)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    made = Scene(ledger)
    yield made
    made.reporter.stop()
    ledger.close()


def test_an_end_that_the_wms_holds_is_told(scene: Scene) -> None:
    scene.say(1, "Done")
    scene.say(2, "Failed")

    assert scene.run()
    assert (sorted(scene.told), scene.not_held, scene.wms.asked) == ([1, 2], [], 1)


def test_an_end_that_was_taken_and_ignored_is_said_again(scene: Scene) -> None:
    scene.wms.held, scene.wms.believes = {1: "Matched"}, False
    scene.say(1, "Done")

    assert scene.run()
    assert (scene.not_held, scene.told, scene.wms.held) == ([(1, JobStatus.MATCHED)], [1], {1: "Done"})


def test_an_end_that_the_wms_never_holds_stays_untold(scene: Scene) -> None:
    scene.wms.held, scene.wms.believes, scene.believes_next_time = {1: "Running"}, False, False
    scene.say(1, "Done")

    assert scene.run()
    assert (scene.told, scene.reporter.untold(), len(scene.not_held)) == ([], [1], 3)


@pytest.mark.parametrize("status", ["Deleted", "Killed", "Waiting", "Failed"])
def test_what_the_wms_has_decided_otherwise_stands(scene: Scene, status: str) -> None:
    scene.wms.held, scene.wms.believes = {1: status}, False
    scene.say(1, "Done")

    assert scene.run()
    assert (scene.told, scene.not_held) == ([1], [])


def test_a_job_of_which_another_pilot_tells_is_not_ended_for_it(scene: Scene) -> None:
    scene.wms.held, scene.wms.believes, scene.wms.pilots = {1: "Running"}, False, {1: "another"}
    scene.say(1, "Done")

    assert scene.run()
    assert (scene.told, scene.not_held) == ([1], [])


def test_an_end_after_a_heartbeat_that_was_lost_is_read_back_when_that_cannot_come_any_more(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter_module, "_LATE_S", 0.5)
    scene.wms.beat_error = NoAnswer("x")
    scene.reporter.beat(Heartbeat(job_id=1))
    scene.reporter.start()
    scene.reporter.flush(0.2)
    scene.say(1, "Done")
    assert not scene.reporter.flush(0.1)
    scene.wms.held[1] = "Running"  # now it has come

    assert scene.reporter.flush(PATIENCE_S)
    assert (scene.not_held, scene.told) == ([(1, JobStatus.RUNNING)], [1])


def test_while_the_wms_cannot_be_asked_nothing_is_told(scene: Scene) -> None:
    scene.wms.error = NoAnswer("x")
    scene.say(1, "Done")
    assert not scene.run(0.2)
    assert (scene.told, scene.reporter.untold()) == ([], [1])
    scene.wms.error = None

    assert scene.reporter.flush(PATIENCE_S)
    assert scene.told == [1]


def test_where_nobody_may_ask_the_word_of_the_wms_is_believed(scene: Scene) -> None:
    scene.wms.error = AccessDenied("401")
    scene.say(1, "Done")

    assert scene.run()
    assert scene.told == [1]


def test_what_a_killed_agent_has_said_last_is_read_back_by_the_next_after_its_last_calls(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter_module, "_LATE_S", 0.5)
    scene.wms.held = {1: "Running"}
    scene.say(1, "Done")
    scene.ledger.sent(scene.ledger.unsent())
    scene.begin()

    assert not scene.run(within_s=0.2)
    assert scene.wms.asked == 0
    assert scene.reporter.flush(PATIENCE_S)
    assert (scene.not_held, scene.told) == ([(1, JobStatus.RUNNING)], [1])


def test_a_job_that_runs_is_not_read_back(scene: Scene) -> None:
    scene.say(1, "Running", Phase.RUNNING)

    assert scene.run()
    assert (scene.told, scene.wms.asked) == ([1], 0)


def test_a_job_that_was_matched_here_anew_is_not_ended_by_its_former_end(scene: Scene) -> None:
    scene.say(1, "Failed")
    assert scene.run()
    scene.say(1, "Running", Phase.RUNNING)

    assert scene.reporter.flush(PATIENCE_S)
    assert scene.not_held == []


class Told:
    """A ReadBack of its own, with a clock of the test's."""

    def __init__(self) -> None:
        self.now, self.wms, self.jobs = 100.0, Wms(), list[int]()
        self.wms.held = {1: "Done", 2: "Failed"}
        self.back = ReadBack(
            JobMonitoring(self.wms.service), self.jobs.append, lambda *_: None, clock=lambda: self.now, together_s=2.0
        )


def test_ends_that_come_soon_after_each_other_are_read_back_in_one_call() -> None:
    told = Told()
    told.back.said(1, 0.0)
    told.now += 1.5
    told.back.said(2, 0.0)
    told.back.look()
    assert (told.jobs, told.back.next_s()) == ([], 0.5)
    told.now += 0.5

    told.back.look()
    assert (told.jobs, told.wms.asked) == ([1, 2], 1)


def test_an_end_waits_for_no_other_where_there_is_no_time_but_for_a_call_that_may_come_late() -> None:
    told = Told()
    told.back.said(1, 0.0)
    told.back.said(2, 115.0)

    told.back.look(is_all=True)
    assert (told.jobs, told.back.next_s(is_all=True)) == ([1], 15.0)
