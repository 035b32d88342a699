"""The Configuration service: downloaded and unpacked, DIRAC 7 and 8 in the shape of 9, service URLs looked up."""

import base64
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agents.errors import BadAnswer, ServiceError, ServiceMissing
from agents.wms.service import Service
from ce_backends.cfg import Section, parse
from ce_backends.errors import CfgError
from ce_backends.readers import comma_list

_LARGEST_BYTES = 256 * 10**6


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A configuration and its version, a UTC time as text."""

    version: str
    tree: Section


def download(service: Service) -> Downloaded:
    """Return the configuration that the servers publish.

    Raises:
        ServiceMissing: none of them gives it.
    """
    try:
        found = download_newer(service, "0")
        if found is None:
            raise BadAnswer("expected the configuration's data, got none")
    except ServiceError as error:
        raise ServiceMissing(f"the Configuration service gives no configuration: {error}") from error
    return found


def download_newer(service: Service, version: str) -> Downloaded | None:
    """Return the configuration if the servers have another version than this one.

    Raises:
        ServiceError: they gave no usable answer.
    """
    answer = service.call("getCompressedDataIfNewer", version)
    if not isinstance(answer, Mapping):
        raise BadAnswer(f"expected the configuration's data, got {str(answer)[:60]!r}")
    packed = answer.get("data")
    if packed is None and version != "0":
        return None
    if not isinstance(packed, str | bytes):
        raise BadAnswer(f"expected the configuration's data, got {str(answer)[:60]!r}")
    try:
        return Downloaded(str(answer.get("newestVersion", "")), parse(_unpacked(packed), "Configuration service"))
    except CfgError as error:
        raise BadAnswer(f"the configuration is malformed: {error}") from error


def _unpacked(packed: str | bytes) -> str:
    """Return the CFG text of base64 of zlib of it."""
    inflate = zlib.decompressobj()
    try:
        text = inflate.decompress(base64.b64decode(packed, validate=True), _LARGEST_BYTES)
    except (ValueError, zlib.error) as error:
        raise BadAnswer(f"the configuration cannot be unpacked: {error}") from error
    if not inflate.eof:
        raise BadAnswer(f"the configuration is cut short, or larger than {_LARGEST_BYTES // 10**6} MB")
    return text.decode("utf-8", "replace")


def without_setups(tree: Section) -> Section:
    """Return a configuration of DIRAC 7.3 or 8 in the shape of DIRAC 9: no setup and instance levels."""
    setup = tree.text("/DIRAC/Setup")
    flat = tree
    for system, instance in tree.section(f"/DIRAC/Setups/{setup}").options():
        chosen = tree.section(f"/Systems/{system}/{instance.text}")
        flat = _under(f"/Systems/{system}", chosen).merge(flat)  # what a local file says without a setup wins
    return flat.merge(_under("/Operations/Defaults", tree.section(f"/Operations/{setup}"))) if setup else flat


def _under(path: str, section: Section) -> Section:
    for name in reversed([name for name in path.split("/") if name]):
        section = Section({name: section})
    return section


def service_urls(tree: Section, name: str, jitter: Callable[[], float] = lambda: 0.0) -> list[str]:
    """Return the URLs of a service, failover ones last; the gateways of the site in their place where it has any.

    Args:
        tree: the merged configuration.
        name: System/Service, as `WorkloadManagement/Matcher`.
        jitter: spreads the agents over servers of equal rank; the default keeps the order of the configuration.

    Raises:
        ServiceMissing: the configuration publishes none.
    """
    system, _, service = name.partition("/")
    if gateways := _listed(tree, f"/DIRAC/Gateways/{tree.text('/LocalSite/Site')}"):
        return _shuffled(["/".join([*url.split("/")[:3], name]) for url in gateways], jitter)
    published = [_listed(tree, f"/Systems/{system}/{kind}/{service}") for kind in ("URLs", "FailoverURLs")]
    main_servers = _listed(tree, "/Operations/Defaults/MainServers")
    expanded = [url for urls in published for url in _shuffled(_expanded(urls, main_servers), jitter)]
    if not expanded:
        expected = "/Operations/Defaults/MainServers" if any(published) else f"/Systems/{system}/URLs/{service}"
        raise ServiceMissing(f"the configuration publishes no URL of {name}; expected {expected}")
    return expanded


def _listed(tree: Section, path: str) -> list[str]:
    return list(comma_list(tree.text(path)))


def _expanded(urls: list[str], main_servers: list[str]) -> list[str]:
    return [
        url.replace("$MAINSERVERS$", server)
        for url in urls
        for server in (main_servers if "$MAINSERVERS$" in url else [""])
    ]


def _shuffled(urls: list[str], jitter: Callable[[], float]) -> list[str]:
    return sorted(urls, key=lambda _: jitter())
