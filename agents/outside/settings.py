"""What the agent shows of itself: to people, Prometheus, OpenTelemetry and log stores. All off unless asked for."""

from dataclasses import dataclass

from agents.jobs.watch_settings import WatchSettings
from agents.option import AGENT, option


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideSettings(WatchSettings):
    """A part of the agent's settings."""

    json_log: str = option(
        f"{AGENT}/JsonLog",
        default="",
        doc="File for the log as JSON lines, beside the one for people, in the names of the Elastic Common Schema; a "
        "relative path is below the work directory.",
    )
