"""An agent whose borders are a test's: Matcher, WMS, CE, time left. The ledger and the reporter are real."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from agents.clock import SteadyClock
from agents.errors import Unreachable
from agents.job_agent import Ending, JobAgent
from agents.jobs.ledger import Ledger
from agents.jobs.report import Moments, Reports
from agents.parts import Parts
from agents.process.events import ChoresDone, Event, Events
from agents.reporting.reporter import Reporter
from agents.runner.context import JobContext
from agents.runner.job_runner import JobRunner
from agents.runner.payload_proxies import FixedProxy
from agents.runner.staging import Staging
from agents.settings.agent import AGENT, load
from agents.slot import health
from agents.slot.allocation import Slot
from agents.slot.circuit_breaker import CircuitBreaker, Patience
from agents.slot.command import nobody
from agents.slot.fitness import Fitness
from agents.slot.idle import Idle
from agents.slot.monitor import Power, SlotMonitor
from agents.slot.stop import DrainFile
from agents.slot.time_left import TimeLeft
from agents.wms.job_state import JobState
from agents.wms.lost_matches import LostMatches
from agents.wms.matcher import Matcher
from agents.wms.sandbox_store import SandboxStore
from agents.wms.service import Clock, Retry, Service
from agents.wms.testing import FakeTransport, ok, refused
from ce_backends.base import Accepted, Rejected, Submission, TaskSpec, TaskState, TaskStatus
from ce_backends.cfg import from_options
from tests.unit.no_data import no_data

NO_MATCH = refused("No match found", 1510)


def job(job_id: int, attributes: str = "") -> dict[str, object]:
    jdl = f'[ JobID = {job_id}; Executable = "x"; {attributes} ]'
    return {"OK": True, "Value": {"JDL": jdl, "JobID": job_id, "Owner": "o", "Group": "g"}}


class MatcherService:
    """Gives its answers in turn, then no match; `before` sees each request."""

    def __init__(self) -> None:
        self.answers: list[object] = []
        self.before: Callable[[], object] = lambda: None
        self.transport = FakeTransport({"requestJob": self._answer})

    @property
    def offers(self) -> list[dict[str, object]]:
        return [offer for call in self.transport.calls for offer in call.arguments if isinstance(offer, dict)]

    def _answer(self, _offer: object) -> object:
        self.before()
        return self.answers.pop(0) if self.answers else NO_MATCH


class Ce:
    """Ends each task at the next poll, unless it is to hold it."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self.exit_code = 0
        self.rejects = False
        self.holds = False
        self.holds_until = 0  # so many tasks were submitted
        self.ended: set[str] = set()
        self.most_at_once = 0
        self.known: set[str] = set()

    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        (task,) = tasks
        self.events.task_changed()
        if self.rejects:
            return {task.stamp: Rejected("no")}
        self.known.add(task.stamp)
        self.most_at_once = max(self.most_at_once, len(self.known - self.ended))
        return {task.stamp: Accepted(task.stamp)}

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        if self.holds or len(self.known) < self.holds_until:
            return {
                one: TaskStatus(state=TaskState.ABORTED if one in self.ended else TaskState.RUNNING) for one in task_ids
            }
        self.ended.update(task_ids)
        return {one: TaskStatus(state=TaskState.DONE, exit_code=self.exit_code) for one in task_ids}

    def cancel(self, task_ids: Collection[str]) -> None:
        self.ended.update(task_ids)
        self.events.task_changed()

    def find(self, stamps: Collection[str]) -> dict[str, str]:
        return {stamp: stamp for stamp in stamps if stamp in self.known}

    def clean(self, task_ids: Collection[str]) -> None:
        """Nothing is kept."""


class Inline:
    """Does each piece of work at once; its event follows."""

    def __init__(self, events: Events) -> None:
        self.events = events

    def start(self, work: Callable[..., Event], *arguments: object, of: int | None = None) -> None:
        self.events.put(work(*arguments))


class Wms:
    """Takes everything and remembers the statuses."""

    def __init__(self) -> None:
        self.statuses: list[tuple[int, str]] = []
        self.rescheduled: list[int] = []
        self.is_away = False
        transport = FakeTransport(
            {
                "setJobStatusBulk": self._set_statuses,
                "setJobParameters": self._set_parameters,
                "rescheduleJob": self._reschedule,
            }
        )
        service = Service("X", ["https://x"], transport, Retry(attempts=1))
        self.job_state = JobState(service, service)

    def come_back(self) -> None:
        self.is_away = False

    def _be_there(self) -> None:
        if self.is_away:
            raise Unreachable("the WMS is away")

    def _set_statuses(self, job_id: int, statuses: Mapping[str, Mapping[str, str]], _is_forced: bool) -> object:
        self._be_there()
        self.statuses += [(job_id, words["Status"]) for words in statuses.values()]
        return ok()

    def _set_parameters(self, *_: object) -> object:
        self._be_there()
        return ok()

    def _reschedule(self, job_id: int) -> object:
        self._be_there()
        self.rescheduled.append(job_id)
        return ok()


class Scene:
    """An agent whose borders are ours: Matcher, WMS, CE, time left."""

    def __init__(self, work_dir: Path, ledger: Ledger) -> None:
        self.work_dir, self.ledger = work_dir, ledger
        self.events, self.matcher, self.wms = Events(), MatcherService(), Wms()
        self.ce = Ce(self.events)
        self.processors = 1
        self.end_s = 1e6
        self.jitters: list[float] = []
        self.lost: object = None
        self.idle: list[Idle] = []
        self.troubles: Callable[[], Sequence[str]] | None = None
        self.options = {"PollingTime": "0", "StopAfterFailedMatches": "2", "MeasurePower": "no"}

    def run(self, **options: str) -> Ending:
        """Run the agent to its end."""
        agent_options = {f"{AGENT}/{name}": text for name, text in (self.options | options).items()}
        settings = load(
            from_options({"/LocalSite/Site": "LAB", "/LocalSite/LocalCE": self.ce_type} | agent_options, "x")
        )
        slot = Slot(range(self.processors))
        self.reporter = Reporter(
            self.ledger,
            self.wms.job_state,
            accepted=lambda job_id: None,
            commanded=lambda job_id, commands: None,
            gather_s=0.0,
        )
        workers = Inline(self.events)
        runner = JobRunner(
            context=JobContext(site="LAB", work_dir=self.work_dir, environ={}, parameters={}),
            slot=slot,
            ce=self.ce,  # type: ignore[arg-type] # the border
            ledger=self.ledger,
            reports=Reports("LAB", Moments()),
            reporter=self.reporter,
            staging=Staging(FixedProxy(None), self._no_store, self.ce, 10**6, no_data(self.ledger, workers)),  # type: ignore[arg-type] # the border
            workers=workers,  # type: ignore[arg-type] # the border
        )
        monitor = self._monitor()
        agent = JobAgent(
            Parts(
                settings=settings,
                requirements={},
                slot=slot,
                monitor=monitor,
                troubles=self.troubles or Fitness(monitor, self.ce).troubles,  # type: ignore[arg-type] # the border
                drain_file=DrainFile(self.work_dir / "drain"),
                matcher=Matcher(Service("Matcher", ["https://m"], self.matcher.transport, Retry(attempts=1)), str),
                lost=self.lost or LostMatches(self.ledger, None, "Unknown", 0.0),  # type: ignore[arg-type] # the border
                runner=runner,
                reporter=self.reporter,
                workers=workers,  # type: ignore[arg-type] # the border
                events=self.events,
                heartbeat=lambda: None,
                chores=ChoresDone,
                ledger=self.ledger,
                note_idle=self.idle.append,
                clock=Clock(jitter=self._jitter),
            )
        )
        try:
            return agent.run()
        finally:
            self.reporter.stop()

    ce_type = "Pool"

    def _jitter(self) -> float:
        self.jitters.append(0.0)
        return 0.0

    def _no_store(self, path: Path | None) -> SandboxStore:
        raise AssertionError("there are no sandboxes")

    def _monitor(self) -> SlotMonitor:
        return SlotMonitor(
            environ={},
            processors=self.processors,
            clock=SteadyClock(),
            started_s=0.0,
            time_left=TimeLeft(lambda: 0.0, started_s=0.0, budget_s=self.end_s),
            ask=nobody,
            power=Power(10.0),
            benchmark=None,
            node=health.Node(
                work_dir=self.work_dir, least_disk_mb=0, temporary=self.work_dir, root=self.work_dir, environ={}
            ),
            breaker=CircuitBreaker(Patience(failures=0), time.monotonic),
        )


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield Scene(tmp_path, ledger)
    ledger.close()
