"""Control groups, versions 1 and 2: where ours is, and what can be done with a group below it.

Sources: cgroups(7), the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/{freezer-subsystem,memory}.rst.
"""

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ce_backends.linux.processes import send
from ce_backends.linux.small_files import read_small

_SLURMS_STEP = re.compile(r"/job_\d+/step_[^/]+$")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted tree of control groups and the group this process is in.

    Attributes:
        version: 1 or 2.
        controllers: what it controls; for version 2 what our children may be given.
        own: the directory of our own group; of version 2 the first above it that is ours to write, where that is not.
        mount: the directory of the topmost group that is seen here.
    """

    version: int
    controllers: frozenset[str]
    own: Path
    mount: Path

    def below(self, name: str) -> Path:
        """Return the group of this name: below our own, or wherever it is; where it would be if it is nowhere.

        An earlier process of this pool may have been in another group than we are.
        """
        usual = self.own / name
        if usual.exists():
            return usual
        return next((Path(at, name) for at, names, _ in os.walk(self.mount) if name in names), usual)

    @property
    def is_slurms(self) -> bool:
        """True for the group of a step of Slurm, which ends what is in it, and nothing that is in a group below."""
        return _SLURMS_STEP.search(str(self.own)) is not None


def _memberships(text: str) -> dict[frozenset[str], str]:
    """Read /proc/self/cgroup: our path in each hierarchy, keyed by controllers; version 2 has the key {""}."""
    fields = (line.split(":", 2) for line in text.split("\n") if line.count(":") >= 2 and "\0" not in line)
    return {frozenset(controllers.split(",")): path for _, controllers, path in fields}


def _below_mount(path: str, root: str, mount: str) -> Path | None:
    """Translate a path as the kernel counts it to a directory here; None when the mount does not show it."""
    if path.startswith("/.."):
        return None  # outside of our cgroup namespace
    relative = path if root == "/" else path.removeprefix(root) if path.startswith(root) else "/"
    return Path(mount + relative)


def hierarchies(mountinfo: str, membership: str) -> list[Hierarchy]:
    """Return the hierarchies this process can see its own group in.

    Args:
        mountinfo: the text of /proc/self/mountinfo.
        membership: the text of /proc/self/cgroup.
    """
    ours = _memberships(membership)
    found: list[Hierarchy] = []
    for line in mountinfo.split("\n"):
        before, _, after = (part.split(" ") for part in line.partition(" - "))
        if "\0" in line or len(before) < 5 or len(after) < 3 or after[0] not in ("cgroup", "cgroup2"):
            continue
        (root, mount), kind, super_options = before[3:5], after[0], after[2]
        for controllers, path in ours.items():
            own = _below_mount(path, root, mount)
            if own is None or not os.access(own, os.X_OK):
                continue
            if kind == "cgroup2" and controllers == {""}:
                own = _ours_to_write(own, Path(mount))
                found.append(Hierarchy(2, _words(own / "cgroup.subtree_control"), own, Path(mount)))
            elif kind == "cgroup" and controllers and controllers <= set(super_options.split(",")):
                found.append(Hierarchy(1, controllers, own, Path(mount)))
    return found


def _ours_to_write(own: Path, mount: Path) -> Path:
    """Return our group, or the first one above it in which we may make groups and put our processes.

    What is delegated may be a slice, and we in a scope below it that is not: HTCondor 25 on EL9.
    """
    for group in (own, *own.parents):
        if os.access(group, os.W_OK | os.X_OK) and os.access(group / "cgroup.procs", os.W_OK):
            return group
        if group == mount:
            break
    return own


def _words(path: Path) -> frozenset[str]:
    try:
        return frozenset(path.read_text("ascii").split())
    except OSError:
        return frozenset()


@dataclass(frozen=True, slots=True)
class Group:
    """One control group, as its directory. Nothing here fails when the group is gone already."""

    path: Path

    @property
    def procs(self) -> Path:
        """The file a process writes 0 to in order to enter."""
        return self.path / "cgroup.procs"

    def read(self, name: str) -> str:
        """Return a control file's text, empty when there is no such file."""
        try:
            return read_small(f"{self.path}/{name}").decode("ascii").strip()
        except OSError:
            return ""

    def number(self, name: str, key: str = "") -> int | None:
        """Return a number from a control file, or the one behind a key in a file of `key number` lines."""
        for line in self.read(name).splitlines():
            *before, value = line.split()
            if before == ([key] if key else []) and value.isdigit():
                return int(value)
        return None

    def write(self, name: str, text: str) -> bool:
        """Write a control file; tell whether the kernel took it."""
        try:
            fd = os.open(f"{self.path}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            os.write(fd, text.encode("ascii"))
        except OSError:
            return False
        finally:
            os.close(fd)
        return True

    def pids(self) -> list[int]:
        """List who is in the group or in one the payload made below it; an ended process is in none."""
        return [int(pid) for group in self._tree() for pid in group.read("cgroup.procs").split()]

    def send(self, signal_number: int, already: set[int]) -> None:
        """Send a signal to each process that is not in `already`, and note those it was sent to there."""
        for pid in self.pids():
            if pid not in already and send(pid, signal_number, lambda pid: pid in self.pids()):
                already.add(pid)

    def kill(self) -> None:
        """Kill all in it, however fast they fork. They may take a moment to be gone: see `remove`."""
        if self.write("cgroup.kill", "1"):  # Linux 5.14
            return
        frozen = self.write("cgroup.freeze", "1") or self.write("freezer.state", "FROZEN")
        self.send(signal.SIGKILL, set())
        if frozen and not self.write("cgroup.freeze", "0"):
            self.write("freezer.state", "THAWED")

    def remove(self) -> bool:
        """Remove it and the groups below it; False while somebody is in there."""
        try:
            self.path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:  # EBUSY: somebody is in there, or the payload made groups of its own
            return self._remove_tree()
        return True

    def _remove_tree(self) -> bool:
        for group in self._tree():
            try:
                group.path.rmdir()
            except FileNotFoundError:
                continue
            except OSError:  # EBUSY
                return False
        return True

    def _tree(self) -> Iterator["Group"]:
        for directory, _, _ in os.walk(self.path, topdown=False):
            yield Group(Path(directory))
