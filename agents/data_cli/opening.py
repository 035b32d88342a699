"""The configuration and the credential of whoever calls, and what his data are reached by."""

import argparse
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from agents.credentials.identity import Identity, establish
from agents.data.access import Access
from agents.data.opening import Opening
from agents.errors import ConfigurationError
from agents.settings import table
from agents.settings.data import DataSettings
from agents.settings.given import read_files
from agents.wms.published import Published
from agents.wms.registry import Registry, vo_of
from agents.wms.service import Service
from agents.wms.transports import Transports
from ce_backends.cfg import Section

_BESIDE = Path("pilot.cfg")  # in a payload's directory
_SECURITY = "/DIRAC/Security"


@dataclass(frozen=True, slots=True)
class Opened:
    """What somebody's data are reached by, and who he is."""

    access: Access
    owner: Identity


def opened(arguments: argparse.Namespace, environ: Mapping[str, str], closing: ExitStack) -> Opened:
    """Settle everything that can be wrong, in a payload's environment as in a person's.

    Raises:
        StopAgent: no configuration, no proxy, no CA certificates, no catalogue; one sentence.
    """
    cfg = _configuration(arguments, environ)
    settings = table.load(cfg, DataSettings)
    identity = establish(settings, environ)
    if not isinstance(identity.certificate, Path):
        raise ConfigurationError("data move with a proxy, not with a host certificate; set X509_USER_PROXY")
    vo = settings.vo or identity.vo
    transports = Transports(identity, vo=vo or "unknown", setup=settings.setup)
    closing.callback(transports.close)
    servers = settings.configuration_servers
    service = Service("Configuration/Server", servers, transports.of(None)) if servers else None
    published = Published(service, cfg, vo=lambda tree: vo_of(tree, settings.vo, identity))
    published.load()
    registry = Registry(published.tree)
    group = identity.group or registry.default_group(identity.dn)
    opening = Opening(published, transports, site=settings.site, vo=vo)
    return Opened(opening.of(registry.user(identity.dn), group, identity.certificate), identity)


def _configuration(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Section:
    """Return the files, then the Configuration server, then what the environment says of credentials, over them."""
    files: list[Path] = list(arguments.cfg)
    if not files and (named := environ.get("DIRACSYSCONFIG", "")):
        files = [Path(part) for part in named.split(",")]
    elif not files and _BESIDE.is_file():
        files = [_BESIDE]
    if not files and not arguments.configuration_server:
        raise ConfigurationError("no configuration: there is no pilot.cfg here; give --cfg FILE or -C URL")
    cfg = read_files(files, [])
    over = {
        "/DIRAC/Configuration/Servers": arguments.configuration_server,
        f"{_SECURITY}/ProxyFile": str(arguments.proxy or environ.get("X509_USER_PROXY", "")),
        f"{_SECURITY}/CALocation": environ.get("X509_CERT_DIR", ""),
        f"{_SECURITY}/UseServerCertificate": "no",  # a pilot.cfg may speak of the pilot; data are their owner's
        f"{_SECURITY}/UseTokens": "no",
    }
    for path, text in over.items():
        if text:
            cfg.set(path, text, "command line")
    return cfg
