"""What a directory is, and a look at it: each kind is one function that returns a panel."""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agents.errors import AgentError, ConfigurationError
from agents.jobs.job import Phase
from agents.local_wms.client import connect
from agents.local_wms.home import Home, LocalWmsError
from agents.observability import history, summary
from agents.observability.history import LEDGER, History, PastJob
from agents.redaction import redacted
from agents.site_director import figures
from agents.site_director.figures import QueueFigures
from agents.site_director.ledger import NAME, PilotLedger
from agents.site_director.pilots import Pilot, State
from gridpilot.top.panel import Panel, Table

_ENDPOINT, _DATABASE = "endpoint.json", "wms.sqlite"
_NEWEST = 100  # ended pilots
_SHORT = 8  # digits of a stamp, enough for `site-director why`
Look = Callable[[], Panel]
_HOLDING = (Phase.STAGING, Phase.SUBMITTING, Phase.RUNNING)


def looks_at(folder: Path) -> list[Look]:
    """Return what can be looked at in a directory; nothing where it is none of ours.

    A pilot of a local WMS works in `pilot` in its directory, if it is told nothing else (`gridpilot wms pilot`).
    """
    found: list[Look] = []
    if (folder / _ENDPOINT).exists() or (folder / _DATABASE).exists():
        found += [lambda: _wms(folder), *looks_at(folder / "pilot")]
    if (folder / LEDGER).is_file():
        found.append(lambda: _seen("slot", folder, _slot))
    if (folder / NAME).is_file():
        found.append(lambda: _seen("site-director", folder, _director))
    return found


def _seen(kind: str, folder: Path, look: Callable[[Path], Panel]) -> Panel:
    """Look at it; what cannot be seen now, which may pass, is a panel that says why."""
    try:
        return look(folder)
    except AgentError as error:
        return Panel(kind=kind, title=f"{kind}: {folder}", trouble=redacted(str(error)))


def _wms(folder: Path) -> Panel:
    try:
        with connect(Home(folder).read_endpoint()) as client:
            sheet: dict[str, Any] = client.sheet()
    except LocalWmsError as error:
        return Panel(kind="wms", title=f"local WMS: {folder}", trouble=str(error))
    return Panel(
        kind="wms",
        title=f"local WMS: {folder}",
        counts=sheet["counts"],
        tables=(
            Table(
                head=("job", "name", "status", "detail"),
                rows=list(map(_wms_job, sheet["jobs"])),
                total=sheet["found"],
                nothing="no jobs",
            ),
            Table(
                head=("pilot", "status", "queue", "job", "changed"),
                rows=list(map(_wms_pilot, sheet["pilots"])),
                total=sum(sheet["pilot_counts"].values()),
                nothing="no pilots",
            ),
        ),
    )


def _wms_job(row: Sequence[Any]) -> tuple[object, ...]:
    job, name, _owner, status, minor, application, _site, _changed, why_waiting = row
    return job, name, status, why_waiting or _said(minor, application)


def _wms_pilot(row: Sequence[Any]) -> tuple[object, ...]:
    reference, status, _reason, _site, _destination, queue, job, changed, _stamp = row
    return reference, status, queue, job or "", _clock(changed)


def _said(minor: str, application: str) -> str:
    return minor if application in ("", "Unknown") else f"{minor}: {application}"


def _clock(moment: str) -> str:
    """Return the time of day of a moment as the WMS writes it."""
    return moment.replace("T", " ").partition(" ")[2][:8] or moment


def _slot(folder: Path) -> Panel:
    now_s = time.time()
    seen = history.read(folder, now_s)
    jobs = sorted(seen.jobs, key=_urgency)
    held = sum(one.processors for one in jobs if one.job.phase in _HOLDING)
    phases = [str(one.job.phase) for one in jobs if one.job.phase is not Phase.CLOSED]
    outcomes = [str(one.outcome) for one in jobs if one.job.phase is Phase.CLOSED and one.outcome]
    rows = [_job(one, now_s if seen.is_alive else seen.ended_s) for one in jobs]
    return Panel(
        kind="slot",
        title=_of_slot(folder, seen, held),
        counts={word: words.count(word) for words in (phases, outcomes) for word in dict.fromkeys(words)},
        tables=(
            Table(
                head=("job", "name", "phase", "status", "procs", "wall", "detail"),
                rows=rows,
                total=len(rows),
                nothing="no job yet" if seen.is_alive else "no job was matched",
            ),
        ),
    )


def _of_slot(folder: Path, seen: History, held: int) -> str:
    whole = len(summary.processor_ids(seen))
    name = seen.about.get("site") or folder
    if not seen.is_alive:
        return f"slot: {name}; its agent has ended: {seen.reason or 'it did not say why'}"
    why = f", free: {seen.idle[-1][1]}" if seen.idle and held < whole else ""
    return f"slot: {name}, {held} of {whole} processors held{why}, for {duration(seen.ended_s - seen.started_s)}"


def _urgency(one: PastJob) -> tuple[int, float]:
    """Sort those in hand first, then those that did not end well, the newest first."""
    if one.job.phase is not Phase.CLOSED:
        return 0, one.matched_s
    return (2 if one.outcome == "Done" else 1), -one.closed_s


def _job(one: PastJob, now_s: float) -> tuple[object, ...]:
    job = one.job
    since = None if not one.has_run else now_s - one.run_from_s if job.phase is Phase.RUNNING else job.wall_s
    wall = "" if since is None else duration(since)
    why = job.end.application_status if job.end and one.outcome != "Done" else ""
    said = redacted(_said(job.minor_status, why))
    return job.job_id, redacted(job.name), job.phase, job.status, one.processors or "", wall, said


def _director(folder: Path) -> Panel:
    now_s, ledger = time.time(), PilotLedger(folder / NAME)
    try:
        queues, pilots = figures.of_queues(ledger, now_s), [*ledger.open(), *ledger.ended(_NEWEST)]
        decided_s, plan = figures.last_plan(ledger)
        counts = ledger.counts()
    finally:
        ledger.close()
    last = f", decided {duration(now_s - decided_s)} ago" if decided_s else ""
    lack = f"; {plan['lack']:.0f} processors lacking" if "lack" in plan else ""
    states = {state: sum(n for (_, each), n in counts.items() if each == state) for state in State}
    return Panel(
        kind="site-director",
        title=f"SiteDirector: {folder}{last}{lack}",
        counts={state: number for state, number in states.items() if number},
        tables=(_queues(queues), _pilots(pilots, sum(counts.values()), now_s)),
    )


def _queues(found: Sequence[QueueFigures]) -> Table:
    rows = [
        (
            each.name,
            sum(number for state, number in each.states.items() if state not in ("Running", *_ENDED)),
            each.states.get("Running", 0),
            sum(each.states.get(state, 0) for state in _ENDED),
            duration(statistics.median(each.waits_s)) if each.waits_s else "",
            redacted("; ".join(filter(None, (f"held {each.held}" if each.held else "", each.trouble)))),
        )
        for each in found
    ]
    head = ("queue", "waiting", "running", "ended", "wait", "detail")
    return Table(head=head, rows=rows, total=len(rows), nothing="no queue is known yet")


_ENDED = tuple(str(state) for state in State if state.is_final)


def _pilots(found: Sequence[Pilot], total: int, now_s: float) -> Table:
    rows = [
        (
            pilot.stamp[:_SHORT],
            pilot.queue,
            pilot.state,
            pilot.jobs,
            duration((pilot.ended_s or now_s) - (pilot.started_s or pilot.submitted_s or pilot.decided_s)),
            redacted(pilot.why),
        )
        for pilot in found
    ]
    head = ("pilot", "queue", "status", "jobs", "for", "detail")
    return Table(head=head, rows=rows, total=total, nothing="no pilots")


def duration(seconds: float) -> str:
    """Return a length of time in at most seven characters."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    hours = whole // 3600
    return f"{hours}h{whole % 3600 // 60:02d}m" if hours < 100 else f"{hours // 24} days"


def nothing_in(folders: Sequence[Path]) -> ConfigurationError:
    """Return the error that says that there is nothing to look at."""
    told = ", ".join(map(str, folders))
    return ConfigurationError(
        f"{told}: nothing to watch; expected the directory of a local WMS, of a pilot or of a SiteDirector"
    )
