"""Which tasks a process names as its own: the cookies in its environment, which it may have chosen itself."""

import re

from ce_backends.linux.processes import environment
from ce_backends.task.script import COOKIE

_MARK = re.compile(rb"\0" + COOKIE.encode() + rb"=([0-9a-f]{1,32})(?=\0)")


def named_tasks(pid: int) -> frozenset[str]:
    """Return the stamps in the cookies of a process, none when it may not be read.

    Nothing says that there is such a task, or that it began this process.
    """
    return frozenset(found[1].decode("ascii") for found in _MARK.finditer(b"\0" + environment(pid)))
