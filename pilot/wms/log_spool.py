"""Log files as the spool of the remote log: what was not accepted yet is still in them, whatever dies.

How far each file was accepted is in `remote_log.json` beside them, with the stamp of the pilot whose lines they are.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pilot import strict_json

STATE = "remote_log.json"
BATCH_BYTES = 512 * 1024
BACKLOG_BYTES = 16 * 1024 * 1024  # of one file; what a longer outage leaves is not all sent


@dataclass(frozen=True)
class Batch:
    """Lines of one pilot that belong together, and where the files stand once they are accepted."""

    stamp: str
    lines: Sequence[str]
    offsets: tuple[tuple[str, int], ...]


class Spool:
    """The log files of a work folder, read from where the service has accepted them."""

    def __init__(self, folder: Path, stamp: str, names: Sequence[str], batch_lines: int) -> None:
        """Begin before anything is written for this stamp: what is there now belongs to earlier pilots."""
        self._folder = folder
        self._stamp = stamp
        self._names = names
        self._batch_lines = max(1, batch_lines)
        known_stamp, known = _read_state(folder / STATE)
        now = {name: _size(folder / name) for name in names}
        self._accepted = {name: min(known.get(name, now[name]), now[name]) for name in names}
        # lines of a pilot that died are sent under its own stamp, those of this one after them
        self._earlier_stamp = known_stamp or stamp
        self._begins = dict.fromkeys(names, 0) if self._earlier_stamp == stamp else now

    def next(self) -> Batch | None:
        """Return the next lines to be sent, None when all are accepted."""
        for name in self._names:
            begins, accepted = self._begins[name], self._accepted[name]
            is_earlier = accepted < begins
            found = self._read(name, begins if is_earlier else None)
            if found:
                lines, offset = found
                stamp = self._earlier_stamp if is_earlier else self._stamp
                return Batch(stamp, lines, ((name, offset),))
        return None

    def accept(self, batch: Batch) -> None:
        """Note that the service has these lines."""
        self._accepted.update(dict(batch.offsets))
        has_earlier = any(self._accepted[name] < self._begins[name] for name in self._names)
        stamp = self._earlier_stamp if has_earlier else self._stamp
        aside = self._folder / f"{STATE}.new"
        with contextlib.suppress(OSError):  # the worst is that lines are sent twice
            aside.write_text(json.dumps({"stamp": stamp, "accepted": self._accepted}), encoding="utf-8")
            aside.replace(self._folder / STATE)

    def _read(self, name: str, until: int | None) -> tuple[list[str], int] | None:
        """Return whole lines after what was accepted, and where they end."""
        start = self._accepted[name]
        try:
            with (self._folder / name).open("rb") as file:
                skipped = file.seek(0, 2) - start - BACKLOG_BYTES
                start += max(0, skipped)
                file.seek(start)
                content = file.read(BATCH_BYTES if until is None else min(BATCH_BYTES, until - start))
        except OSError:  # not there yet
            return None
        pieces = _pieces(content, is_all=until is not None or len(content) == BATCH_BYTES)[: self._batch_lines]
        if not pieces:
            return None
        lines = [piece.decode("utf-8", "replace") for piece in pieces]
        return [*_loss(skipped), *lines], start + sum(map(len, pieces))


def _pieces(content: bytes, *, is_all: bool) -> list[bytes]:
    """Return the lines, each with its end; what comes after the last end only if nothing more will."""
    *whole, rest = content.split(b"\n")
    lines = [line + b"\n" for line in whole]
    return [*lines, rest] if rest and (is_all and (not lines or len(content) < BATCH_BYTES)) else lines


def _loss(skipped: int) -> Iterator[str]:
    if skipped > 0:
        yield f"({skipped} bytes were lost here: the service was away for too long)\n"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read_state(path: Path) -> tuple[str, dict[str, int]]:
    try:
        told = strict_json.read(path.read_bytes())
        return str(told["stamp"]), {str(name): int(offset) for name, offset in told["accepted"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or one that a crash has damaged
        return "", {}
