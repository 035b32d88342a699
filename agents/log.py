"""Log events: a constant word, and the values beside it. Secrets are neither.

Each event goes to the log for people, one line in the format of DIRAC's pilot, and where that is wanted to a file of
JSON lines in the names of the Elastic Common Schema, which Elasticsearch and OpenSearch take as they are.
"""

import json
import logging
import os
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from agents import __version__
from agents.redaction import redacted, secrets_of, without, without_secrets
from ce_backends.untrusted.text import visible

_ECS_VERSION = "8.11.0"
_REMEMBERED = 10_000  # jobs whose attempt is known; more are never in hand


class EventLog:
    """Writes events of one part of the agent: `log.info("job.matched", job_id=1234)`."""

    def __init__(self, part: str) -> None:
        self._logger = logging.getLogger(f"gridpilot.{part}")

    def debug(self, event: str, **values: object) -> None:
        """Record a step that matters only when something is searched for."""
        self._write(logging.DEBUG, event, values)

    def info(self, event: str, **values: object) -> None:
        """Record a normal step."""
        self._write(logging.INFO, event, values)

    def warning(self, event: str, **values: object) -> None:
        """Record what the agent could work around."""
        self._write(logging.WARNING, event, values)

    def error(self, event: str, **values: object) -> None:
        """Record what cost a job or a call."""
        self._write(logging.ERROR, event, values)

    def _write(self, level: int, event: str, values: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            clean = {name: without_secrets(value, name) for name, value in values.items()}
            shown = " ".join(f"{name}={_shown(value)}" for name, value in clean.items())
            self._logger.log(level, "%s", f"{event} {shown}".rstrip(), extra={"event": event, "values": clean})


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(tuple(value)) if isinstance(value, list) else str(value)
    is_plain = text.isprintable() and not any(c in " =" for c in text)  # no line ends, no terminal's escapes
    return text if text and is_plain else repr(text)


@dataclass(slots=True)
class Whose:
    """Whose log it is, and which attempt at a job an event is about.

    An event that names a job with its attempt (`job.matched`, `job.recovered`) tells it for all that follow.

    Attributes:
        pilot: the pilot's reference, empty when nobody knows it.
        site: DIRAC's name of it.
        known: values that are secret, to be hidden wherever they appear.
    """

    pilot: str = ""
    site: str = ""
    known: tuple[str, ...] = ()
    _attempts: dict[int, tuple[int, str]] = field(default_factory=dict, init=False)

    def of(self, record: logging.LogRecord) -> dict[str, object]:
        """Return a record's values with the attempt and the pilot; the job's stamp is among them where it is known."""
        values: dict[str, object] = dict(getattr(record, "values", {}))
        job_id = values.get("job_id")
        if isinstance(job_id, int):
            if "attempt" in values:
                self._learn(job_id, values)
            elif job_id in self._attempts:
                values["attempt"], values["stamp"] = self._attempts[job_id]
        return values

    def _learn(self, job_id: int, values: Mapping[str, object]) -> None:
        if job_id not in self._attempts and len(self._attempts) >= _REMEMBERED:
            self._attempts.pop(next(iter(self._attempts)), None)
        self._attempts[job_id] = (cast("int", values["attempt"]), str(values.get("stamp", "")))


def _time_of(record: logging.LogRecord) -> str:
    """Return the time as `2026-01-02T03:04:05.678901Z`."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{whole}.{int(record.created % 1 * 1e6):06d}Z"


class _Line(logging.Formatter):
    """DIRAC's pilot log line: UTC time with microseconds, level, origin, message; then the attempt and the pilot."""

    def __init__(self, whose: Whose) -> None:
        super().__init__("%(asctime)s %(levelname)s [%(name)s] %(message)s")
        self._whose = whose

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002 - logging's
        """See `_time_of`."""
        return _time_of(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's
        """Add whose it is to the end of the line."""
        line = super().formatMessage(record)
        stated, all_values = getattr(record, "values", {}), self._whose.of(record)
        if "attempt" in all_values and "attempt" not in stated:
            line += f" attempt={all_values['attempt']}"
        return line + (f" pilot={_shown(self._whose.pilot)}" if self._whose.pilot else "")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, made once for all targets.

        A traceback or a stranger's message may hold what an event of ours does not.
        """
        made = getattr(record, "line", None)
        if made is None:
            is_ours_alone = hasattr(record, "values") and not record.exc_info
            line = super().format(record)
            made = record.line = without(line if is_ours_alone else _set_in(redacted(line)), self._whose.known)
        return str(made)


def _set_in(text: str) -> str:
    """Return lines of strangers so that none can pass for a line of ours, nor do anything to a terminal."""
    return visible(text).replace("\n", "\n    | ")


class _Json(logging.Formatter):
    """One JSON object a line, in the names of the Elastic Common Schema; what it has no name for is `gridpilot.*`."""

    def __init__(self, whose: Whose) -> None:
        super().__init__()
        self._whose = whose
        self._always = {
            "ecs.version": _ECS_VERSION,
            "service.name": "gridpilot",
            "service.version": __version__,
            "event.dataset": "gridpilot.agent",
            "host.name": socket.gethostname(),
            "process.pid": os.getpid(),
            "gridpilot.pilot": whose.pilot,
            "gridpilot.site": whose.site,
        }

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        values = self._whose.of(record)
        stamp, cause = values.pop("stamp", ""), values.pop("cause", None)
        row: dict[str, object] = {
            "@timestamp": _time_of(record),
            "log.level": record.levelname.lower(),
            "message": record.getMessage() if hasattr(record, "values") else redacted(record.getMessage()),
            "log.logger": record.name,
            **self._always,
            **({"event.action": record.event} if hasattr(record, "event") else {}),
            **({"trace.id": stamp} if stamp else {}),
            **({} if cause is None else {"error.message": cause}),
            **({"error.stack_trace": redacted(self.formatException(record.exc_info))} if record.exc_info else {}),
            **{f"gridpilot.{name}": value for name, value in values.items()},
        }
        return without(_encode(row), self._whose.known)


_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


def configure(
    level: str, file: Path | None = None, *, json_file: Path | None = None, whose: Whose | None = None
) -> None:
    """Send events to stdout and to files.

    Warnings of the libraries that we use go the same way, so that nothing passes by the redaction.

    Args:
        level: the least that is logged.
        file: for people.
        json_file: for machines.
        whose: is named in each line.
    """
    whose = whose or Whose(known=secrets_of(os.environ))
    line = _Line(whose)
    screen = logging.StreamHandler(sys.stdout)
    screen.addFilter(
        lambda record: not record.exc_info
    )  # a traceback is for the files: who reads here wants a sentence
    targets: list[tuple[logging.Handler, logging.Formatter]] = [(screen, line)]
    if file is not None:
        targets.append((logging.FileHandler(file, encoding="utf-8"), line))
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        targets.append((logging.FileHandler(json_file, encoding="utf-8", errors="replace"), _Json(whose)))
    logging.raiseExceptions = False  # a closed pipe or a full disk must not fill stderr, nor end the agent
    ours, strangers = logging.getLogger("gridpilot"), logging.getLogger()
    ours.setLevel(level)
    ours.propagate = False
    for target, formatter in targets:
        target.setFormatter(formatter)
        ours.addHandler(target)
        strangers.addHandler(target)
