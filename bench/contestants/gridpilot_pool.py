"""gridpilot's Pool with containment and ledger on: TASKS times /bin/true in SLOTS slots.

Run in an empty directory as `python -m bench.contestants.gridpilot_pool TASKS SLOTS`; prints one line of JSON. The
driver does what agents.runner.job_runner does for a job without sandboxes: each phase is journalled before its effect,
a freed slot is filled before ended tasks are cleaned away, and time runs until the last job is closed and removed.
"""

import json
import os
import sys
import threading
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from agents import __version__
from agents.jobs.job import Grant, Job, JobStatus, MatchedJob, Minor, Outcome, Phase
from agents.jobs.ledger import Ledger
from ce_backends.base import Accepted, TaskSpec, TaskStatus
from ce_backends.pool.ce import Pool

JDL = '[ Executable = "/bin/true"; JobName = "trivial"; CPUTime = 300; JobID = {job_id}; ]'
DONE = Outcome(JobStatus.DONE, Minor.APPLICATION_SUCCESS)
PATIENCE_S = 30.0  # for one of the running tasks to end


class Driver:
    """Keeps the slots of a pool full until so many jobs are closed."""

    def __init__(self, pool: Pool, ledger: Ledger, slots: int) -> None:
        self._pool = pool
        self._ledger = ledger
        self._free = [Grant(processor_ids=(number,)) for number in sorted(os.sched_getaffinity(0))[:slots]]
        self._running: dict[str, Job] = {}
        self._changed = threading.Event()
        pool.notify(self._changed.set)
        pool.ask_before_start(self._is_on_disk)

    def run(self, tasks: int) -> None:
        """Run so many jobs."""
        matched = closed = 0
        while closed < tasks:
            ended = self._ended()
            while self._free and matched < tasks:
                matched += 1
                self._start(matched, self._free.pop())
            for job in ended:
                self._close(job)
            closed += len(ended)
            if closed < tasks:
                self._wait()

    def _start(self, job_id: int, grant: Grant) -> None:
        matched = MatchedJob(job_id=job_id, jdl=JDL.format(job_id=job_id), owner="owner", group="group")
        job = self._enter(Phase.MATCHED, Job(matched=matched, stamp=uuid.uuid4().hex))
        job = self._enter(Phase.SUBMITTING, replace(job, grant=grant))
        self._ledger.begin_to_last()
        spec = TaskSpec(
            stamp=job.stamp, script="exec /bin/true\n", processor_ids=grant.processor_ids, owner=job.matched.owner
        )
        answer = self._pool.submit([spec])[job.stamp]
        assert isinstance(answer, Accepted), answer
        job = replace(job, task_id=answer.task_id, started_at=datetime.now(UTC))
        self._running[job.task_id] = self._enter(Phase.RUNNING, job)

    def _is_on_disk(self) -> bool:
        self._ledger.make_last()
        return self._ledger.lasts

    def _ended(self) -> list[Job]:
        states = self._pool.poll(self._running.keys()) if self._running else {}
        return [self._end(self._running.pop(task_id), task) for task_id, task in states.items() if task.state.is_final]

    def _end(self, job: Job, task: TaskStatus) -> Job:
        assert task.exit_code == 0, f"task {job.task_id}: expected exit code 0: {task}"
        assert job.grant is not None, "a job is granted before it is submitted"
        self._free.append(job.grant)
        job = replace(job, exit_code=task.exit_code, wall_s=task.usage.wall_s, end=DONE)
        return self._enter(Phase.REPORTING, job)

    def _close(self, job: Job) -> None:
        self._pool.clean([job.task_id])
        self._enter(Phase.CLOSED, job)

    def _enter(self, phase: Phase, job: Job) -> Job:
        job = job.entering(phase)
        self._ledger.save(job)
        return job

    def _wait(self) -> None:
        assert self._changed.wait(PATIENCE_S), f"no task ended within {PATIENCE_S} s"
        self._changed.clear()


def main() -> int:
    tasks, slots = map(int, sys.argv[1:])
    ledger, pool = Ledger(Path("ledger.sqlite")), Pool(Path("tasks"), processors=slots)
    pool.slots()  # probes the containment: once per agent, not once per task
    try:
        started = time.perf_counter()
        Driver(pool, ledger, slots).run(tasks)
        seconds = time.perf_counter() - started
    finally:
        pool.close()
        ledger.close()
    remark = f"containment: {pool.containment.level}"
    print(json.dumps({"seconds": seconds, "version": __version__, "remark": remark}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
