"""The CE as the runner meets it: what it cannot do now is an answer, so that one task's trouble harms no other."""

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, wait
from pathlib import Path
from threading import Thread

from agents.jobs.jdl import StopSignal
from agents.log import EventLog
from ce_backends.base import (
    Activity,
    ComputingElement,
    Forgets,
    Holds,
    Kills,
    Queues,
    RenewsCredentials,
    Signals,
    Submission,
    TaskSpec,
    TaskState,
    TaskStatus,
)
from ce_backends.errors import CEError, CEUnavailable

log = EventLog("tasks")

_CANCEL_AGAIN_S = 30.0
_ANSWER_S = 0.2  # for the main thread: an expression that takes longer is answered later
_ABSENCE_S = 3600.0  # of a queued task: batch systems forget and remember again
_LOST = TaskStatus(state=TaskState.FAILED, reason="its directory is gone, or what else its computing element kept")


class Tasks:
    """The tasks of this agent in its computing element.

    Args:
        ce: the computing element.
        clock: monotonic, in seconds.
        may_begin: asked once for each task before anything of it can run; may wait.
    """

    def __init__(
        self,
        ce: ComputingElement,
        clock: Callable[[], float] = time.monotonic,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        self._ce = ce
        self._clock = clock
        self._may_submit = may_begin
        if isinstance(ce, Holds):  # it asks later, when all is laid out
            ce.ask_before_start(may_begin)
            self._may_submit = lambda: True
        self._activities: dict[str, Activity] = {}
        self._asked: set[str] = set()  # have had their stop signal
        self._asking: dict[str, Future[int]] = {}  # how many of their processes got it
        self._cancel_at: dict[str, float] = {}
        self._unknown_since_s: dict[str, float] = {}

    @property
    def begin_at_once(self) -> bool:
        """True where a task runs as soon as the CE has taken it; elsewhere it waits in a queue."""
        return not isinstance(self._ce, Queues)

    def submit(self, task: TaskSpec) -> Submission | CEUnavailable:
        """Hand over a task that may begin; the same stamp runs once, however often it is handed over."""
        try:
            if not self._may_submit():
                return CEUnavailable(f"task {task.stamp} may not begin")
            return self._ce.submit([task])[task.stamp]
        except CEUnavailable as error:
            return error

    def find(self, stamp: str) -> str | CEError:
        """Return the id of a task, empty when the CE does not know it."""
        try:
            return self._ce.find([stamp]).get(stamp, "")
        except CEError as error:
            return error

    def poll(self, stamps: Mapping[str, str]) -> dict[str, TaskStatus | Exception]:
        """Return how tasks stand; nothing when there is no answer, which is no end.

        An error that nobody foresaw is the answer for the task that it belongs to.

        A task that the CE has taken and surely does not know any more has Failed: nobody would ever tell of its end.

        Args:
            stamps: of the tasks, by their ids.
        """
        self._cancel_overdue()
        try:
            answers, failures = self._polled(stamps.keys()) if stamps else ({}, {})
        except (CEUnavailable, OSError) as error:
            log.warning("poll.failed", tasks=len(stamps), cause=error)
            return {}
        self._activities = {task_id: task.activity for task_id, task in answers.items() if task.activity}
        unknown = {task_id for task_id, task in answers.items() if task.state is TaskState.UNKNOWN}
        self._unknown_since_s = {task_id: self._unknown_since_s.get(task_id, self._clock()) for task_id in unknown}
        lost = {task_id: _LOST for task_id in unknown if self._is_gone(task_id, stamps[task_id])}
        return {**answers, **lost, **failures}

    def _polled(self, task_ids: Collection[str]) -> tuple[dict[str, TaskStatus], dict[str, Exception]]:
        """Ask about all tasks; about each of them alone when that fails in a way that nobody foresaw."""
        try:
            return self._ce.poll(task_ids), {}
        except (CEError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - one of the tasks is why
            if len(task_ids) == 1:
                return {}, dict.fromkeys(task_ids, error)
        each = [self._polled([task_id]) for task_id in task_ids]
        merged: tuple[dict[str, TaskStatus], dict[str, Exception]] = ({}, {})
        for answers, failures in each:
            merged[0].update(answers)
            merged[1].update(failures)
        return merged

    def _is_gone(self, task_id: str, stamp: str) -> bool:
        """Tell whether an unknown task is not there; on this node at once, in a queue after it was away for long."""
        patience_s = _ABSENCE_S if isinstance(self._ce, Queues) else 0.0
        if self._clock() - self._unknown_since_s[task_id] < patience_s or self.find(stamp):
            return False
        log.error("task.gone", task_id=task_id, note="its computing element does not know it any more")
        return True

    def activity(self, task_id: str) -> Activity | None:
        """Return what a running task was last seen to do, None where nobody looks."""
        return self._activities.get(task_id)

    def cancel(self, task_id: str) -> None:
        """End a task, with the grace that the CE gives."""
        self._cancel_at.pop(task_id, None)
        try:
            self._ce.cancel([task_id])
        except CEError as error:  # a batch system that does not answer
            log.warning("task.not_cancelled", task_id=task_id, again_in_s=_CANCEL_AGAIN_S, cause=error)
            self._cancel_at[task_id] = self._clock() + _CANCEL_AGAIN_S

    def ask_to_stop(self, task_id: str, stop: StopSignal) -> bool:
        """Send a payload the signal that it wants before its end, once; tell whether a process of it may have got it.

        Who gets it is found out in a thread of its own, since the job's owner says how. An answer is waited for so
        long that it mostly is there.
        """
        if task_id in self._asked or not isinstance(self._ce, Signals):
            return False
        self._asked.add(task_id)
        self._asking[task_id] = answer = Future[int]()
        Thread(target=_answer, args=(answer, self._ce, task_id, stop), name="stop-signal", daemon=True).start()
        wait([answer], _ANSWER_S)
        return not answer.done() or answer.result() > 0

    def wind_down(self, task_id: str, stop: StopSignal | None, within_s: float) -> None:
        """End a task; a payload that wants a signal first, and had none, has so much time after it."""
        if stop and within_s and self.ask_to_stop(task_id, stop):
            self._cancel_at[task_id] = self._clock() + min(within_s, stop.lead_s)
        else:
            self.cancel(task_id)

    def _cancel_overdue(self) -> None:
        """End what has had its time, and what turns out to have had no signal."""
        now = self._clock()
        for task_id, answer in list(self._asking.items()):
            if answer.done():
                del self._asking[task_id]
                if not answer.result() and task_id in self._cancel_at:
                    self._cancel_at[task_id] = now
        for task_id in [task_id for task_id, at in self._cancel_at.items() if at <= now]:
            self.cancel(task_id)

    def kill(self, task_ids: Collection[str]) -> None:
        """End tasks without any grace, where the CE can."""
        if isinstance(self._ce, Kills):
            self._ce.kill(task_ids)

    def renew_credential(self, task_id: str, file: Path) -> None:
        """Give a running task a newer credential, where the CE can."""
        if isinstance(self._ce, RenewsCredentials):
            self._ce.renew_credential(task_id, file)

    def forget_others(self, stamps: Collection[str]) -> None:
        """Remove, where the CE can, what is left of ended tasks of which nobody knows any more."""
        if isinstance(self._ce, Forgets):
            try:
                self._ce.forget_others(stamps)
            except CEError as error:
                log.warning("tasks.not_forgotten", cause=error)

    def clean(self, task_id: str) -> None:
        """Remove all that the CE keeps of an ended task; what cannot be removed stays, and is named."""
        self._asked.discard(task_id)
        self._asking.pop(task_id, None)
        self._cancel_at.pop(task_id, None)
        try:
            self._ce.clean([task_id])
        except CEError as error:
            log.error("task.not_cleaned", task_id=task_id, cause=error)


def _answer(answer: Future[int], ce: Signals, task_id: str, stop: StopSignal) -> None:
    """Send the signal; what goes wrong is met by whoever reads the answer."""
    try:
        processes = ce.signal(task_id, stop.number, stop.regex)
    except BaseException as error:  # noqa: BLE001
        answer.set_exception(error)
    else:
        log.info("payload.asked_to_stop", task_id=task_id, signal=stop.number, processes=processes)
        answer.set_result(processes)
