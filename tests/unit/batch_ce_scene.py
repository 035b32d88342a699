"""A batch CE whose batch system runs a job before it answers with its number; its looks are the tests' own."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ce_backends.base import Submission
from ce_backends.batch.ce import BatchCE, Bounds
from ce_backends.batch.conclusion import Patience
from ce_backends.batch.spool import Spool
from ce_backends.batch.system import BatchJob
from ce_backends.batch.task_book import TaskBook
from ce_backends.batch.transport import Local
from ce_backends.task.log_limit import Cap
from tests.unit.test_batch_ce import NEVER_S, FakeSystem


class AtOnce(FakeSystem):
    """A batch system that has run a job before it answers with its number."""

    unkept = {"memory_limit_ends_a_task": "a fake"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[BatchJob] = []
        self.runs = True

    def submit(self, job: BatchJob) -> Submission:
        self.jobs.append(job)
        if self.runs:
            subprocess.run(["/bin/sh", job.script], check=False, stdin=subprocess.DEVNULL, capture_output=True)
        return super().submit(job)

    def element(self, job_id: str, number: int, size: int) -> str:
        return job_id if size == 1 else f"{job_id}[{number}]"


@pytest.fixture
def system() -> AtOnce:
    return AtOnce()


@pytest.fixture
def ce(system: AtOnce, tmp_path: Path) -> Iterator[BatchCE]:
    spool = Spool(Local(), str(tmp_path / "area"), tmp_path / "moving", cap=Cap(1_000_000))
    bounds = Bounds(
        processors=2,
        gpus=1,
        wall_s=600,
        most_tasks=4,
        most_waiting=2,
        interval_s=NEVER_S,
        patience=Patience(lost_after_s=NEVER_S, exit_code_s=NEVER_S),
    )
    made = BatchCE("Fake", system, Local(), spool, TaskBook(tmp_path / "tasks.sqlite"), bounds)
    vars(made._loop)["start"] = lambda: None  # no thread looks by itself: the looks are the tests' own
    yield made
    made.close()
