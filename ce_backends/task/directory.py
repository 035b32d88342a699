"""A task's directory, and what a pool writes down of a task: there is nothing else, so that a new object finds all.

The payload can write in the directory. A pool's notes lie beside it, where no container shows them; a payload without
a container may reach them as the same user. Whatever it does harms its own task only: what is not right is not there,
and nothing here waits for a pipe or follows a link.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ce_backends.base import TaskStatus
from ce_backends.linux.processes import Process, parse_stat
from ce_backends.linux.small_files import write_small
from ce_backends.task.record import MAX_BYTES, MAX_REASON, WORST_EXIT_CODE, TaskRecord, parse_record, parse_status
from ce_backends.untrusted.text import printable

NOTES = ".notes"
_FILES = ("task", "started", "times")
_WHOSE = re.compile(r'\{"stamp": "([0-9a-f]{32})"', re.ASCII)
_CPU_TIME = re.compile(r"(\d{1,9})m(\d{1,9}(?:\.\d{1,9})?)s", re.ASCII)
_SECONDS = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)
_EXIT_CODE = re.compile(r"\d{1,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TaskDir:
    """The files of one task; their names are those of `task/script.py`.

    Attributes:
        path: the task's directory.
        notes: what the names of our own files begin with, where these do not lie in the directory.
    """

    path: Path
    notes: str = ""

    @classmethod
    def in_pool(cls, work_dir: Path, stamp: str) -> "TaskDir":
        """Return the directory of a task of a pool."""
        return cls(work_dir / stamp, f"{work_dir}/{NOTES}/{stamp}.")

    def note(self, name: str) -> str:
        """Return the path of a file of ours."""
        return f"{self.notes or f'{self.path}/'}{name}"

    def forget(self, keep: Callable[[str], None] = os.unlink) -> None:
        """Remove our own files, where they do not lie in the directory; `keep` may take the one with the record."""
        for name in _FILES if self.notes else ():
            with suppress(FileNotFoundError):
                (keep if name == "task" else os.unlink)(self.note(name))

    @property
    def work(self) -> Path:
        """Where the payload runs."""
        return self.path / "work"

    def claim(self) -> bool:
        """Take the place of the run that counts; False if that has begun."""
        try:
            Path(self.note("started")).touch(exist_ok=False)
        except FileExistsError:
            return False
        except FileNotFoundError:  # no notes of any task: none has begun, and none can
            return True
        return True

    @property
    def has_started(self) -> bool:
        """True once the run that counts has begun: no other will."""
        return os.access(self.note("started"), os.F_OK)

    @property
    def has_pid(self) -> bool:
        """True once the run that counts has written down its pid."""
        return self._line("started") is not None

    def write_record(self, record: TaskRecord, write: Callable[[str, bytes], None] = write_small) -> None:
        """Keep the record, and whose it is; everything the task needs is in place before."""
        line = _line_of({"stamp": self.path.name, **_fields(record)})
        try:
            write(self.note("task"), line)
        except FileNotFoundError:  # of the first task, or a cleaner has been here
            Path(self.note("task")).parent.mkdir(mode=0o700)
            write(self.note("task"), line)

    def record(self) -> TaskRecord | None:
        """Return what was kept; None if it was not finished, or is spoiled."""
        line, newline, _ = self._task().partition("\n")
        return parse_record(line) if newline else None

    def write_end(self, status: TaskStatus) -> None:
        """Keep the final status, behind the record.

        Raises:
            OSError: it cannot be kept.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(self.note("task"), flags, 0o600)
        try:
            os.write(fd, _line_of(status))
        finally:
            os.close(fd)

    def end(self) -> TaskStatus | None:
        """Return the final status, None while there is none."""
        text = self._task()
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
        code, _, _ = self._end_line().partition(" ")
        return int(code) if _EXIT_CODE.fullmatch(code) and int(code) <= WORST_EXIT_CODE else None

    def reason(self) -> str:
        """Return the line the payload left in its reason file, fit for a log; empty if none."""
        return printable(_read(f"{self.path}/reason").partition("\n")[0], MAX_REASON)

    def cpu_s(self) -> float | None:
        """Return the CPU time of the payload and all it waited for: the second line of `times`."""
        return parse_cpu_s(self._text("times").rstrip("\n").rpartition("\n")[2])

    def ended_s(self) -> float | None:
        """Return when the payload ended, in seconds since the boot, as its wrapper wrote; None when it did not."""
        _, _, when = self._end_line().partition(" ")
        return float(when) if _SECONDS.fullmatch(when) else None

    def _end_line(self) -> str:
        """Return what the wrapper wrote when the payload had ended, empty until that is complete."""
        text = self._text("exit_code") or self._task().partition("\n")[2]
        line, newline, _ = text.partition("\n")
        return line if newline else ""

    def _task(self) -> str:
        """Return the text of `task`; empty when it is of another task, as a power failure may leave it."""
        text = self._text("task")
        whose = _WHOSE.match(text)
        return "" if whose and whose[1] != self.path.name else text

    def _line(self, name: str) -> str | None:
        """Return a one-line file's text, None unless it is complete."""
        text = self._text(name)
        return text[:-1] if text.endswith("\n") else None

    def _text(self, name: str) -> str:
        return _read(self.note(name))


def _read(path: str) -> str:
    """Return a file's text, empty if there is none; the payload may have put a pipe or a link in its place."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
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


def _line_of(value: Mapping[str, object] | TaskStatus) -> bytes:
    return _to_json(value).encode() + b"\n"


def parse_cpu_s(line: str) -> float | None:
    """Return the CPU time of the payload and all it waited for, from the last line of `times`: user and system."""
    parts = _CPU_TIME.findall(line)
    return sum(int(minutes) * 60 + float(seconds) for minutes, seconds in parts) if len(parts) == 2 else None
