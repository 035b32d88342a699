"""Each queue in figures, from the ledger: waits, pilots that ran nothing, what it cost: for page and metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.site_director.ledger import PilotLedger
from agents.site_director.pilots import Pilot, State

_MOST = 10_000  # ended pilots, as many as the ledger keeps
_LATE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFigures:
    """What the ledger has of one queue.

    Attributes:
        name: `CE/QUEUE`.
        states: how many pilots are in each state.
        waits_s: from submission to start, of those that started, the shortest first.
        ended: of those that started, how many have ended.
        ran_nothing: how many of these had no job.
        processor_s: processor seconds that pilots have held.
        price: of a processor hour, beside that of others.
        trouble: what is wrong with its CE.
        held: why nothing is submitted there, empty where it is.
    """

    name: str
    states: Mapping[str, int]
    waits_s: Sequence[float]
    ended: int
    ran_nothing: int
    processor_s: float
    price: float
    trouble: str
    held: str

    @property
    def cost(self) -> float:
        """Processor hours times price."""
        return self.processor_s / 3600 * self.price

    def wait_s(self, share: float) -> float | None:
        """Return how long so large a share of the pilots waited at most; None where none has started."""
        return self.waits_s[min(len(self.waits_s) - 1, int(share * len(self.waits_s)))] if self.waits_s else None


def of_queues(ledger: PilotLedger, now_s: float) -> list[QueueFigures]:
    """Return all queues of which the ledger has a pilot, or that are held or known to the running director, by name."""
    facts, holds, counts = ledger.facts(), ledger.holds(), ledger.counts()
    troubles, prices = _mapping(facts.get("ces")), _mapping(facts.get("prices"))
    by_queue: dict[str, list[Pilot]] = {name: [] for name in (*troubles, *holds, *(name for name, _ in counts))}
    for pilot in [*ledger.open(), *ledger.ended(_MOST)]:
        by_queue.setdefault(pilot.queue, []).append(pilot)
    return [
        _figures(
            name,
            pilots,
            now_s,
            states={state: number for (queue, state), number in counts.items() if queue == name},
            price=_number(prices.get(name, 1.0)),
            trouble=str(troubles.get(name, "")),
            held=holds.get(name, ""),
        )
        for name, pilots in sorted(by_queue.items())
    ]


def _figures(
    name: str,
    pilots: Sequence[Pilot],
    now_s: float,
    *,
    states: Mapping[str, int],
    price: float,
    trouble: str,
    held: str,
) -> QueueFigures:
    started = [pilot for pilot in pilots if pilot.started_s]
    ended = [pilot for pilot in started if pilot.state.is_final]
    return QueueFigures(
        name=name,
        states={state: states.get(state, 0) for state in State},
        waits_s=sorted(max(0.0, pilot.started_s - pilot.submitted_s) for pilot in started if pilot.submitted_s),
        ended=len(ended),
        ran_nothing=sum(not pilot.jobs for pilot in ended),
        processor_s=sum(max(0.0, (p.ended_s or now_s) - p.started_s) * p.processors for p in started),
        price=price,
        trouble=trouble,
        held=held,
    )


def _mapping(fact: object) -> dict[str, object]:
    return fact if isinstance(fact, dict) else {}


def _number(fact: object) -> float:
    return float(fact) if isinstance(fact, int | float) else 1.0


def last_plan(ledger: PilotLedger) -> tuple[float, dict[str, float]]:
    """Return when the director last decided, in seconds since 1970 (0 for never), and the sum that it made then."""
    facts = ledger.facts()
    at_s, plan = facts.get("at_s"), _mapping(facts.get("plan"))
    names = ("need", "in_time", "ready", "lack")
    return _number(at_s) if isinstance(at_s, int | float) else 0.0, {n: _number(plan[n]) for n in names if n in plan}
