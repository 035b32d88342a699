"""This process's children: those that it started itself, and those that it has inherited as sub-reaper.

What a task leaves behind becomes a child of ours, wherever it has hidden. So whoever starts a child in a session of its
own says so here: else it would pass for something that a task has left.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakSet

from ce_backends.linux.processes import PROC, all_stats, children

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h, Linux 3.4
_PR_GET_CHILD_SUBREAPER = 37
_PATIENCE_S = 1.0
_CHANGED = threading.Condition()
_HEIRS_CHANGE = threading.Lock()
_heirs: WeakSet[object] = WeakSet()
_was_subreaper = False  # before the first of them came
_started: set[int] = set()
_under_way = 0
_AT_ONCE = 65536
_SURELY_ALL = 1024  # bytes; the kernel gives as much as a page at once


def inherit_orphans(heir: object) -> None:
    """Let orphans of our descendants become our children, until this heir and all others `disinherit`.

    Where the kernel refuses, they become init's. For several threads.
    """
    global _was_subreaper  # noqa: PLW0603 - a process is one, or is none
    with _HEIRS_CHANGE:
        if not _heirs:
            _was_subreaper = _is_subreaper()
        _heirs.add(heir)
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def disinherit(heir: object) -> None:
    """Leave orphans, after the last heir, to whom they went before the first one; repeating it does no harm."""
    with _HEIRS_CHANGE:
        if heir in _heirs:
            _heirs.discard(heir)
            if not _heirs and not _was_subreaper:
                ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _is_subreaper() -> bool:
    answer = ctypes.c_int()
    ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    return bool(answer.value)


@contextmanager
def starting() -> Iterator[Callable[[int], None]]:
    """Start a child within; what is yielded is called with its pid. Nobody else who starts one waits."""
    _begin(+1)
    try:
        yield _started.add
    finally:
        _begin(-1)


def _begin(number: int) -> None:
    global _under_way  # noqa: PLW0603 - a process has one set of children
    with _CHANGED:
        _under_way += number
        _CHANGED.notify_all()


def ended(pid: int) -> None:
    """Forget a child of ours that was collected."""
    _started.discard(pid)


def started() -> frozenset[int]:
    """Return the children that said so when they were started; to be asked after one has looked at all of them.

    While one is being started and does not come to it (its program lies on a file system that hangs) all are ours.
    """
    with _CHANGED:
        if _CHANGED.wait_for(lambda: not _under_way, _PATIENCE_S):
            return frozenset(_started)
    return frozenset(children() or ())


class Children:
    """The children of a process's first thread, as the kernel lists them; what a sub-reaper inherits is among them.

    It is asked twice for each task, so the file stays open.

    Args:
        pid: of the process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd: int | None = None

    def text(self) -> bytes:
        """Return their pids, each with a space behind it.

        Raises:
            OSError: the kernel does not list them (CONFIG_PROC_CHILDREN), or the process is gone.
        """
        if self._fd is None:
            self._fd = os.open(f"{PROC}/{self.pid}/task/{self.pid}/children", os.O_RDONLY | os.O_CLOEXEC)
        text = b""
        while more := os.pread(self._fd, _AT_ONCE, len(text)):
            text += more
            if len(more) < _SURELY_ALL:
                break
        return text

    def close(self) -> None:
        """Give the file back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def pids(text: bytes | None) -> frozenset[int]:
    """Return the pids of such a text; where there is none, those of all children of ours."""
    if text is not None:
        return frozenset(map(int, text.split()))
    return frozenset(stat.process.pid for stat in all_stats() if stat.parent == os.getpid())
