"""The configuration as it is now: what the servers publish, this node's files over it, refreshed from time to time."""

import random
from collections.abc import Callable, Sequence

from agents.errors import ServiceError, ServiceMissing
from agents.log import EventLog
from agents.wms import configuration
from agents.wms.service import Service
from ce_backends.cfg import Section

log = EventLog("configuration")


class Published:
    """One tree for the agent's whole life; whoever reads it meets the newest version that was seen.

    Args:
        service: the Configuration servers; None where there are only files.
        local: this node's files, whose options win.
        jitter: spreads the agents over servers of equal rank, once for each version.
    """

    def __init__(self, service: Service | None, local: Section, jitter: Callable[[], float] = random.random) -> None:
        self._service = service
        self._local = local
        self._jitter = jitter
        self._version = ""
        self._urls: dict[str, Sequence[str]] = {}
        self._seen: set[str] = set()
        self.tree = local

    def load(self) -> None:
        """Get the configuration for the first time.

        Raises:
            ServiceMissing: none of the servers gives it.
        """
        if self._service:
            self._take(configuration.download(self._service))

    def refresh(self) -> bool:
        """Get a newer version if there is one; an older one, of a server that lags behind, is left alone."""
        if not self._service:
            return False
        try:
            newer = configuration.download_newer(self._service, self._version)
        except ServiceError as error:
            log.warning("configuration.not_refreshed", version=self._version, cause=error)
            return False
        if newer is None or newer.version <= self._version:
            return False
        self._take(newer)
        return True

    def _take(self, found: configuration.Downloaded) -> None:
        merged = configuration.without_setups(found.tree.merge(self._local))
        self._version = found.version
        self._urls = {}
        if self.tree is self._local:
            self.tree = merged
        else:  # in place: Registry and others hold the tree
            self.tree.content = merged.content
        log.info("configuration.loaded", version=found.version)

    def urls(self, name: str) -> Sequence[str]:
        """Return the URLs of a service, in an order of this agent's own.

        Raises:
            ServiceMissing: the configuration publishes none.
        """
        if name not in self._urls:
            self._urls[name] = configuration.service_urls(self.tree, name, self._jitter)
        return self._urls[name]

    def has(self, name: str) -> bool:
        """Tell whether the configuration publishes a service now."""
        try:
            return bool(self.urls(name))
        except ServiceMissing:
            return False

    def has_had(self, name: str) -> bool:
        """Tell whether the configuration publishes a service, or did when somebody asked before."""
        if name not in self._seen and self.has(name):
            self._seen.add(name)
        return name in self._seen
