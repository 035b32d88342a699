"""What is written down of a task, and the one way to read it: right in every field, or not there.

Whoever can write where it lies (a payload that is in no container, as the same user) can write anything.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ce_backends.base import Limit, TaskSpec, TaskState, TaskStatus, Usage
from ce_backends.linux.processes import boot_s
from ce_backends.untrusted.text import printable

MAX_BYTES = 1 << 20  # of a file
MAX_REASON = 1000  # characters
_MOST_WORDS = 10_000
_MOST_PROCESSORS = 1 << 16
_MOST = 10**12  # of any amount
WORST_EXIT_CODE = 255
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """What must be known of a task after a restart; its file is written before the task is started.

    Attributes:
        processors: how many it holds.
        outputs: glob patterns.
        memory_mb: limit, 0 for none.
        wall_s: limit, 0 for none.
        capped: log files in the work directory.
        disk_mb: limit, 0 for none.
        cpu_s: limit, 0 for none.
        is_enclosed: its payload runs in a container.
        begun_s: when it was begun, in seconds since the boot; 0 when unknown.
    """

    processors: int
    outputs: Sequence[str] = ()
    memory_mb: int = 0
    wall_s: int = 0
    capped: Sequence[str] = ()
    disk_mb: int = 0
    cpu_s: int = 0
    is_enclosed: bool = False
    begun_s: float = 0.0

    @classmethod
    def of(cls, spec: TaskSpec, *, is_enclosed: bool = False) -> "TaskRecord":
        """Return the record of a task that begins now."""
        return cls(
            processors=spec.processors,
            outputs=list(spec.outputs),
            memory_mb=spec.memory_mb,
            wall_s=spec.wall_s,
            capped=list(spec.capped),
            disk_mb=spec.disk_mb,
            cpu_s=spec.cpu_s,
            is_enclosed=is_enclosed,
            begun_s=boot_s(),
        )


def parse_record(line: str) -> TaskRecord | None:
    """Return a record from its line, None if anything in it is not as a record has it."""
    return _read(line, _record)


def parse_status(line: str) -> TaskStatus | None:
    """Return a final status from its line, None if it is none."""
    return _read(line, _status)


def _read(line: str, made: Callable[[Mapping[str, Any]], _T]) -> _T | None:
    """The door: nothing that is wrong with a line leaves it but None."""
    if len(line) > MAX_BYTES:
        return None
    try:
        return made(_mapping(json.loads(line, parse_constant=_refused)))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _record(fields: Mapping[str, Any]) -> TaskRecord:
    return TaskRecord(
        processors=_whole(fields["processors"], 1, _MOST_PROCESSORS),
        outputs=_patterns(fields["outputs"]),
        memory_mb=_whole(fields["memory_mb"]),
        wall_s=_whole(fields["wall_s"]),
        capped=_patterns(fields["capped"]),
        disk_mb=_whole(fields["disk_mb"]),
        cpu_s=_whole(fields["cpu_s"]),
        is_enclosed=_flag(fields["is_enclosed"]),
        begun_s=_amount(fields.get("begun_s")) or 0.0,
    )


def _status(fields: Mapping[str, Any]) -> TaskStatus:
    state = TaskState(_text(fields["state"]))
    exit_code = fields["exit_code"]
    if not state.is_final or fields["activity"] is not None:
        raise ValueError("it is no end")
    return TaskStatus(
        state=state,
        native=printable(_text(fields["native"]), MAX_REASON),
        reason=printable(_text(fields["reason"]), MAX_REASON),
        exit_code=None if exit_code is None else _whole(exit_code, 0, WORST_EXIT_CODE),
        usage=_usage(_mapping(fields["usage"])),
        limit=None if fields["limit"] is None else Limit(_text(fields["limit"])),
        is_stuck=_flag(fields["is_stuck"]),
    )


def _usage(fields: Mapping[str, Any]) -> Usage:
    return Usage(
        wall_s=_amount(fields["wall_s"]),
        cpu_s=_amount(fields["cpu_s"]),
        memory_peak_mb=_amount(fields["memory_peak_mb"]),
    )


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("expected an object")
    return value


def _whole(value: object, least: int = 0, most: int = _MOST) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"expected a whole number from {least} to {most}")
    return value


def _amount(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise ValueError("expected an amount")
    if not math.isfinite(value):
        raise ValueError("expected an amount")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("expected true or false")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("expected text")
    return value


def _patterns(value: object) -> list[str]:
    if not isinstance(value, list) or len(value) > _MOST_WORDS:
        raise ValueError("expected a list")
    words = [_text(word) for word in value]
    if problem := patterns_problem(words):
        raise ValueError(problem)
    return words


def stamp_problem(stamp: str) -> str:
    """Return what is wrong with a stamp, empty if nothing."""
    right = re.fullmatch(r"[0-9a-f]{32}", stamp)
    return "" if right else f"stamp {stamp!r} is not 32 hexadecimal digits in lower case"


def pattern_problem(pattern: str) -> str:
    """Return what is wrong with an output pattern, empty if nothing."""
    if not pattern or "\0" in pattern or pattern.startswith("/") or ".." in Path(pattern).parts:
        return f"output pattern {pattern!r} does not name something in the task's work directory"
    return ""


def patterns_problem(patterns: Sequence[str]) -> str:
    """Return what is wrong with the first bad one of some output patterns, empty if none is."""
    return next((problem for pattern in patterns if (problem := pattern_problem(pattern))), "")
