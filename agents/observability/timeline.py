"""The picture of a slot: processors by job over time, and how many of them were held; scalable vector graphics."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from agents.jobs.job import JobStatus
from agents.observability.history import History, PastJob
from agents.observability.summary import held_span

LEVEL_HEIGHT = 64
_TALLEST, _LOWEST, _MOST_HEIGHT = 20.0, 3.0, 420.0  # of a row, and of all rows together, in CSS pixels
_KINDS: Mapping[JobStatus | None, str] = {
    JobStatus.DONE: "done",
    JobStatus.COMPLETED: "done",
    JobStatus.FAILED: "failed",
    JobStatus.KILLED: "killed",
    JobStatus.RESCHEDULED: "back",
    None: "hand",
}

Span = tuple[float, float, float]  # held from, runs from, held to: seconds since the slot's beginning


def kind(one: PastJob) -> str:
    """Return the word for a job's outcome in the page's style sheet."""
    return _KINDS.get(one.outcome, "hand")


def row_height(processors: int) -> float:
    """Return how high the row of one processor is, in CSS pixels."""
    return max(_LOWEST, min(_TALLEST, round(_MOST_HEIGHT / max(1, processors), 1)))


def bars(history: History, ids: Sequence[int]) -> str:
    """Return the timeline of processors by job: x in seconds since the slot's beginning, y in pixels."""
    height, row_of = row_height(len(ids)), {number: row for row, number in enumerate(ids)}
    drawn = "".join(
        _bars_of(number, kind(one), span, block, height)
        for number, one in enumerate(history.jobs)
        if one.job.grant
        for span in [_span(history, one)]
        for block in _blocks(sorted(row_of[number] for number in one.job.grant.processor_ids if number in row_of))
    )
    return _svg("bars", history, len(ids) * height, drawn)


def _bars_of(number: int, outcome: str, span: Span, block: tuple[int, int], height: float) -> str:
    """Draw what a job held of neighbouring processors: lighter while its inputs came, then while it ran."""
    from_s, run_s, to_s = span
    first, count = block
    place = f'y="{first * height:g}" height="{count * height:g}"'
    pieces = ((from_s, run_s, f"{outcome} in"), (run_s, to_s, outcome))
    return "".join(
        f'<rect class="{name}" data-j="{number}" x="{start:.2f}" width="{end - start:.2f}" {place}/>'
        for start, end, name in pieces
        if end - start >= _SHORTEST_S
    )


_SHORTEST_S = 0.005


def _blocks(rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield runs of neighbouring rows: the first, and how many."""
    first = 0
    for place in range(1, len(rows) + 1):
        if place == len(rows) or rows[place] != rows[place - 1] + 1:
            yield rows[first], place - first
            first = place


def level(history: History, processors: int) -> str:
    """Return how many processors jobs held over time, and how many of those ran a payload."""
    spans = [(_span(history, one), one.processors) for one in history.jobs if one.processors]
    held = _steps([(from_s, to_s, count) for (from_s, _, to_s), count in spans])
    ran = _steps([(run_s, to_s, count) for (_, run_s, to_s), count in spans])
    scale = LEVEL_HEIGHT / max(1, processors)
    drawn = f'<path class="held" d="{_area(held, scale)}"/><path class="ran" d="{_area(ran, scale)}"/>'
    return _svg("level", history, LEVEL_HEIGHT, drawn)


def _steps(spans: Iterable[tuple[float, float, int]]) -> list[tuple[float, int]]:
    """Return the moments at which the sum changes, and the sum from there on."""
    changes: dict[float, int] = {}
    for start, end, count in spans:
        changes[start] = changes.get(start, 0) + count
        changes[end] = changes.get(end, 0) - count
    moments = sorted(moment for moment, change in changes.items() if change)
    return list(zip(moments, accumulate(changes[moment] for moment in moments), strict=True))


def _area(steps: Sequence[tuple[float, int]], scale: float) -> str:
    def y(count: int) -> float:
        return round(LEVEL_HEIGHT - count * scale, 2)

    return f"M0 {LEVEL_HEIGHT}" + "".join(f"H{moment:.2f}V{y(count):g}" for moment, count in steps) + "Z"


def troubles(history: History) -> str:
    """Return a mark for each job that did not end well: such a one may be too short to be seen among thousands."""
    marks: dict[str, list[float]] = {}
    for one in history.jobs:
        if one.outcome and not one.outcome.is_success:
            marks.setdefault(kind(one), []).append(_span(history, one)[2])
    drawn = "".join(
        f'<path class="mark {name}" d="{"".join(f"M{moment:.2f} 0V10" for moment in moments)}"/>'
        for name, moments in sorted(marks.items())
    )
    return _svg("marks", history, 10, drawn) if marks else ""


def _span(history: History, one: PastJob) -> Span:
    from_s, run_s, to_s = held_span(history, one)
    return from_s - history.started_s, run_s - history.started_s, to_s - history.started_s


def _svg(name: str, history: History, height: float, drawn: str) -> str:
    seconds = max(history.ended_s - history.started_s, 0.1)
    return (
        f'<svg class="{name}" viewBox="0 0 {seconds:.2f} {height:g}" preserveAspectRatio="none" '
        f'style="height:{height:g}px" role="img" aria-label="{_LABELS[name]}">{drawn}</svg>'
    )


_LABELS = {
    "bars": "processors by job over time",
    "level": "processors held by jobs over time",
    "marks": "jobs that did not end well, at their end",
}
