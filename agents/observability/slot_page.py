"""The page of a slot: one HTML file that needs nothing else, for a browser with or without JavaScript."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib import resources

from agents.observability import data_moved, timeline
from agents.observability.history import History
from agents.observability.summary import Cause, CoreTime, PhaseTimes, Summary
from agents.redaction import redacted
from ce_backends.untrusted.text import visible

_OUTCOMES = {
    "Done": ("done", "done"),
    "Failed": ("failed", "failed"),
    "Killed": ("killed", "killed"),
    "Rescheduled": ("back", "handed back"),
    "in hand": ("hand", "in hand"),
}
_CORE_TIME = {
    "cpu": "payloads computed",
    "waiting": "payloads held processors without computing",
    "unknown": "payloads whose CPU time is not known",
    "staging": "inputs, start of payloads",
    "idle": "no job",
}
_PHASES = {
    "match": "from the request to the Matcher's answer",
    "stage in": "grant, credential, input sandbox, start of the payload",
    "run": "the payload",
    "stage out": "output sandbox",
    "report": "until the WMS had accepted every report",
}
_TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)
_MOST_TICKS = 5  # what a telephone has room for; the script fills a wider window
_JOBS_NAMED = 8


def page(history: History, summary: Summary, told: Mapping[str, object]) -> str:
    """Return the page's text.

    Args:
        history: of the slot.
        summary: of the same.
        told: the same as JSON.
    """
    script = _part("page.js")
    checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{checksum}'"
    body = "".join(
        [
            _header(history, summary),
            _section("What the processors did", _core_bar(summary.core_time)),
            _section("Processors by job", _pictures(history, summary)),
            '<div class="two">',
            _section("Phases of the jobs", _phases(summary.phases)),
            _section("Why jobs did not end well", _causes(summary.causes)),
            "</div>",
            _section("Data moved", data_moved.table(history.moved)) if history.moved else "",
            _section(f"Jobs ({len(history.jobs)})", _JOBS),
        ]
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(_title(history))}</title><style>{_part('page.css')}</style></head>\n<body><main>{body}</main>"
        f'<div id="tip" hidden></div><script type="application/json" id="told">{_json(told)}</script>'
        f"<script>{script}</script></body></html>\n"
    )


def _part(name: str) -> str:
    return (resources.files("agents.observability") / name).read_text(encoding="utf-8")


def _json(told: Mapping[str, object]) -> str:
    """Return JSON that may stand in a script element whatever is in it."""
    return json.dumps(told, separators=(",", ":")).replace("<", "\\u003c")


def _text(value: object) -> str:
    return escape(visible(redacted(str(value))))


def _title(history: History) -> str:
    about = history.about
    return f"Slot at {about.get('site') or 'unknown site'}: {about.get('pilot') or 'no pilot'}"


def _section(heading: str, inner: str) -> str:
    return f"<section><h2>{heading}</h2>{inner}</section>"


# ---- the beginning ----


def _header(history: History, summary: Summary) -> str:
    about = history.about
    place = " · ".join(_text(about[name]) for name in ("site", "ce", "queue", "host") if about.get(name))
    return (
        f"<header><h1>{place or 'Slot'}</h1><p class=pilot>{_text(about.get('pilot') or '')}</p>"
        f"<p>{_lived(history)}</p>{_tiles(history, summary)}</header>"
    )


def _lived(history: History) -> str:
    """Say from when to when the slot lived, and why it ended."""
    start = f"{datetime.fromtimestamp(history.started_s, UTC):%Y-%m-%d %H:%M:%S}"
    end = f"{datetime.fromtimestamp(history.ended_s, UTC):%Y-%m-%d %H:%M:%S}"
    if history.is_alive:
        how = "<b class=hand-text>works now</b>"
    elif history.reason is not None:
        how = f"ended: {_text(history.reason)}"
    else:
        how = "<b class=failed-text>the agent ended without a word</b>, some time after that"
    agents = f" · {len(history.lives)} agents, one after another" if len(history.lives) > 1 else ""
    return f"{start} to {end} UTC · {how}{agents}"


def _tiles(history: History, summary: Summary) -> str:
    core_time, processors = summary.core_time, len(summary.processor_ids)
    ended = [f"{count} {name}" for key, (_, name) in _OUTCOMES.items() if (count := summary.outcomes.get(key, 0))]
    tiles = [
        ("Jobs", str(len(history.jobs)), ", ".join(ended) or "none was matched"),
        ("Core time used", _percent(core_time.held, core_time.total), f"{_core(core_time.held)} held by jobs"),
        ("CPU efficiency", _fraction(core_time.efficiency), "of the payloads whose CPU time is known"),
        ("Idle", _core(core_time.idle), f"of {_core(core_time.total)}"),
        (
            "Slot",
            _time(history.ended_s - history.started_s),
            f"{processors} processor{'' if processors == 1 else 's'}",
        ),
    ]
    return "<dl class=tiles>" + "".join(map(_tile, tiles)) + "</dl>"


def _tile(tile: tuple[str, str, str]) -> str:
    name, value, more = tile
    return f"<div><dt>{name}</dt><dd>{value}</dd><dd class=more>{more}</dd></div>"


# ---- core time ----


def _core_bar(core_time: CoreTime) -> str:
    values = {name: float(getattr(core_time, name)) for name in _CORE_TIME}
    shown = {name: value for name, value in values.items() if value > 0}
    pieces = "".join(f'<i class="c-{name}" style="flex-grow:{value:.3f}"></i>' for name, value in shown.items())
    rows = "".join(
        f"<tr><td><i class='key c-{name}'></i></td><td>{name}</td><td class=more>{_CORE_TIME[name]}</td>"
        f"<td class=n>{_core(value)}</td><td class=n>{_percent(value, core_time.total)}</td></tr>"
        for name, value in values.items()
        if value > 0 or name in ("cpu", "idle")
    )
    return f"<div class=bar>{pieces}</div><div class=scroll><table class=keys>{rows}</table></div>"


# ---- the pictures ----


def _pictures(history: History, summary: Summary) -> str:
    ids, seconds = summary.processor_ids, history.ended_s - history.started_s
    marks = timeline.troubles(history)
    rows = [
        (f"<span>{len(ids)}</span><span>0</span>", timeline.level(history, len(ids)), "level-labels"),
        ("", marks, ""),
        (_row_labels(ids), f"<div class=stage>{timeline.bars(history, ids)}{_NAMES}</div>", "row-labels"),
        ("", f"<div class=ticks>{''.join(_ticks(history.started_s, seconds))}</div>", ""),
    ]
    drawn = "".join(f'<div class="{kind}">{left}</div><div>{right}</div>' for left, right, kind in rows if right)
    tools = (
        "<div class=tools hidden><button id=out>whole slot</button><span>drag over the bars to look closer</span></div>"
    )
    crowd = " crowd" if len(history.jobs) > _CROWD * max(1, len(ids)) else ""
    return f"{_legend(summary)}{tools}<div class='pictures{crowd}' id=pictures>{drawn}</div>"


_NAMES = "<div id=names class=names></div>"  # the script writes on the bars which job each is
_CROWD = 60  # jobs on a processor, above which bars are too thin for gaps between them


def _legend(summary: Summary) -> str:
    keys = [
        f"<span><i class='key {kind}'></i>{name} {summary.outcomes[key]}</span>"
        for key, (kind, name) in _OUTCOMES.items()
        if summary.outcomes.get(key)
    ]
    if keys:
        keys.append("<span><i class='key done in'></i>fainter: inputs come, the payload starts</span>")
    return f"<p class=legend>{''.join(keys)}</p>"


def _row_labels(ids: Sequence[int]) -> str:
    height = timeline.row_height(len(ids))
    every = max(1, round(14 / height))
    return "".join(
        f'<span style="height:{height:g}px;line-height:{height:g}px">{number if place % every == 0 else ""}</span>'
        for place, number in enumerate(ids)
    )


def _ticks(started_s: float, seconds: float) -> Iterator[str]:
    """Yield times of day where a whole number of steps has passed since midnight."""
    step = next((step for step in _TICKS_S if seconds / step <= _MOST_TICKS), _TICKS_S[-1])
    moment = started_s - started_s % step + step
    while moment < started_s + seconds:
        form = "%H:%M:%S" if step < 60 else "%H:%M" if moment % 86400 else "%b %d"
        place = 100 * (moment - started_s) / seconds
        yield f'<span style="left:{place:.2f}%">{datetime.fromtimestamp(moment, UTC):{form}}</span>'
        moment += step


# ---- tables ----


def _phases(phases: Sequence[PhaseTimes]) -> str:
    longest = max((phase.total for phase in phases), default=0.0) or 1.0
    rows = "".join(
        f"<tr><td><i class='key p-{number}'></i></td><td title='{_PHASES[phase.name]}'>{phase.name}</td>"
        f"<td class=n>{phase.jobs}</td>{_times(phase)}"
        f"<td class=share><i class='p-{number}' style='width:{100 * phase.total / longest:.1f}%'></i></td></tr>"
        for number, phase in enumerate(phases)
    )
    heads = ("", "phase", "jobs", "median", "95 %", "longest", "sum", "")
    return f"<div class=scroll><table class=times>{_heads(heads)}{rows}</table></div>"


def _times(phase: PhaseTimes) -> str:
    values = (phase.median, phase.p95, phase.longest, phase.total)
    return "".join(f"<td class=n>{_time(value) if phase.jobs else '–'}</td>" for value in values)


def _causes(causes: Sequence[Cause]) -> str:
    if not causes:
        return "<p class=more>No job ended otherwise than Done.</p>"
    rows = "".join(map(_cause, causes))
    heads = ("", "cause", "has to act", "jobs", "core time")
    return f"<div class=scroll><table class=causes>{_heads(heads)}{rows}</table></div>"


def _cause(cause: Cause) -> str:
    kind, name = _OUTCOMES.get(str(cause.status), ("hand", ""))
    named = ", ".join(map(str, cause.jobs[:_JOBS_NAMED])) + (" …" if len(cause.jobs) > _JOBS_NAMED else "")
    example = f"<div class=more>{_text(cause.example)}</div>" if cause.example not in ("", cause.minor_status) else ""
    return (
        f"<tr><td><i class='key {kind}' title='{name}'></i></td><td>{_text(cause.minor_status)}{example}"
        f"<div class=more>job {named}</div></td><td>{cause.blame or 'nobody'}</td><td class=n>{len(cause.jobs)}</td>"
        f"<td class=n>{_core(cause.core_s)}</td></tr>"
    )


def _heads(names: Sequence[str]) -> str:
    numbers = ("jobs", "median", "95 %", "longest", "sum", "core time")
    return "<tr>" + "".join(f"<th{' class=n' if name in numbers else ''}>{name}</th>" for name in names) + "</tr>"


_JOBS = (
    "<noscript><p class=more>The table of jobs needs JavaScript; <code>gridpilot report --json</code> has the same."
    "</p></noscript><div id=jobs></div>"
)


# ---- words for numbers ----


def _percent(part: float, whole: float) -> str:
    return _fraction(part / whole if whole > 0 else None)


def _fraction(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _core(core_s: float) -> str:
    """Return core time with its unit."""
    return f"{core_s / 3600:.1f} core h" if core_s >= 3600 else f"{core_s / 60:.1f} core min"


def _time(seconds: float) -> str:
    """Return a time with its unit, in three digits or so."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{minutes // 60} h {minutes % 60:02d} min"
