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
_DEFAULTS = "/Operations/Defaults"


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A configuration.

    Attributes:
        version: a UTC time as text.
        tree: of it.
        packed: base64 of zlib of its text, as it was sent.
    """

    version: str
    tree: Section
    packed: str = ""


def download(service: Service, kept: Downloaded | None = None) -> Downloaded:
    """Return the configuration that the servers publish; what was kept, where they have no newer one.

    Raises:
        ServiceMissing: none of them gives it.
    """
    try:
        found = download_newer(service, kept.version if kept and kept.version else "0") or kept
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
    return of_answer(service.call("getCompressedDataIfNewer", version), version)


def of_answer(answer: object, version: str) -> Downloaded | None:
    """Return the configuration in a server's answer to somebody who has this version, None where it has none.

    Raises:
        BadAnswer: it is no usable one.
    """
    if not isinstance(answer, Mapping):
        raise BadAnswer(f"expected the configuration's data, got {str(answer)[:60]!r}")
    packed = answer.get("data")
    if packed is None and version != "0":
        return None
    if isinstance(packed, bytes):  # over dips
        packed = base64.b64encode(packed).decode("ascii")
    if not isinstance(packed, str):
        raise BadAnswer(f"expected the configuration's data, got {str(answer)[:60]!r}")
    try:
        tree = parse(_unpacked(packed), "Configuration service")
    except CfgError as error:
        raise BadAnswer(f"the configuration is malformed: {error}") from error
    return Downloaded(str(answer.get("newestVersion", "")), tree, packed)


def _unpacked(packed: str) -> str:
    """Return the CFG text of base64 of zlib of it."""
    inflate = zlib.decompressobj()
    try:
        text = inflate.decompress(base64.b64decode(packed, validate=True), _LARGEST_BYTES)
    except (ValueError, zlib.error) as error:
        raise BadAnswer(f"the configuration cannot be unpacked: {error}") from error
    if not inflate.eof:
        raise BadAnswer(f"the configuration is cut short, or larger than {_LARGEST_BYTES // 10**6} MB")
    return text.decode("utf-8", "replace")


def without_setups(tree: Section, vo: str = "") -> Section:
    """Return a configuration as a VO's agent reads it, in the shape of DIRAC 9 whichever DIRAC it is of.

    There are no levels of setup and instance, and all that `operations` says is under `/Operations/Defaults`.
    """
    flat = tree
    for system, instance in tree.section(f"/DIRAC/Setups/{tree.text('/DIRAC/Setup')}").options():
        chosen = tree.section(f"/Systems/{system}/{instance.text}")
        flat = _under(f"/Systems/{system}", chosen).merge(flat)  # what a local file says without a setup wins
    said = operations(tree, vo)
    return flat.merge(_under(_DEFAULTS, said)) if said.content else flat


def operations(tree: Section, vo: str) -> Section:
    """Return what Operations say for a VO, in the order of DIRAC's own helper.

    Where there are setups (DIRAC 7.3 and 8): Defaults, the setup, `<VO>/Defaults`, `<VO>/<setup>`; in DIRAC 9:
    Defaults, `<VO>`. The later one wins. `pilot/wms/configuration.py` has the same.
    """
    setup = tree.text("/DIRAC/Setup")
    has_setups = bool(setup and tree.section(f"/DIRAC/Setups/{setup}").content)
    levels = [setup] if has_setups else []
    if vo:
        levels += [f"{vo}/Defaults", f"{vo}/{setup}"] if has_setups else [vo]
    said = tree.section(_DEFAULTS)
    for level in levels:
        said = said.merge(tree.section(f"/Operations/{level}"))
    return said


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
    main_servers = _listed(tree, f"{_DEFAULTS}/MainServers")
    expanded = [url for urls in published for url in _shuffled(_expanded(urls, main_servers), jitter)]
    if not expanded:
        expected = f"{_DEFAULTS}/MainServers" if any(published) else f"/Systems/{system}/URLs/{service}"
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
