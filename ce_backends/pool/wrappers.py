"""Wrappers: shells that start payloads, wait for them and write down how they ended, also when we are gone by then.

A wrapper lives in a session of its own and runs one task at a time. It reads commands from a socket, each in
POSIX sh, and answers each there with a line: the exit code, `refused` when another run had claimed the task, `none`
when there is no exit code. When we are gone the socket is at its end, and so is the wrapper, after the task it has.

It is a socket and no pipe because /proc lets whoever is the same user open a pipe of another process, and give it
commands. Who may trace the wrapper (ptrace(2)) still can do with it as he likes: root, when nothing encloses it.

Where control groups hold the tasks, a wrapper whose task is over takes the next one, and a fork of it is the payload's
shell. That saves two programs of the three that a task would need, and moving a new process to its processors. It
takes tasks of one owner only: see `base.TaskSpec`. One that has a child when its task is over is not taken again.

The commands are written in `wrapper_script`.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ce_backends.linux import children as offspring
from ce_backends.linux.children import Children
from ce_backends.linux.processes import PROC, Process, all_stats, boot_id, stat_line, stat_of
from ce_backends.linux.small_files import read_first
from ce_backends.linux.spawn import spawn
from ce_backends.task.script import OUTLIVES_PAYLOAD, quote

REFUSED = b"refused\n"
_MAX_ANSWER_BYTES = 100
_MAX_COMMAND_BYTES = 4096
_LAST_WORDS = [b"-s", b"node_script", b""]

_BEGIN = """\
{outlives}
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
        owner: whose tasks it runs.
        channel: commands go there, answers come from there; at its end when the wrapper is over.
        children: those that it has.
        is_kept: it will take another task.
    """

    process: Process
    processor_ids: tuple[int, ...]
    owner: str
    channel: socket.socket
    children: Children
    is_kept: bool = True

    def tell(self, text: bytes) -> None:
        """Give it an order.

        Raises:
            ConnectionError: it is over, and has not begun to do it.
        """
        self.channel.sendall(text)

    def answer(self) -> bytes:
        """Return its answer, empty when it is over; waits for one or the other."""
        try:
            return self.channel.recv(_MAX_ANSWER_BYTES)
        except ConnectionError:  # it has not read all that it was told
            return b""

    def is_idle(self) -> bool:
        """Tell whether it has no child; also where the kernel does not list them."""
        try:
            return not self.children.text()
        except OSError:
            return all(stat.parent != self.process.pid for stat in all_stats())

    def close(self) -> None:
        """Let go of it: it ends with the task it has."""
        self.channel.close()
        self.children.close()


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
        self, text: bytes, processor_ids: Sequence[int], bind: Callable[[Process], None], *, owner: str = ""
    ) -> Wrapper:
        """Give an order to an idle wrapper or a new one; return it.

        Args:
            text: the order.
            processor_ids: which processors it may use, empty for all of ours.
            bind: holds a new one to them.
            owner: whose order it is; it may have run other tasks of his, and will. Empty: it ends with this one.

        Raises:
            OSError: the order was not given; EINVAL if none of these processors may be used.
        """
        ids = tuple(processor_ids)
        while wrapper := self._take_idle(ids, owner):
            try:
                wrapper.tell(text)
            except ConnectionError:  # somebody has killed it
                self.give_up(wrapper)
            else:
                return wrapper
        wrapper = self._new(ids, owner)
        bind(wrapper.process)
        wrapper.tell(text)
        return wrapper if owner else _last_order_given(wrapper)

    def free(self, wrapper: Wrapper) -> None:
        """Take back a wrapper that has answered; end it if it does something that nobody has told it."""
        if not wrapper.is_idle():
            self.end(wrapper)
            return
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

    def end(self, wrapper: Wrapper) -> None:
        """End one at once: what it has started is an orphan then, and found as such."""
        wrapper.close()
        with suppress(OSError):
            os.kill(wrapper.process.pid, signal.SIGKILL)
            os.waitpid(wrapper.process.pid, 0)
        offspring.ended(wrapper.process.pid)

    def close(self) -> None:
        """End those that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for wrapper in idle:
            self.end(wrapper)

    def _take_idle(self, ids: tuple[int, ...], owner: str) -> Wrapper | None:
        if not owner:
            return None
        wanted = (ids, owner)
        with self._lock:
            found = next((each for each in self._idle if (each.processor_ids, each.owner) == wanted), None)
            if found:
                self._idle.remove(found)
            return found

    def _new(self, ids: tuple[int, ...], owner: str) -> Wrapper:
        ours, its = socket.socketpair()
        try:
            process = spawn([*self._shell, "-s", "node_script"], ids, stdin=its.fileno(), stdout=its.fileno())
        except OSError:
            ours.close()
            raise
        finally:
            its.close()
        wrapper = Wrapper(process, ids, owner, ours, Children(process.pid))
        identity = f"{process.pid} {boot_id()} {stat_line(process.pid)}"
        wrapper.tell(
            _BEGIN.format(outlives=OUTLIVES_PAYLOAD, identity=quote(identity)).encode("utf-8", "surrogateescape")
        )
        return wrapper


def _last_order_given(wrapper: Wrapper) -> Wrapper:
    wrapper.channel.shutdown(socket.SHUT_WR)
    return replace(wrapper, is_kept=False)


def lives(process: Process) -> bool:
    """Tell whether a process runs and is a wrapper, whoever says so: a session's leader of this command."""
    try:
        words = read_first(f"{PROC}/{process.pid}/cmdline", _MAX_COMMAND_BYTES).split(b"\0")
    except OSError:
        return False
    stat = stat_of(process.pid)
    return words[-3:] == _LAST_WORDS and stat is not None and stat.process == process and stat.session == process.pid


def reap(pid: int) -> bool:
    """Collect a child if it has ended; tell whether there is nothing more to collect."""
    try:
        is_over = os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # collected already, or a wrapper that an earlier object started
        return True
    if is_over:
        offspring.ended(pid)
    return is_over
