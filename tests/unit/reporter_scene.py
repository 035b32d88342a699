"""A reporter whose WMS is a test's: it notes what it is told, and fails as it is wanted to. The ledger is real."""

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from agents.errors import ServiceError
from agents.jobs.job import Job, MatchedJob
from agents.jobs.ledger import Ledger, Report, ReportKind
from agents.reporting.reporter import Reporter
from agents.wms.job_state import JobState
from agents.wms.service import Clock, Retry, Service
from agents.wms.testing import FakeTransport, ok
from tests.waiting import PATIENCE_S

Called = tuple[str, int, object]


class Wms:
    """JobStateUpdate and JobManager: keeps what it is told; `trouble` decides what fails."""

    def __init__(self) -> None:
        self.told: list[Called] = []
        self.commands: dict[str, str] = {}
        self.trouble: Callable[[str, int], ServiceError | None] = lambda call, job_id: None
        self.before: Callable[[str, int], object] = lambda call, job_id: None
        transport = FakeTransport(
            {
                "setJobStatusBulk": self._statuses,
                "setJobParameters": lambda job_id, pairs: self._tell("parameters", job_id, [*map(tuple, pairs)]),
                "sendHeartBeat": lambda job_id, dynamic, _static: self._tell("beat", job_id, dynamic),
                "rescheduleJob": lambda job_id: self._tell("reschedule", job_id, None),
            }
        )
        service = Service("X", ["https://h/X"], transport, Retry(attempts=1))
        self.job_state = JobState(service, service)

    def _tell(self, call: str, job_id: int, said: object) -> object:
        self.before(call, job_id)
        error = self.trouble(call, job_id)
        if not error:
            self.told.append((call, job_id, said))
        return error or ok(self.commands)

    def _statuses(self, job_id: int, statuses: Mapping[str, Mapping[str, str]], _is_forced: bool) -> object:
        return self._tell("statuses", job_id, [f"{when} {words['Status']}" for when, words in statuses.items()])


class Scene:
    """A reporter over a real ledger and a WMS of our own."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.wms = Wms()
        self.accepted: list[int] = []
        self.commanded: list[tuple[int, Mapping[str, str]]] = []
        self.reporter = Reporter(
            ledger,
            self.wms.job_state,
            self.accepted.append,
            lambda job_id, commands: self.commanded.append((job_id, commands)),
            Clock(jitter=lambda: -0.99),  # the first pause takes 2.5 ms
            gather_s=0.0,
        )

    def say(self, job_id: int, *words: str) -> None:
        self.put(*(Report(job_id, ReportKind.STATUS, str(number), {"Status": w}) for number, w in enumerate(words)))

    def put(self, *reports: Report) -> None:
        matched = MatchedJob(job_id=reports[0].job_id, jdl="", owner="", group="")
        self.ledger.save(Job(matched=matched, stamp="s"), reports)
        self.reporter.wake()

    def run(self) -> bool:
        self.reporter.start()
        return self.reporter.flush(PATIENCE_S)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(Ledger(tmp_path / "ledger.sqlite"))
    yield made
    made.wms.before = lambda call, job_id: None
    made.reporter.stop()
    made.ledger.close()


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert "reporter" not in {thread.name for thread in threading.enumerate()}


def parameters(job_id: int, **values: str) -> Report:
    return Report(job_id, ReportKind.PARAMETERS, "m", values)


def reschedule(job_id: int) -> Report:
    return Report(job_id, ReportKind.RESCHEDULE, "m", {})
