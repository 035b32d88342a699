"""A task's directory: the only place where a pool keeps anything, so that a new object finds all of it.

The payload can write here too. Whatever it does to these files harms its own task only: what cannot be read is not
there, and nothing here waits for a pipe or follows a link.
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ce_backends.base import Limit, TaskSpec, TaskState, TaskStatus, Usage
from ce_backends.process_tree import Process, parse_stat
from ce_backends.small_files import write_small

MAX_BYTES = 1 << 20
MAX_REASON = 1000  # characters
_CPU_TIME = re.compile(r"(\d{1,9})m(\d{1,9}(?:\.\d{1,9})?)s", re.ASCII)
_EXIT_CODE = re.compile(r"\d{1,3}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """What must be known of a task after a restart; its file is written before the task is started.

    Attributes:
        processors: how many it holds.
        outputs: glob patterns.
        memory_mb: limit, 0 for none.
        wall_s: limit, 0 for none.
        joins: the `cgroup.procs` files its payload enters.
        capped: log files in the work directory.
        disk_mb: limit, 0 for none.
        cpu_s: limit, 0 for none.
        is_enclosed: its payload runs in a container.
    """

    processors: int
    outputs: Sequence[str]
    memory_mb: int
    wall_s: int
    joins: Sequence[str]
    capped: Sequence[str] = ()
    disk_mb: int = 0
    cpu_s: int = 0
    is_enclosed: bool = False

    @classmethod
    def of(cls, spec: TaskSpec, joins: Sequence[Path], *, is_enclosed: bool = False) -> "TaskRecord":
        """Return the record of a task."""
        return cls(
            processors=spec.processors,
            outputs=list(spec.outputs),
            memory_mb=spec.memory_mb,
            wall_s=spec.wall_s,
            joins=[str(join) for join in joins],
            capped=list(spec.capped),
            disk_mb=spec.disk_mb,
            cpu_s=spec.cpu_s,
            is_enclosed=is_enclosed,
        )


@dataclass(frozen=True, slots=True)
class TaskDir:
    """The files of one task; their names are those of `node_script`."""

    path: Path

    @property
    def work(self) -> Path:
        """Where the payload runs."""
        return self.path / "work"

    def claim(self) -> bool:
        """Take the place of the run that counts; False if that has begun."""
        try:
            (self.path / "started").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    @property
    def has_started(self) -> bool:
        """True once the run that counts has begun: no other will."""
        return os.access(self.path / "started", os.F_OK)

    @property
    def has_pid(self) -> bool:
        """True once the run that counts has written down its pid."""
        return self._line("started") is not None

    def write_record(self, record: TaskRecord) -> None:
        """Keep the record; everything the task needs is in place before."""
        write_small(f"{self.path}/task", _line_of(record))

    def record(self) -> TaskRecord | None:
        """Return what was kept; None if it was not finished, and then the task was never started."""
        line, newline, _ = self._text("task").partition("\n")
        if not newline:
            return None
        try:
            return TaskRecord(**json.loads(line))
        except (ValueError, TypeError):  # overwritten by the payload: its limits are lost, the task is not
            return TaskRecord(processors=1, outputs=(), memory_mb=0, wall_s=0, joins=())

    def write_end(self, status: TaskStatus) -> None:
        """Keep the final status, behind the record.

        Raises:
            OSError: it cannot be kept.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(f"{self.path}/task", flags, 0o600)
        try:
            os.write(fd, _line_of(status))
        finally:
            os.close(fd)

    def end(self) -> TaskStatus | None:
        """Return the final status, None while there is none."""
        text = self._text("task")
        return parse_status(text.rstrip("\n").rpartition("\n")[2]) if text.endswith("\n") else None

    def wrapper(self, boot_id: str) -> Process | None:
        """Return the process that runs the node script, as it wrote down itself; None on another boot."""
        try:
            _, written_on, stat = (self._line("started") or "").split(" ", 2)
            return parse_stat(stat).process if written_on == boot_id else None
        except (ValueError, IndexError):
            return None

    def exit_code(self) -> int | None:
        """Return what the payload returned, None until it is completely written: in its file, or behind the record."""
        text = self._text("exit_code") or self._text("task").partition("\n")[2]
        line, newline, _ = text.partition("\n")
        return int(line) if newline and _EXIT_CODE.fullmatch(line) else None

    def reason(self) -> str:
        """Return the line the payload left in its reason file, empty if none."""
        return self._text("reason").partition("\n")[0][:MAX_REASON].strip()

    def cpu_s(self) -> float | None:
        """Return the CPU time of the payload and all it waited for: the second line of `times`."""
        return parse_cpu_s(self._text("times").rstrip("\n").rpartition("\n")[2])

    def started_s(self) -> float | None:
        """Return when the payload began, in seconds of the system's clock."""
        return self._mtime_s("started")

    def ended_s(self) -> float | None:
        """Return when its exit code was written, by the same clock; to be asked before `write_end`."""
        return self._mtime_s("exit_code") or self._mtime_s("task")

    def _mtime_s(self, name: str) -> float | None:
        try:
            return os.stat(f"{self.path}/{name}").st_mtime  # noqa: PTH116 - asked of every task: see `small_files`
        except OSError:
            return None

    def _line(self, name: str) -> str | None:
        """Return a one-line file's text, None unless it is complete."""
        text = self._text(name)
        return text[:-1] if text.endswith("\n") else None

    def _text(self, name: str) -> str:
        """Return a file's text, empty if there is none; the payload may have put a pipe or a link in its place."""
        try:
            fd = os.open(f"{self.path}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return ""
        try:
            return os.read(fd, MAX_BYTES).decode("utf-8", "replace")
        except OSError:  # EAGAIN, EISDIR
            return ""
        finally:
            os.close(fd)


def _fields(value: Any) -> dict[str, object]:
    """Return the fields of a frozen value; not `asdict`, whose deep copy costs more than all else here."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


_to_json = json.JSONEncoder(default=_fields).encode


def _line_of(value: TaskRecord | TaskStatus) -> bytes:
    return _to_json(value).encode() + b"\n"


def parse_status(text: str) -> TaskStatus | None:
    """Return a final status from its JSON, None if it is none."""
    try:
        fields = json.loads(text)
        limit = Limit(fields["limit"]) if fields["limit"] else None
        usage = Usage(**fields["usage"])
        return TaskStatus(**{**fields, "state": TaskState(fields["state"]), "usage": usage, "limit": limit})
    except (ValueError, TypeError, KeyError):
        return None


def parse_cpu_s(line: str) -> float | None:
    """Return the CPU time of the payload and all it waited for, from the last line of `times`: user and system."""
    parts = _CPU_TIME.findall(line)
    return sum(int(minutes) * 60 + float(seconds) for minutes, seconds in parts) if len(parts) == 2 else None


def stamp_problem(stamp: str) -> str:
    """Return what is wrong with a stamp, empty if nothing."""
    right = re.fullmatch(r"[0-9a-f]{32}", stamp)
    return "" if right else f"stamp {stamp!r} is not 32 hexadecimal digits in lower case"


def pattern_problem(pattern: str) -> str:
    """Return what is wrong with an output pattern, empty if nothing."""
    if not pattern or pattern.startswith("/") or ".." in Path(pattern).parts:
        return f"output pattern {pattern!r} does not name something in the task's work directory"
    return ""


def patterns_problem(patterns: Sequence[str]) -> str:
    """Return what is wrong with the first bad one of some output patterns, empty if none is."""
    return next((problem for pattern in patterns if (problem := pattern_problem(pattern))), "")
