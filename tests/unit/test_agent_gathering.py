"""Words of a job that goes on wait for each other; its last word, and a sign of life, wait for nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.jobs.job import Job, MatchedJob
from agents.jobs.ledger import Ledger, Report, ReportKind
from agents.reporting.gathering import Gathering
from agents.reporting.reporter import Reporter
from agents.wms.job_state import Heartbeat, JobState
from agents.wms.service import Clock, Retry, Service
from agents.wms.testing import FakeTransport, ok
from tests.waiting import PATIENCE_S, until

WAIT_S = 5.0
LONG_S = 100 * PATIENCE_S


class Words:
    """What is unsent, and a clock of the test's."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.unsent: list[Report] = []
        self.gathering = Gathering(WAIT_S, lambda: self.now)

    def say(self, job_id: int, word: str = "Running", kind: ReportKind = ReportKind.STATUS) -> None:
        report = Report(job_id, kind, "m", {"Status": word} if kind is ReportKind.STATUS else {})
        self.unsent.append(report)
        self.gathering.note([report])

    def due(self, *at_once: int, is_all: bool = False) -> list[int]:
        self.gathering.begin()
        return [report.job_id for report in self.gathering.due(self.unsent, at_once, is_all=is_all)]


def test_the_words_of_a_job_wait_from_the_first_of_them_on() -> None:
    words = Words()
    words.say(1)
    words.now += 4.0
    words.say(1)
    words.say(2)
    assert (words.due(), words.gathering.next_s(), words.gathering.is_urgent) == ([], 1.0, False)
    words.now += 1.0

    assert (words.due(), words.gathering.next_s()) == ([1, 1], 4.0)


def test_parameters_wait_longer() -> None:
    words = Words()
    words.say(1, kind=ReportKind.PARAMETERS)
    words.say(1)
    words.now += WAIT_S
    assert [report.kind for report in words.gathering.due(words.unsent, (), is_all=False)] == [ReportKind.STATUS]
    words.now += 3 * WAIT_S

    assert words.due() == [1, 1]


@pytest.mark.parametrize("end", ["Done", "Completed", "Failed", "Killed", "Rescheduled"])
def test_with_the_last_word_all_of_a_job_is_due_and_nothing_of_others(end: str) -> None:
    words = Words()
    words.say(1, kind=ReportKind.PARAMETERS)
    words.say(2)
    words.say(1, end)

    assert words.gathering.is_urgent
    assert (words.due(), words.gathering.is_urgent) == ([1, 1], False)


def test_an_order_to_put_a_job_back_is_a_last_word() -> None:
    words = Words()
    words.say(1, kind=ReportKind.RESCHEDULE)

    assert (words.gathering.is_urgent, words.due()) == (True, [1])


def test_what_is_to_be_said_at_once_and_what_a_former_agent_left_waits_for_nothing() -> None:
    words = Words()
    words.say(1)
    words.say(2)
    words.unsent.append(Report(3, ReportKind.STATUS, "m", {"Status": "Running"}))

    assert words.due(2) == [2, 3]
    assert words.due(is_all=True) == [1, 2, 3]


def test_whoever_looks_while_words_are_being_written_down_lets_them_wait() -> None:
    words = Words()
    report = Report(1, ReportKind.STATUS, "m", {"Status": "Running"})
    words.gathering.expect([report])
    assert words.due() == []
    words.unsent.append(report)

    assert words.due() == []
    words.gathering.note([report])
    words.now += WAIT_S
    assert words.due() == [1]


def test_what_was_sent_or_is_held_elsewhere_does_not_keep_anybody_awake() -> None:
    words = Words()
    words.say(1)
    words.say(2, "Rescheduled")
    words.due()
    words.unsent.pop(0)
    words.due()

    assert words.gathering.next_s() is None


class Agent:
    """A reporter that has all the time of the world, over a real ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.transport = FakeTransport(otherwise=ok({}))
        service = Service("X", ["https://h/X"], self.transport, Retry(attempts=1))
        self.ledger = ledger
        self.reporter = Reporter(
            ledger, JobState(service, service), lambda _: None, lambda *_: None, Clock(), gather_s=LONG_S
        )
        self.reporter.start()

    def say(self, job_id: int, *words: str) -> None:
        reports = [
            Report(job_id, ReportKind.PARAMETERS, "0", {"a": "b"}),
            *(Report(job_id, ReportKind.STATUS, str(number), {"Status": word}) for number, word in enumerate(words)),
        ]
        matched = MatchedJob(job_id=job_id, jdl="", owner="", group="")
        self.ledger.save(Job(matched=matched, stamp="s"), reports)
        self.reporter.wake(reports)

    def asked(self) -> list[tuple[str, int]]:
        return [(method, int(str(arguments[0]))) for method, arguments in self.transport.asked]


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    made = Agent(ledger)
    yield made
    made.reporter.stop()
    ledger.close()


def test_an_end_goes_with_all_that_was_said_of_its_job_while_others_wait(agent: Agent) -> None:
    agent.say(1, "Matched", "Running")
    agent.say(2, "Matched", "Running")
    agent.say(2, "Done")

    until(lambda: len(agent.asked()) == 2)
    assert agent.asked() == [("setJobParameters", 2), ("setJobStatusBulk", 2)]
    assert list(agent.transport.asked[1][1][1]) == ["0", "1"]


def test_a_sign_of_life_is_not_told_before_the_words_of_its_job(agent: Agent) -> None:
    agent.say(1, "Matched", "Running")
    agent.reporter.beat(Heartbeat(job_id=1))

    until(lambda: len(agent.asked()) == 3)
    assert [method for method, _ in agent.asked()] == ["setJobParameters", "setJobStatusBulk", "sendHeartBeat"]


def test_an_agent_that_ends_says_all_of_it(agent: Agent) -> None:
    agent.say(1, "Matched", "Running")

    assert agent.reporter.flush(PATIENCE_S)
    assert agent.asked() == [("setJobParameters", 1), ("setJobStatusBulk", 1)]
