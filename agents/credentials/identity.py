"""Who the agent is towards the services, and whom it trusts: settled before the first request."""

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from agents.credentials import proxy, tokens
from agents.credentials.context import tls
from agents.credentials.tokens import BearerToken
from agents.errors import CredentialError
from agents.log import EventLog
from agents.settings.identity import IdentitySettings

log = EventLog("credentials")

# X509_USER_PROXY, BEARER_TOKEN_FILE, KRB5CCNAME, AWS_SHARED_CREDENTIALS_FILE, DIRAC_X509_HOST_KEY, SSH_AUTH_SOCK …
_CALLED_SECRET = re.compile(r"PROXY|TOKEN|CREDENTIAL|SECRET|PASSW|(?:_|\b)KEY(?:_|\b|TAB)|KRB5CC|NETRC|AUTH|KUBECONFIG")
_USUAL_CAS = Path("/etc/grid-security/certificates")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A client certificate and the CAs that servers are checked against.

    Attributes:
        certificate: a proxy file, or host certificate and key.
        ca: directory of hashed CA certificates, or a bundle.
        dn: distinguished name of the user or host.
        group: DIRAC group in the proxy, empty when it names none.
        vo: virtual organisation in the proxy's VOMS attributes, empty without any.
        extra_credentials: what DIRAC wants beside a host certificate.
        token: shown to https services in the certificate's place, which dips still needs.
    """

    certificate: Path | tuple[Path, Path]
    ca: Path
    dn: str = ""
    group: str = ""
    vo: str = ""
    extra_credentials: str | None = None
    token: BearerToken | None = None

    @property
    def is_host(self) -> bool:
        """True for a host certificate."""
        return isinstance(self.certificate, tuple)


def establish(settings: IdentitySettings, environ: Mapping[str, str]) -> Identity:
    """Return the pilot's identity, checked.

    Raises:
        CredentialError: one sentence naming the file and what is wrong with it.
    """
    certified = _certified(settings, environ)
    tls(certified.certificate, certified.ca)  # its key may be too short for OpenSSL, or of another certificate
    if not tokens.is_wanted(environ, configured=settings.use_tokens):
        return certified
    tokens.find(environ)  # what is wrong with it shall be said now
    return replace(certified, token=BearerToken(environ))


def secrets(pilot: Identity, environ: Mapping[str, str]) -> list[Path]:
    """Return the files that no payload may read: what identifies the pilot, and what its environment names besides.

    A variable names a secret if it is called like one, or if the file that it names is closed to others.
    """
    own = pilot.certificate if isinstance(pilot.certificate, tuple) else (pilot.certificate,)
    token = [tokens.place(environ)] if pilot.token else []
    files = ((name, Path(text.removeprefix("FILE:"))) for name, text in environ.items() if "/" in text)
    named = [path for name, path in files if path.is_absolute() and _is_secret(name, path)]
    return list(dict.fromkeys([*own, *filter(None, token), *named]))


def _is_secret(name: str, path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISDIR(mode) and (not mode & 0o077 or _CALLED_SECRET.search(name) is not None)


def _certified(settings: IdentitySettings, environ: Mapping[str, str]) -> Identity:
    ca, now = _ca(settings, environ), datetime.now(UTC)
    if settings.use_server_certificate:
        return _host(settings, environ, ca, now)
    loaded = proxy.load(proxy.locate(environ, settings.proxy_file), now)
    log.info("proxy.loaded", identity=loaded.identity, group=loaded.group or "(none)", not_after=loaded.not_after)
    return Identity(certificate=loaded.path, ca=ca, dn=loaded.identity, group=loaded.group, vo=loaded.vo)


def _host(settings: IdentitySettings, environ: Mapping[str, str], ca: Path, now: datetime) -> Identity:
    certificate = settings.certificate_file or environ.get("DIRAC_X509_HOST_CERT", "")
    key = settings.key_file or environ.get("DIRAC_X509_HOST_KEY", "")
    if not certificate or not key:
        raise CredentialError(
            "UseServerCertificate is set without a certificate; expected CertFile and KeyFile in /DIRAC/Security"
        )
    loaded = proxy.load_host(Path(certificate), Path(key), now)
    log.info("host_certificate.loaded", identity=loaded.identity, not_after=loaded.not_after)
    return Identity(
        certificate=(Path(certificate), Path(key)), ca=ca, dn=loaded.identity, group="hosts", extra_credentials="hosts"
    )


def _ca(settings: IdentitySettings, environ: Mapping[str, str]) -> Path:
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
