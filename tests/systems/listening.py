"""Where the processes of a system listen, as `ss` says it."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

LOOPBACK = ("127.", "[::1]")
PROC = Path("/proc")


def beyond_loopback(mark: str) -> list[str]:
    """Return the addresses, each with its process, at which a system can be reached from other machines.

    Args:
        mark: in the environment of all that its scripts start.
    """
    return sorted(where for where, pid in _listening() if _is_far(where) and mark in _environment(pid))


def _is_far(where: str) -> bool:
    return not where.startswith(LOOPBACK)


def _listening() -> Iterable[tuple[str, str]]:
    """Return address and process of all TCP and UDP sockets that wait for others."""
    done = subprocess.run(["ss", "-Hltunp"], check=True, text=True, capture_output=True)
    for line in done.stdout.splitlines():
        where = line.split()[4]
        for pid in re.findall(r"\bpid=(\d+)", line):
            yield where, pid


def _environment(pid: str) -> list[str]:
    try:
        return (PROC / pid / "environ").read_text(errors="replace").split("\0")
    except OSError:
        return []  # it has ended
