"""Whether this node can run jobs now: small checks, each answers with a sentence when something is wrong."""

import errno
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ce_backends.linux.command import NOWHERE, Around, run

MB = 10**6

_LEAST_INODES = 500
_LEAST_FILES = 128  # open at once: connections, ledger, four for each job
_LEAST_MEMORY_MB = 100
_STALLED_PERCENT = 60.0  # of the last minute, in which nothing at all got memory (kernel's PSI, "full avg60")
_START_S = 10.0  # for the smallest program to start and end
_FIRST_DAY_S, _LAST_DAY_S = 1_735_689_600.0, 4_102_444_800.0  # 2025-01-01 and 2100-01-01


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Where the checks look.

    Attributes:
        work_dir: of the agent.
        temporary: where programs put their short-lived files.
        root: "/", or a recorded tree.
        environ: of the agent.
        least_disk_mb: free disk below which no job is asked for.
        epoch: tells the time.
    """

    work_dir: Path
    least_disk_mb: int
    temporary: Path
    root: Path = Path("/")
    environ: Mapping[str, str]
    epoch: Callable[[], float] = time.time


Check = Callable[[Node], str]


def work_dir_takes_files(node: Node) -> str:
    """Write, force to the disk and read back."""
    return _cannot_write(node.work_dir, "the work directory")


def temporary_takes_files(node: Node) -> str:
    """Do the same where programs put their temporary files."""
    return _cannot_write(node.temporary, "the directory for temporary files")


def _cannot_write(directory: Path, what: str) -> str:
    text = b"gridpilot"
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            back = file.read()
    except OSError as error:
        return f"{directory}: {what} cannot be written: {error.strerror}"
    return "" if back == text else f"{directory}: {what} gives back other bytes than were written"


def disk_has_space(node: Node) -> str:
    """Compare what is free in the work directory with what is wanted, in bytes and in files."""
    disk = os.statvfs(node.work_dir)
    free_mb = disk.f_bavail * disk.f_frsize // MB
    if free_mb < node.least_disk_mb:
        return f"{node.work_dir}: {free_mb} MB of disk are free, expected {node.least_disk_mb} MB (MinDiskSpace)"
    if disk.f_files and disk.f_favail < _LEAST_INODES:  # a file system without inodes counts none
        return f"{node.work_dir}: room for {disk.f_favail} more files, expected {_LEAST_INODES} (inodes)"
    return ""


def memory_is_free(node: Node) -> str:
    """Look at what is available, and at how much of the last minute was lost waiting for it."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _text(node.root / "proc/meminfo"), re.MULTILINE)
    if found and (free_mb := int(found[1]) * 1024 // MB) < _LEAST_MEMORY_MB:
        return f"{free_mb} MB of the node's memory are available, expected {_LEAST_MEMORY_MB} MB"
    stalled = re.search(r"^full .*avg60=([\d.]+)", _text(node.root / "proc/pressure/memory"), re.MULTILINE)
    if stalled and float(stalled[1]) > _STALLED_PERCENT:
        return f"the node waited for memory {stalled[1]} % of the last minute, expected below {_STALLED_PERCENT:.0f} %"
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:  # a kernel without it says nothing
        return ""


def files_can_be_opened(node: Node) -> str:
    """Look at the limit of open files."""
    found = re.search(r"^Max open files\s+(\d+)", _text(node.root / "proc/self/limits"), re.MULTILINE)
    if found and int(found[1]) < _LEAST_FILES:
        return f"{found[1]} files may be open at once, expected {_LEAST_FILES} (ulimit -n)"
    return ""


def programs_start(node: Node) -> str:
    """Start the smallest program there is and wait for its end."""
    try:
        said = run(["true"], timeout_s=_START_S, around=_alone({"PATH": node.environ.get("PATH", os.defpath)}))
    except OSError as error:
        return f"no program can be started: {error.strerror}"
    if said.exit_code is None:
        return f"the program `true` did not end in {_START_S:.0f} s"
    return f"the program `true` ended with {said.exit_code}" if said.exit_code else ""


def work_dir_starts_programs(node: Node) -> str:
    """Start a script from the work directory, as payloads start their own; a mount may be noexec."""
    try:
        with tempfile.TemporaryDirectory(prefix=".start-", dir=node.work_dir) as folder:
            program = Path(folder, "program")
            program.write_text("#!/bin/sh\n", encoding="ascii")
            program.chmod(0o700)
            return _cannot_start(program)
    except OSError as error:
        return f"{node.work_dir}: no program can be put there: {error.strerror}"


def _cannot_start(program: Path) -> str:
    where = f"{program.parents[1]}: programs cannot be started from the work directory"
    try:
        said = run([str(program)], timeout_s=_START_S, around=_alone({}))
    except OSError as error:
        # another thread's child may hold the file open for the moment between its fork and its program
        return "" if error.errno == errno.ETXTBSY else f"{where}: {error.strerror} (is it mounted noexec?)"
    if said.exit_code is None:
        return f"{where}: no end in {_START_S:.0f} s"
    return f"{where}: exit code {said.exit_code}" if said.exit_code else ""


def _alone(env: Mapping[str, str]) -> Around:
    return Around(env=env, stdout=NOWHERE, hears_stderr=False)


def clock_is_sane(node: Node) -> str:
    """See whether the clock shows a time in which this program can run."""
    now_s = node.epoch()
    if _FIRST_DAY_S < now_s < _LAST_DAY_S:
        return ""
    return f"the clock shows {now_s:.0f} s since 1970, expected a time between 2025 and 2100: certificates would fail"


def home_exists(node: Node) -> str:
    """See whether HOME is a directory. Payloads have their own; what a site runs around them may want it."""
    home = node.environ.get("HOME", "")
    return "" if home and Path(home).is_dir() else f"HOME is {home or 'not set'}, expected a directory"


NEEDED: Sequence[Check] = (
    work_dir_takes_files,
    disk_has_space,
    memory_is_free,
    files_can_be_opened,
    programs_start,
    work_dir_starts_programs,
    clock_is_sane,
)
# what payloads do not need, for they have a HOME and a TMPDIR of their own, but a site will want to hear of
WISHED: Sequence[Check] = (home_exists, temporary_takes_files)


def troubles(node: Node, checks: Sequence[Check] = NEEDED) -> list[str]:
    """Return a sentence for everything that is wrong; takes some milliseconds on a healthy node."""
    found = []
    for check in checks:
        try:
            sentence = check(node)
        except OSError as error:  # the thing to look at is not there at all
            sentence = f"{check.__name__.replace('_', ' ')}: cannot be told: {error}"
        if sentence:
            found.append(sentence)
    return found
