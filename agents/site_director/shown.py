"""What people see: how pilots stand, what would be submitted and why, why a pilot ended."""

import json
import time
from pathlib import Path

from agents.site_director import build, law, outputs, views
from agents.site_director import why_job as of_job
from agents.site_director.ledger import NAME, PilotLedger
from agents.site_director.pilots import Pilot, State
from agents.site_director.supply import Memory, Orders, WaitingJobs
from agents.site_director.views import Known, Past
from ce_backends import screen
from ce_backends.untrusted.text import visible

_MONITORING = "WorkloadManagement/JobMonitoring"
_NEWEST = 5
_TAIL_LINES = 15


def status(ledger: PilotLedger, *, as_json: bool) -> str:
    """Return how many pilots there are in each state, by queue, and what was thought of the CEs last."""
    counts, facts, holds = ledger.counts(), ledger.facts(), ledger.holds()
    queues = sorted({name for name, _ in counts} | set(holds))
    troubles = facts.get("ces")
    why = {name: str(troubles.get(name, "")) if isinstance(troubles, dict) else "" for name in queues}
    if as_json:
        told = {
            name: {
                "pilots": {state: number for (queue, state), number in counts.items() if queue == name},
                "trouble": why[name],
                "held": holds.get(name, ""),
            }
            for name in queues
        }
        return json.dumps({"queues": told, "unsent_reports": len(ledger.unsent()), "last_decision": facts}, indent=1)
    states = [state for state in State if any(counts.get((name, state)) for name in queues)]  # no column of zeros
    heads = ("queue", *states, "")
    rows = [(n, *(str(counts.get((n, state), 0)) for state in states), _trouble(n, why, holds)) for n in queues]
    return _aligned([heads, *rows])


def _trouble(name: str, why: dict[str, str], holds: dict[str, str]) -> str:
    return "; ".join(filter(None, (f"held {holds[name]}" if name in holds else "", visible(why[name]))))


def _aligned(table: list[tuple[str, ...]]) -> str:
    return "\n".join(screen.table(table))


def plan(given: build.Given, *, as_json: bool) -> str:
    """Return what the law says now, with what the ledger knows and the Matcher answers; nothing is done."""
    waiting, now_s = build.demand(given).ask(), time.time()
    pilots, past, holds = _remembered(given)
    known = Known(
        queues=given.queues,
        pilots=pilots,
        past=past,
        waiting=waiting,
        asked_s=now_s,
        are_jobs_known=True,
        start_up_s=given.settings.start_up_s,
        shut=holds,
        memory=Memory(),
    )
    orders = law.decide(views.situation(now_s, known), build.choice(given.settings))
    return _json(orders, waiting) if as_json else _text(given, orders, waiting, holds)


def _remembered(given: build.Given) -> tuple[list[Pilot], dict[str, Past], dict[str, str]]:
    if not (given.work_dir / NAME).is_file():
        return [], {}, {}
    ledger = PilotLedger(given.work_dir / NAME)
    try:
        past = {
            each.name: Past(waits_s=ledger.waits_s(each.name), outcomes=ledger.outcomes(each.name))
            for each in given.queues
        }
        return ledger.open(), past, ledger.holds()
    finally:
        ledger.close()


def _json(orders: Orders, waiting: list[WaitingJobs]) -> str:
    made = {
        "waiting": [{"jobs": w.jobs, "processors": w.processors, "queues": sorted(w.queues)} for w in waiting],
        "need": orders.need,
        "in_time": orders.in_time,
        "ready": orders.ready,
        "lack": orders.lack,
        "submit": dict(orders.submit),
        "queues": {name: {"lead_s": j.lead_s, "trust": j.trust} for name, j in orders.judged.items()},
    }
    return json.dumps(made, indent=1)


def _text(given: build.Given, orders: Orders, waiting: list[WaitingJobs], holds: dict[str, str]) -> str:
    lines = [
        f"{each.jobs} jobs of {each.processors} processors wait; they fit {len(each.queues)} queues" for each in waiting
    ]
    lines = lines or ["no job waits that fits any queue"]
    lines.append(
        f"processors: {orders.need} needed - {orders.in_time} on their way - {orders.ready} ready "
        f"= {orders.lack} lacking"
    )
    heads = ("queue", "processors", "expected wait s", "found work", "would get")
    rows = [
        (
            queue.name,
            str(queue.processors),
            f"{orders.judged[queue.name].lead_s:.0f}",
            f"{orders.judged[queue.name].trust:.0%}",
            "nothing: it is held" if queue.name in holds else f"{orders.submit.get(queue.name, 0)} pilots",
        )
        for queue in given.queues
    ]
    return "\n".join([*lines, _aligned([heads, *rows])])


def why_job(given: build.Given, job_id: int) -> str:
    """Return why no pilot comes for a job, or that one may."""
    troubles: dict[str, str] = {}
    if (given.work_dir / NAME).is_file():
        ledger = PilotLedger(given.work_dir / NAME)
        try:
            ces, holds = ledger.facts().get("ces"), ledger.holds()
        finally:
            ledger.close()
        said = ces if isinstance(ces, dict) else {}
        troubles = {
            queue.name: _trouble(queue.name, {queue.name: str(said.get(queue.name, ""))}, holds)
            for queue in given.queues
        }
    return _visible_lines(of_job.why(build.service(given, _MONITORING), job_id, given.queues, troubles))


def _visible_lines(text: str) -> str:
    """Return a text of several lines, each as `visible` shows it."""
    return "\n".join(map(visible, text.split("\n")))


def why(ledger: PilotLedger, subject: str, kept: Path) -> str:
    """Return why a pilot ended, by its stamp or the beginning of it; or of a queue, how its newest pilots did."""
    newest = ledger.newest(subject, _NEWEST)
    if newest:
        troubles = ledger.facts().get("ces")
        trouble = str(troubles.get(subject, "")) if isinstance(troubles, dict) else ""
        held = ledger.holds().get(subject)
        lines = [f"{subject} is held {held}"] if held else []
        lines += [f"{subject}: {visible(trouble)}"] if trouble else []
        return "\n".join([*lines, *(f"{pilot.stamp}  {_one(pilot)}" for pilot in newest)])
    found = [pilot for pilot in [*ledger.open(), *ledger.ended(10_000)] if pilot.stamp.startswith(subject)]
    if not found:
        return f"{subject}: no such pilot or queue"
    return "\n".join([_one(found[0]), *_tail(kept / found[0].stamp)])


def _one(pilot: Pilot) -> str:
    waited = f", waited {pilot.started_s - pilot.submitted_s:.0f} s" if pilot.started_s else ""
    jobs = f", {pilot.jobs} job{'' if pilot.jobs == 1 else 's'}"
    return f"{pilot.state}{waited}{jobs}{': ' + visible(pilot.why) if pilot.why else ''}"


def _tail(folder: Path) -> list[str]:
    """Return the last lines of what a pilot wrote."""
    lines = [visible(line) for line in outputs.tail(folder).splitlines()[-_TAIL_LINES:]]
    return lines or ["(its output is not here)"]
