"""What a batch system's dialect is: the smallest part of a backend, its commands and how their answers read.

Everything else (task directories, what is remembered, what an absence means) is the same for all, in `batch/ce.py`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ce_backends.base import Submission, TaskStatus
from ce_backends.batch.task_book import Entry

_MARGIN_S = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchJob:
    """Tasks with equal needs, handed over with one command: one job, or an array of `size` elements.

    Attributes:
        name: of the batch job, by which it is found again: the stamp of its first task.
        size: how many tasks; an array only if there are more than one.
        script: path, there, of the POSIX sh script that a node runs for each element.
        log: path, there, of a file for what the batch system itself has to say.
        processors: of each task.
        memory_mb: limit of each task in MB (10^6 bytes), 0 for the queue's own.
        gpus: number of GPUs of each task.
        wall_s: limit of each task, 0 for the queue's own.
        fetched: more files that come to the node beside those of the task: paths from the task's directory, or URLs.
    """

    name: str
    size: int
    script: str
    log: str
    processors: int
    memory_mb: int
    gpus: int
    wall_s: int
    fetched: Sequence[str] = ()

    @property
    def queue_wall_s(self) -> int:
        """The wall limit that the batch system is told, in s: above the task's own, which its node script keeps."""
        return self.wall_s + _MARGIN_S


MAY_NEVER = "may never run here: "
"""How the reason of a waiting status begins that passes or does not: nobody can tell but by time. After LostAfter the
task is given up and cancelled."""


class BatchSystem(Protocol):
    """The commands of one batch system. It keeps nothing: all that lasts is in the task book."""

    array_limit: int
    """The most elements of an array; 1 where there are no arrays."""

    index: Sequence[str]
    """Shell commands that a node runs first. Where jobs lie in a shared directory, they set `gridpilot_index` to the
    element's number, counted from 1."""

    passed: Sequence[str]
    """Variables of the batch system that the payload may see where they are set: what GPUs it was given."""

    @property
    def unkept(self) -> Mapping[str, str]:
        """See Admits."""

    def submit(self, job: BatchJob) -> Submission:
        """Queue one job. Accepted with the batch system's own id of the job; Rejected is for all of its tasks.

        Raises:
            CEUnavailable: surely nothing was submitted.
            CEError: surely nothing is there, and one of several tasks is at fault, or they are too many: halves are
                tried.
        """

    def element(self, job_id: str, number: int, size: int) -> str:
        """Return the id of one task of a job, its number counted from 1; the job's own id if its size is 1."""

    def states(self, task_ids: Collection[str]) -> Mapping[str, TaskStatus]:
        """Answer, with as few commands as can be, for those the system knows. What it does not know is left out.

        Raises:
            CEError: it gave no answer, or one that cannot be understood: nothing is known of any task.
        """

    def cancel(self, task_ids: Collection[str]) -> None:
        """Ask for their end; no error if they are gone already.

        Raises:
            CEError: it gave no answer.
        """

    def find(self, names: Collection[str]) -> Mapping[str, str]:
        """Return the job id of each job name the system knows.

        Raises:
            CEError: it gave no answer.
        """


@runtime_checkable
class Sweeps(Protocol):
    """A batch system in which something may stay that no task needs any more: it costs until somebody removes it."""

    def sweep(self, known: Callable[[Collection[str]], Mapping[str, Entry]]) -> None:
        """Remove what no open task accounts for; called at the end of each look, also when no task is open.

        Args:
            known: returns what is remembered of these stamps. A task is remembered before it is submitted: whoever
                lists first and then asks never takes a new one for something that was left.

        Raises:
            CEError: no answer; the next look tries again.
        """
