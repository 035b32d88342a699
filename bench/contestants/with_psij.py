"""PSI/J's local executor: TASKS times /bin/true, SLOTS at a time, the next one submitted when one has ended.

Run by the Python of PSI/J's own environment as `with_psij.py TASKS SLOTS`; prints one line of JSON.
"""

import json
import sys
import threading
import time
from importlib.metadata import version

from psij import Job, JobExecutor, JobSpec, JobState, JobStatus

PATIENCE_S = 60.0


class Slots:
    """Counts free slots down and up again as PSI/J tells of jobs that ended."""

    def __init__(self, slots: int) -> None:
        self._free = threading.Semaphore(slots)
        self.failed: list[JobStatus] = []

    def take(self) -> None:
        assert self._free.acquire(timeout=PATIENCE_S), f"no job ended within {PATIENCE_S} s"

    def changed(self, _job: Job, status: JobStatus) -> None:
        """Called by PSI/J from its own thread."""
        if status.final:
            if status.state is not JobState.COMPLETED:
                self.failed.append(status)
            self._free.release()


def main() -> int:
    tasks, number_of_slots = map(int, sys.argv[1:])
    executor = JobExecutor.get_instance("local")
    slots = Slots(number_of_slots)
    executor.set_job_status_callback(slots.changed)
    started = time.perf_counter()
    for _ in range(tasks):
        slots.take()
        executor.submit(Job(JobSpec(executable="/bin/true")))
    for _ in range(number_of_slots):
        slots.take()
    seconds = time.perf_counter() - started
    assert not slots.failed, f"{len(slots.failed)} jobs failed: {slots.failed[0]}"
    print(json.dumps({"seconds": seconds, "version": version("psij-python"), "remark": ""}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
