"""What the benchmarks of SiteDirectors share: the real systems, jobs that wait, and waiting itself."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.system.dirac_stack import Stack
from tests.system.pilot_scene import in_slurm
from tests.systems.real_system import RealSystem

JDL = 'JobName = "bench"; Executable = "/bin/true"; CPUTime = 300;'
PATIENCE_S = 300.0
SETTLE_S = 15.0  # whoever submits too much does so after what was waited for


def until(condition: Callable[[], bool], what: str, limit_s: float = PATIENCE_S) -> None:
    """Wait for something.

    Raises:
        TimeoutError: it did not come.
    """
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {limit_s:.0f} s")
        time.sleep(0.2)


def settled(count: Callable[[], int]) -> None:
    """Wait until a number has not changed for a while."""
    last, since = count(), time.monotonic()
    while time.monotonic() - since < SETTLE_S:
        time.sleep(1.0)
        if (now := count()) != last:
            last, since = now, time.monotonic()


class Bench:
    """The real systems, and a folder for what directors write."""

    def __init__(self, stack: Stack, slurm: RealSystem, folder: Path) -> None:
        self.stack, self.slurm, self._folder = stack, slurm, folder
        self._number = 0

    def folder(self) -> Path:
        """Return the path of a new one."""
        self._number += 1
        return self._folder / str(self._number)

    @contextmanager
    def waiting(self, number: int) -> Iterator[list[int]]:
        """Have so many jobs that wait; then neither they nor pilots for them are left."""
        parametric = f"{JDL} Parameters = {number};" if number > 1 else JDL
        jobs = self.stack.submit(parametric)
        try:
            self.stack.wait(jobs, lambda status: status == "Waiting", PATIENCE_S)
            yield jobs
        finally:
            self.stack.client("admin", "delete", *map(str, jobs))
            self.slurm.admin(["scancel", "--user", "root"])
            until(lambda: in_slurm(self.slurm) == [], "Slurm's queue is empty")

    @contextmanager
    def waiting_one_by_one(self, number: int) -> Iterator[Iterator[int]]:
        """Have jobs that wait, each submitted when it is asked for; then neither they nor pilots for them are left."""
        jobs: list[int] = []

        def each() -> Iterator[int]:
            for _ in range(number):
                jobs.extend(self.stack.submit(JDL))
                yield jobs[-1]

        try:
            yield each()
        finally:
            self.stack.client("admin", "delete", *map(str, jobs))
            self.slurm.admin(["scancel", "--user", "root"])
            until(lambda: in_slurm(self.slurm) == [], "Slurm's queue is empty")

    def first_wait_s(self, job: int) -> float:
        """Return when a job became Waiting, in seconds since 1970; DIRAC writes whole seconds, rounded down."""
        history = self.stack.status(job, full=True)[job]["History"]
        at = next(entry[3] for entry in history if entry[0] == "Waiting")
        return datetime.strptime(at[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
