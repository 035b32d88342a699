"""Log events: a constant word, and the values beside it. Secrets are neither."""

import logging
import sys
import time
from pathlib import Path


class _Line(logging.Formatter):
    """DIRAC's pilot log line: UTC time with microseconds, level, origin, message."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002 - logging's
        """Return the time as `2026-01-02T03:04:05.678901Z`."""
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{whole}.{int(record.created % 1 * 1e6):06d}Z"


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
            shown = " ".join(f"{name}={_shown(value)}" for name, value in values.items())
            self._logger.log(level, "%s", f"{event} {shown}".rstrip())


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    is_plain = text.isprintable() and not any(c in " =" for c in text)  # no line ends, no terminal's escapes
    return text if text and is_plain else repr(text)


def configure(level: str, file: Path | None = None) -> None:
    """Send events to stdout, and to a file when one is given."""
    formatter = _Line("%(asctime)s %(levelname)s [%(name)s] %(message)s")
    targets: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if file is not None:
        targets.append(logging.FileHandler(file, encoding="utf-8"))
    logging.raiseExceptions = False  # a closed pipe or a full disk must not fill stderr, nor end the agent
    root = logging.getLogger("gridpilot")
    root.setLevel(level)
    root.propagate = False
    for target in targets:
        target.setFormatter(formatter)
        root.addHandler(target)
