"""One thread that sees each task end, and ends those that should: no task is final before all it started is gone."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from ce_backends.base import Limit, TaskStatus
from ce_backends.linux.children import disinherit, inherit_orphans
from ce_backends.linux.loop import Loop
from ce_backends.linux.processes import Process, all_stats, boot_id, boot_s, end_fd, is_alive, send
from ce_backends.linux.wakeup import Wakeup
from ce_backends.pool.running_task import FAR, KILLED, Cause, Excess, RunningTask, final_status
from ce_backends.pool.wrappers import REFUSED, Wrapper, Wrappers, lives, reap

TERM_AGAIN_S = 0.05  # during the grace, for what the payload has started since
UNWATCHED_S = 0.1  # how often a process is looked at that no descriptor tells of
KILL_AGAIN_S = 0.2  # longest pause between two kills
WRAPPER_MAY_TAKE_S = 1.0  # to write the exit code once the payload is killed
GIVE_UP_S = 60.0  # what SIGKILL has not ended by then is stuck in the kernel
KILLED_TOLD_AFTER_S = 1.0
NO_PID_S = 5.0  # between creating `started` and writing into it there are microseconds


class Watcher:
    """Watches tasks until they are over, in a daemon thread between `start` and `close`.

    A turn of its loop waits by itself, since it waits for descriptors: what a wrapper says must be heard at once.
    This process inherits orphans as long: what a task leaves is ours, wherever it hides.

    Args:
        wrappers: where those of ended tasks are given back.
        grace_s: how long a task that is to end may take after SIGTERM, in seconds.
        over: called in the watcher's thread with each task that is over and its final status.
        broken: called in the watcher's thread when an error has ended it, see Loop.
        clock: monotonic, in seconds.
        give_up_s: how long to try to kill what is left of a task whose wrapper is over.
    """

    def __init__(
        self,
        wrappers: Wrappers,
        *,
        grace_s: float,
        over: Callable[[RunningTask, TaskStatus], None],
        broken: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        give_up_s: float = GIVE_UP_S,
    ) -> None:
        self._wrappers = wrappers
        self._grace_s = grace_s
        self._give_up_s = give_up_s
        self._over = over
        self._clock = clock
        self._lock = threading.RLock()
        self._tasks: dict[str, RunningTask] = {}
        self._by_fd: dict[int, RunningTask] = {}
        self._wakeup = Wakeup()
        self._loop = Loop(self._turn, "gridpilot-pool", broken=broken, waken=self._wakeup.wake)

    def start(self) -> None:
        """Begin to watch."""
        inherit_orphans(self)
        self._wakeup.open()
        self._loop.start()

    def add(self, task: RunningTask, start: Callable[[], Wrapper] | None = None) -> None:
        """Watch a task from now on, starting it first where `start` is given.

        Raises:
            OSError: from `start`; the task is not watched then.
        """
        with self._lock:
            if start is not None:
                task.own_wrapper = start()
                task.wrapper = task.own_wrapper.process
            self._tasks[task.stamp] = task
            self._set_wall_limit(task)
            self._follow_wrapper(task)
        if task.next_look_s != FAR:
            self._wakeup.wake()

    def end(self, stamp: str, cause: Cause, *, at_once: bool = False) -> None:
        """Begin to end a task: SIGTERM to all of it, after the grace (or at once) SIGKILL. Returns at once."""
        with self._lock:
            task = self._tasks.get(stamp)
            if task is None or (task.cause is not None and not at_once):
                return
            task.cause = task.cause or cause
            task.next_look_s = self._clock()
            task.kill_from_s = task.next_look_s + (0.0 if at_once else self._grace_s)
        self._wakeup.wake()

    def end_for(self, stamp: str, excess: Excess) -> None:
        """Begin to end a task that has gone over a limit, unless it is to end already."""
        with self._lock:
            task = self._tasks.get(stamp)
            if task is not None and task.cause is None:
                task.excess = excess
                self.end(stamp, Cause.LIMIT, at_once=excess.at_once)

    def running(self) -> list[RunningTask]:
        """Return the tasks that run and that nobody ends."""
        with self._lock:
            return [task for task in self._tasks.values() if task.wrapper is not None and task.cause is None]

    def running_task(self, stamp: str) -> RunningTask | None:
        """Return one of them, None when it is not."""
        return next((task for task in self.running() if task.stamp == stamp), None)

    def close(self) -> None:
        """Stop watching. Tasks go on."""
        self._loop.close()
        disinherit(self)
        for task in self._tasks.values():
            self._unfollow(task)
            if task.own_wrapper is not None:
                self._wrappers.give_up(task.own_wrapper)
        self._wakeup.close()

    def check(self) -> None:
        """Do nothing while all is well; else raise as Loop.check does."""
        self._loop.check()

    def _turn(self) -> float:
        for fd in self._wakeup.wait(self._sleep_s()):
            self._hear(self._by_fd[fd])
        now = self._clock()
        with self._lock:
            due = [task for task in self._tasks.values() if task.next_look_s <= now]
        for task in due:
            self._look(task, now)
        return 0.0

    def _sleep_s(self) -> float | None:
        with self._lock:
            next_look_s = min((task.next_look_s for task in self._tasks.values()), default=FAR)
        return None if next_look_s == FAR else max(0.0, next_look_s - self._clock())

    def _set_wall_limit(self, task: RunningTask) -> None:
        if task.record.wall_s:
            ran_s = max(0.0, boot_s() - task.record.begun_s) if task.record.begun_s else 0.0
            task.wall_ends_s = task.next_look_s = self._clock() + task.record.wall_s - ran_s

    def _follow_wrapper(self, task: RunningTask) -> None:
        """Hear of the wrapper's answer or end; without a descriptor, look from time to time."""
        if task.wrapper is not None:
            task.cell.begin(task.wrapper)
            task.fd = task.own_wrapper.channel.fileno() if task.own_wrapper is not None else end_fd(task.wrapper.pid)
        if task.fd is None:
            task.next_look_s = self._clock()
        else:
            self._by_fd[task.fd] = task
            self._wakeup.follow(task.fd)

    def _unfollow(self, task: RunningTask) -> None:
        if task.fd is not None:
            self._wakeup.unfollow(task.fd)
            del self._by_fd[task.fd]
            if task.own_wrapper is None:
                os.close(task.fd)
            task.fd = None

    def _hear(self, task: RunningTask) -> None:
        """Let go of a wrapper that has answered or ended; look at once whether all else is over too."""
        with self._lock:
            if task.own_wrapper is not None:
                self._hear_own(task, task.own_wrapper)
            else:
                self._unfollow(task)
                if task.wrapper is not None:
                    reap(task.wrapper.pid)
                task.wrapper = None
        self._look(task, self._clock())

    def _hear_own(self, task: RunningTask, wrapper: Wrapper) -> None:
        answer = wrapper.answer()
        if answer.strip().isdigit():
            task.exit_code, task.ended_s = int(answer), boot_s()
        if answer and answer != REFUSED:
            task.over_s = self._clock()
        if task.exit_code == KILLED and task.cause is None:  # by whom? who kills everything comes to us in a moment
            task.told_from_s = self._clock() + KILLED_TOLD_AFTER_S
        if answer and not wrapper.is_kept:
            return  # its end follows
        self._unfollow(task)
        task.wrapper = task.own_wrapper = None
        if answer:
            self._wrappers.free(wrapper)
        else:
            if task.over_s is None:
                _end_session(wrapper.process)
            self._wrappers.give_up(wrapper)

    def _look(self, task: RunningTask, now: float) -> None:
        status = None
        with self._lock:
            if task.wrapper is not None and task.fd is None and not is_alive(task.wrapper):
                reap(task.wrapper.pid)
                task.wrapper = None
            if task.wrapper is not None:
                self._look_at_running(task, task.wrapper, now)
            elif self._is_really_over(task, now) and now < task.told_from_s:
                task.next_look_s = task.told_from_s
            elif task.over_s is not None:
                status = self._look_at_remains(task, now)
            if status is not None:
                del self._tasks[task.stamp]
        if status is not None:
            self._over(task, status)

    def _look_at_running(self, task: RunningTask, wrapper: Process, now: float) -> None:
        """Go on with ending the task if it is to end, and say when to look again."""
        unwatched_s = FAR if task.fd is not None else now + UNWATCHED_S
        if now >= task.wall_ends_s and task.cause is None:
            task.cause, task.kill_from_s = Cause.LIMIT, now + self._grace_s
            task.excess = Excess(Limit.WALL, f"wall limit of {task.record.wall_s} s exceeded")
        if task.cause is None:
            task.next_look_s = min(task.wall_ends_s, unwatched_s)
        elif now < task.kill_from_s:
            task.cell.send(signal.SIGTERM, task.terminated)
            task.next_look_s = min(now + TERM_AGAIN_S, task.kill_from_s)
        else:
            task.cell.kill()
            if now > task.kill_from_s + WRAPPER_MAY_TAKE_S:  # the payload has stopped it
                send(wrapper.pid, signal.SIGKILL, lambda _: is_alive(wrapper))
            self._look_again(task, now)

    def _is_really_over(self, task: RunningTask, now: float) -> bool:
        """Tell whether no run of the task goes on: an earlier object's may not have written its pid yet."""
        if task.over_s is not None:
            return True
        if task.directory.exit_code() is None and task.directory.has_started:
            runs = task.directory.wrapper(boot_id())
            if runs is not None and lives(runs):
                task.wrapper = runs
                self._follow_wrapper(task)
                return False
            if runs is None and now - task.since_s < NO_PID_S and not task.directory.has_pid:
                task.next_look_s = now + UNWATCHED_S
                return False
        task.over_s = now
        return True

    def _look_at_remains(self, task: RunningTask, now: float) -> TaskStatus | None:
        """Return the final status once nothing is left of the task; kill what is, until then."""
        assert task.over_s is not None
        task.consumption = task.consumption or task.cell.consumption(with_causes=task.exit_code != 0)
        if task.cell.remove():
            return final_status(task)
        if now - task.over_s > self._give_up_s:
            stuck = ", ".join(map(str, task.cell.members()))
            sentence = f"processes {stuck} did not end within {self._give_up_s:.0f} s of SIGKILL"
            return replace(final_status(task), reason=sentence, is_stuck=True)
        task.cell.kill()
        self._look_again(task, now)
        return None

    def _look_again(self, task: RunningTask, now: float) -> None:
        task.next_look_s = now + task.pause_s
        task.pause_s = min(2 * task.pause_s, KILL_AGAIN_S)


def _end_session(wrapper: Process) -> None:
    """Kill what a wrapper that was killed has just started: it may not be where the task is held yet.

    The wrapper has not been collected, so no other session can have its number.
    """
    for stat in all_stats():
        if stat.session == wrapper.pid and stat.process != wrapper:
            send(stat.process.pid, signal.SIGKILL, lambda _, process=stat.process: is_alive(process))  # type: ignore[misc]
