"""Leave a daemon behind that has no variable, a session of its own, and has gone into the topmost control groups."""

import os
import sys
import time
from pathlib import Path


def topmost() -> list[str]:
    """Return where control groups are mounted."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").split("\n")
    return [line.split(" ")[4] for line in lines if line.partition(" - ")[2].startswith("cgroup")]


def leave(path: Path) -> None:
    """Go into the topmost groups, write down our pid, stay."""
    for group in topmost():
        Path(group, "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    path.write_text(f"{os.getpid()}\n", encoding="ascii")
    os.closerange(0, 64)
    os.execve("/bin/sleep", ["sleep", "600"], {})


pids = Path(sys.argv[1])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        leave(pids)
    os._exit(0)
deadline = time.monotonic() + 10
while time.monotonic() < deadline and not (pids.exists() and pids.read_text(encoding="ascii")):
    time.sleep(0.02)
