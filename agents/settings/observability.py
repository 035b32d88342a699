"""What the agent shows of itself: to people, Prometheus, OpenTelemetry and log stores. All off unless asked for."""

from dataclasses import dataclass

from agents.settings.option import AGENT, option
from agents.settings.workflows import WorkflowSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservabilitySettings(WorkflowSettings):
    """A part of the agent's settings."""

    json_log: str = option(
        f"{AGENT}/JsonLog",
        default="",
        doc="File for the log as JSON lines, in addition to the one for people, in the names of the Elastic Common "
        "Schema; a relative path is below the work directory.",
    )
    slot_report_directory: str = option(
        f"{AGENT}/SlotReportDirectory",
        default="",
        doc="Directory in which the agent leaves the page of its slot at its end, as slot-PILOT.html.",
    )
    metrics_port: int = option(
        f"{AGENT}/MetricsPort",
        default=0,
        most=65535,
        doc="Port of 127.0.0.1 on which Prometheus finds metrics; 0 for none.",
    )
    metrics_directory: str = option(
        f"{AGENT}/MetricsDirectory",
        default="",
        doc="Directory of node_exporter's textfile collector, in which the agent keeps a file while it lives.",
    )
    traces_endpoint: str = option(
        f"{AGENT}/TracesEndpoint",
        default="",
        doc="Base URL of a receiver of OpenTelemetry traces by OTLP over HTTP (http://localhost:4318); otherwise what "
        "OTEL_EXPORTER_OTLP_ENDPOINT says.",
    )
