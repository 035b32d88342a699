"""`report`: the page of a slot, or the same as JSON, out of its ledger."""

import json
import re
from pathlib import Path

from agents.errors import ConfigurationError
from agents.log import EventLog
from agents.observability import explain, summary
from agents.observability.history import History, read
from agents.observability.history_json import history_as_json
from agents.observability.shared_file import PRIVATE, PUBLIC, leave_file
from agents.observability.slot_page import page
from agents.observability.summary import Summary
from ce_backends import screen

log = EventLog("agent")
_EXPLAINED = 500  # jobs of which the page has all that `explain` says: a page of megabytes is read by nobody


def as_json(work_dir: Path) -> str:
    """Return the numbers of a slot and its jobs for programs.

    Raises:
        ConfigurationError: no agent has worked here.
    """
    history = read(work_dir)
    return json.dumps(history_as_json(history, summary.of(history)), indent=1)


def write(work_dir: Path, file: Path, mode: int = PRIVATE) -> str:
    """Write the page of a slot; return in a sentence or two what it shows.

    Raises:
        ConfigurationError: no agent has worked here, or the file cannot be written.
    """
    history = read(work_dir)
    found = summary.of(history)
    told = {**history_as_json(history, found), "explains": explain.of_jobs(work_dir, _EXPLAINED)}
    try:
        leave_file(file, page(history, found, told).encode(), mode)
    except OSError as error:
        raise ConfigurationError(f"{file}: the page cannot be written: {error.strerror}; name another: -O") from error
    return f"{file}\n{screen.wrapped(_summary(history, found))}"


def leave(work_dir: Path, directory: Path, pilot: str) -> None:
    """Leave the page where the site keeps such pages; that it cannot be written costs nothing else."""
    file = directory / f"slot-{re.sub(r'[^A-Za-z0-9.]+', '-', pilot)[-100:]}.html"
    try:
        write(work_dir, file, PUBLIC)  # the site reads it, as somebody else
    except ConfigurationError as error:
        log.warning("slot_report.not_written", cause=error)


def _summary(history: History, found: Summary) -> str:
    ended = ", ".join(f"{count} {name}" for name, count in found.outcomes.items() if count) or "none"
    core_time = found.core_time
    used = f"{100 * core_time.held / core_time.total:.1f} %" if core_time.total else "nothing"
    efficiency = "unknown" if core_time.efficiency is None else f"{100 * core_time.efficiency:.1f} %"
    return (
        f"jobs: {len(history.jobs)} ({ended}); jobs held {used} of {core_time.total / 3600:.2f} core hours; "
        f"CPU efficiency: {efficiency}" + (f"; payloads used {found.energy}" if found.energy else "")
    )
