"""Who the agent is towards the services, and whom it trusts: settled before the first request."""

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agents.credentials import proxy
from agents.errors import CredentialError
from agents.log import EventLog
from agents.settings import AgentSettings

log = EventLog("credentials")

_USUAL_CAS = Path("/etc/grid-security/certificates")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A client certificate and the CAs that servers are checked against.

    Attributes:
        certificate: a proxy file, or host certificate and key.
        ca: directory of hashed CA certificates, or a bundle.
        extra_credentials: what DIRAC wants beside a host certificate.
    """

    certificate: Path | tuple[Path, Path]
    ca: Path
    extra_credentials: str | None = None


def establish(settings: AgentSettings, environ: Mapping[str, str]) -> Identity:
    """Return the pilot's identity, checked.

    Raises:
        CredentialError: one sentence naming the file and what is wrong with it.
    """
    ca = _ca(settings, environ)
    if settings.use_server_certificate:
        return Identity(certificate=_host_certificate(settings), ca=ca, extra_credentials="hosts")
    loaded = proxy.load(proxy.locate(environ, settings.proxy_file), datetime.now(UTC))
    log.info("proxy.loaded", identity=loaded.identity, group=loaded.group or "(none)", not_after=loaded.not_after)
    return Identity(certificate=loaded.path, ca=ca)


def _ca(settings: AgentSettings, environ: Mapping[str, str]) -> Path:
    """Return the CAs: configuration, X509_CERT_DIR, the usual place, as DIRAC looks."""
    named = settings.ca_location or environ.get("X509_CERT_DIR")
    place = Path(named) if named else _USUAL_CAS
    if place.is_file():
        return place
    if not place.is_dir():
        raise CredentialError(
            f"{place}: there are no CA certificates there; set X509_CERT_DIR or /DIRAC/Security/CALocation"
        )
    if not any(place.glob("*.[0-9]")):
        raise CredentialError(f"{place}: no hashed CA certificate (<hash>.0) in it; run 'openssl rehash {place}'")
    return place


def _host_certificate(settings: AgentSettings) -> tuple[Path, Path]:
    certificate, key = Path(settings.certificate_file), Path(settings.key_file)
    for path in (certificate, key):
        if not path.is_file():
            raise CredentialError(
                f"{path}: no such file; expected the host certificate in CertFile, its key in KeyFile"
            )
    if key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CredentialError(f"{key}: others can read the host's key; expected mode 0600 or 0400")
    return certificate, key
