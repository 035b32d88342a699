"""The elements as they are for this job: which there are, how near they are, and what may be done with them now."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import IntEnum

from agents.data import storage
from agents.data.storage import Endpoint, StorageElement
from agents.errors import ServiceError
from agents.log import EventLog
from agents.wms.configuration import operations
from agents.wms.resource_status import Usability
from ce_backends.cfg import Section
from ce_backends.readers import comma_list

log = EventLog("elements")
_KEPT_S = 600.0
_SITES, _GROUPS = "/Resources/Sites", "/Resources/StorageElementGroups"


class Nearness(IntEnum):
    """How far an element is from this site; the less the better."""

    LOCAL = 0
    NEAR = 1
    FAR = 2


class Elements:
    """Reads the configuration as it is now, and asks ResourceStatus at most every ten minutes. Any thread may ask.

    Args:
        tree: the published configuration.
        site: this site's name, `LCG.CERN.ch`.
        vo: whose Operations count.
        states: asks ResourceStatus; None where there is none. While it cannot be asked, what it said last holds, and
            without that the configuration alone.
        local: LocalSE of the node's own configuration; where it names any, it counts in the place of the site's.
        monotonic: the clock.
    """

    def __init__(
        self,
        tree: Section,
        *,
        site: str,
        vo: str,
        states: Callable[[], Mapping[str, Usability]] | None = None,
        local: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tree = tree
        self._site = site
        self._vo = vo
        self._ask = states
        self._local = comma_list(local)
        self._monotonic = monotonic
        self._states: Mapping[str, Usability] = {}
        self._asked_at = -_KEPT_S

    def all(self) -> Mapping[str, StorageElement]:
        """Return all elements by name, with what may be done with them now."""
        states = self._now()
        return {name: _judged(element, states.get(name)) for name, element in storage.read(self._tree).items()}

    def nearness(self, name: str) -> Nearness:
        """Tell how far an element is from this site."""
        if name in self.local():
            return Nearness.LOCAL
        return Nearness.NEAR if name in self._near() else Nearness.FAR

    def local(self) -> tuple[str, ...]:
        """Return the names of this site's elements, in the order of the configuration."""
        if self._local:
            return self._local
        return comma_list(self._tree.text(f"{_site_path(self._site)}/SE"))

    def group(self, name: str) -> tuple[str, ...]:
        """Return the elements of a group: the site's AssociatedSEs, else StorageElementGroups; an element its own."""
        if found := comma_list(self._tree.text(f"{_site_path(self._site)}/AssociatedSEs/{name}")):
            return found
        if found := comma_list(self._tree.text(f"{_GROUPS}/{name}")):
            return found
        return (name,) if self._tree.section(f"/Resources/StorageElements/{name}").content else ()

    def not_for_jobs(self) -> frozenset[str]:
        """Return the elements that no job shall read: SEsNotToBeUsedForJobs and SEsUsedForFailover of Operations."""
        options = ("SEsNotToBeUsedForJobs", "SEsUsedForFailover")
        return frozenset(
            member
            for option in options
            for name in comma_list(self.operation(f"DataManagement/{option}"))
            for member in (self.group(name) or (name,))
        )

    def archives(self) -> frozenset[str]:
        """Return the elements that hold second copies: SEsUsedForArchive of Operations."""
        named = comma_list(self.operation("DataManagement/SEsUsedForArchive"))
        return frozenset(member for name in named for member in (self.group(name) or (name,)))

    def operation(self, path: str, default: str = "") -> str:
        """Return an option of Operations."""
        return operations(self._tree, self._vo).text(path, default)

    def to_read(self, element: StorageElement) -> list[Endpoint]:
        """Return an element's endpoints in the order to try them for reading."""
        return self._ways(element, element.read_protocols, "AccessProtocols")

    def to_write(self, element: StorageElement) -> list[Endpoint]:
        """Return an element's endpoints in the order to try them for writing."""
        return self._ways(element, element.write_protocols, "WriteProtocols")

    def _ways(self, element: StorageElement, own: tuple[str, ...], option: str) -> list[Endpoint]:
        common = comma_list(self.operation(f"DataManagement/{option}"))
        return storage.ordered(element.endpoints, own or common)

    def _near(self) -> frozenset[str]:
        """Return the elements of the sites in this one's country."""
        country = self._site.rpartition(".")[2]
        if "." not in self._site or not country:
            return frozenset()
        return frozenset(
            element
            for _, grid in self._tree.section(_SITES).sections()
            for name, site in grid.sections()
            if name.rpartition(".")[2] == country
            for element in comma_list(site.text("SE"))
        )

    def _now(self) -> Mapping[str, Usability]:
        now = self._monotonic()
        if self._ask and now - self._asked_at >= _KEPT_S:
            self._asked_at = now  # also if it fails: it is asked no more often
            try:
                self._states = self._ask()
            except ServiceError as error:
                log.warning("elements.states_unknown", cause=error)
        return self._states


def _site_path(site: str) -> str:
    return f"{_SITES}/{site.partition('.')[0]}/{site}"


def _judged(element: StorageElement, state: Usability | None) -> StorageElement:
    """Return an element with what ResourceStatus says of it, which counts before the configuration."""
    if state is None:
        return element
    return replace(element, is_readable=state.is_readable, is_writable=state.is_writable)
