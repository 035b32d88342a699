"""The CE as the runner meets it: what it cannot do now is an answer, so that one task's trouble harms no other."""

from collections.abc import Collection
from pathlib import Path

from agents.log import EventLog
from ce_backends.base import ComputingElement, Kills, RenewsCredentials, Submission, TaskSpec, TaskStatus
from ce_backends.errors import CEError, CEUnavailable

log = EventLog("tasks")


class Tasks:
    """The tasks of this agent in its computing element."""

    def __init__(self, ce: ComputingElement) -> None:
        self._ce = ce

    def submit(self, task: TaskSpec) -> Submission | CEUnavailable:
        """Hand over a task; the same stamp runs once, however often it is handed over."""
        try:
            return self._ce.submit([task])[task.stamp]
        except CEUnavailable as error:
            return error

    def find(self, stamp: str) -> str | CEUnavailable:
        """Return the id of a task, empty when the CE does not know it."""
        try:
            return self._ce.find([stamp]).get(stamp, "")
        except CEUnavailable as error:
            return error

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        """Return how tasks stand; nothing when there is no answer, which is no end."""
        try:
            return self._ce.poll(task_ids) if task_ids else {}
        except CEUnavailable as error:
            log.warning("poll.failed", tasks=len(task_ids), cause=error)
            return {}

    def cancel(self, task_id: str) -> None:
        """End a task, with the grace that the CE gives."""
        self._ce.cancel([task_id])

    def kill(self, task_ids: Collection[str]) -> None:
        """End tasks without any grace, where the CE can."""
        if isinstance(self._ce, Kills):
            self._ce.kill(task_ids)

    def renew_credential(self, task_id: str, file: Path) -> None:
        """Give a running task a newer credential, where the CE can."""
        if isinstance(self._ce, RenewsCredentials):
            self._ce.renew_credential(task_id, file)

    def clean(self, task_id: str) -> None:
        """Remove all that the CE keeps of an ended task; what cannot be removed stays, and is named."""
        try:
            self._ce.clean([task_id])
        except CEError as error:
            log.error("task.not_cleaned", task_id=task_id, cause=error)
