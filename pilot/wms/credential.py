"""The pilot's own credential and the CAs it trusts, checked before the first request is sent."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pilot import private
from pilot.errors import CredentialError
from pilot.log import utc_now
from pilot.settings import Settings
from pilot.wms import certificate

CVMFS_ANSWERS_WITHIN_S = 10.0
CLOCK_TOLERANCE = timedelta(minutes=5)  # what DIRAC's servers bear, and the agent


@dataclass(frozen=True)
class Credential:
    """A usable certificate with its key.

    Attributes:
        certificate: PEM file with the chain.
        key: PEM file with the private key; a proxy's is the same file.
        is_host: a host certificate, which acts as DIRAC's group `hosts`.
        not_after: when the first certificate of the chain expires.
        vo: the VO named by the VOMS extension, "" without one.
        origin: who named the file.
    """

    certificate: Path
    key: Path
    is_host: bool
    not_after: datetime
    vo: str
    origin: str


def load(settings: Settings, environ: Mapping[str, str], *, now: datetime) -> Credential:
    """Return the credential to use.

    Raises:
        CredentialError: it is missing, not readable, expired, or others can read it.
    """
    place, origin = _place(settings, environ)
    key = place.with_name("hostkey.pem") if settings.use_host_certificate else place
    secret = private.read_secret(key, forbidden=0o037 if settings.use_host_certificate else 0o077)
    chain = _chain(place)
    if "PRIVATE KEY-----" not in secret:
        raise CredentialError(f"{key}: no private key in it; expected the PEM of a proxy or of a host key")
    for each in chain:
        _check_time(place, each, now)
    _check_kind(place, chain, is_host=settings.use_host_certificate)
    return Credential(
        certificate=place,
        key=key,
        is_host=settings.use_host_certificate,
        not_after=min(each.not_after for each in chain),
        vo=next((vo for vo in map(certificate.voms_vo, chain) if vo), ""),
        origin=origin,
    )


def vo(settings: Settings, environ: Mapping[str, str]) -> str:
    """Return the VO: option, DIRAC_PILOT_VO, the proxy's VOMS extension, else "unknown", as in DIRAC."""
    told = settings.vo or environ.get("DIRAC_PILOT_VO", "")
    if told:
        return told
    try:
        return load(settings, environ, now=utc_now()).vo or "unknown"
    except CredentialError:  # said in full when the credential is needed
        return "unknown"


def _place(settings: Settings, environ: Mapping[str, str]) -> tuple[Path, str]:
    if settings.use_host_certificate:
        return Path(settings.host_certificate_folder, "hostcert.pem").absolute(), "option --cert"
    for name in ("GRID_PROXY_FILE", "X509_USER_PROXY"):
        if environ.get(name):
            return Path(environ[name]).absolute(), name
    return Path(f"/tmp/x509up_u{os.getuid()}"), "default"  # noqa: S108 - where every grid tool looks


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError as error:
        raise CredentialError(f"{path}: there is no such credential; set X509_USER_PROXY, or use --cert") from error
    except OSError as error:
        raise CredentialError(f"{path}: the credential is not readable: {error.strerror}") from error


def _chain(path: Path) -> tuple[certificate.Certificate, ...]:
    try:
        chain = certificate.read_chain(_text(path))
    except ValueError as error:
        raise CredentialError(f"{path}: {error}") from error
    if not chain:
        raise CredentialError(f"{path}: no certificate in it; expected PEM")
    return chain


def _check_kind(path: Path, chain: tuple[certificate.Certificate, ...], *, is_host: bool) -> None:
    leaf = chain[0]
    if is_host and (certificate.is_proxy(leaf) or certificate.is_old_proxy(leaf)):
        raise CredentialError(f"{path}: a proxy, and --cert wants a host certificate")
    if any(map(certificate.is_old_proxy, chain)):
        raise CredentialError(f"{path}: a proxy of an old kind (before RFC 3820), which servers refuse; expected --rfc")
    if certificate.is_proxy(leaf) and len(chain) == 1:
        raise CredentialError(f"{path}: a proxy without the certificate that issued it; expected the whole chain")


def _check_time(path: Path, each: certificate.Certificate, now: datetime) -> None:
    if now >= each.not_after:
        raise CredentialError(f"{path}: expired at {each.not_after:%Y-%m-%d %H:%M:%S} UTC")
    if now < each.not_before - CLOCK_TOLERANCE:
        raise CredentialError(
            f"{path}: not valid before {each.not_before:%Y-%m-%d %H:%M:%S} UTC; this node's clock says "
            f"{now:%Y-%m-%d %H:%M:%S} UTC"
        )


def trusted_cas(settings: Settings, environ: Mapping[str, str]) -> tuple[Path, str]:
    """Return the folder or bundle of CA certificates, and who named it.

    Raises:
        CredentialError: there is none, or the one that was named does not exist.
    """
    tried = []
    for place, origin, named in _ca_places(settings, environ):
        if _has_content(place):
            return place, origin
        if named:
            raise CredentialError(
                f"{place} ({origin}): no CA certificates there; expected a hashed folder or a PEM file"
            )
        tried.append(str(place))
    raise CredentialError(f"no CA certificates: looked in {', '.join(tried)}; set X509_CERT_DIR or use --ca-dir")


def _ca_places(settings: Settings, environ: Mapping[str, str]) -> Iterator[tuple[Path, str, bool]]:
    if settings.ca_folder:
        yield Path(settings.ca_folder).absolute(), "option --ca-dir", True
    if environ.get("X509_CERT_DIR"):
        yield Path(environ["X509_CERT_DIR"]).absolute(), "X509_CERT_DIR", True
    yield Path("/etc/grid-security/certificates"), "default", False
    for folder in settings.cvmfs_folders:
        yield Path(folder, "etc/grid-security/certificates"), "CVMFS", False


def voms_variables(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return where VOMS servers and their certificates are described, for payloads; {} where nothing is."""
    found = {}
    for variable, name in (("X509_VOMS_DIR", "vomsdir"), ("X509_VOMSES", "vomses")):
        folders = [
            Path("/etc/grid-security", name),
            *(Path(each, "etc/grid-security", name) for each in settings.cvmfs_folders),
        ]
        places = [Path(environ[variable])] if environ.get(variable) else folders
        chosen = next((place for place in places if _has_content(place)), None)
        if chosen:
            found[variable] = str(chosen)
    return {**found, "DIRAC_VOMSES": found["X509_VOMSES"]} if "X509_VOMSES" in found else found


def _has_content(place: Path) -> bool:
    if place.parts[:2] == ("/", "cvmfs"):
        return os.path.isdir("/cvmfs") and _answers(place)  # noqa: PTH112 - no fork on a node without CVMFS
    return place.is_file() or (place.is_dir() and any(place.iterdir()))


def _answers(folder: Path) -> bool:
    """List a folder in a child, because CVMFS may hang for ever (cvmfs issue 3375)."""
    try:
        done = subprocess.run(
            ["ls", str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=CVMFS_ANSWERS_WITHIN_S,
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError):
        return False
    return done.returncode == 0 and bool(done.stdout.strip())
