"""Which catalogue counts: what the configuration names, for this VO, with this owner's credential."""

from collections.abc import Callable

from agents.credentials.identity import Identity
from agents.data.catalogue import FileCatalogue
from agents.data.dirac_catalogue import DiracCatalogue
from agents.data.rucio import Rucio, RucioServer
from agents.errors import ServiceMissing
from agents.wms.configuration import operations
from agents.wms.file_catalogue import FileCatalog
from agents.wms.published import Published
from agents.wms.service import Service, Transport
from ce_backends.cfg import Section
from ce_backends.readers import comma_list

_RESOURCES = "/Resources/FileCatalogs"
_SERVICE = "DataManagement/FileCatalog"


def catalogue_for(published: Published, transport: Transport, owner: Identity, *, vo: str, user: str) -> FileCatalogue:
    """Return the file catalogue that the configuration names: DIRAC's FileCatalog, or Rucio.

    Of several that can be read and written the master counts, else the first that we know.

    Args:
        published: the configuration.
        transport: carries calls with the owner's credential.
        owner: the same credential, for catalogues that are not called as DIRAC's services are.
        vo: the owner's.
        user: the owner's name, as the Registry has it.

    Raises:
        ServiceMissing: it names none that we know.
    """
    known: dict[str, Callable[[Section], FileCatalogue]] = {
        "FileCatalog": lambda section: _dirac(published, transport, section),
        "RucioFileCatalog": lambda section: _rucio(section, owner, vo=vo, user=user),
    }
    named = _eligible(published.tree, vo)
    for name, section in named:
        kind = section.text("CatalogType", name)
        if kind in known:
            return known[kind](section)
    names = ", ".join(name for name, _ in named) or "none"
    raise ServiceMissing(
        f"the configuration names no file catalogue that we know: {names}, expected {', '.join(known)}"
    )


def _eligible(tree: Section, vo: str) -> list[tuple[str, Section]]:
    """Return the catalogues that are active and may be read and written, the master first."""
    chosen = operations(tree, vo).section("Services/Catalogs")
    names = comma_list(chosen.text("CatalogList")) or tuple(name for name, _ in chosen.sections())
    if not names:
        names = tuple(name for name, _ in tree.section(_RESOURCES).sections())
    found = [(name, tree.section(f"{_RESOURCES}/{name}").merge(chosen.section(name))) for name in names]
    usable = [(name, section) for name, section in found if _is_usable(section)]
    return sorted(usable, key=lambda pair: pair[1].text("Master").lower() != "true")


def _is_usable(section: Section) -> bool:
    access = section.text("AccessType", "Read-Write")
    return section.text("Status", "Active") == "Active" and "Read" in access and "Write" in access


def _dirac(published: Published, transport: Transport, section: Section) -> DiracCatalogue:
    name = section.text("CatalogURL", _SERVICE)
    urls = [name] if "://" in name else None
    return DiracCatalogue(FileCatalog(Service("FileCatalog", urls or (lambda: published.urls(name)), transport)))


def _rucio(section: Section, owner: Identity, *, vo: str, user: str) -> Rucio:
    """Return a Rucio; MultiVO is an option of ours, for a server of several."""
    url = section.text("RucioHost").rstrip("/")
    auth_url = section.text("AuthHost", url).rstrip("/")
    if not (url.startswith("https://") and auth_url.startswith("https://")):
        raise ServiceMissing(f"{_RESOURCES}: RucioHost is {url[:80]!r}, AuthHost {auth_url[:80]!r}, expected https://…")
    is_multi = section.text("MultiVO").lower() in ("true", "yes", "y", "1")
    return Rucio(RucioServer(url=url, auth_url=auth_url, account=user, vo=vo if is_multi else ""), owner)
