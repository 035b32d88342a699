"""What a pilot knows; the commands hand it on, each with more in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pilot import cfg
from pilot.agent.supervision import AgentEnd
from pilot.log import Log
from pilot.node.batch_slot import BatchSlot
from pilot.node.worker_node import WorkerNode
from pilot.settings import BARE_WORDS, Loaded, Settings
from pilot.wms import configuration, diracx
from pilot.wms.client import Services
from pilot.wms.remote_log import RemoteLog

LOCAL, CE_DEFAULTS = "/LocalSite", "/Resources/Computing/CEDefaults"
AGENT = "/Systems/WorkloadManagement/Agents/JobAgent"
WRAPPER = "/Systems/WorkloadManagement/JobWrapper"


@dataclass(frozen=True)
class Pilot:
    """What a pilot knows.

    Attributes:
        loaded: the settings, with their origins.
        vo: the virtual organisation.
        slot: what the batch system says.
        node: what the worker node gives.
        environ: the environment it was started with.
        work_dir: where it writes.
        log: its log.
        remote_log: the part of the log that goes to the PilotLogging service.
        services: caller of services, once there is a credential.
        agent_environment: where the agent finds credential and CAs.
        downloaded: what the Configuration service said.
        options: pilot.cfg so far, by absolute path.
        brought: variables of the environment that the VO brought; payloads get them too.
        by_stamp: who tells DiracX of this pilot, where it is registered there.
        agent_end: how the agent ended, once it has.
    """

    loaded: Loaded
    vo: str
    slot: BatchSlot
    node: WorkerNode
    environ: Mapping[str, str]
    work_dir: Path
    log: Log
    remote_log: RemoteLog
    services: Services | None = None
    agent_environment: Mapping[str, str] = field(default_factory=dict)
    downloaded: configuration.Downloaded = field(default_factory=configuration.Downloaded)
    options: Mapping[str, str] = field(default_factory=dict)
    brought: tuple[str, ...] = ()
    by_stamp: diracx.PilotsByStamp | None = None
    agent_end: AgentEnd | None = None

    @property
    def configuration(self) -> cfg.Section:
        """Return the servers' configuration."""
        return self.downloaded.root

    @property
    def settings(self) -> Settings:
        """Return what the pilot was told."""
        return self.loaded.settings

    def having(self, section: str, **options: object) -> Pilot:
        """Return the pilot with more options for pilot.cfg; an empty one is left out."""
        more = {f"{section}/{name}": _text(value) for name, value in options.items()}
        return replace(self, options={**self.options, **{path: text for path, text in more.items() if text}})

    def having_all(self, options: Mapping[str, str]) -> Pilot:
        """Return the pilot with more options for pilot.cfg, by absolute path."""
        return replace(self, options={**self.options, **options})

    def option(self, path: str) -> str:
        """Return an option of pilot.cfg, "" if there is none; one given with -o wins."""
        return dict(user_options(self.settings)).get(path) or self.options.get(path, "")

    def urls(self, service: str) -> tuple[str, ...]:
        """Return the URLs of a WorkloadManagement service."""
        return configuration.service_urls(
            self.configuration, "WorkloadManagement", service, setup=self.settings.setup, vo=self.vo
        )


def user_options(settings: Settings) -> list[tuple[str, str]]:
    """Return the -o options by absolute path; a bare name is one of the agent's, as in DIRAC."""
    return [
        (name if name.startswith("/") else f"{AGENT}/{name}", value)
        for name, value in settings.options
        if name not in BARE_WORDS
    ]


def _text(value: object) -> str:
    """Return a value as DIRAC writes it."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (tuple, list, dict)):
        return ", ".join(value)
    return str(value)
