"""File systems that somebody has mounted below a place: a look at one may hang for ever, if who serves it does not.

What is said here comes from the kernel alone, no file system is asked.
"""

import os
import re
from pathlib import Path

from ce_backends.linux.processes import PROC
from ce_backends.linux.small_files import read_first, read_small

_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")  # proc(5), mountinfo: blanks and the like


def mount_of(fd: int) -> bytes:
    """Return the number of the mount on which an open file lies."""
    lines = read_first(f"{PROC}/self/fdinfo/{fd}", 4096).split(b"\n")
    return next((line for line in lines if line.startswith(b"mnt_id:")), b"")


def mounts_below(place: Path) -> frozenset[str]:
    """Return where below a directory something is mounted, as paths that begin as the directory's does."""
    real = os.fsencode(os.path.realpath(place))
    try:
        lines = read_small(f"{PROC}/self/mountinfo").split(b"\n")
    except OSError:
        return frozenset()
    points = [_plain(fields[4]) for line in lines if len(fields := line.split(b" ")) > 4]
    return frozenset(f"{place}{os.fsdecode(at[len(real) :])}" for at in points if at.startswith(real + b"/"))


def _plain(point: bytes) -> bytes:
    return _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), point) if b"\\" in point else point
