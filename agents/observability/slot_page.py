"""The page of a slot: one HTML file that needs nothing else, for a browser with or without JavaScript."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from agents.observability import data_moved, idleness, timeline
from agents.observability.history import History
from agents.observability.summary import Cause, CoreTime, PhaseTimes, Summary
from agents.pages.parts import Column, Html, Page, joined, part, quiet, section, table, text, tiles
from agents.slot.idle import MEANINGS

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
    body = [
        _header(history, summary),
        section("What the processors did", _core_bar(summary.core_time)),
        section("Why processors were idle", _idle(history, summary)),
        *(_of_jobs(history, summary) if history.jobs else ()),
        section("Data moved", data_moved.table(history.moved)) if history.moved else "",
        section(f"Jobs ({len(history.jobs)})", _JOBS if history.jobs else _none(history), "long"),
    ]
    package = "agents.observability"
    return Page(
        title=_title(history),
        body=joined(body),
        styles=part(package, "slot.css"),
        script=part(package, "slot.js") if history.jobs else "",
        told=told,
    ).text()


def _of_jobs(history: History, summary: Summary) -> Iterator[Html]:
    yield section("Processors by job", _pictures(history, summary))
    yield Html('<div class="two">')
    yield section("Phases of the jobs", _phases(summary.phases))
    yield section("Why jobs did not end well", _causes(summary.causes))
    yield Html("</div>")


def _none(history: History) -> Html:
    """Say why there is no job."""
    if history.is_alive:
        return quiet("No job was matched so far.")
    return quiet(f"No job was matched. The agent {_ended(history)}.")


def _ended(history: History) -> str:
    return "ended without a word" if history.reason is None else f"ended: {history.reason.rstrip('.')}"


def _title(history: History) -> str:
    about = history.about
    return f"Slot at {about.get('site') or 'unknown site'}: {about.get('pilot') or 'no pilot'}"


# ---- the beginning ----


def _header(history: History, summary: Summary) -> Html:
    about = history.about
    place = joined((about[name] for name in ("site", "ce", "queue", "host") if about.get(name)), " · ")
    version = f" · gridpilot {text(about['version'])}" if about.get("version") else ""
    return Html(
        f"<header><h1>{place or 'Slot'}</h1><p class=pilot>{text(about.get('pilot') or '')}</p>"
        f"<p>{_lived(history)}{version}</p>{_tiles(history, summary)}</header>"
    )


def _lived(history: History) -> str:
    """Say from when to when the slot lived, and why it ended."""
    start = f"{datetime.fromtimestamp(history.started_s, UTC):%Y-%m-%d %H:%M:%S}"
    end = f"{datetime.fromtimestamp(history.ended_s, UTC):%Y-%m-%d %H:%M:%S}"
    if history.is_alive:
        how = "<b class=hand-text>works now</b>"
    elif history.reason is not None:
        how = f"ended: {text(history.reason)}"
    else:
        how = "<b class=failed-text>the agent ended without a word</b>, some time after that"
    agents = f" · {len(history.lives)} agents, one after another" if len(history.lives) > 1 else ""
    return f"{start} to {end} UTC · {how}{agents}"


def _tiles(history: History, summary: Summary) -> Html:
    core_time, processors = summary.core_time, len(summary.processor_ids)
    ended = [f"{count} {name}" for key, (_, name) in _OUTCOMES.items() if (count := summary.outcomes.get(key, 0))]
    told = [
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
    if summary.energy:
        co2 = "" if summary.energy.co2_g is None else f", {summary.energy.co2_g:.1f} g CO2"
        told.append(("Energy", f"{summary.energy.watt_hours:.3g} Wh", f"{summary.energy.source}{co2}"))
    return tiles(told)


# ---- core time ----


def _core_bar(core_time: CoreTime) -> Html:
    values = {name: float(getattr(core_time, name)) for name in _CORE_TIME}
    shown = {name: value for name, value in values.items() if value > 0}
    pieces = "".join(f'<i class="c-{name}" style="flex-grow:{value:.3f}"></i>' for name, value in shown.items())
    rows = "".join(
        _share(f"<i class='key c-{name}'></i>", name, _CORE_TIME[name], value, core_time.total)
        for name, value in values.items()
        if value > 0 or name in ("cpu", "idle")
    )
    return Html(f"<div class=bar>{pieces}</div><div class=scroll><table class=keys>{rows}</table></div>")


def _share(key: str, name: str, words: str, core_s: float, total: float) -> str:
    """Return a row: a part of the slot's core time."""
    return (
        f"<tr><td>{key}</td><td>{text(name)}</td><td class=more>{text(words)}</td>"
        f"<td class=n>{_core(core_s)}</td><td class=n>{_percent(core_s, total)}</td></tr>"
    )


def _idle(history: History, summary: Summary) -> Html:
    found, total = idleness.by_reason(history, len(summary.processor_ids)), summary.core_time.total
    if not found:
        return quiet(
            "No processor was idle." if history.idle is not None else "This version of the agent noted no reasons."
        )
    meanings = {str(why): meaning for why, meaning in MEANINGS.items()}
    rows = "".join(
        _share("<i class='key c-idle'></i>", why, meanings.get(why, ""), core_s, total) for why, core_s in found.items()
    )
    return Html(f"<div class=scroll><table class=keys>{rows}</table></div>")


# ---- the pictures ----


def _pictures(history: History, summary: Summary) -> Html:
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
    return Html(f"{_legend(summary)}{tools}<div class='pictures{crowd}' id=pictures>{drawn}</div>")


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


def _phases(phases: Sequence[PhaseTimes]) -> Html:
    if not any(phase.jobs for phase in phases):
        return quiet("No job has come through a phase.")
    longest = max((phase.total for phase in phases), default=0.0) or 1.0
    heads = ("", "phase", "jobs", "median", "95 %", "longest", "sum", "")
    columns = [Column(name, is_number=name in heads[2:7]) for name in heads]
    return table(columns, (_phase(number, phase, longest) for number, phase in enumerate(phases)), "times")


def _phase(number: int, phase: PhaseTimes, longest: float) -> Sequence[object]:
    values = (phase.median, phase.p95, phase.longest, phase.total)
    width = 100 * phase.total / longest
    return (
        Html(f"<i class='key p-{number}'></i>"),
        Html(f"<span title='{text(_PHASES[phase.name])}'>{text(phase.name)}</span>"),
        phase.jobs,
        *(_time(value) if phase.jobs else "–" for value in values),
        Html(f"<div class=share><i class='p-{number}' style='width:{width:.1f}%'></i></div>"),
    )


def _causes(causes: Sequence[Cause]) -> Html:
    if not causes:
        return quiet("No job ended otherwise than Done.")
    heads = ("", "cause", "has to act", "jobs", "core time")
    return table([Column(name, is_number=name in heads[3:]) for name in heads], map(_cause, causes), "causes")


def _cause(cause: Cause) -> Sequence[object]:
    kind, name = _OUTCOMES.get(str(cause.status), ("hand", ""))
    named = ", ".join(map(str, cause.jobs[:_JOBS_NAMED])) + (" …" if len(cause.jobs) > _JOBS_NAMED else "")
    example = f"<div class=more>{text(cause.example)}</div>" if cause.example not in ("", cause.minor_status) else ""
    return (
        Html(f"<i class='key {kind}' title='{name}'></i>"),
        Html(f"{text(cause.minor_status)}{example}<div class=more>job {named}</div>"),
        cause.blame or "nobody",
        len(cause.jobs),
        _core(cause.core_s),
    )


_JOBS = Html(
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
    if core_s < 60:
        return f"{core_s:.1f} core s"
    return f"{core_s / 3600:.1f} core h" if core_s >= 3600 else f"{core_s / 60:.1f} core min"


def _time(seconds: float) -> str:
    """Return a time with its unit, in three digits or so."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{minutes // 60} h {minutes % 60:02d} min"
