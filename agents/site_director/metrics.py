"""Figures of queues as Prometheus reads them: text for node_exporter's folder of text files, by no library.

Source: the text format of Prometheus. All are gauges: they are of the pilots that the ledger keeps.
"""

from collections.abc import Iterable, Iterator

from agents.site_director import figures
from agents.site_director.ledger import PilotLedger

_PREFIX = "gridpilot_site_director"
_QUANTILES = (0.5, 0.95)
_PLAN = {"need": "needed", "in_time": "on_their_way", "ready": "ready", "lack": "lacking"}
_Sample = tuple[dict[str, str], float]


def text(ledger: PilotLedger, now_s: float) -> str:
    """Return all of them."""
    queues = figures.of_queues(ledger, now_s)
    at_s, plan = figures.last_plan(ledger)
    lines: list[str] = []

    def told(name: str, meaning: str, samples: Iterable[_Sample]) -> None:
        lines.extend(_family(f"{_PREFIX}_{name}", meaning, list(samples)))

    told(
        "pilots",
        "Pilots by queue and state.",
        (({"queue": q.name, "state": state}, number) for q in queues for state, number in q.states.items()),
    )
    told(
        "wait_seconds",
        "From submission to start of a pilot.",
        (
            ({"queue": q.name, "quantile": str(share)}, wait_s)
            for q in queues
            for share in _QUANTILES
            if (wait_s := q.wait_s(share)) is not None
        ),
    )
    told("ended_pilots", "Pilots that ran and have ended.", (({"queue": q.name}, q.ended) for q in queues))
    told("empty_pilots", "Of these, pilots that had no job.", (({"queue": q.name}, q.ran_nothing) for q in queues))
    told("processor_seconds", "Held by pilots.", (({"queue": q.name}, q.processor_s) for q in queues))
    told("cost", "Processor hours times the queue's Price.", (({"queue": q.name}, q.cost) for q in queues))
    told("in_trouble", "1 while its CE fails.", (({"queue": q.name}, bool(q.trouble)) for q in queues))
    told("held", "1 while it is held by hand.", (({"queue": q.name}, bool(q.held)) for q in queues))
    told("unsent_reports", "What the WMS has not accepted yet.", [({}, len(ledger.unsent()))])
    told("decided_time_seconds", "When it last decided, since 1970.", [({}, at_s)])
    told("processors", "The last decision's sum.", (({"what": _PLAN[name]}, value) for name, value in plan.items()))
    return "\n".join(lines)


def _family(name: str, meaning: str, samples: list[_Sample]) -> Iterator[str]:
    if samples:
        yield f"# HELP {name} {meaning}"
        yield f"# TYPE {name} gauge"
    for labels, value in samples:
        inner = ",".join(f'{label}="{_escaped(word)}"' for label, word in labels.items())
        yield f"{name}{{{inner}}} {float(value):.10g}" if inner else f"{name} {float(value):.10g}"


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
