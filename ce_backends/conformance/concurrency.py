"""What every backend must do when calls meet: from several threads, or at the instant of a task's end."""

import threading
import time
from collections.abc import Callable, Sequence

from ce_backends.base import TaskState
from ce_backends.conformance.subject import Subject, Trial, lines, task
from ce_backends.task.script import quote

AT_ONCE = 4
ROUNDS = 20
ROUNDS_S = 2.0  # no new round after that: one takes seconds where there is a queue


def stamp_submitted_again_at_its_end_loses_nothing(subject: Subject) -> None:
    """Whoever has not heard of the end submits again: the same task, run once, with its output, however close."""
    ledger = subject.scratch / "ledger"
    began_s, rounds = time.monotonic(), 0
    with subject.ce() as trial:
        while rounds < ROUNDS and (rounds == 0 or time.monotonic() < began_s + ROUNDS_S):
            rounds += 1
            once = task(f"echo started >> {quote(str(ledger))}; echo out\n")
            task_id = trial.submit(once)
            subject.until(lambda: _submitted_again(trial, once.stamp, task_id), f"end of task {task_id}")  # noqa: B023
            again, status = trial.submit(once), trial.status(task_id)
            output = (trial.fetched(task_id) / "stdout").read_text()
            assert again == task_id, f"one stamp has the task ids {task_id} and {again}"
            assert status.state is TaskState.DONE, f"submitted again at its end it is {status}"
            assert output == "out\n", f"submitted again at its end its output is {output!r}"

    assert len(lines(ledger)) == rounds, f"{rounds} stamps, submitted again and again, ran {len(lines(ledger))} times"


def calls_from_several_threads_keep_apart(subject: Subject) -> None:
    """`poll`, `slots`, `find`, `fetch` from several threads at a time, while the main one submits and cancels."""
    with subject.ce() as trial:
        ended = [trial.ran(f"echo {number}\n")[0] for number in range(AT_ONCE)]
        calls = _Calls(trial, ended, subject)
        calls.start()
        task_ids = [trial.submit(task("sleep 0.2; exit 3\n"))]
        while len(task_ids) < 3 and trial.ce.slots().free_processors > 0:
            task_ids.append(trial.submit(task("sleep 1000\n")))
        for task_id in task_ids[1:]:  # some queues take minutes to tell the end of what never began
            subject.until(lambda: trial.status(task_id).state is TaskState.RUNNING, f"task {task_id} runs")  # noqa: B023
        trial.ce.cancel(task_ids[1:])
        seen = [trial.ended(task_id) for task_id in task_ids]
        trouble = calls.stop()

    expected = [TaskState.DONE, *[TaskState.ABORTED] * (len(task_ids) - 1)]
    assert not trouble, f"while other threads called, {trouble[0]}"
    assert [status.state for status in seen] == expected, f"while other threads called, the ends were {seen}"


class _Calls:
    """Threads that ask the same CE again and again, each for an ended task of its own."""

    def __init__(self, trial: Trial, ended: Sequence[str], subject: Subject) -> None:
        self._trial = trial
        self._ended = ended
        self._subject = subject
        self._enough = threading.Event()
        self._trouble: list[str] = []
        self._threads = [
            threading.Thread(target=self._call, args=(number,), name=f"caller-{number}", daemon=True)
            for number in range(AT_ONCE)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> Sequence[str]:
        """End the threads; return what has gone wrong in them."""
        self._enough.set()
        give_up_at = time.monotonic() + self._subject.deadline_s
        for thread in self._threads:
            thread.join(max(0.0, give_up_at - time.monotonic()))
            if thread.is_alive():
                self._trouble.append(f"a call did not return within {self._subject.deadline_s:g} s")
        return self._trouble

    def _call(self, number: int) -> None:
        steps: Sequence[Callable[[int], object]] = (self._polled, self._counted, self._found, self._fetched)
        at = number
        while not self._enough.is_set():
            try:
                if wrong := steps[at % len(steps)](number):
                    self._trouble.append(str(wrong))
                    return
            except Exception as error:  # noqa: BLE001 # whatever it is, it is the CE's fault
                self._trouble.append(f"{steps[at % len(steps)].__name__.strip('_')}: {type(error).__name__}: {error}")
                return
            at += 1
            time.sleep(0.005)

    def _polled(self, number: int) -> str:
        state = self._trial.ce.poll(self._ended)[self._ended[number]].state
        return "" if state is TaskState.DONE else f"an ended task is {state}"

    def _counted(self, _: int) -> str:
        slots = self._trial.ce.slots()
        return "" if slots.free_processors >= 0 else f"there are {slots.free_processors} free processors"

    def _found(self, _: int) -> str:
        self._trial.ce.find(self._ended)
        return ""

    def _fetched(self, number: int) -> str:
        into = self._subject.scratch / f"by-{number}-{time.monotonic_ns()}"
        self._trial.ce.fetch(self._ended[number], into)
        text = (into / "stdout").read_text()
        return "" if text == f"{number}\n" else f"stdout of task {number} was fetched as {text!r}"


def _submitted_again(trial: Trial, stamp: str, task_id: str) -> bool:
    """Submit a stamp whose script and inputs are known already; tell whether its task has ended."""
    answer = trial.ce.submit([trial.given[stamp]])[stamp]
    assert getattr(answer, "task_id", "") == task_id, f"submitted again it was answered by {answer}"
    return trial.status(task_id).state.is_final
