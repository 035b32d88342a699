"""DiracX beside DIRAC, as a pilot asks it before there is an agent: whom to trust, a token, itself by its stamp."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pilot import cfg, private, readers, strict_json
from pilot.errors import CredentialError, PilotError, ServiceRefused, ServiceUnreachable, UsageError
from pilot.wms import configuration
from pilot.wms.client import Services, Until, call_any, send

BY_STAMP = "Pilot/PilotsByStamp"  # option of Operations, False by default; the SiteDirector reads it too
GOOD = (200, 201, 204)
UNKNOWN, KNOWN = 404, 409
LEAST_S = 60.0  # what an access token must live yet; one that lives less is got anew, not refreshed
LONGEST_DETAIL = 300
BLOCK = re.compile(r"-----BEGIN DIRACX-----\r?\n([A-Za-z0-9+/=\r\n]{0,60000})-----END DIRACX-----")
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,16000}\.[A-Za-z0-9_-]{1,16000}\.[A-Za-z0-9_-]{0,16000}")


def url(root: cfg.Section, vo: str) -> str:
    """Return where DiracX is for the VO, empty where the VO does without."""
    disabled = readers.comma_list(cfg.option(root, "/DiracX/DisabledVOs"))
    return "" if vo in disabled else cfg.option(root, "/DiracX/URL").rstrip("/")


def has_pilots(root: cfg.Section, *, setup: str, vo: str) -> bool:
    """Tell whether the VO wants its pilots in DiracX, by their stamps.

    Raises:
        UsageError: the option is neither True nor False.
    """
    said = configuration.operations(root, BY_STAMP, setup=setup, vo=vo)
    try:
        return readers.yes_no(said)
    except ValueError as error:
        raise UsageError(f"Operations of the configuration: {BY_STAMP} = {said}: expected {error}") from error


def proxy_managers(root: cfg.Section, *, setup: str, vo: str) -> tuple[str, ...]:
    """Return the URLs of who exchanges a proxy for a token, also where it is published by its class's name."""
    named = ("ProxyManager", "TornadoProxyManager")
    found = (configuration.service_urls(root, "Framework", each, setup=setup, vo=vo) for each in named)
    return next((urls for urls in found if urls), ())


def trusting(cas: Path, environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return whom pilot and agent take for DiracX: grid CAs, the system's store, and what DIRACX_CA_PATH names.

    Raises:
        CredentialError: one of them cannot be read as CA certificates.
    """
    context = ssl.create_default_context()
    for named in (str(cas), environ.get("DIRACX_CA_PATH", "")):
        place = Path(named)
        try:
            if named and place.is_file():
                context.load_verify_locations(cafile=named)
            elif named and place.is_dir():
                context.load_verify_locations(capath=named)
        except (ssl.SSLError, OSError) as error:
            raise CredentialError(f"{named}: not readable as CA certificates: {error}") from error
    return context


def token(caller: Services, managers: Sequence[str], proxy: Path, *, timeout_s: float) -> str:
    """Return an access token: the one in the proxy file, otherwise one that DIRAC gives for the proxy.

    Raises:
        ServiceRefused, ServiceUnreachable: there is none.
    """
    if kept := _kept(proxy):
        return kept
    if not managers:
        raise ServiceUnreachable("no ProxyManager is published, so there is no token for our proxy")
    given = call_any(caller, managers, "exchangeProxyForToken", timeout_s=timeout_s / len(managers))
    found = given.get("access_token") if isinstance(given, dict) else None
    if not isinstance(found, str) or not TOKEN.fullmatch(found):
        raise ServiceUnreachable("ProxyManager: the answer to exchangeProxyForToken holds no token")
    return found


def _kept(proxy: Path) -> str:
    """Return the token in a proxy file, empty where there is none that lives a while: then it is exchanged."""
    try:
        block = BLOCK.search(private.read_secret(proxy))
        held = strict_json.read(base64.b64decode("".join(block[1].split()), validate=True)) if block else {}
        found, ends = held.get("access_token"), held.get("expires_on")
    except (CredentialError, ValueError, AttributeError):
        return ""
    lives = isinstance(ends, (int, float)) and ends - time.time() > LEAST_S
    return found if lives and isinstance(found, str) and TOKEN.fullmatch(found) else ""


class PilotsByStamp:
    """What DiracX is told of one pilot, which it knows by its stamp (routes of DiracX 0.7).

    Args:
        base: URL of DiracX.
        context: whom we take for it.
        token: gives an access token within so many seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        base: str,
        context: ssl.SSLContext,
        token: Callable[[float], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base = base
        self._context = context
        self._token = token
        self._clock = clock

    def set_status(self, stamp: str, told: Mapping[str, str], *, timeout_s: float) -> None:
        """Tell where a pilot stands, in the words of the route's body.

        Raises:
            ServiceRefused: DiracX said no; errno is the HTTP status, 404 for a stamp that it does not know.
            ServiceUnreachable: there is no usable answer.
        """
        self._ask("PATCH", "/api/pilots/metadata", {stamp: told}, self._clock() + timeout_s)

    def register(self, stamp: str, told: Mapping[str, str], *, timeout_s: float) -> None:
        """Make a pilot known that is not; one that is known already stays as it is. Errors as of `set_status`."""
        try:
            self._ask("POST", "/api/pilots/", {"pilot_stamp": stamp, **told}, self._clock() + timeout_s)
        except ServiceRefused as error:
            if error.errno != KNOWN:
                raise

    def _ask(self, method: str, path: str, body: object, deadline: float) -> None:
        shown = self._token(max(0.001, deadline - self._clock()))
        headers = {"Authorization": f"Bearer {shown}", "Accept": "application/json", "Content-Type": "application/json"}
        sent, until = json.dumps(body).encode(), Until(deadline, self._clock)
        try:
            status, answer = send(method, self._base + path, sent, headers, context=self._context, until=until)
        except (OSError, http.client.HTTPException) as error:
            raise ServiceUnreachable(
                f"DiracX: {self._base}: no answer to {method} {path}: {error or type(error).__name__}"
            ) from error
        if status in GOOD:
            return
        said = f"DiracX: {method} {path}: HTTP {status}{_detail(answer)}"
        raise _error(status, said)


def _error(status: int, said: str) -> PilotError:
    return ServiceRefused(said, status) if 400 <= status < 500 and status != 429 else ServiceUnreachable(said)


def _detail(answer: bytes) -> str:
    """Return DiracX's own words on a refusal, to end a sentence with; empty when it said none."""
    try:
        found: Any = strict_json.read(answer)
    except strict_json.NotJson:
        return ""
    detail = found.get("detail") if isinstance(found, dict) else None
    if isinstance(detail, list):
        detail = "; ".join(str(fault.get("msg")) for fault in detail[:5] if isinstance(fault, dict))
    return f": {detail[:LONGEST_DETAIL]}" if isinstance(detail, str) and detail else ""
