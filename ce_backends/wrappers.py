"""Wrappers: shells that start payloads, wait for them and write down how they ended, also when we are gone by then.

A wrapper lives in a session of its own and runs one task at a time. It reads orders from a pipe, each a command of
POSIX sh, and answers each with a line on another pipe: the exit code, `refused` when another run had claimed the task,
`none` when there is no exit code. When we are gone the pipe of orders is at its end, and so is the wrapper, after the
task it has.

Where control groups hold the tasks, a wrapper whose task is over takes the next one, and a fork of it is the payload's
shell. That saves two programs of the three that a task would need, and moving a new process to its processors.

What they are told is in `orders`.
"""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ce_backends.node_script import quote
from ce_backends.process_tree import PROC, Process, boot_id, stat_line, stat_of
from ce_backends.small_files import read_small
from ce_backends.spawn import spawn

REFUSED = b"refused\n"
_MAX_ANSWER_BYTES = 100
_LAST_WORDS = [b"-s", b"node_script", b""]

# Signals are caught, not ignored: what is ignored stays ignored in the payload.
_BEGIN = """\
trap : TERM INT HUP USR1 USR2
umask 022
cd /
unset OLDPWD
gridpilot_identity={identity}
"""


@dataclass(frozen=True, slots=True)
class Wrapper:
    """One of these shells; a child of ours.

    Attributes:
        process: which.
        processor_ids: where it and its payloads run, empty for everywhere.
        orders: the descriptor they are written to; None when there will be no more.
        answers: the descriptor they are read from; at its end when the wrapper is over.
    """

    process: Process
    processor_ids: tuple[int, ...]
    orders: int | None
    answers: int

    @property
    def is_kept(self) -> bool:
        """True when it will take another task."""
        return self.orders is not None

    def tell(self, text: bytes) -> None:
        """Give it an order.

        Raises:
            BrokenPipeError: it is over, and has not begun to do it.
        """
        assert self.orders is not None, "it has had its last order"
        while text:
            text = text[os.write(self.orders, text) :]

    def answer(self) -> bytes:
        """Return its answer, empty when it is over; waits for one or the other."""
        return os.read(self.answers, _MAX_ANSWER_BYTES)

    def close(self) -> None:
        """Let go of it: it ends with the task it has."""
        if self.orders is not None:
            os.close(self.orders)
        os.close(self.answers)


class Wrappers:
    """All wrappers of a pool. For several threads.

    Args:
        most_idle: how many may wait for a task.
        shell: the program they are, with options.
    """

    def __init__(self, most_idle: int, shell: Sequence[str] = ("/bin/sh",)) -> None:
        self._most_idle = most_idle
        self._shell = shell
        self._lock = threading.Lock()
        self._idle: list[Wrapper] = []
        self._unreaped: set[int] = set()

    def start(
        self, text: bytes, processor_ids: Sequence[int], bind: Callable[[Process], None], *, is_kept: bool
    ) -> Wrapper:
        """Give an order to an idle wrapper or a new one; return it.

        Args:
            text: the order.
            processor_ids: which processors it may use, empty for all of ours.
            bind: holds a new one to them.
            is_kept: it may have run other tasks, and will; else it ends with this one.

        Raises:
            OSError: the order was not given; EINVAL if none of these processors may be used.
        """
        ids = tuple(processor_ids)
        while wrapper := self._take_idle(ids):
            try:
                wrapper.tell(text)
            except BrokenPipeError:  # somebody has killed it
                self.give_up(wrapper)
            else:
                return wrapper
        wrapper = self._new(ids)
        bind(wrapper.process)
        wrapper.tell(text)
        return wrapper if is_kept else _last_order_given(wrapper)

    def free(self, wrapper: Wrapper) -> None:
        """Take back a wrapper that has answered."""
        with self._lock:
            self._idle.append(wrapper)
            surplus = self._idle.pop(0) if len(self._idle) > self._most_idle else None
        if surplus:
            self.give_up(surplus)

    def give_up(self, wrapper: Wrapper) -> None:
        """Forget a wrapper; it ends when its task is over, if it has not ended yet."""
        wrapper.close()
        with self._lock:
            self._unreaped.add(wrapper.process.pid)
            self._unreaped = {pid for pid in self._unreaped if not reap(pid)}

    def close(self) -> None:
        """End those that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for wrapper in idle:
            wrapper.close()
            with suppress(OSError):
                os.kill(wrapper.process.pid, signal.SIGKILL)
                os.waitpid(wrapper.process.pid, 0)

    def _take_idle(self, ids: tuple[int, ...]) -> Wrapper | None:
        with self._lock:
            found = next((wrapper for wrapper in self._idle if wrapper.processor_ids == ids), None)
            if found:
                self._idle.remove(found)
            return found

    def _new(self, ids: tuple[int, ...]) -> Wrapper:
        (orders_in, orders), (answers, answers_in) = os.pipe(), os.pipe()
        try:
            process = spawn([*self._shell, "-s", "node_script"], ids, stdin=orders_in, stdout=answers_in)
        except OSError:
            os.close(orders)
            os.close(answers)
            raise
        finally:
            os.close(orders_in)
            os.close(answers_in)
        wrapper = Wrapper(process, ids, orders, answers)
        identity = f"{process.pid} {boot_id()} {stat_line(process.pid)}"
        wrapper.tell(_BEGIN.format(identity=quote(identity)).encode("utf-8", "surrogateescape"))
        return wrapper


def _last_order_given(wrapper: Wrapper) -> Wrapper:
    assert wrapper.orders is not None
    os.close(wrapper.orders)
    return replace(wrapper, orders=None)


def lives(process: Process) -> bool:
    """Tell whether a process runs and is a wrapper, whoever says so: a session's leader of this command."""
    try:
        words = read_small(f"{PROC}/{process.pid}/cmdline").split(b"\0")
    except OSError:
        return False
    stat = stat_of(process.pid)
    return words[-3:] == _LAST_WORDS and stat is not None and stat.process == process and stat.session == process.pid


def reap(pid: int) -> bool:
    """Collect a child if it has ended; tell whether there is nothing more to collect."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # collected already, or a wrapper that an earlier object started
        return True
