"""Traces for OpenTelemetry: one of each job when it is closed, out of the ledger's times.

Imported only where traces are wanted: it needs the extra `gridpilot[otel]`.
"""

import os
import threading
from collections.abc import Mapping

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.util.types import AttributeValue

from agents import __version__
from agents.log import EventLog
from agents.observability.history import PastJob
from agents.observability.summary import PHASES, durations
from agents.redaction import redacted

log = EventLog("traces")

_EXPORT_S = 5  # for one try to send
_CLOSE_S = 5.0  # for what is left at the end


class _StampIds(RandomIdGenerator):  # type: ignore[misc] # optional, so mypy does not know it
    """Makes the job's stamp the number of its trace, so that a line of the log finds it."""

    def __init__(self) -> None:
        self.stamp = ""

    def generate_trace_id(self) -> int:
        """See IdGenerator."""
        return int(self.stamp, 16)


class Traces:
    """Sends a trace of each closed job; used by one thread, the sending is another's.

    Args:
        exporter: takes the spans away.
        about: the slot, see `agents.observability.agent_run.about`.
    """

    def __init__(self, exporter: SpanExporter, about: Mapping[str, object]) -> None:
        self._ids = _StampIds()
        self._provider = TracerProvider(resource=_resource(about), id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer: Tracer = self._provider.get_tracer("gridpilot", __version__)
        self._pilot_started_s = about.get("pilot_started_s")

    def closed(self, one: PastJob) -> None:
        """Hand a job's spans over. The first one also shows how long the pilot took to ask for it."""
        self._ids.stamp = one.job.stamp
        bootstrap_s, self._pilot_started_s = self._pilot_started_s, None
        is_first = isinstance(bootstrap_s, float) and bootstrap_s < one.asked_s
        start_s = bootstrap_s if is_first and isinstance(bootstrap_s, float) else one.asked_s
        root = self._tracer.start_span("job", start_time=_ns(start_s), attributes=_attributes(one))
        if is_first:
            self._child(root, "bootstrap", start_s, one.asked_s)
        took = durations(one)
        for name, (begin, end, _) in PHASES.items():
            if name in took:
                self._child(root, name, begin(one), end(one))
        if not (one.outcome and one.outcome.is_success) and one.job.end:
            root.set_status(Status(StatusCode.ERROR, redacted(one.job.end.application_status)))
        root.end(_ns(one.closed_s))

    def _child(self, root: Span, name: str, start_s: float, end_s: float) -> None:
        span = self._tracer.start_span(name, context=set_span_in_context(root), start_time=_ns(start_s))
        span.end(_ns(max(start_s, end_s)))

    def close(self) -> None:
        """Send what is left, for a few seconds at most: the slot may be going away.

        OpenTelemetry's own thread sends, and its end knows no deadline: this thread is one call with one, no Loop.
        """
        ending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(_CLOSE_S)
        if ending.is_alive():
            log.warning("traces.not_sent", after_s=_CLOSE_S)


def exporter(endpoint: str) -> SpanExporter:
    """Return what sends spans by OTLP over HTTP; without an endpoint OpenTelemetry's own variables say where to."""
    if not endpoint:
        return OTLPSpanExporter(timeout=_EXPORT_S)
    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_S)


def _resource(about: Mapping[str, object]) -> Resource:
    names = {"service.instance.id": "pilot", "host.name": "host", "gridpilot.site": "site"}
    names |= {"gridpilot.ce": "ce", "gridpilot.queue": "queue"}
    told = {name: str(about.get(key, "")) for name, key in names.items()}
    service = os.environ.get("OTEL_SERVICE_NAME", "gridpilot")
    return Resource.create({"service.name": service, "service.version": __version__, **told})


def _attributes(one: PastJob) -> dict[str, AttributeValue]:
    job, end = one.job, one.job.end
    found: dict[str, AttributeValue | None] = {
        "gridpilot.job_id": job.job_id,
        "gridpilot.attempt": job.attempt,
        "gridpilot.owner": redacted(job.matched.owner),
        "gridpilot.group": redacted(job.matched.group),
        "gridpilot.processors": one.processors,
        "gridpilot.status": str(end.status) if end else None,
        "gridpilot.minor_status": redacted(end.minor_status) if end else None,
        "gridpilot.blame": str(end.blame) if end and end.blame else None,
        "gridpilot.exit_code": job.exit_code,
        "gridpilot.cpu_s": job.cpu_s,
    }
    return {name: value for name, value in found.items() if value is not None}


def _ns(moment_s: float) -> int:
    return int(moment_s * 1e9)
