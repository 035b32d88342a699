"""A slot's history and summary as JSON: what `report --json` prints, and what the page holds."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from agents.observability import idleness
from agents.observability.history import History, PastJob
from agents.observability.summary import Summary, cpu_s, durations, held_span
from agents.redaction import without_secrets
from ce_backends.untrusted.text import visible

_ABOUT = ("site", "ce", "queue", "ce_type", "pilot", "host", "version", "memory_mb", "gpus", "power_hs06")


def history_as_json(history: History, summary: Summary) -> dict[str, object]:
    """Return everything, times in seconds and core time in core seconds, without secrets."""
    core_time = summary.core_time
    return {
        "slot": _slot(history, summary),
        "core_time_s": {name: round(value, 3) for name, value in asdict(core_time).items()},
        "cpu_efficiency": _rounded(core_time.efficiency),
        "idle_s": {why: round(core_s, 3) for why, core_s in _idle(history, summary).items()},
        "used_fraction": _rounded(core_time.held / core_time.total if core_time.total else None),
        "energy": asdict(summary.energy) if summary.energy else None,
        "outcomes": dict(summary.outcomes),
        "phases": [_rounded_all(asdict(phase)) for phase in summary.phases],
        "causes": without_secrets([_rounded_all(asdict(cause)) for cause in summary.causes]),
        "jobs": [_job(history, one) for one in history.jobs],
    }


def _idle(history: History, summary: Summary) -> dict[str, float]:
    return idleness.by_reason(history, len(summary.processor_ids))


def _slot(history: History, summary: Summary) -> dict[str, object]:
    return {
        **{name: history.about.get(name, "") for name in _ABOUT},
        "started": _iso(history.started_s),
        "ended": _iso(history.ended_s),
        "started_s": round(history.started_s, 3),
        "seconds": round(history.ended_s - history.started_s, 3),
        "processor_ids": list(summary.processor_ids),
        "agents": len(history.lives),
        "state": "working" if history.is_alive else "ended" if history.reason is not None else "lost",
        "reason": history.reason or "",
    }


def _job(history: History, one: PastJob) -> dict[str, object]:
    """Return one attempt; `from_s`, `run_s` and `to_s` count from the slot's beginning."""
    job, end = one.job, one.job.end
    from_s, run_from_s, to_s = (round(moment - history.started_s, 3) for moment in held_span(history, one))
    ran = (to_s - run_from_s) * one.processors
    used = cpu_s(history, one)
    words = {
        "owner": job.matched.owner,
        "group": job.matched.group,
        "minor_status": end.minor_status if end else job.minor_status,
        "cause": end.application_status if end else "",
    }
    return {
        "job_id": job.job_id,
        "name": without_secrets(visible(job.name)),
        "attempt": job.attempt,
        "outcome": str(one.outcome) if one.outcome else "in hand",
        "phase": str(job.phase),
        **{name: without_secrets(visible(word)) for name, word in words.items()},
        "blame": end.blame if end else None,
        "processor_ids": list(job.grant.processor_ids) if job.grant else [],
        "from_s": from_s,
        "run_s": run_from_s,
        "to_s": to_s,
        "phases_s": {name: round(took, 3) for name, took in durations(one).items()},
        "cpu_s": _rounded(job.cpu_s),
        "energy_wh": _rounded(job.energy.watt_hours if job.energy else None),
        "cpu_efficiency": None if used is None or not ran else _rounded(used / ran),
        "exit_code": job.exit_code,
    }


def _iso(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _rounded_all(values: Mapping[str, object]) -> dict[str, object]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in values.items()}
