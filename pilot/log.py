"""The pilot's log: one line per event, in the line format of DIRAC's pilot."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from pilot.redact import redacted

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

Sink = Callable[[str], object]


def utc_now() -> datetime:
    """Return the time, aware."""
    return datetime.now(timezone.utc)


class Log:
    """Writes events with their fields to every sink."""

    def __init__(self, sinks: Sequence[Sink], *, level: str = "INFO", now: Callable[[], datetime] = utc_now) -> None:
        self._sinks = sinks
        self._least = LEVELS.index(level)
        self._now = now

    def debug(self, event: str, **fields: object) -> None:
        """Say what only somebody who looks for a fault wants to know."""
        self._write(0, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Say what happened."""
        self._write(1, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Say what somebody should look at; the pilot goes on."""
        self._write(2, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Say why the pilot ends."""
        self._write(3, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if level < self._least:
            return
        values = "".join(f" {name}={_plain(value)}" for name, value in fields.items())
        line = redacted(f"{self._now():%Y-%m-%dT%H:%M:%S.%fZ} {LEVELS[level]} [Pilot] {event}{values}\n")
        for sink in self._sinks:
            with contextlib.suppress(OSError):  # a full disk or a closed pipe must not end the pilot
                sink(line)


def visible(text: str) -> str:
    """Return a text of several lines as a terminal may have it: what is not printed is escaped, but for line ends."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def _plain(value: object) -> str:
    """Return a value on one line, quoted where it has blanks."""
    text = str(value)
    return text if text.isprintable() and text and " " not in text and '"' not in text else json.dumps(text)
