"""Who sees the agent's work from outside: its ledger, Prometheus, OpenTelemetry. None of them can cost a job."""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agents.jobs.job import Job
from agents.jobs.ledger import Ledger
from agents.log import EventLog
from agents.observability.agent_run import AgentRun, about
from agents.observability.counters import CountedMatcher, Counts, Snapshot
from agents.observability.history import PastJob, parse_moments
from agents.runner.job_runner import JobRunner
from agents.settings.agent import AgentSettings
from agents.settings.observability import ObservabilitySettings
from agents.slot.allocation import Slot
from agents.slot.time_left import TimeLeft
from agents.wms.matcher import Asks

if TYPE_CHECKING:
    from agents.observability.metrics import Exposition
    from agents.observability.tracing import Traces

log = EventLog("agent")

# OpenTelemetry's own variables
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Closes(Protocol):
    """Something that has to be closed."""

    def close(self) -> None:
        """End it."""


class Observers:
    """They are told what happens, and shown how things stand.

    Args:
        ledger: tells of each job when it is closed.
        life: of this agent.
        counts: None where nobody wants metrics.
        watch_closed: are told of each closed job.
        others: are closed at the end.
    """

    def __init__(
        self,
        ledger: Ledger,
        life: AgentRun,
        counts: Counts | None,
        watch_closed: Sequence[Callable[[PastJob], object]],
        others: Sequence[Closes],
    ) -> None:
        self.life = life
        self._ledger = ledger
        self._counts = counts
        self._watch_closed = watch_closed
        self._others = others

    def attend(self) -> None:
        """Begin to hear of closed jobs."""
        if self._watch_closed:
            self._ledger.notify(self._closed)

    def _closed(self, job: Job) -> None:
        began = parse_moments(self._ledger.moments(job))
        one = PastJob(job=job, began=began, now_s=time.time())
        for told in self._watch_closed:
            told(one)

    def counted(self, matcher: Asks) -> Asks:
        """Return a Matcher whose requests are counted, where that is wanted."""
        return CountedMatcher(matcher, self._counts) if self._counts else matcher

    def each_turn(
        self, before: Callable[[], None], slot: Slot, runner: JobRunner, time_left: TimeLeft
    ) -> Callable[[], None]:
        """Return what is to be done at each turn of the main loop, after what was to be done before."""
        counts = self._counts
        if counts is None:
            return before

        def turn() -> None:
            before()
            counts.look(lambda: snapshot(slot, runner, time_left, self._ledger.count_unsent()))

        return turn

    def close(self) -> None:
        """End them."""
        for other in self._others:
            other.close()


def snapshot(slot: Slot, runner: JobRunner, time_left: TimeLeft, unsent: int) -> Snapshot:
    """Return how the slot stands."""
    free = slot.free_processors
    return Snapshot(
        processors={"free": free, "held": slot.processors - free, "broken": slot.broken_processors},
        jobs=Counter(str(job.phase) for job in runner.jobs.all),
        time_left_s=time_left.seconds() if time_left.is_known else None,
        unsent=unsent,
    )


def begin(ledger: Ledger, settings: AgentSettings, slot: Slot, pilot_pid: int) -> Observers:
    """Note the agent's life, and start what is wanted beside it."""
    known = about(settings, slot, pilot_pid)
    life = AgentRun(ledger, known)
    counts = Counts()
    shown, sent = _metrics(counts, settings, known), _traces(settings, known)
    watch_closed: list[Callable[[PastJob], object]] = [counts.closed] if shown else []
    watch_closed += [sent.closed] if sent else []
    made = Observers(ledger, life, counts if shown else None, watch_closed, [one for one in (shown, sent) if one])
    made.attend()
    return made


def _metrics(counts: Counts, settings: ObservabilitySettings, known: Mapping[str, object]) -> "Exposition | None":
    if not (settings.metrics_port or settings.metrics_directory):
        return None
    try:
        from agents.observability.metrics import Exposition  # noqa: PLC0415 - a megabyte that only its users pay for
    except ImportError as error:
        log.warning("metrics.off", cause=error, note="install it with: pip install 'gridpilot[metrics]'")
        return None
    shown = Exposition(counts, known)
    if settings.metrics_port:
        shown.serve(settings.metrics_port)
    if settings.metrics_directory:
        shown.keep_file(Path(settings.metrics_directory))
    return shown


def _traces(settings: ObservabilitySettings, known: Mapping[str, object]) -> "Traces | None":
    if not (settings.traces_endpoint or any(os.environ.get(name) for name in _ENDPOINTS)):
        return None
    try:
        from agents.observability.tracing import Traces, exporter  # noqa: PLC0415 - four megabytes that only its users pay for
    except ImportError as error:
        log.warning("traces.off", cause=error, note="install it with: pip install 'gridpilot[otel]'")
        return None
    return Traces(exporter(settings.traces_endpoint), known)
