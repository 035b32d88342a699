"""A runner whose borders are a test's: CE, workers, reporter, store. The ledger is real."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from agents.jobs.job import Job, MatchedJob
from agents.jobs.ledger import Ledger, Report, ReportKind
from agents.jobs.report import Moments, Reports
from agents.process.events import Event
from agents.runner.context import JobContext
from agents.runner.job_runner import JobRunner
from agents.runner.payload_proxies import FixedProxy
from agents.runner.staging import Staging
from agents.slot.allocation import Slot
from agents.wms.sandbox_store import SandboxStore
from agents.wms.service import Service
from agents.wms.testing import FakeTransport
from ce_backends.base import Accepted, Submission, TaskSpec, TaskState, TaskStatus
from ce_backends.errors import CEUnavailable
from tests.unit.no_data import no_data

ABORTED = TaskStatus(state=TaskState.ABORTED)
RUNNING = TaskStatus(state=TaskState.RUNNING)


class Ce:
    """A computing element that does what it is told by the test."""

    def __init__(self) -> None:
        self.tasks: dict[str, TaskSpec] = {}
        self.states: dict[str, TaskStatus] = {}
        self.answers: list[Submission | CEUnavailable] = []
        self.cancelled: list[str] = []
        self.cleaned: list[str] = []

    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        (task,) = tasks
        answer = self.answers.pop(0) if self.answers else Accepted(task.stamp)
        if isinstance(answer, CEUnavailable):
            raise answer
        if isinstance(answer, Accepted):
            self.tasks[task.stamp] = task
        return {task.stamp: answer}

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        return {task_id: self.states.get(task_id, RUNNING) for task_id in task_ids}

    def cancel(self, task_ids: Collection[str]) -> None:
        self.cancelled.extend(task_ids)

    def find(self, stamps: Collection[str]) -> dict[str, str]:
        return {stamp: stamp for stamp in stamps if stamp in self.tasks}

    def fetch(self, task_id: str, into: Path) -> None:
        (into / "outputs").mkdir(parents=True)

    def clean(self, task_ids: Collection[str]) -> None:
        self.cleaned.extend(task_ids)


class Workers:
    """Keeps the work for the test to do, or not."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[..., Event], tuple[object, ...]]] = []

    def start(self, work: Callable[..., Event], *arguments: object, of: int | None = None) -> None:
        self.waiting.append((work, arguments))


class Voice:
    """The reporter's place: what is said is read from the ledger."""

    def expect(self, reports: Iterable[Report]) -> None: ...

    def wake(self, reports: Iterable[Report] = ()) -> None:
        """Nothing is sent."""

    def forget_beats(self, job_id: int) -> None:
        """There are none."""


@dataclass
class Scene:
    """A runner over a real ledger, with a CE and workers of our own."""

    ledger: Ledger
    work_dir: Path
    moves_data: bool = False

    def __post_init__(self) -> None:
        self.ce = Ce()
        self.restart()

    def restart(self, boot: str = "this boot") -> None:
        """Begin anew on the same ledger and CE, as after a crash."""
        self.workers, self.slot = Workers(), Slot(range(2), 1000)
        store = SandboxStore(Service("SandboxStore", ["https://s"], FakeTransport()))
        self.runner = JobRunner(
            context=JobContext(
                site="LAB",
                work_dir=self.work_dir,
                environ={},
                parameters={"GridCE": "ce01"},
                boot=boot,
                moves_data=lambda: self.moves_data,
            ),
            slot=self.slot,
            ce=self.ce,  # type: ignore[arg-type] # the border
            ledger=self.ledger,
            reports=Reports("LAB", Moments()),
            reporter=Voice(),  # type: ignore[arg-type] # the border
            staging=Staging(FixedProxy(None), lambda _: store, self.ce, 10**6, no_data(self.ledger, self.workers)),  # type: ignore[arg-type] # the border
            workers=self.workers,  # type: ignore[arg-type] # the border
        )

    def match(self, attributes: str = "", job_id: int = 7, *, jdl: str | None = None) -> None:
        text = f'[ JobID = {job_id}; Executable = "x.sh"; {attributes} ]' if jdl is None else jdl
        self.runner.accept(MatchedJob(job_id=job_id, jdl=text, owner="o", group="g"))

    @property
    def job(self) -> Job:
        (job,) = self.runner.jobs.all
        return job

    def end(self, exit_code: int | None, state: TaskState = TaskState.DONE, reason: str = "") -> None:
        """Let the one task end."""
        self.ce.states[self.job.task_id] = TaskStatus(state=state, exit_code=exit_code, reason=reason)
        self.runner.poll()

    def accept_reports(self) -> None:
        """Let the WMS take everything."""
        reports = self.ledger.unsent()
        self.ledger.sent(reports)
        for job_id in {report.job_id for report in reports}:
            self.runner.endings.reports_accepted(job_id)

    def said(self) -> list[str]:
        """Return the statuses in order, as `Source: Status / MinorStatus`."""
        return [
            f"{one.body['Source'].partition('@')[0]}: {one.body['Status']} / {one.body['MinorStatus']}"
            for one in self.ledger.unsent()
            if one.kind is ReportKind.STATUS and "Status" in one.body
        ]

    def orders(self) -> list[int]:
        """Return the jobs that are to be rescheduled."""
        return [one.job_id for one in self.ledger.unsent() if one.kind is ReportKind.RESCHEDULE]


START = [
    "JobAgent: Matched / Job Received by Agent",
    "JobAgent: Matched / Submitting To CE",
    "JobWrapper: Running / Job Initialization",
    "JobWrapper: Running / Application",
]
SANDBOX = 'InputSandbox = "SB:Store|/a.tar.bz2";'


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield Scene(ledger, tmp_path)
    ledger.close()
