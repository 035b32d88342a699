"""Leave three daemons behind, each harder to find than the one before; write their pids to a file and end."""

import os
import sys
import time
from pathlib import Path


def note(path: str) -> None:
    """Write down our own pid."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{os.getpid()}\n".encode("ascii"))
    os.fsync(fd)
    os.close(fd)


def daemon(path: str, kind: int) -> None:
    """Fork twice with a new session between; the grandchild stays."""
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    note(path)
    os.closerange(0, 64)
    if kind == 0:
        time.sleep(600)
    elif kind == 1:  # another name, another environment
        os.execve("/bin/sleep", ["[kworker/0:1]", "600"], {})
    os.setpgid(0, 0)
    os.execve("/bin/sh", ["sshd", "-c", "sleep 600; sleep 600"], {"PATH": "/usr/bin:/bin"})


for number in range(3):
    daemon(sys.argv[1], number)
pids, deadline = Path(sys.argv[1]), time.monotonic() + 10
while time.monotonic() < deadline and not (pids.exists() and len(pids.read_text(encoding="ascii").split()) == 3):
    time.sleep(0.02)
