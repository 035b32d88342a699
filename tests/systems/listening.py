"""Where the processes of a system listen, as `ss` says it."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import psutil

LOOPBACK = ("127.", "[::1]")
PROC = Path("/proc")


def beyond_loopback(mark: str) -> list[str]:
    """Return the addresses, each with its process, at which a system can be reached from other machines.

    Args:
        mark: in the environment of all that its scripts start.
    """
    return sorted(where for where, pid in _listening() if _is_far(where) and _is_of(mark, pid))


def _is_of(mark: str, pid: int) -> bool:
    """Return whether a process has the mark, or one that started it: some write over their environment."""
    try:
        process = psutil.Process(pid)
        family = [pid, *(parent.pid for parent in process.parents())]
    except psutil.NoSuchProcess:
        return False
    return any(mark in _environment(one) for one in family)


def _is_far(where: str) -> bool:
    return not where.startswith(LOOPBACK)


def _listening() -> Iterable[tuple[str, int]]:
    """Return address and process of all TCP and UDP sockets that wait for others."""
    done = subprocess.run(["ss", "-Hltunp"], check=True, text=True, capture_output=True)
    for line in done.stdout.splitlines():
        where = line.split()[4]
        for pid in re.findall(r"\bpid=(\d+)", line):
            yield where, int(pid)


def _environment(pid: int) -> list[str]:
    try:
        return (PROC / str(pid) / "environ").read_text(errors="replace").split("\0")
    except OSError:
        return []  # it has ended
