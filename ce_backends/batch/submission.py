"""Handing tasks over to a batch system, several as one array: what was surely not submitted, and what may have been."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from ce_backends.base import Accepted, Rejected, Submission, TaskSpec, Uncertain
from ce_backends.batch.spool import Spool
from ce_backends.batch.system import BatchJob, BatchSystem
from ce_backends.batch.task_book import Entry, TaskBook
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.task.record import pattern_problem, stamp_problem


class Submitter:
    """The way of tasks into one batch system.

    Args:
        name: of the batch system, for sentences.
        system: its dialect.
        spool: where the tasks lie.
        book: what is remembered.
        wall_s: asked for a task that has no limit of its own; 0 for the queue's.
    """

    def __init__(self, name: str, system: BatchSystem, spool: Spool, book: TaskBook, wall_s: int) -> None:
        self._name = name
        self._system = system
        self._spool = spool
        self._book = book
        self._wall_s = wall_s

    def submit(self, groups: Sequence[Sequence[TaskSpec]], answers: dict[str, Submission]) -> None:
        """Submit these and add the answers; after one for which it is too early, no other is tried.

        Raises:
            CEUnavailable: surely nothing was submitted, neither of these nor before.
        """
        for at, group in enumerate(groups):
            try:
                answers |= self._submit_one(group)
            except CEUnavailable as error:
                if all(isinstance(answer, Rejected) for answer in answers.values()):
                    raise
                left = [task.stamp for group in groups[at:] for task in group]
                answers |= dict.fromkeys(left, Uncertain(str(error)))
                return
            except CEError as error:
                if (half := len(group) // 2) > 0:  # one of them is at fault, or they are too many
                    self.submit([group[:half], group[half:]], answers)
                else:
                    answers[group[0].stamp] = self._refused(group, Rejected(str(error)))

    def _submit_one(self, group: Sequence[TaskSpec]) -> Mapping[str, Submission]:
        """Submit tasks that may become one array.

        Raises:
            CEError: nothing of this group was submitted, and one of its tasks can never be.
            CEUnavailable: nothing of this group was submitted.
        """
        stamps = [task.stamp for task in group]
        try:
            job = self._job(group)
            self._spool.lay_out(job, group, self._system.index, self._system.passed)
            self._book.open_job(job.name, group, time.time())
            answer = self._system.submit(job)
        except CEError:
            self._book.forget(stamps)
            raise
        if isinstance(answer, Accepted):
            return self._numbered(job.name, answer.task_id, stamps)
        return dict.fromkeys(stamps, self._refused(group, answer) if isinstance(answer, Rejected) else answer)

    def _numbered(self, job: str, job_id: str, stamps: Sequence[str]) -> Mapping[str, Submission]:
        """Write down the number of a job that is queued; where that is not possible, nobody knows its tasks' ids."""
        try:
            entries = self._book.of_jobs([job])[job]
            if not (other := self._holder_of(job_id, entries)):
                return self.accept(entries, job_id)
            reason = f"{self._name} answered with the number {job_id}, which task {other} has"
        except CEError as error:
            reason = str(error)
        return dict.fromkeys(stamps, Uncertain(reason))

    def _refused(self, group: Sequence[TaskSpec], answer: Rejected) -> Rejected:
        """Forget tasks that will never run; what cannot be forgotten now is in nobody's way."""
        with suppress(CEError):
            self._book.forget([task.stamp for task in group])
            self._spool.remove([task.stamp for task in group], [group[0].stamp])
        return answer

    def _holder_of(self, job_id: str, entries: Sequence[Entry]) -> str:
        """Return the stamp of a task that was given this number before, empty if none was."""
        task_ids = [self._system.element(job_id, entry.number, entry.size) for entry in entries]
        return next((entry.stamp for entry in self._book.by_task_id(task_ids).values()), "")

    def _job(self, group: Sequence[TaskSpec]) -> BatchJob:
        first = group[0]
        return BatchJob(
            name=first.stamp,
            size=len(group),
            script=self._spool.job_script(first.stamp),
            log=self._spool.job_script(f"{first.stamp}.log"),
            processors=first.processors,
            memory_mb=first.memory_mb,
            gpus=len(first.gpus),
            wall_s=first.wall_s or self._wall_s,
            fetched=self._spool.fetched(group),
        )

    def accept(self, entries: Iterable[Entry], job_id: str) -> dict[str, Submission]:
        """Write down the number of a job that the batch system has."""
        task_ids = {entry.stamp: self._system.element(job_id, entry.number, entry.size) for entry in entries}
        self._book.accept(task_ids)
        return {stamp: Accepted(task_id) for stamp, task_id in task_ids.items()}


def problem(task: TaskSpec, most_gpus: int) -> str:
    """Return why this task can never run, empty if it may."""
    problems = (pattern_problem(pattern) or _odd(pattern) for pattern in task.outputs)
    return stamp_problem(task.stamp) or next(filter(None, problems), "") or _too_many_gpus(task, most_gpus)


def _too_many_gpus(task: TaskSpec, most: int) -> str:
    wanted = len(task.gpus)
    return f"needs {wanted} GPUs, and a task has {most} at most here (NumberOfGPUs)" if wanted > most else ""


def _odd(pattern: str) -> str:
    return f"output pattern {pattern!r} holds a line break" if "\n" in pattern or "\0" in pattern else ""


def _needs(task: TaskSpec) -> tuple[object, ...]:
    return task.processors, task.memory_mb, len(task.gpus), task.wall_s, tuple(task.shared)


def groups(tasks: Sequence[TaskSpec], array_limit: int) -> Iterator[Sequence[TaskSpec]]:
    """Yield tasks with equal needs together, as many as fit into one array."""
    by_needs: dict[tuple[object, ...], list[TaskSpec]] = {}
    for task in tasks:
        by_needs.setdefault(_needs(task), []).append(task)
    for alike in by_needs.values():
        for at in range(0, len(alike), array_limit):
            yield alike[at : at + array_limit]
