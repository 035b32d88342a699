"""Running tasks on this node, several at once, sharing its processors.

All a pool knows lies in `WORK_DIR/STAMP/` and, where no container shows it, in `WORK_DIR/.notes/`; a new object on the
same directory finds every task again, also after the first was killed: running ones are followed on, ended ones are
told with what they left behind, none is started twice.
The work directory belongs to one pool at a time.
"""

import errno
import hashlib
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

from ce_backends.base import Accepted, Rejected, SlotCount, Submission, TaskSpec, TaskState, TaskStatus, Uncertain
from ce_backends.containers import isolation
from ce_backends.containers.cell import ContainerCell
from ce_backends.containers.runtime import Containers
from ce_backends.containment.cell import Cell, Level
from ce_backends.containment.probe import Probed, probe
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.linux.removal import remove_tree
from ce_backends.linux.short_path import ShortPath
from ce_backends.options import Option, OptionValue, value_of
from ce_backends.pool.adoption import adopted, stamps_in
from ce_backends.pool.boot import BootMark
from ce_backends.pool.fetch import fetch
from ce_backends.pool.inspection import signal_matching, stacks
from ce_backends.pool.layout import lay_out, renew_credential
from ce_backends.pool.monitor import USUAL, Bounds, Monitor
from ce_backends.pool.options import OPTIONS, PoolSettings, bounds_of
from ce_backends.pool.recycled_dirs import RecycledDirs
from ce_backends.pool.recycled_notes import RecycledNotes
from ce_backends.pool.running_task import Cause, RunningTask
from ce_backends.pool.tasks import Ended, PoolTasks
from ce_backends.pool.watcher import Watcher
from ce_backends.pool.wrapper_script import render
from ce_backends.pool.wrappers import Wrappers
from ce_backends.task.directory import NOTES, TaskDir
from ce_backends.task.image import NO_LAUNCHER
from ce_backends.task.outputs import OF_THE_TASK, has_file, tail
from ce_backends.task.record import patterns_problem, stamp_problem

EVERYBODY = "everybody"  # shares wrappers that no payload can reach
NEVER = (errno.E2BIG, errno.EINVAL)  # no later attempt will start this task either


class Pool:
    """A computing element on this node: several tasks at once, as long as their processors fit.

    Args:
        work_dir: where tasks live; made when missing. The same after a restart.
        processors: how many processors there are to share.
        grace_s: what a cancelled task gets between SIGTERM and SIGKILL, in seconds.
        best_containment: the best level of containment to try; what this node has decides below it.
        bounds: what holds for every task.
        containers: starts payloads in containers; None for plain processes.
    """

    ONE_AT_A_TIME: ClassVar[bool] = False
    OPTIONS: ClassVar[Sequence[Option]] = OPTIONS

    @classmethod
    def from_options(
        cls, work_dir: Path, options: Mapping[str, OptionValue | None], *, containers: Containers | None = None
    ) -> Self:
        """See registry.Backend."""
        settings = value_of(PoolSettings, options)
        return cls(
            work_dir,
            processors=settings.processors or len(os.sched_getaffinity(0)),
            grace_s=settings.grace_s,
            best_containment=Level[settings.containment],
            bounds=bounds_of(settings),
            containers=containers,
        )

    def __init__(
        self,
        work_dir: Path,
        *,
        processors: int,
        grace_s: float = 5.0,
        best_containment: Level = Level.V2,
        bounds: Bounds = USUAL,
        containers: Containers | None = None,
    ) -> None:
        self._work_dir = work_dir.absolute()
        self._processors = processors
        self._best = best_containment
        self._containers = containers
        self._tasks = PoolTasks(processors, one_at_a_time=self.ONE_AT_A_TIME)
        self._changed: Callable[[], None] = lambda: None
        self._may_begin: Callable[[], bool] = lambda: True
        self._probed: Probed | None = None
        self._boot = BootMark(self._work_dir / NOTES)
        self._recycled_dirs = RecycledDirs(self._work_dir, most=processors)
        self._recycled_notes = RecycledNotes(self._work_dir / NOTES, most=processors)
        self._short_path = ShortPath(self._work_dir)
        self._wrappers = Wrappers(most_idle=processors)
        self._watcher = Watcher(self._wrappers, grace_s=grace_s, over=self._is_over, broken=self._tell)
        self._bounds = replace(bounds, processors=processors)
        self._monitor = Monitor(
            self._work_dir, self._bounds, tasks=self._watcher.running, end=self._watcher.end_for, broken=self._tell
        )

    @property
    def containment(self) -> Probed:
        """What holds the tasks here, and why nothing better does."""
        return self._open()

    def notify(self, changed: Callable[[], None]) -> None:
        """See Notifies."""
        self._changed = changed

    def ask_before_start(self, may_begin: Callable[[], bool]) -> None:
        """See Holds."""
        self._may_begin = may_begin

    def trouble(self) -> str:
        """See CanTell."""
        self._open()
        return self._containers.trouble(self._work_dir) if self._containers else ""

    @property
    def unkept(self) -> Mapping[str, str]:
        """See Admits."""
        return self._containers.unkept if self._containers and not self.trouble() else {}

    def remark(self) -> str:
        """See CanTell."""
        probed, containers = self._open(), self._containers
        apart = isolation.sentence(containers.name if containers else "", probed.level)
        return "; ".join(filter(None, (apart, probed.why_not_better, containers.lacks if containers else "")))

    def slots(self) -> SlotCount:
        """See ComputingElement."""
        self._open()
        return self._tasks.slots()

    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        """See ComputingElement. Tasks never wait in a pool: what does not fit now is Rejected."""
        self._open_sound()
        answers: dict[str, Submission] = {}
        for task in tasks:
            try:
                answers[task.stamp] = self._submit_one(self._bounds.applied(task))
            except CEUnavailable as error:
                if all(isinstance(answer, Rejected) for answer in answers.values()):
                    raise
                answers[task.stamp] = Uncertain(str(error))
        return answers

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        """See ComputingElement."""
        self._open_sound()
        return {task_id: self._status(task_id) for task_id in task_ids}

    def cancel(self, task_ids: Collection[str]) -> None:
        """See ComputingElement. Returns at once; the task is Aborted when all of it is gone."""
        self._open()
        for task_id in task_ids:
            self._watcher.end(task_id, Cause.CANCELLED)

    def kill(self, task_ids: Collection[str]) -> None:
        """See Kills."""
        self._open()
        for task_id in task_ids:
            self._watcher.end(task_id, Cause.CANCELLED, at_once=True)

    def renew_credential(self, task_id: str, credential: Path) -> None:
        """See RenewsCredentials."""
        if self.find([task_id]):
            renew_credential(credential, self._directory(task_id).path / "credential")

    def fetch(self, task_id: str, into: Path) -> None:
        """See ComputingElement. What of the outputs could not be brought is named at the end of `stderr`.

        Raises:
            CEError: the task is not known, has not ended, or its copy cannot be written.
        """
        self._open()
        ended = self._tasks.ended(task_id)
        try:
            fetch(self._directory(task_id), ended.record, ended.status.exit_code, into, self._bounds.output)
        except (OSError, ValueError, RecursionError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise CEError(f"task {task_id} cannot be fetched into {into}: {why}") from error

    def peek(self, task_id: str, name: str, max_bytes: int) -> bytes:
        """See Peeks. `stdout` and `stderr` are those of the task."""
        if not self.find([task_id]):
            return b""
        directory = self._directory(task_id)
        root = directory.path if name in OF_THE_TASK else directory.work
        return tail(root / name, root, max_bytes)

    def signal(self, task_id: str, number: int, matching: str) -> int:
        """See Signals."""
        task = self._watcher.running_task(task_id)
        return signal_matching(task.cell, number, matching) if task else 0

    def stacks(self, task_id: str) -> str:
        """See Examines."""
        task = self._watcher.running_task(task_id)
        return stacks(task.cell.members()) if task else ""

    def has_file(self, task_id: str, name: str) -> bool:
        """See Examines."""
        return has_file(self._directory(task_id).work, name)

    def find(self, stamps: Collection[str]) -> dict[str, str]:
        """See ComputingElement. A task that was laid out but never began is not known: submit it again."""
        self._open()
        return {stamp: stamp for stamp in stamps if self._tasks.knows(stamp)}

    def clean(self, task_ids: Collection[str]) -> None:
        """See ComputingElement.

        Raises:
            CEError: a task still runs, or something in its directory cannot be removed.
        """
        self._open()
        for task_id in task_ids:
            if ended := self._tasks.to_clean(task_id):
                is_used_again = not ended.status.is_stuck and self._containers is None
                self._remove(self._directory(task_id), is_used_again=is_used_again)
                self._tasks.forget(task_id)

    def forget_others(self, stamps: Collection[str]) -> None:
        """See Forgets."""
        self._open()
        for stamp in set(self._tasks.all_ended()) - set(stamps):
            with suppress(CEError):
                self.clean([stamp])

    def close(self) -> None:
        """See ComputingElement."""
        if self._probed is not None:
            self._monitor.close()
            self._watcher.close()
            self._wrappers.close()
            self._recycled_dirs.close()
            self._recycled_notes.close()
            self._short_path.close(is_needed=bool(held := self._tasks.held()))
            self._probed.containment.sweep(held)
            if not held and not self._tasks.all_ended():
                self._boot.remove()

    def _open(self) -> Probed:
        """Find out how to contain, and take up what an earlier object left; once, when first needed."""
        if self._probed is None:
            try:
                self._work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise CEUnavailable(f"work directory {self._work_dir} cannot be made: {error.strerror}") from error
            key = hashlib.sha256(bytes(self._work_dir)).hexdigest()[:12]
            self._probed = probe(key, best=self._best, may_swap=self._bounds.may_swap)
            self._recycled_dirs.open()
            self._recycled_notes.open()
            self._short_path.open()
            self._watcher.start()
            self._monitor.start()
            self._adopt_all(self._probed)
        return self._probed

    def _open_sound(self) -> None:
        self._open()
        self._watcher.check()
        self._monitor.check()

    def _adopt_all(self, probed: Probed) -> None:
        is_other, is_enclosed, containment = self._boot.is_of_another(), bool(self._containers), probed.containment
        for stamp in stamps_in(self._work_dir, is_of_another_boot=is_other):
            directory, most = self._directory(stamp), self._processors
            taken = adopted(directory, containment, most=most, is_enclosed=is_enclosed, is_of_another_boot=is_other)
            if taken is None:
                self._leave(directory)
            elif taken.end is not None:
                self._tasks.end(stamp, Ended(taken.end, taken.record))
            else:  # followed, if its wrapper still runs; else what is left of it is ended
                self._tasks.hold(stamp, taken.record.processors)
                self._watcher.add(taken.watched(directory))
                self._monitor.wake()
        containment.sweep(self._tasks.held())

    def _submit_one(self, spec: TaskSpec) -> Submission:
        if self.find([spec.stamp]):
            return Accepted(spec.stamp)
        if problem := stamp_problem(spec.stamp) or patterns_problem(spec.outputs) or self._never_fits(spec):
            return Rejected(problem)
        directory = self._directory(spec.stamp)
        try:
            self._begin(spec, directory)
        except CEUnavailable:
            raise
        except CEError as error:
            self._leave(directory)
            return Rejected(str(error))
        except OSError as error:
            self._leave(directory)
            sentence = f"task {spec.stamp} could not be started: {error.strerror}"
            if error.errno in NEVER:
                return Rejected(sentence)
            raise CEUnavailable(sentence) from error
        self._monitor.wake()
        return Accepted(spec.stamp)

    def _never_fits(self, spec: TaskSpec) -> str:
        image_problem = self._containers.problem(spec) if self._containers else NO_LAUNCHER.problem(spec.image)
        return image_problem or self._tasks.unfit(spec.processors)

    def _begin(self, spec: TaskSpec, directory: TaskDir) -> None:
        """Lay out a task and start it.

        Raises:
            CEError: it can never run.
            CEUnavailable: no container can be started here now, or the task may not begin.
            OSError: it was not started.
        """
        if trouble := self.trouble():
            raise CEUnavailable(trouble)
        containment = self._open().containment
        cell: Cell = containment.prepare(spec.stamp, spec.memory_mb, spec.processor_ids)
        joins, is_counted = cell.joins, containment.counts_cpu
        try:
            launch = self._containers.launch(spec, directory.path, joins) if self._containers else None
            cell = ContainerCell(cell) if launch else cell
            tmpdir = self._short_path.tmpdir(directory.path)
            script = render(spec, directory, launch, joins, is_counted=is_counted, tmpdir=tmpdir)
            owner = (EVERYBODY if launch else spec.owner) if is_counted else ""
            make, write = self._recycled_dirs.make, self._recycled_notes.write
            record = lay_out(spec, directory, wrapper_script=script, launch=launch, make=make, write=write)
            self._boot.set()
            self._ask_before_start(directory)
            since_s = time.monotonic()
            task = RunningTask(stamp=spec.stamp, directory=directory, record=record, cell=cell, since_s=since_s)
            self._tasks.hold(spec.stamp, spec.processors)
            start = partial(self._wrappers.start, script.order, spec.processor_ids, cell.bind, owner=owner)
            self._watcher.add(task, start)
        except (CEError, OSError):
            cell.remove()
            self._tasks.let_go(spec.stamp)
            raise

    def _ask_before_start(self, directory: TaskDir) -> None:
        """Return when a task may begin; else nothing is left of what was laid out."""
        may_begin = False
        try:
            may_begin = self._may_begin()
        finally:
            if not may_begin:
                self._leave(directory)
        if not may_begin:
            raise CEUnavailable(f"task {directory.path.name} may not begin")

    def _status(self, task_id: str) -> TaskStatus:
        status = self._tasks.status(task_id)
        is_running = status.state is TaskState.RUNNING
        return replace(status, activity=self._monitor.activity(task_id)) if is_running else status

    def _is_over(self, task: RunningTask, status: TaskStatus) -> None:
        """Keep a task's end; called by the watcher."""
        with suppress(OSError):  # disk full: known until a restart, and after it derived again from what is there
            task.directory.write_end(status)
        if self._containers and status.state is TaskState.FAILED and not status.limit:
            self._containers.doubt()
        self._tasks.end(task.stamp, Ended(status, task.record))
        self._tell()

    def _tell(self) -> None:
        self._changed()

    def _directory(self, task_id: str) -> TaskDir:
        return TaskDir.in_pool(self._work_dir, task_id)

    def _leave(self, directory: TaskDir) -> None:
        """Remove what was laid out for a task that does not begin; what cannot be removed is in nobody's way."""
        with suppress(CEError):
            self._remove(directory)

    def _remove(self, directory: TaskDir, *, is_used_again: bool = False) -> None:
        if self._containers:
            self._containers.forget(directory.path, self._open().containment.joins(directory.path.name))
        try:
            directory.forget(self._recycled_notes.keep if is_used_again else os.unlink)
            (self._recycled_dirs.remove if is_used_again else remove_tree)(directory.path)
        except OSError as error:
            raise CEError(f"{directory.path} cannot be removed: {error.strerror}") from error


class InProcess(Pool):
    """A pool that runs one task at a time, whatever its size."""

    ONE_AT_A_TIME = True
