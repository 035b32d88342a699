"""The doctor's steps that look at the services."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from pilot.counted import counted
from pilot.doctor.finding import FAULT, OK, SKIPPED, WARNING, Contact, Finding, Patient
from pilot.errors import UNREACHABLE, USAGE, UsageError
from pilot.wms import certificate, configuration, diracx, web_proxy
from pilot.wms import client as services

CONNECT_S = 5.0
OFF_S, FAR_OFF_S = 30.0, 300.0  # DIRAC's servers and proxies bear five minutes
NEEDED = ("Matcher", "JobStateUpdate", "JobManager", "SandboxStore")
REPLACED = ("JobStateUpdate", "JobManager", "SandboxStore")  # by DiracX, when they are published no more
USEFUL = ("PilotManager", "PilotLogging", "JobMonitoring")
HOSTNAME_MISMATCH, NOT_YET_VALID, EXPIRED = 62, 9, 10  # X509_V_ERR_… of OpenSSL
NO_CA = (18, 19, 20, 21)


def configuration_servers(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Reach each Configuration server, and take the configuration from one."""
    if patient.credential is None or patient.cas is None:
        return patient, [Finding("configuration", SKIPPED, "not tried without credential and CAs")]
    servers = patient.settings.servers
    if not servers:
        remedy = "give -C, or ConfigurationServers in pilot.json"
        return patient, [Finding("configuration", FAULT, "no Configuration server is named", remedy, USAGE)]
    context = services.tls(patient.credential, patient.cas)
    caller = services.Services(context, vo=patient.vo, setup=patient.settings.setup, is_host=patient.credential.is_host)
    contacts, found = reach_all("configuration", servers, context, patient.now(), FAULT)
    patient = replace(patient, caller=caller, contacts=contacts)
    if contacts:
        tree = configuration.download(caller, [contact.url for contact in contacts]).root
        patient = replace(patient, configuration=tree)
        found.append(Finding("configuration", OK, f"read, with the sections {', '.join(tree)}"))
    return patient, found


def clock(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Compare our clock with those of the services."""
    told = [(contact.off_s, contact.url) for contact in patient.contacts if contact.off_s is not None]
    if not told:
        return patient, [Finding("clock", SKIPPED, "no service said what time it is")]
    off_s, url = max(told, key=lambda pair: abs(pair[0]))
    which = "ahead of" if off_s < 0 else "behind"
    says = f"this node is {abs(off_s):.0f} s {which} {urlsplit(url).netloc}"
    if abs(off_s) < OFF_S:
        return patient, [Finding("clock", OK, f"within {OFF_S:.0f} s of {urlsplit(url).netloc}")]
    severity, code = (FAULT, UNREACHABLE) if abs(off_s) > FAR_OFF_S else (WARNING, 0)
    remedy = (
        "set the clock (chronyc makestep): proxies and certificates are not valid yet, or no more, to one of the two"
    )
    return patient, [Finding("clock", severity, says, remedy, code)]


def wms_services(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Reach the services that pilot and agent will call."""
    if not patient.configuration or patient.credential is None or patient.cas is None:
        return patient, [Finding("services", SKIPPED, "not tried without the configuration")]
    context = services.tls(patient.credential, patient.cas)
    found = []
    replaced = REPLACED if diracx.url(patient.configuration, patient.vo) else ()
    for name in (*NEEDED, *USEFUL):
        severity = FAULT if name in NEEDED and name not in replaced else WARNING
        urls = urls_of(patient, name)
        if urls:
            found += reach_all(name, urls, context, patient.now(), severity)[1]
        else:
            says = f"the configuration has no URL of {name}"
            remedy = f"/Systems/WorkloadManagement/…/URLs/{name}"
            found.append(Finding("services", severity, says, remedy, USAGE if severity == FAULT else 0))
    return patient, found


def urls_of(patient: Patient, name: str) -> tuple[str, ...]:
    """Return the URLs of a service of the WMS, also where it is published by its class's name."""
    setup, vo = patient.settings.setup, patient.vo
    named = (name, f"Tornado{name}")
    found = (
        configuration.service_urls(patient.configuration, "WorkloadManagement", each, setup=setup, vo=vo)
        for each in named
    )
    return next((urls for urls in found if urls), ())


def site(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Look our CE up in the configuration."""
    told = patient.settings
    if not told.site:
        return patient, [
            Finding("site", FAULT, "the site is not known", "give -n, or -N with a CE that pilot.json lists", USAGE)
        ]
    if not patient.configuration:
        return patient, [Finding("site", SKIPPED, "not looked up without the configuration")]
    known = configuration.ce_parameters(patient.configuration, site=told.site, ce=told.ce, queue=told.queue)
    known_queues = configuration.queues(patient.configuration, site=told.site, ce=told.ce)
    place = f"site {told.site}, CE {told.ce or '-'}, queue {told.queue or '-'}"
    if not known or (told.queue and told.queue not in known_queues):
        remedy = "check -n, -N and -Q; without an entry the agent goes by what the node says"
        hint = configuration.nearest(patient.configuration, site=told.site, ce=told.ce, queue=told.queue)
        return patient, [Finding("site", WARNING, f"{place}: not in the configuration{hint}", remedy)]
    return patient, [Finding("site", OK, f"{place}: {counted(len(known), 'option')}")]


def reach_all(
    step: str, urls: tuple[str, ...], context: ssl.SSLContext, now: datetime, severity: str
) -> tuple[list[Contact], list[Finding]]:
    """Reach each of these equal servers; only when none is reached it is as bad as `severity`."""
    contacts, found = [], []
    for url in urls:
        try:
            contacts.append(_reach(url, context, now))
            found.append(Finding(step, OK, f"{url}: {contacts[-1].tls}, {contacts[-1].took_s * 1000:.0f} ms{_by(url)}"))
        except (OSError, http.client.HTTPException, ValueError, UsageError) as error:
            says, remedy = explained(url, error)
            found.append(Finding(step, severity, f"{says}{_by(url)}", remedy, UNREACHABLE if severity == FAULT else 0))
    if contacts:
        found = [replace(each, severity=WARNING, exit_code=0) if each.severity == FAULT else each for each in found]
    return contacts, found


def _reach(url: str, context: ssl.SSLContext, now: datetime) -> Contact:
    host, port = _place(url)
    began = time.monotonic()
    with _secured(url, host, port, context) as secured:
        took_s = time.monotonic() - began
        cipher = secured.cipher()
        tls = f"{secured.version()}, {cipher[0] if cipher else 'no cipher'}"
        off_s = _clock_of(secured, host, now) if urlsplit(url).scheme == "https" else None
    return Contact(url, tls, took_s, off_s)


@contextlib.contextmanager
def _secured(url: str, host: str, port: int, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """Connect as the pilot would: https through the web proxy that the environment names, dips never."""
    if urlsplit(url).scheme == "https":
        connection = web_proxy.connection(host, port, context, CONNECT_S)
        with contextlib.closing(connection):
            connection.connect()
            yield connection.sock
        return
    plain = socket.create_connection((host, port), timeout=CONNECT_S)
    with plain, context.wrap_socket(plain, server_hostname=host) as secured:
        yield secured


def _by(url: str) -> str:
    """Return through which web proxy a service is called, to end a sentence with."""
    place = urlsplit(url)
    proxy = web_proxy.of(place.hostname or "")
    if not proxy:
        return ""
    how = "through" if place.scheme == "https" else "not through (it cannot carry dips)"
    return f", {how} the web proxy {web_proxy.shown(proxy)}"


def _clock_of(secured: ssl.SSLSocket, host: str, now: datetime) -> float | None:
    """Return the service's clock minus ours in seconds, from the Date that every HTTP answer has."""
    secured.sendall(f"HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = http.client.HTTPResponse(secured, method="HEAD")
    answer.begin()
    date = answer.getheader("Date")
    return (parsedate_to_datetime(date) - now).total_seconds() if date else None


def _place(url: str) -> tuple[str, int]:
    place = urlsplit(url)
    if not place.hostname or place.scheme not in ("https", "dips"):
        raise ValueError("expected https://host:port/… or dips://host:port/…")
    return place.hostname, place.port or 443


def explained(url: str, error: Exception) -> tuple[str, str]:
    """Return a sentence and what to do for a service that was not reached."""
    place = urlsplit(url).netloc
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_trouble(url, error)
    if isinstance(error, socket.gaierror):
        return (
            f"{url}: there is no host {urlsplit(url).hostname!r} (DNS)",
            "check the URL, /etc/resolv.conf and /etc/hosts",
        )
    if isinstance(error, ConnectionRefusedError):
        return f"{url}: nothing listens there", f"start the service, or correct its URL; the host of {place} is up"
    if isinstance(error, TimeoutError):
        return f"{url}: no answer within {CONNECT_S:.0f} s", f"ask for a way through the firewall to {place}"
    if isinstance(error, ssl.SSLError):
        says = f"{url}: the TLS handshake failed: {error.reason or error}"
        return says, "is it a TLS service, and does it accept our credential's CA?"
    return f"{url}: not reached: {error}", "check network and URL"


def _certificate_trouble(url: str, error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    if error.verify_code == HOSTNAME_MISMATCH:
        return _wrong_name(url)
    if error.verify_code in NO_CA:
        remedy = "install the CA that issued it (the IGTF packages, or your own) into the CA folder, and rehash it"
        return f"{url}: its certificate comes from no CA that we trust ({error.verify_message})", remedy
    if error.verify_code in (NOT_YET_VALID, EXPIRED):
        return f"{url}: {error.verify_message}", "renew the host's certificate; or this node's clock is wrong"
    return f"{url}: its certificate is not accepted: {error.verify_message}", "renew the host's certificate"


def _wrong_name(url: str) -> tuple[str, str]:
    host, port = _place(url)
    names = tuple(_names_in_certificate(host, port))
    if not names:
        says = f"{url}: its certificate has no subjectAltName, and the subject's name alone does not count (RFC 9525)"
        return says, f"issue the host certificate anew with subjectAltName DNS:{host}"
    return (
        f"{url}: its certificate is for {', '.join(names)}",
        f"use one of these names in the URL, or add {host} to it",
    )


def _names_in_certificate(host: str, port: int) -> Iterator[str]:
    """Yield the names in a server's certificate, which is only looked at: nothing is sent."""
    looking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    looking.check_hostname, looking.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection((host, port), timeout=CONNECT_S)
    with plain, looking.wrap_socket(plain, server_hostname=host) as secured:
        der = secured.getpeercert(binary_form=True) or b""
    yield from certificate.host_names(der)
