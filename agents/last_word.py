"""`agent_end.json`: why the last agent in a work directory ended, for its pilot and for people."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from agents.log import EventLog
from agents.redaction import redacted

log = EventLog("agent")

END_FILE = "agent_end.json"  # the pilot reads it: pilot/agent/launch.py


def leave(work_dir: Path, reason: str, exit_code: int, counts: Mapping[str, int] | None = None) -> None:
    """Write the word, whole or not at all.

    Args:
        work_dir: of the agent.
        reason: one sentence.
        exit_code: of the agent.
        counts: of jobs; None where an error has kept them from being told.
    """
    word = {"reason": redacted(reason), "exit_code": int(exit_code), **(counts or {})}
    aside = work_dir / f"{END_FILE}.new"
    try:
        aside.write_text(json.dumps(word, indent=2) + "\n", encoding="utf-8")
        aside.replace(work_dir / END_FILE)
    except OSError as error:  # the disk may be why it ended
        log.warning("agent.no_last_word", file=aside, cause=error.strerror)


def forget(work_dir: Path) -> None:
    """Remove the word of an earlier agent: the file is about the last one."""
    with suppress(OSError):
        (work_dir / END_FILE).unlink()


def read(work_dir: Path) -> str | None:
    """Return the reason that the last agent gave; None when it has left no word."""
    try:
        return redacted(str(json.loads((work_dir / END_FILE).read_text(encoding="utf-8"))["reason"]))
    except (OSError, ValueError, KeyError, TypeError):  # it lives, or died before it could write
        return None
