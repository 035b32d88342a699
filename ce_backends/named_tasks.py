"""Which tasks a process names as its own: the cookies in its environment, which it may have chosen itself."""

import re

from ce_backends.node_script import COOKIE
from ce_backends.process_tree import PROC
from ce_backends.small_files import read_first

_MOST_BYTES = 6 << 20  # execve(2): three quarters of 8 MiB
_MARK = re.compile(rb"\0" + COOKIE.encode() + rb"=([0-9a-f]{1,32})(?=\0)")


def named_tasks(pid: int) -> frozenset[str]:
    """Return the stamps in the cookies of a process, none when it may not be read.

    Nothing says that there is such a task, or that it began this process. A process may say since it was started that
    its environment lies elsewhere (PR_SET_MM), and is without end: no more is read than it can have been started with.
    """
    try:
        environment = b"\0" + read_first(f"{PROC}/{pid}/environ", _MOST_BYTES)
    except OSError:
        return frozenset()
    return frozenset(found[1].decode("ascii") for found in _MARK.finditer(environment))
