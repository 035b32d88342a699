"""Where a file comes from, and where it goes: pure, but for the dice among equals."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from agents.data.catalogue import FileRecord
from agents.data.elements import Elements, Nearness
from agents.data.storage import Endpoint, StorageElement


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A replica, with one way to it.

    Attributes:
        element: that holds it.
        endpoint: how it is spoken to.
        url: of the file there.
        nearness: how far it is.
    """

    element: StorageElement
    endpoint: Endpoint
    url: str
    nearness: Nearness


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An element that a file may go to, with one way to it.

    Attributes:
        element: that shall hold it.
        endpoint: how it is spoken to.
        is_failover: it is nobody's wish: a Request has to move the file on.
    """

    element: StorageElement
    endpoint: Endpoint
    is_failover: bool = False


def sources(
    record: FileRecord, elements: Elements, *, dice: Callable[[], float] = random.random, all_ways: bool = True
) -> list[Source]:
    """Return the replicas of a file in the order to try them.

    Disk before tape, archives last; within them this site's, its country's, all others, equals by chance. Elements that
    may not be read or not be used by jobs are left out, but those that no job shall read come last where there is
    nothing else.

    Args:
        record: what the catalogue says.
        elements: what there is.
        dice: decides among equals.
        all_ways: each endpoint of an element, one after the other; else its first alone.
    """
    known = elements.all()
    there = [known[name] for name in record.replicas if name in known and known[name].is_readable]
    barred, archives = elements.not_for_jobs(), elements.archives()
    wanted = [element for element in there if element.name not in barred] or there

    def rank(element: StorageElement) -> tuple[bool, bool, int, float]:
        is_archive = element.is_archive or element.name in archives
        return is_archive, element.is_tape, elements.nearness(element.name), dice()

    return [
        Source(
            element=element,
            endpoint=endpoint,
            url=_url(element, endpoint, record),
            nearness=elements.nearness(element.name),
        )
        for element in sorted(wanted, key=rank)
        for endpoint in elements.to_read(element)[: None if all_ways else 1]
    ]


def _url(element: StorageElement, endpoint: Endpoint, record: FileRecord) -> str:
    """Return the URL of a replica: the catalogue's own where the element says so, and the endpoint speaks it.

    Whoever registers a file writes that URL, and whoever reads the file shows a credential there: it counts only on a
    host that the configuration names for the element.
    """
    pfn = record.replicas.get(element.name, "")
    if not element.uses_catalogue_url or not pfn.startswith(f"{endpoint.protocol}://"):
        return endpoint.url(record.lfn)
    hosts = {other.host.strip("[]").lower() for other in element.endpoints}
    return pfn if _host_of(pfn) in hosts else endpoint.url(record.lfn)


def _host_of(url: str) -> str:
    try:
        place = urlsplit(url)
        host = place.hostname or ""
    except ValueError:  # brackets that are no address
        return ""
    return "" if "@" in place.netloc else host


def targets(
    wanted: Iterable[str],
    elements: Elements,
    *,
    user_group: str = "SE-USER",
    failover_group: str = "Tier1-Failover",
    dice: Callable[[], float] = random.random,
) -> list[Target]:
    """Return the elements that an output may go to, in the order to try them.

    First those that the job names (groups are opened), in its order; without any, the user group's, this site's first,
    equals by chance. Then the failover group's, by chance. Those that may not be written are left out.
    """
    known = elements.all()
    named = _opened(wanted, elements)
    if not named:
        named = sorted(_opened([user_group], elements), key=lambda name: (elements.nearness(name), dice()))
    failover = sorted(_opened([failover_group], elements), key=lambda _: dice())
    found, seen = [], set[str]()
    for name, is_failover in [*((name, False) for name in named), *((name, True) for name in failover)]:
        element = known.get(name)
        if name in seen or element is None or not element.is_writable:
            continue
        seen.add(name)
        found += [
            Target(element=element, endpoint=endpoint, is_failover=is_failover)
            for endpoint in elements.to_write(element)
        ]
    return found


def _opened(names: Iterable[str], elements: Elements) -> list[str]:
    """Return elements in the place of groups, each once."""
    return list(dict.fromkeys(member for name in names for member in elements.group(name)))


def elements_of(targets: Sequence[Target]) -> list[str]:
    """Return the names of the elements of some targets, each once."""
    return list(dict.fromkeys(target.element.name for target in targets))
