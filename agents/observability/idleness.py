"""Why processors of a slot had no job: each core second without one, by the reason that the agent noted."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from agents.observability.history import AgentLife, History
from agents.observability.summary import held_span
from agents.slot.idle import Idle

Mark = tuple[float, str]  # from when on, and why


def by_reason(history: History, processors: int) -> dict[str, float]:
    """Return core seconds without a job, most first; empty where the ledger's version noted no reasons."""
    if history.idle is None or not history.lives:
        return {}
    changes: dict[float, int] = {history.started_s: processors, history.ended_s: 0}
    for one in history.jobs:
        from_s, _, to_s = held_span(history, one)
        changes[from_s] = changes.get(from_s, 0) - one.processors
        changes[to_s] = changes.get(to_s, 0) + one.processors
    found: dict[str, float] = {}
    free, why, reasons = 0, str(Idle.ASKING), dict(_marks(history.lives, history.idle))
    for moment, following in pairwise(sorted({*changes, *(at for at in reasons if at < history.ended_s)})):
        free, why = free + changes.get(moment, 0), reasons.get(moment, why)
        if free > 0 and moment >= history.started_s:
            found[why] = found.get(why, 0.0) + free * (following - moment)
    return dict(sorted(found.items(), key=lambda each: -each[1]))


def _marks(lives: Sequence[AgentLife], noted: Sequence[Mark]) -> Iterator[Mark]:
    """Yield from when on which reason counts: each agent begins by asking, and between two of them there is none."""
    for number, life in enumerate(lives):
        ends_s = lives[number + 1].started_s if number + 1 < len(lives) else float("inf")
        ours = [(at_s, why) for at_s, why in noted if life.started_s <= at_s < ends_s]
        yield life.started_s, Idle.ASKING
        yield from ours
        if ends_s < float("inf"):
            yield max([life.seen_s, *(at_s for at_s, _ in ours)]), Idle.NO_AGENT
