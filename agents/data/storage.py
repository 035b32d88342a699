"""Storage elements as the configuration publishes them: what they are, what they speak, and where a file lies there."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from agents.log import EventLog
from ce_backends.cfg import Section
from ce_backends.readers import comma_list

log = EventLog("storage_element")

_ELEMENTS, _BASES = "/Resources/StorageElements", "/Resources/StorageElementBases"
_PROTOCOLS = {
    "DIP": "dips",
    "GFAL2_HTTPS": "https",
    "GFAL2_XROOT": "root",
    "GFAL2_SRM2": "srm",
    "GFAL2_GSIFTP": "gsiftp",
    "GFAL2_SRM2V2": "srm",
    "XROOT": "root",
}
"""The protocol of a plug-in that names none."""
_SPOKEN = {
    "https": ("https", "davs"),
    "root": ("root", "roots", "xroot"),
    "dips": ("dips", "dip"),
    "srm": ("srm",),
    "gsiftp": ("gsiftp",),
}
_SAFE = "/~!$&'()*+,;=:@"
_HOST = re.compile(r"[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One way to an element: a plug-in section of its configuration.

    Attributes:
        plugin: its name, as GFAL2_HTTPS.
        protocol: of its URLs; empty when the plug-in names none that we know.
        host: DNS name or address.
        port: 0 for the protocol's own.
        path: before the LFN; for dips the service's.
        ws_url: what SRM wants between host and path.
        space_token: of SRM.
        access: `remote`, or `protocol` and others; kept as written.
    """

    plugin: str
    protocol: str
    host: str
    port: int
    path: str
    ws_url: str = ""
    space_token: str = ""
    access: str = "remote"

    @property
    def family(self) -> str:
        """How it is spoken to: https, root, dips, srm, gsiftp, or empty for what we do not know."""
        return next((family for family, spoken in _SPOKEN.items() if self.protocol in spoken), "")

    def url(self, lfn: str) -> str:
        """Return where a file lies there; what a URL has no place for is percent-encoded, but for dips and root."""
        place = f"{self.protocol}://{self.host}" + (f":{self.port}" if self.port else "")
        path = f"/{self.path.strip('/')}".rstrip("/")
        match self.family:
            case "root":
                return f"{place}//{(path + lfn).lstrip('/')}"
            case "srm":
                return f"{place}{self.ws_url}{path}{lfn}"
            case "https":
                return place + quote(path + lfn, safe=_SAFE)
        return f"{place}{path}{lfn}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageElement:
    """A storage element; whether it may be used now is `Elements`' business.

    Attributes:
        name: as in the catalogue.
        endpoints: in the order of the configuration.
        read_protocols: of AccessProtocols, empty where it names none.
        write_protocols: of WriteProtocols, empty where it names none.
        is_readable: ReadAccess is Active or Degraded, or not said.
        is_writable: the same of WriteAccess.
        is_tape: files may have to be brought to disk first.
        is_archive: it keeps second copies, for the worst case.
        uses_catalogue_url: the PFN in the catalogue counts, not the one that is built of the LFN.
        unknown: plug-ins that we cannot use, by name.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    read_protocols: tuple[str, ...] = ()
    write_protocols: tuple[str, ...] = ()
    is_readable: bool = True
    is_writable: bool = True
    is_tape: bool = False
    is_archive: bool = False
    uses_catalogue_url: bool = False
    unknown: tuple[str, ...] = ()


def read(tree: Section) -> Mapping[str, StorageElement]:
    """Return the elements that the configuration publishes, by name; what of them is not understood is left out."""
    found = {}
    for name, section in tree.section(_ELEMENTS).sections():
        whole = _with_base(tree, section)
        found[name] = _element(name, whole)
    return found


def _with_base(tree: Section, section: Section) -> Section:
    """Return an element's section over that of its base."""
    base = section.text("BaseSE")
    under = tree.section(f"{_BASES}/{base}") if base else Section()
    if base and not under.content:
        under = tree.section(f"{_ELEMENTS}/{base}")
    return under.merge(section)


def _element(name: str, section: Section) -> StorageElement:
    endpoints = [found for plugin, inner in section.sections() if (found := _endpoint(name, plugin, inner))]
    names = {endpoint.plugin for endpoint in endpoints if endpoint.family}
    sections = [inner.text("PluginName", plugin) for plugin, inner in section.sections()]
    backend = section.text("BackendType").lower()
    return StorageElement(
        name=name,
        endpoints=tuple(endpoint for endpoint in endpoints if endpoint.family),
        read_protocols=comma_list(section.text("AccessProtocols")),
        write_protocols=comma_list(section.text("WriteProtocols")),
        is_readable=_is_on(section.text("ReadAccess", section.text("Read", "Active"))),
        is_writable=_is_on(section.text("WriteAccess", section.text("Write", "Active"))),
        is_tape=_is_tape(section.text("SEType"), name, backend),
        is_archive="archive" in name.lower(),
        uses_catalogue_url=section.text("UseCatalogURL").lower() in ("true", "yes", "y", "1"),
        unknown=tuple(plugin for plugin in sections if plugin not in names),
    )


def _is_on(word: str) -> bool:
    return word.strip().lower() in ("", "active", "degraded", "true", "yes", "y", "1")


def _is_tape(kind: str, name: str, backend: str) -> bool:
    """Tell whether an element is tape: SEType is `T<tapes>D<disks>` (T1D0); without it the name is all there is."""
    if found := re.fullmatch(r"T(\d)D(\d)", kind.strip(), re.IGNORECASE):
        return found[1] != "0" and found[2] == "0"
    return "tape" in name.lower() or backend in ("cta", "tape")


def _endpoint(name: str, section_name: str, section: Section) -> Endpoint | None:
    plugin = section.text("PluginName", section_name)
    protocol = (section.text("Protocol") or _PROTOCOLS.get(plugin, "")).lower()
    host, port = section.text("Host").strip(), section.text("Port").strip()
    if not _HOST.fullmatch(host) or not (port == "" or (port.isascii() and port.isdigit() and int(port) < 65536)):
        if protocol != "file":
            log.debug("storage_element.not_understood", element=name, plugin=plugin, host=host[:80], port=port[:20])
        return None
    return Endpoint(
        plugin=plugin,
        protocol=protocol,
        host=host,
        port=int(port or 0),
        path=section.text("Path"),
        ws_url=section.text("WSUrl"),
        space_token=section.text("SpaceToken"),
        access=section.text("Access", "remote"),
    )


def ordered(endpoints: Sequence[Endpoint], protocols: Sequence[str]) -> list[Endpoint]:
    """Return the endpoints in the order of these protocols; those that are not named are left out.

    Without any protocol all are returned, as the configuration has them.
    """
    if not protocols:
        return list(endpoints)
    rank = {protocol: at for at, protocol in reversed([*enumerate(protocols)])}
    return sorted((end for end in endpoints if end.protocol in rank), key=lambda end: rank[end.protocol])
