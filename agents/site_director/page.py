"""The page of a SiteDirector: queues, waits, pilots that ran nothing, what each queue cost; one HTML file."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from agents.pages.parts import Column, Html, Page, joined, quiet, section, table, tiles
from agents.site_director import figures
from agents.site_director.figures import QueueFigures
from agents.site_director.ledger import PilotLedger
from agents.site_director.pilots import Pilot, State

_OPEN = [state for state in State if not state.is_final]
_NEWEST = 30


def text(ledger: PilotLedger, now_s: float) -> str:
    """Return the document; `now_s` is in seconds since 1970."""
    queues = figures.of_queues(ledger, now_s)
    at_s, plan = figures.last_plan(ledger)
    body = [
        Html("<h1>SiteDirector</h1>"),
        tiles(_sums(queues)),
        section("The last decision, in processors", _decision(at_s, plan)),
        section(f"Queues ({len(queues)})", _queues(queues) if queues else quiet("No queue has had a pilot yet.")),
        section("In trouble or held", _troubles(queues)),
        section("Pilots that ended last", _ended(ledger.ended(_NEWEST)), "long"),
    ]
    return Page(title="SiteDirector", body=joined(body)).text()


def _sums(queues: Sequence[QueueFigures]) -> Iterator[tuple[object, object, object]]:
    running, waiting = (sum(q.states[state] for q in queues) for state in (State.RUNNING, State.WAITING))
    ended, empty = sum(q.ended for q in queues), sum(q.ran_nothing for q in queues)
    yield "running", running, "pilots"
    yield "waiting", waiting, "pilots"
    yield "ran nothing", f"{empty / ended:.0%}" if ended else "–", f"{empty} of {ended} that ended"
    yield "processor hours", f"{sum(q.processor_s for q in queues) / 3600:.1f}", "held by pilots"
    yield "cost", f"{sum(q.cost for q in queues):.1f}", "processor hours times Price"


def _decision(at_s: float, plan: dict[str, float]) -> Html:
    if not at_s or not plan:
        return quiet("None yet, or what waits is not known.")
    said = "{need:.0f} needed − {in_time:.0f} on their way − {ready:.0f} ready = {lack:.0f} lacking"
    return quiet(f"{said.format(**plan)}, {_moment(at_s)}")


def _queues(queues: Sequence[QueueFigures]) -> Html:
    columns = [
        Column("queue"),
        *(Column(state.lower(), is_number=True) for state in _OPEN),
        Column("ended", is_number=True),
        Column("ran nothing", is_number=True),
        Column("wait, median s", is_number=True),
        Column("wait, 95 % s", is_number=True),
        Column("processor hours", is_number=True),
        Column("cost", is_number=True),
    ]
    rows = [
        (
            queue.name,
            *(queue.states[state] for state in _OPEN),
            queue.ended,
            queue.ran_nothing,
            _seconds(queue.wait_s(0.5)),
            _seconds(queue.wait_s(0.95)),
            f"{queue.processor_s / 3600:.1f}",
            f"{queue.cost:.1f}",
        )
        for queue in queues
    ]
    return table(columns, rows)


def _troubles(queues: Sequence[QueueFigures]) -> Html:
    said = [(q.name, "; ".join(filter(None, (f"held {q.held}" if q.held else "", q.trouble)))) for q in queues]
    rows = [row for row in said if row[1]]
    return table([Column("queue"), Column("why")], rows) if rows else quiet("None.")


def _ended(pilots: Sequence[Pilot]) -> Html:
    columns = [Column("pilot"), Column("queue"), Column("state"), Column("jobs", is_number=True), Column("ended")]
    rows = [(p.stamp[:8], p.queue, p.state, p.jobs, _moment(p.ended_s), p.why) for p in pilots]
    return table([*columns, Column("why")], rows) if rows else quiet("None yet.")


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _moment(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
