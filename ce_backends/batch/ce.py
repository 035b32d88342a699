"""A computing element in front of a batch system: the same for all of them, here and through ssh.

Composed of a dialect (what the batch system's commands are), a spool (where the tasks lie) and a task book (what must
be remembered). A thread of its own asks the batch system, one command for all tasks, at an interval; `poll` answers
from memory and never waits.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from ce_backends.base import (
    Accepted,
    Places,
    Rejected,
    SlotCount,
    Submission,
    TaskSpec,
    TaskState,
    TaskStatus,
    Uncertain,
)
from ce_backends.batch.conclusion import Patience, conclude
from ce_backends.batch.peeks import Peeks
from ce_backends.batch.spool import End, Spool
from ce_backends.batch.submission import Submitter, groups, problem
from ce_backends.batch.system import MAY_NEVER, BatchSystem, Sweeps
from ce_backends.batch.task_book import Entry, TaskBook
from ce_backends.batch.transport import Closes
from ce_backends.errors import CEError
from ce_backends.linux.loop import Loop
from ce_backends.linux.processes import boot_s
from ce_backends.task.outputs import OF_THE_TASK, tell_end

_QUEUED = TaskStatus(state=TaskState.WAITING, reason="just submitted")
_WATCHED_BY_NOBODY = {
    "cpu_limit_ends_a_task": "batch systems bound the wall time of a job, not the CPU time of a task",
    "disk_limit_ends_a_task": "nobody watches there what lies in the directory of a task",
}
_NOT_ASKED = TaskStatus(state=TaskState.UNKNOWN, reason="the batch system has not been asked yet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much, how often, how long.

    Attributes:
        processors: of a task that does not say; and what `free_processors` counts in.
        gpus: of a task, at most.
        wall_s: asked for a task that has no limit of its own; 0 for the queue's.
        most_tasks: waiting and running at a time.
        most_waiting: waiting at a time.
        interval_s: between two looks at the batch system.
        patience: with absences.
    """

    processors: int = 1
    gpus: int = 0
    wall_s: int = 0
    most_tasks: int = 1000
    most_waiting: int = 1000
    interval_s: float = 30.0
    patience: Patience = field(default_factory=Patience)


class BatchCE:
    """See the module.

    Args:
        name: of the batch system, for sentences.
        system: its dialect.
        transport: the way to it; closed with this object.
        spool: where the tasks lie.
        book: what is remembered.
        bounds: how much, how often, how long.
    """

    def __init__(
        self, name: str, system: BatchSystem, transport: Closes, spool: Spool, book: TaskBook, bounds: Bounds
    ) -> None:
        self._name = name
        self._system = system
        self._transport = transport
        self._spool = spool
        self._book = book
        self._bounds = bounds
        self._submitter = Submitter(name, system, spool, book, bounds.wall_s)
        self._seen: dict[str, TaskStatus] = {}  # by stamp, of the last look that was answered
        self._doubtful_since: dict[str, float] = {}  # by task id: waits for what may never come
        self._sighted: dict[str, float] = {}  # by stamp, when the batch system last knew it, since the boot
        self._heard: set[str] = set()  # stamps whose end the batch system has told and nobody could conclude yet
        self._peeks = Peeks(bounds.interval_s)
        self._trouble = ""  # why the last look was not
        self._looked_s = time.monotonic()  # when the last look was
        self._changed: Callable[[], None] = lambda: None
        self._lock = threading.Lock()  # one look at a time, none while tasks are forgotten
        self._loop = Loop(self._turn, f"gridpilot-{name}", broken=lambda: self._changed())  # noqa: PLW0108 - see notify

    @property
    def places(self) -> Places:
        """See Queues."""
        return Places(tasks=self._bounds.most_tasks, processors=self._bounds.processors, gpus=self._bounds.gpus)

    @property
    def view_age_s(self) -> float:
        """See TellsAge."""
        return time.monotonic() - self._looked_s

    @property
    def unkept(self) -> Mapping[str, str]:
        """See Admits."""
        return {**_WATCHED_BY_NOBODY, **self._spool.unkept, **self._system.unkept}

    # ---- the contract ----

    def notify(self, changed: Callable[[], None]) -> None:
        """See Notifies."""
        self._changed = changed
        self._loop.start()

    def slots(self) -> SlotCount:
        """See ComputingElement. Counted is what was handed over by us and has not ended, as of the last look."""
        entries = self._book.running()
        running = sum(self._known(entry).state is TaskState.RUNNING for entry in entries)
        waiting = len(entries) - running
        free = max(0, min(self._bounds.most_tasks - len(entries), self._bounds.most_waiting - waiting))
        return SlotCount(running=running, waiting=waiting, free_processors=free * self._bounds.processors)

    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        """See ComputingElement. Tasks with equal needs become one array, where the batch system has arrays."""
        answers: dict[str, Submission] = {}
        fresh = []
        settled = self._settled(list({task.stamp for task in tasks}))
        for task in {task.stamp: task for task in tasks}.values():
            if reason := problem(task, self._bounds.gpus) or self._spool.problem(task):
                answers[task.stamp] = Rejected(reason)
            elif task.stamp in settled:
                answers[task.stamp] = settled[task.stamp]
            else:
                fresh.append(task)
        self._submitter.submit(list(groups(fresh, self._system.array_limit)), answers)
        self._seen |= {task.stamp: _QUEUED for task in fresh if isinstance(answers[task.stamp], Accepted)}
        self._loop.start()
        return answers

    def _settled(self, stamps: Collection[str]) -> dict[str, Submission]:
        """Return what is known of those that were submitted before; one that had no answer is looked for."""
        known = self._book.by_stamp(stamps)
        doubtful = [stamp for stamp, entry in known.items() if entry.task_id is None]
        settled: dict[str, Submission] = {s: Accepted(e.task_id) for s, e in known.items() if e.task_id}
        try:
            return settled | {stamp: Accepted(task_id) for stamp, task_id in self.find(doubtful).items()}
        except CEError as error:
            return settled | dict.fromkeys(doubtful, Uncertain(f"it may have been submitted already: {error}"))

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        """See ComputingElement. The answer is that of the last look, and its reason says when there was none since."""
        self._loop.start()
        self._loop.check()
        entries = self._book.by_task_id(task_ids)
        return {
            task_id: self._known(entries[task_id]) if task_id in entries else TaskStatus(state=TaskState.UNKNOWN)
            for task_id in task_ids
        }

    def cancel(self, task_ids: Collection[str]) -> None:
        """See ComputingElement. The task is Aborted when the batch system says that it has ended."""
        entries = [entry for entry in self._book.by_task_id(task_ids).values() if entry.end is None]
        if not entries:
            return
        self._book.cancel(entry.stamp for entry in entries)
        self._system.cancel([entry.task_id for entry in entries if entry.task_id])
        self._loop.wake()

    def fetch(self, task_id: str, into: Path) -> None:
        """See ComputingElement. What of the outputs could not be brought is named at the end of `stderr`.

        Raises:
            CEError: the task is not known, has not ended, or its files cannot be brought.
        """
        entry = self._book.by_task_id([task_id]).get(task_id)
        if entry is None or entry.end is None:
            state = "is not known" if entry is None else "has not ended"
            raise CEError(f"task {task_id} {state}: only an ended task can be fetched")
        skipped = self._spool.fetch(entry.stamp, entry.outputs, entry.capped, into)
        tell_end(into, entry.end.exit_code, skipped)

    def find(self, stamps: Collection[str]) -> dict[str, str]:
        """See ComputingElement.

        Raises:
            CEError: the batch system had to be asked and gave no answer.
        """
        entries = self._book.by_stamp(stamps)
        doubtful = {entry.job for entry in entries.values() if entry.task_id is None}
        if doubtful:
            for name, job_id in self._system.find(doubtful).items():
                self._seen |= dict.fromkeys(self._submitter.accept(self._book.of_jobs([name])[name], job_id), _QUEUED)
            entries = self._book.by_stamp(stamps)
        return {stamp: entry.task_id for stamp, entry in entries.items() if entry.task_id}

    def clean(self, task_ids: Collection[str]) -> None:
        """See ComputingElement.

        Raises:
            CEError: a task has not ended, or something of it cannot be removed.
        """
        with self._lock:
            entries = list(self._book.by_task_id(task_ids).values())
            for entry in entries:
                if entry.end is None:
                    raise CEError(f"task {entry.task_id} has not ended: cancel it and wait for its end before cleaning")
            stamps = {entry.stamp for entry in entries}
            jobs = self._book.of_jobs({entry.job for entry in entries})
            empty = [name for name, members in jobs.items() if {member.stamp for member in members} <= stamps]
            self._spool.remove(stamps, empty)
            self._book.forget(stamps)

    def close(self) -> None:
        """See ComputingElement."""
        self._loop.close()
        self._book.close()
        self._transport.close()

    def peek(self, task_id: str, name: str, max_bytes: int) -> bytes:
        """See Peeks. `stdout` and `stderr` are those of the task. What was seen may be an interval of looks old."""
        entry = self._book.by_task_id([task_id]).get(task_id)
        if entry is None:
            return b""
        path = name if name in OF_THE_TASK else f"work/{name}"
        look = partial(self._spool.peek, entry.stamp, path, max_bytes)
        return self._peeks.at((entry.stamp, path, max_bytes), look)

    def renew_credential(self, task_id: str, credential: Path) -> None:
        """See RenewsCredentials. Where files are taken to the node, only a task that still waits afterwards has it."""
        if entry := self._book.by_task_id([task_id]).get(task_id):
            self._spool.renew_credential(entry.stamp, credential)
            if self._spool.renews_before_start_only and not self._waits(task_id):
                raise CEError(f"task {task_id} may have begun, with the credential that it had")

    def _waits(self, task_id: str) -> bool:
        self.look()
        entry = self._book.by_task_id([task_id]).get(task_id)
        return entry is not None and not self._trouble and self._known(entry).state is TaskState.WAITING

    # ---- looking ----

    def _known(self, entry: Entry) -> TaskStatus:
        if entry.end is not None:
            return entry.end
        seen = self._seen.get(entry.stamp, _NOT_ASKED)
        return replace(seen, reason=self._trouble) if self._trouble else seen

    def _turn(self) -> float:
        if self.look():
            self._changed()
        return self._bounds.interval_s

    def look(self) -> bool:
        """Ask once for all tasks that have not ended; tell whether one of them has. No answer changes nothing."""
        with self._lock:
            has_ended = self._look()
            if isinstance(self._system, Sweeps):
                with suppress(CEError):
                    self._system.sweep(self._book.by_stamp)
            return has_ended

    def _look(self) -> bool:
        entries = self._book.running()
        if not entries:
            self._looked_s = time.monotonic()
            return False
        try:
            seen = self._given_up(self._system.states([entry.task_id for entry in entries if entry.task_id]))
            ends = self._spool.ends(
                [entry.stamp for entry in entries if _may_have_ended(seen.get(entry.task_id or ""))]
            )
        except CEError as error:
            self._trouble = f"no answer from {self._name}: {error}"
            return False
        self._trouble, self._looked_s = "", time.monotonic()
        return self._conclude(self._read_again(entries, seen), seen, ends)

    def _given_up(self, seen: Mapping[str, TaskStatus]) -> Mapping[str, TaskStatus]:
        """Return the states, those that have been hopeless for long as failures; they are cancelled.

        Raises:
            CEError: they could not be; then at the next look.
        """
        now = time.monotonic()
        doubtful = {task_id for task_id, status in seen.items() if status.reason.startswith(MAY_NEVER)}
        self._doubtful_since = {task_id: self._doubtful_since.get(task_id, now) for task_id in doubtful}
        long_ago = now - self._bounds.patience.lost_after_s
        over = {task_id for task_id, since in self._doubtful_since.items() if since < long_ago}
        if over:
            self._system.cancel(sorted(over))
        return {**seen, **{task_id: replace(seen[task_id], state=TaskState.FAILED) for task_id in over}}

    def _read_again(self, entries: Sequence[Entry], seen: Mapping[str, TaskStatus]) -> Sequence[Entry]:
        """Return the entries, those of ended tasks as they are now: one may have been cancelled since the question."""
        ended = [entry.stamp for entry in entries if _may_have_ended(seen.get(entry.task_id or ""))]
        now = self._book.by_stamp(ended)
        return [now.get(entry.stamp, entry) for entry in entries]

    def _aged(self, entries: Sequence[Entry], seen: Mapping[str, TaskStatus], now: float) -> Sequence[Entry]:
        """Return when the batch system last knew each; for an ended one, when that was first heard.

        Not known by us since we look: how long nobody has looked, no clock that can be set may tell.
        """
        final = {entry.stamp for entry in entries if _is_over(seen.get(entry.task_id or ""))}
        known = {entry.stamp for entry in entries if (entry.task_id or "") in seen} - (final & self._heard)
        self._heard |= final
        sighted = {
            entry.stamp: now if entry.stamp in known else self._sighted.get(entry.stamp, now) for entry in entries
        }
        self._sighted = sighted
        return [replace(entry, seen_at=sighted[entry.stamp]) for entry in entries]

    def _conclude(self, entries: Sequence[Entry], seen: Mapping[str, TaskStatus], ends: Mapping[str, End]) -> bool:
        now = boot_s()
        patience, name = self._bounds.patience, self._name
        concluded = {
            entry.stamp: conclude(
                entry,
                seen.get(entry.task_id or ""),
                ends.get(entry.stamp),
                now=now,
                patience=patience,
                batch_system=name,
            )
            for entry in self._aged(entries, seen, now)
        }
        over = {stamp: status for stamp, status in concluded.items() if status.state.is_final}
        self._book.end(over)
        self._seen |= {stamp: status for stamp, status in concluded.items() if stamp not in over}
        self._heard -= set(over)
        for stamp in over:
            self._seen.pop(stamp, None)
        return bool(over)


def _is_over(seen: TaskStatus | None) -> bool:
    return seen is not None and seen.state.is_final


def _may_have_ended(seen: TaskStatus | None) -> bool:
    return seen is None or seen.state.is_final
