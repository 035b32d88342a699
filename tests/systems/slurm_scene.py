"""A computing element in front of a real Slurm, in the hands of a test that may break Slurm's commands."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ce_backends.base import Accepted, TaskSpec, TaskState, TaskStatus
from ce_backends.batch.ce import BatchCE, Bounds
from ce_backends.batch.conclusion import Patience
from ce_backends.batch.options import Needs
from ce_backends.batch.spool import Spool
from ce_backends.batch.systems.slurm import Slurm
from ce_backends.batch.task_book import TaskBook
from ce_backends.task.log_limit import Cap
from tests.systems.real_system import RealSystem
from tests.systems.user_transport import AsUser, Shims
from tests.waiting import within

COMMANDS = ("sbatch", "squeue", "sacct", "scancel")
TIMEOUT_S = 3.0  # of a command; a real one needs 0.1 s
INTERVAL_S = 0.3
PAUSE_S = 0.1
PATIENCE = Patience(lost_after_s=3600, exit_code_s=20)


@dataclass
class Scene:
    """One CE, its tasks' ledger, and the faulty commands in front of Slurm's.

    Attributes:
        system: the real Slurm.
        ce: under test.
        shims: in front of its commands.
        home: where the user's tasks may write.
    """

    system: RealSystem
    ce: BatchCE
    shims: Shims
    home: Path

    def task(self, script: str = "sleep 3", **fields: Any) -> TaskSpec:
        """Return a task that notes its start in the ledger."""
        stamp = uuid.uuid4().hex
        return TaskSpec(stamp=stamp, script=f"echo {stamp} >> {self.home}/ledger; {script}\n", **fields)

    def waiting_task(self, exit_code: int) -> TaskSpec:
        """Return a task that ends after `go_on`."""
        return self.task(f"until [ -e {self.home}/go-on ]; do sleep 0.1; done; exit {exit_code}")

    def go_on(self) -> None:
        """Let the waiting tasks end."""
        (self.home / "go-on").touch()

    def submit(self, *tasks: TaskSpec) -> list[str]:
        """Submit tasks that must be accepted; return their ids."""
        answers = self.ce.submit(tasks)
        accepted = [answer for task in tasks if isinstance(answer := answers[task.stamp], Accepted)]
        assert len(accepted) == len(tasks), f"submit answered {answers}"
        return [answer.task_id for answer in accepted]

    def starts(self, stamp: str) -> int:
        """Return how often a task's script has begun."""
        ledger = self.home / "ledger"
        return ledger.read_text().split().count(stamp) if ledger.exists() else 0

    def status(self, task_id: str) -> TaskStatus:
        """Return the status now."""
        return self.ce.poll([task_id])[task_id]

    def until(self, task_id: str, holds: Callable[[TaskStatus], bool], seconds: float = 60) -> TaskStatus:
        """Wait until a status is as wanted; return it."""
        return until(lambda: self.status(task_id), holds, seconds)

    def ended(self, task_id: str, seconds: float = 60) -> TaskStatus:
        """Wait for the end; return the final status."""
        return self.until(task_id, lambda status: status.state.is_final, seconds)

    def states_until_spent(self, task_id: str, command: str) -> set[TaskState]:
        """Return all states that a task is seen in while a command fails as often as was wanted."""
        seen = set()
        while not self.shims.is_spent(command):
            status = self.status(task_id)
            assert not status.state.is_final, f"{task_id} ended before {command} had failed often enough: {status}"
            seen.add(status.state)
            time.sleep(PAUSE_S)
        return seen

    def jobs_called(self, stamp: str) -> int:
        """Return how many jobs of this name Slurm has, ended or not."""
        done = self.system.run(["squeue", "--noheader", "--states=all", "--format=%i", f"--name={stamp}"])
        return len(done.stdout.split())

    def admin(self, *argv: str) -> None:
        """Run one of Slurm's commands as its administrator."""
        self.system.admin(argv)


def until(look: Callable[[], TaskStatus], holds: Callable[[TaskStatus], bool], seconds: float = 60) -> TaskStatus:
    """Look until a status is as wanted, in fair time; return it."""
    seen: list[TaskStatus] = []

    def is_as_wanted() -> bool:
        seen[:] = [look()]
        return holds(seen[0])

    assert within(seconds, is_as_wanted, PAUSE_S), f"after {seconds} s a task is {seen[0]}"
    return seen[0]


def third_node(system: RealSystem) -> str:
    """Return the name of the node that `lose_node.sh` takes away."""
    done = system.run(["sinfo", "--noheader", "--Node", "--partition=grid", "--format=%N"])
    return next(name for name in done.stdout.split() if name.endswith("n3"))


@contextmanager
def scene(system: RealSystem, scratch: Path, *, timeout_s: float = TIMEOUT_S, **needs: Any) -> Iterator[Scene]:
    """Yield a new CE whose commands may take so long; its tasks end with it."""
    home = system.home / uuid.uuid4().hex[:8]
    shims = Shims(home / "shims", COMMANDS, system.env["PATH"])
    system.own(home)
    path = f"{home}/shims:{system.env['PATH']}"
    transport = AsUser({**system.env, "HOME": str(home), "PATH": path})
    ce = BatchCE(
        "SLURM",
        Slurm(transport, Needs(**needs), timeout_s=timeout_s),
        transport,
        Spool(transport, f"{home}/area", scratch / "moving", cap=Cap(1_000_000)),
        TaskBook(scratch / "tasks.sqlite"),
        Bounds(interval_s=INTERVAL_S, patience=PATIENCE),
    )
    try:
        yield Scene(system, ce, shims, home)
    finally:
        ce.close()
        system.run(["scancel", f"--user={system.user}"])
