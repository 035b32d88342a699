"""What the kernel knows of a scenario's processes: control groups to find and end all of them, and /proc."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.waiting import within

SAFETY_PROCESSES = 3000  # a fork bomb that nobody stops must not take the machine with it
SAFETY_MEMORY_BYTES = 4 * 10**9
MOST_PROC_BYTES = 8 * 1024**2  # more than a program can be started with (execve(2): 6 MiB)
_ENTER = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit 97; shift; done; shift; exec "$@"'


def mounted_cgroups() -> dict[str, Path]:
    """Return where control groups are mounted: `v2`, and each version 1 controller by its name."""
    found: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        mount = Path(before.split(" ")[4])
        if kind == "cgroup2":
            found["v2"] = mount
        elif kind == "cgroup":
            found |= dict.fromkeys(options.split(","), mount)
    return found


@dataclass(slots=True)
class Box:
    """A control group of the scenario in each hierarchy that matters; nothing that is started in it can hide.

    Without the right to make groups (not root) it is empty, and /proc alone has to tell.
    """

    name: str
    groups: list[Path] = field(default_factory=list)

    def open(self) -> "Box":
        """Make the groups, with limits that protect the machine from the scenario."""
        mounted = mounted_cgroups()
        for key in ("v2", "pids", "memory", "freezer", "cpuset"):
            if key in mounted and os.access(mounted[key], os.W_OK):
                group = mounted[key] / f"gridpilot-faults-{self.name}"
                group.mkdir()
                for name in ("cpuset.mems", "cpuset.cpus"):  # empty at first, and then nobody can enter
                    if (group / name).exists():
                        (group / name).write_text((mounted[key] / name).read_text(encoding="ascii"), encoding="ascii")
                self.groups.append(group)
        self._limit("pids.max", SAFETY_PROCESSES)
        self._limit("memory.limit_in_bytes", SAFETY_MEMORY_BYTES)
        return self

    def _limit(self, name: str, value: int) -> None:
        for group in self.groups:
            if (group / name).exists():
                (group / name).write_text(str(value), encoding="ascii")

    def limit_processes(self, most: int) -> None:
        """Let no more processes than this live in it at a time."""
        self._limit("pids.max", most)

    def inside(self, argv: Sequence[str]) -> list[str]:
        """Return a command that enters the box and becomes this one."""
        if not self.groups:
            return list(argv)
        return ["/bin/sh", "-c", _ENTER, "sh", *(str(group / "cgroup.procs") for group in self.groups), "--", *argv]

    def pids(self) -> set[int]:
        """Return all processes in it, zombies left out."""
        members = {pid for group in self.groups for pid in _tree_pids(group)}
        return {pid for pid in members if is_alive(pid)}

    def inner_groups(self) -> list[Path]:
        """Return groups that were made in it."""
        return [path for group in self.groups for path in group.rglob("*") if path.is_dir()]

    def kill(self) -> None:
        """Kill everything in it, frozen or not."""
        within(10.0, self._is_empty)

    def close(self) -> None:
        """Kill what is left and remove the groups."""
        self.kill()
        for group in [*reversed(self.inner_groups()), *self.groups]:
            within(2.0, lambda group=group: _removed(group))
        self.groups.clear()

    def _is_empty(self) -> bool:
        for group in self.groups:
            if (group / "freezer.state").exists():
                (group / "freezer.state").write_text("THAWED", encoding="ascii")
        pids = self.pids()
        for pid in pids:
            send(pid, signal.SIGKILL)
        return not pids


def _tree_pids(group: Path) -> Iterator[int]:
    for directory, _, _ in os.walk(group):
        try:
            yield from map(int, Path(directory, "cgroup.procs").read_text(encoding="ascii").split())
        except OSError:  # removed at this moment
            continue


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # busy
        return False
    return True


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def read_proc(pid: int, name: str) -> bytes:
    """Return a file of /proc/PID, empty when the process is gone or may not be looked at.

    Of an environment or a command line that somebody has made gigabytes long, it is the beginning.
    """
    try:
        with Path(f"/proc/{pid}/{name}").open("rb") as file:
            return file.read(MOST_PROC_BYTES)
    except OSError:
        return b""


def link_of(pid: int, name: str) -> str:
    """Return where a link of /proc/PID leads, empty when the process is gone."""
    try:
        return str(Path(f"/proc/{pid}/{name}").readlink())
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    state = read_proc(pid, "stat").rpartition(b")")[2].split()
    return bool(state) and state[0] not in (b"Z", b"X")


def command_line(pid: int) -> str:
    """Return a process's arguments, separated by spaces."""
    return read_proc(pid, "cmdline").replace(b"\0", b" ").decode("utf-8", "replace").strip()


def parent_of(pid: int) -> int:
    """Return a process's parent, 0 when it is gone."""
    fields = read_proc(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process in MB (10^6 bytes)."""
    for line in read_proc(pid, "status").decode("ascii", "replace").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def open_files(pid: int) -> int:
    """Return how many descriptors a process has open."""
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def everybody() -> Iterator[int]:
    """Yield every pid there is, but our own."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and int(path.name) != os.getpid():
            yield int(path.name)


def that_hold(folder: Path) -> dict[int, str]:
    """Return processes that have a directory, a root, a program or a file below this folder."""
    found = {}
    for pid in everybody():
        links = [link_of(pid, name) for name in ("cwd", "root", "exe")]
        try:
            links += [link_of(pid, f"fd/{fd.name}") for fd in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:  # gone
            continue
        if any(link.startswith(f"{folder}/") for link in links) and is_alive(pid):
            found[pid] = command_line(pid)
    return found


def with_variable(name: str, values: set[str]) -> dict[int, str]:
    """Return processes whose environment gives this variable one of these values."""
    wanted = {f"{name}={value}".encode() for value in values}
    return {
        pid: command_line(pid)
        for pid in everybody()
        if wanted & set(read_proc(pid, "environ").split(b"\0")) and is_alive(pid)
    }


class Canary:
    """A process of the same user that has nothing to do with the scenario and must survive it.

    It ends by itself when the tests have died without closing it.
    """

    def __init__(self) -> None:
        waits = f"import os, time\nwhile os.getppid() == {os.getpid()}: time.sleep(1)"
        argv = [sys.executable, "-c", waits]
        self.process = subprocess.Popen(argv, cwd="/", start_new_session=True)

    def is_alive(self) -> bool:
        """Tell whether nobody killed or stopped it."""
        state = read_proc(self.process.pid, "stat").rpartition(b")")[2].split()
        return self.process.poll() is None and state[0] in (b"S", b"R", b"D")

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def remove_tree(folder: Path) -> None:
    """Remove what a scenario has left, whatever its payloads did to it."""
    if shutil.which("chattr"):
        subprocess.run(["chattr", "-R", "-i", str(folder)], capture_output=True, check=False, timeout=120)
    subprocess.run(["rm", "-rf", "--", str(folder)], capture_output=True, check=False, timeout=120)
