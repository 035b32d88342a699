"""The configuration as it is now: what the servers publish, this node's files over it, refreshed from time to time."""

import random
import time
from collections.abc import Callable, Sequence

from agents.errors import ServiceError, ServiceMissing
from agents.log import EventLog
from agents.pacing import LOOK_S, configuration_look_s, is_due
from agents.wms import configuration
from agents.wms.kept_configuration import Kept
from agents.wms.service import Service
from ce_backends.cfg import Section

log = EventLog("configuration")


class Published:
    """One tree for the agent's whole life; whoever reads it meets the newest version that was seen.

    Args:
        service: the Configuration servers; None where there are only files.
        local: this node's files, whose options win.
        jitter: spreads the agents over servers of equal rank, once for each version.
        kept: where it is kept for the next agent of this slot; None for nowhere.
        vo: tells from a configuration whose Operations count; nobody's without it.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        service: Service | None,
        local: Section,
        jitter: Callable[[], float] = random.random,
        *,
        kept: Kept | None = None,
        vo: Callable[[Section], str] = lambda _tree: "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kept = kept
        self._clock = clock
        self._looked_at = clock()
        self._unchanged = 0
        self._is_doubtful = False
        self._service = service
        self._local = local
        self._jitter = jitter
        self._version = ""
        self._urls: dict[str, Sequence[str]] = {}
        self._seen: set[str] = set()
        self._vo = vo
        self.tree = Section(self._readable(local).content)

    def load(self) -> None:
        """Get the configuration for the first time, from the servers only what is newer than what was kept here.

        Raises:
            ServiceMissing: none of the servers gives it.
        """
        if not self._service:
            return
        kept = self._kept.read() if self._kept else None
        found = configuration.download(self._service, kept)
        self._take(found)
        if found is not kept:
            self._keep(found)

    def doubt(self) -> None:
        """Somebody does not answer where the configuration has him: it is looked at soon. Any thread may call."""
        self._is_doubtful = True

    def look(self, every_s: float) -> bool:
        """Get a newer version if it is time to ask: more rarely the longer it has been the same.

        Args:
            every_s: how often this is called.
        """
        since_s = self._clock() - self._looked_at
        is_time = is_due(since_s, configuration_look_s(self._unchanged), every_s)
        return self.refresh() if self._is_doubtful or is_time else False

    def look_before_a_match(self) -> None:
        """Get a newer version unless that was asked for lately: no job is taken by rules that hold no more."""
        if self._clock() - self._looked_at >= LOOK_S:
            self.refresh()

    def refresh(self) -> bool:
        """Get a newer version if there is one; an older one, of a server that lags behind, is left alone."""
        if not self._service:
            return False
        self._looked_at, self._is_doubtful = self._clock(), False
        try:
            newer = configuration.download_newer(self._service, self._version)
        except ServiceError as error:
            log.warning("configuration.not_refreshed", version=self._version, cause=error)
            return False
        if newer is None or newer.version <= self._version:
            self._unchanged += 1
            return False
        self._unchanged = 0
        self._take(newer)
        self._keep(newer)
        return True

    def _keep(self, found: configuration.Downloaded) -> None:
        if self._kept:
            self._kept.write(found)

    def _take(self, found: configuration.Downloaded) -> None:
        self._version = found.version
        self._urls = {}
        # in place: Registry and others hold the tree
        self.tree.content = self._readable(found.tree.merge(self._local)).content
        log.info("configuration.loaded", version=found.version)

    def _readable(self, tree: Section) -> Section:
        return configuration.without_setups(tree, self._vo(tree))

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
