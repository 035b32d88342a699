"""Starting the node script as a process that inherits nothing from ours but what it should."""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from ce_backends.process_tree import Process, stat_of

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


def spawn(script: Path, environment: Mapping[str, str], processor_ids: Sequence[int]) -> Process:
    """Start `sh script` in a session of its own and return it; the caller reaps it.

    The child has exactly this environment, no signal blocked or ignored (DIRAC issue 8838: a payload inherited an
    ignored SIGINT), no descriptor of ours, and runs on these processors only, if any are named. They are set for the
    calling thread and inherited, so there is no moment in which the child runs elsewhere.

    Raises:
        OSError: nothing was started; EINVAL if none of these processors may be used.
    """
    before = os.sched_getaffinity(0) if processor_ids else set()
    if processor_ids:
        os.sched_setaffinity(0, processor_ids)
    try:
        pid = _spawn(script, environment)
    finally:
        if before:
            os.sched_setaffinity(0, before)
    stat = stat_of(pid)
    return Process(pid, 0) if stat is None else stat.process  # gone already where SIGCHLD is ignored


def _spawn(script: Path, environment: Mapping[str, str]) -> int:
    return os.posix_spawn(
        "/bin/sh",
        ["sh", str(script)],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable_fds()),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=_RESETTABLE,
    )
