"""Starting a wrapper as a process that inherits nothing from ours but what it should."""

import os
import signal
from collections.abc import Sequence

from ce_backends.linux import children as offspring
from ce_backends.linux.processes import Process, stat_of

_RESETTABLE = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


def _inheritable_fds() -> list[int]:
    """Return the descriptors a child would get although it should not: those we were started with ourselves."""
    with os.scandir("/proc/self/fd") as entries:
        return [fd for entry in entries if (fd := int(entry.name)) > 2 and _is_inheritable(fd)]


def _is_inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:  # closed by another thread
        return False


def spawn(argv: Sequence[str], processor_ids: Sequence[int], *, stdin: int, stdout: int) -> Process:
    """Start a program in a session of its own and return it; the caller reaps it.

    The child has an empty environment, no signal blocked or ignored (DIRAC issue 8838: a payload inherited an ignored
    SIGINT), no descriptor of ours but these two, and runs on these processors only, if any are named. They are set for
    the calling thread and inherited, so there is no moment in which the child runs elsewhere.

    Raises:
        OSError: nothing was started; EINVAL if none of these processors may be used.
    """
    before = os.sched_getaffinity(0) if processor_ids else set()
    if processor_ids:
        os.sched_setaffinity(0, processor_ids)
    try:
        pid = _spawn(argv, stdin, stdout)
    finally:
        if before:
            os.sched_setaffinity(0, before)
    stat = stat_of(pid)
    return Process(pid, 0) if stat is None else stat.process  # gone already where SIGCHLD is ignored


def _spawn(argv: Sequence[str], stdin: int, stdout: int) -> int:
    with offspring.starting() as started:
        pid = _spawned(argv, stdin, stdout)
        started(pid)
    return pid


def _spawned(argv: Sequence[str], stdin: int, stdout: int) -> int:
    return os.posix_spawn(
        argv[0],
        list(argv),
        {},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, stdout, 1),
            (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
            *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable_fds()),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=_RESETTABLE,
    )
