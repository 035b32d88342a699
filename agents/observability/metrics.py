"""Metrics for Prometheus: a file for node_exporter's textfile collector, and HTTP on loopback.

Imported only where metrics are wanted: it needs prometheus_client, which costs the agent about a megabyte.
"""

import os
import re
import resource
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import psutil
from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from agents.log import EventLog
from agents.observability.counters import BUCKETS_S, Counts, Durations, Snapshot
from agents.observability.shared_file import PUBLIC, leave_file
from ce_backends.linux.loop import Loop

log = EventLog("metrics")

LOOPBACK = "127.0.0.1"
_EVERY_S = 15.0  # node_exporter is asked about as often
_CLOSE_S = 5.0  # for the file that may be written just now
_Points = Iterable[tuple[tuple[str, ...], float]]  # the labels beside the pilot, and the value
_INFO = ("site", "ce", "queue", "host", "version")


class AgentCollector(Collector):  # type: ignore[misc] # optional, so mypy does not know it
    """Shows the counts in Prometheus' words. One label, the pilot, tells agents of one node apart."""

    def __init__(self, counts: Counts, about: Mapping[str, object], pilot: str) -> None:
        self._counts = counts
        self._about = about
        self._pilot = pilot

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics as they are now."""
        counts = self._counts.copy()
        yield from self._process(counts)
        if counts.snapshot:
            yield from self._snapshot(counts.snapshot)
        yield self._counter(
            "jobs_closed",
            "Jobs that ended and of which the WMS has heard all.",
            counts.ended.items(),
            ("status", "blame"),
        )
        yield self._counter("core_seconds", "Core time that closed jobs held, by use.", _by(counts.core_s), ("use",))
        if counts.joules:
            yield self._counter("energy_joules", "Energy that closed jobs used.", _by(counts.joules), ("how",))
        if counts.co2_g:
            yield self._counter("carbon_dioxide_grams", "CO2 of that energy.", _one(counts.co2_g), ())
        yield self._counter("match_requests", "Requests to the Matcher, by answer.", _by(counts.matches), ("answer",))
        yield self._histogram("match_request_seconds", "Time to the Matcher's answer.", [((), counts.match_s)], ())
        yield self._histogram("job_phase_seconds", "Time that closed jobs took.", _by_phase(counts.phases), ("phase",))

    def _process(self, counts: Counts) -> Iterator[Metric]:
        info = {name: str(self._about.get(name, "")) for name in _INFO}
        yield self._gauge("info", "The agent and its slot.", [(tuple(info.values()), 1.0)], _INFO)
        yield self._gauge("start_time_seconds", "When the agent began, since 1970.", _one(counts.started_s))
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = _one(used.ru_utime + used.ru_stime)
        yield self._counter("agent_cpu_seconds", "CPU time of the agent itself.", cpu_s, ())
        resident = _one(psutil.Process().memory_info().rss)
        yield self._gauge("agent_resident_memory_bytes", "Resident memory of the agent itself.", resident)

    def _snapshot(self, snapshot: Snapshot) -> Iterator[Metric]:
        yield self._gauge(
            "seen_time_seconds", "When the agent last looked at its slot, since 1970.", _one(snapshot.seen_s)
        )
        yield self._gauge("slot_processors", "Processors of the slot.", _by(snapshot.processors), ("state",))
        yield self._gauge("jobs", "Jobs in hand.", _by(snapshot.jobs), ("phase",))
        yield self._gauge("reports_unsent", "Reports that the WMS has not accepted.", _one(snapshot.unsent))
        if snapshot.time_left_s is not None:
            yield self._gauge("slot_time_left_seconds", "Time to the end of the slot.", _one(snapshot.time_left_s))

    def _gauge(self, name: str, doc: str, points: _Points, labels: tuple[str, ...] = ()) -> Metric:
        family = GaugeMetricFamily(f"gridpilot_{name}", doc, labels=("pilot", *labels))
        for key, value in points:
            family.add_metric((self._pilot, *key), value)
        return family

    def _counter(self, name: str, doc: str, points: _Points, labels: tuple[str, ...]) -> Metric:
        family = CounterMetricFamily(f"gridpilot_{name}", doc, labels=("pilot", *labels))
        for key, value in points:
            family.add_metric((self._pilot, *key), value, created=None)
        return family

    def _histogram(
        self, name: str, doc: str, points: Iterable[tuple[tuple[str, ...], Durations]], labels: tuple[str, ...]
    ) -> Metric:
        family = HistogramMetricFamily(f"gridpilot_{name}", doc, labels=("pilot", *labels))
        for key, one in points:
            family.add_metric((self._pilot, *key), list(_buckets(one)), one.total_s)
        return family


def _one(value: float) -> _Points:
    return [((), value)]


def _by(values: Mapping[str, float]) -> _Points:
    return [((key,), value) for key, value in values.items()]


def _by_phase(phases: Mapping[str, Durations]) -> Iterable[tuple[tuple[str, ...], Durations]]:
    return [((name,), one) for name, one in phases.items()]


def _buckets(one: Durations) -> Iterator[tuple[str, float]]:
    """Yield the upper bounds with how many lie below each of them."""
    below = 0
    for bound, count in zip([*map(str, BUCKETS_S), "+Inf"], one.counts, strict=True):
        below += count
        yield bound, below


class Textfile:
    """A file for node_exporter's textfile collector, replaced whole every few seconds; gone at the end."""

    def __init__(self, directory: Path, registry: CollectorRegistry, pilot: str) -> None:
        self._file = directory / f"gridpilot-{re.sub(r'[^A-Za-z0-9.]+', '-', pilot)[-100:]}.prom"
        self._registry = registry
        self._is_failing = False
        self._loop = Loop(self._turn, "metrics")

    def start(self) -> None:
        """Begin to write."""
        self._loop.start()

    def write(self) -> None:
        """Write the file anew; a directory that cannot be written is said once."""
        try:
            leave_file(self._file, generate_latest(self._registry), PUBLIC)  # node_exporter is somebody else
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                log.warning("metrics.not_written", file=self._file, cause=error)
            self._is_failing = True

    def close(self) -> None:
        """End, and remove the file: what is not there any more needs no alarm."""
        self._loop.close(_CLOSE_S)
        try:
            self._file.unlink(missing_ok=True)
        except OSError as error:
            log.warning("metrics.not_removed", file=self._file, cause=error)

    def _turn(self) -> float:
        self.write()
        return _EVERY_S


class Exposition:
    """Metrics as they are asked for: by file, by HTTP, or both."""

    def __init__(self, counts: Counts, about: Mapping[str, object]) -> None:
        self._pilot = pilot = _name(about)
        self._registry = CollectorRegistry()
        self._registry.register(AgentCollector(counts, about, pilot))
        self._file: Textfile | None = None

    def serve(self, port: int) -> None:
        """Serve HTTP on this port of loopback, in a thread of the library; one that is taken costs the metrics only."""
        try:
            start_http_server(port, addr=LOOPBACK, registry=self._registry)
        except OSError as error:
            log.warning("metrics.not_served", port=port, cause=error)

    def keep_file(self, directory: Path) -> None:
        """Keep a file of metrics in a directory."""
        self._file = Textfile(directory, self._registry, self._pilot)
        self._file.start()

    def close(self) -> None:
        """Remove the file. HTTP ends with the process."""
        if self._file:
            self._file.close()


def _name(about: Mapping[str, object]) -> str:
    """Return what tells this agent from the others of its node."""
    pilot = str(about.get("pilot", ""))
    return pilot if pilot not in ("", "Unknown") else f"{about.get('host', '')}/{os.getpid()}"
