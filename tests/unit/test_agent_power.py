"""The power goes: what was started or told is on the disk by then. The disk here has what was synced, and no more."""

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agents.jobs import outcome
from agents.jobs.job import Job, JobStatus, MatchedJob, Phase
from agents.jobs.ledger import Ledger, Report, ReportKind
from agents.process.events import Staged
from agents.reporting.reporter import Reporter
from agents.wms.job_state import JobState
from agents.wms.service import Clock, Retry, Service
from agents.wms.testing import FakeTransport, ok
from ce_backends.base import Submission, TaskSpec
from ce_backends.errors import CEUnavailable
from tests.unit.runner_scene import SANDBOX, Ce, Scene, scene
from tests.waiting import PATIENCE_S, until

__all__ = ["scene"]


class Disk:
    """Has each synced file as it was at its last sync; what SQLite syncs itself is not seen here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
        place.mkdir()
        self.place = place
        self.syncs = 0
        self.trouble: OSError | None = None
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self._lock = threading.Lock()
        monkeypatch.setattr(os, "fdatasync", self._sync)

    def _sync(self, fd: int) -> None:
        assert self.may_go_on.wait(PATIENCE_S), "it was waited for before all was laid out"
        if self.trouble:
            raise self.trouble
        wal = Path(f"/proc/self/fd/{fd}").readlink()
        with self._lock:
            for part in (wal, wal.with_name(wal.name.removesuffix("-wal"))):
                shutil.copy(part, self.place / part.name)
            self.syncs += 1

    def after_power_failure(self) -> tuple[list[Job], list[Report]]:
        """Return the open jobs and unsent reports that the next agent finds."""
        with self._lock:
            return self._found()

    def _found(self) -> tuple[list[Job], list[Report]]:
        for path in self.place.glob("*-shm"):
            path.unlink()
        if not (self.place / "ledger.sqlite").exists():
            return [], []
        ledger = Ledger(self.place / "ledger.sqlite")
        try:
            return ledger.open_jobs(), ledger.unsent()
        finally:
            ledger.close()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Disk:
    return Disk(monkeypatch, tmp_path / "disk")


class WatchedCe(Ce):
    """Looks at the disk at the moment when it gets a task."""

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self.seen: list[tuple[Phase, str]] = []
        self._disk = disk

    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        jobs, _ = self._disk.after_power_failure()
        self.seen += [(job.phase, job.boot) for job in jobs]
        return super().submit(tasks)


@pytest.mark.parametrize("attributes", ["", SANDBOX])
def test_that_a_task_is_handed_over_is_on_the_disk_before(scene: Scene, disk: Disk, attributes: str) -> None:
    scene.ce = WatchedCe(disk)
    scene.restart()

    scene.match(attributes)
    scene.runner.staged(Staged(7))

    assert scene.ce.seen == [(Phase.SUBMITTING, "this boot")]


class HoldingCe(WatchedCe):
    """Asks before a start, and looks at the disk after it; then the task would begin."""

    def ask_before_start(self, may_begin: Callable[[], bool]) -> None:
        self.may_begin = may_begin

    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        assert self._disk.may_go_on.is_set() or not self._disk.after_power_failure()[0], "it was waited for"
        self._disk.may_go_on.set()
        if not self.may_begin():
            raise CEUnavailable("it may not begin")
        return super().submit(tasks)


@pytest.mark.parametrize("attributes", ["", SANDBOX])
def test_that_a_task_is_handed_over_is_on_the_disk_before_it_begins(scene: Scene, disk: Disk, attributes: str) -> None:
    scene.ce = HoldingCe(disk)
    scene.restart()
    disk.may_go_on.clear()  # before it is all laid out

    scene.match(attributes)
    scene.runner.staged(Staged(7))

    assert scene.ce.seen == [(Phase.SUBMITTING, "this boot")]


@pytest.mark.parametrize("ce", [WatchedCe, HoldingCe])
def test_a_task_of_which_the_disk_will_not_know_is_not_started(
    scene: Scene, disk: Disk, ce: Callable[[Disk], WatchedCe]
) -> None:
    scene.ce = ce(disk)
    scene.restart()
    disk.trouble = OSError(errno.EIO, "Input/output error")

    scene.match()

    assert scene.ce.tasks == {}
    assert scene.said()[-1] == "JobWrapper: Rescheduled / CE Submission Error"


class Wms:
    """Notes what the disk has at the moment when something is told."""

    def __init__(self, disk: Disk) -> None:
        self.told: list[tuple[str, list[str]]] = []
        self._disk = disk
        transport = FakeTransport(
            {
                "setJobStatusBulk": lambda *_: self._tell("statuses"),
                "rescheduleJob": lambda *_: self._tell("order"),
            }
        )
        service = Service("X", ["https://h/X"], transport, Retry(attempts=1))
        self.job_state = JobState(service, service)

    def _tell(self, what: str) -> object:
        _, unsent = self._disk.after_power_failure()
        self.told.append((what, [report.kind for report in unsent]))
        return ok()


@pytest.fixture
def reporting(tmp_path: Path, disk: Disk) -> Iterator[tuple[Ledger, Wms, Callable[[], bool]]]:
    ledger, wms = Ledger(tmp_path / "ledger.sqlite"), Wms(disk)
    reporter = Reporter(ledger, wms.job_state, lambda _: None, lambda *_: None, Clock(), gather_s=0.0)

    def run() -> bool:
        reporter.start()
        return reporter.flush(PATIENCE_S)

    yield ledger, wms, run
    reporter.stop()
    ledger.close()


def ended(job_id: int = 7) -> tuple[Job, list[Report]]:
    """Return a job that is to be put back, and what is said of it."""
    matched = MatchedJob(job_id=job_id, jdl="", owner="", group="")
    job = Job(matched=matched, stamp="s", phase=Phase.REPORTING, end=outcome.handed_back("SIGTERM"))
    status = Report(job_id, ReportKind.STATUS, "2026-01-02 03:04:05.000", {"Status": JobStatus.RESCHEDULED})
    return job, [status, replace(status, kind=ReportKind.RESCHEDULE, body={})]


def test_the_order_that_follows_a_word_is_on_the_disk_before_the_word_is_told(
    reporting: tuple[Ledger, Wms, Callable[[], bool]],
) -> None:
    ledger, wms, run = reporting
    ledger.save(*ended())

    assert run()
    assert wms.told[0] == ("statuses", ["status", "reschedule"])
    assert [what for what, _ in wms.told] == ["statuses", "order"]


def test_the_end_of_a_payload_is_brought_to_the_disk_while_its_words_still_gather(tmp_path: Path, disk: Disk) -> None:
    ledger, wms = Ledger(tmp_path / "ledger.sqlite"), Wms(disk)
    reporter = Reporter(ledger, wms.job_state, lambda _: None, lambda *_: None, Clock(), gather_s=9 * PATIENCE_S)
    reporter.start()
    assert reporter._idle.wait(PATIENCE_S)  # it has seen that there is nothing yet, and waits
    for number in (7, 8):
        ledger.save(*ended(number))
        reporter.wake()
        until(lambda number=number: number in {job.job_id for job in disk.after_power_failure()[0]})

    assert wms.told == []
    reporter.stop()
    ledger.close()


def test_what_the_disk_has_is_not_brought_there_again(tmp_path: Path, disk: Disk) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.save(*ended())

    for _ in range(3):
        ledger.make_last()

    assert disk.syncs == 1
    ledger.close()
