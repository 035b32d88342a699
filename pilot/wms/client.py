"""Calls to DIRAC's services: over https one POST form per call, JSON back; over dips see `pilot.wms.dips`.

Each call opens its own connection: a pilot makes about five in its life, hours apart.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from pilot import strict_json
from pilot.errors import CredentialError, ServiceRefused, ServiceUnreachable
from pilot.wms import dips, web_proxy
from pilot.wms.credential import Credential

ANSWER_LIMIT_BYTES = 64 * 1024 * 1024  # the whole configuration of a large VO has about 10 MB
CONNECT_S = 5.0
CHUNK_BYTES = 65536
RECORD_BYTES = 16384  # of TLS: what one write may wait for
LONGEST_MESSAGE = 500
TOO_MUCH = (413, 414, 415, 431)  # it would be so again


def tls(credential: Credential, cas: Path) -> ssl.SSLContext:
    """Return a context that shows our credential and requires the server's name in its SAN.

    Raises:
        CredentialError: key and certificate do not belong together, or the CAs cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    try:
        context.load_cert_chain(str(credential.certificate), str(credential.key), password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise CredentialError(f"{credential.certificate}: certificate and key do not work: {error}") from error
    try:
        context.load_verify_locations(**{"cafile" if cas.is_file() else "capath": str(cas)})
    except (ssl.SSLError, OSError) as error:
        raise CredentialError(f"{cas}: not readable as CA certificates: {error}") from error
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted; a pilot has nobody to ask for the password")


class Services:
    """Whoever can be called with this credential."""

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        vo: str,
        setup: str,
        is_host: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._form = {"clientVO": vo or "unknown", "clientSetup": setup or "None"}
        if is_host:
            self._form["extraCredentials"] = json.dumps("hosts")
        self._clock = clock

    def call(self, url: str, method: str, *arguments: object, timeout_s: float) -> Any:
        """Return the value that the service gives.

        Args:
            url: of the service, https.
            method: its name there.
            arguments: what JSON can hold.
            timeout_s: for the whole call.

        Raises:
            ServiceRefused: it answered with an error, or does not let us in.
            ServiceUnreachable: anything else; the call may or may not have had an effect.
        """
        form = {"method": method, "args": json.dumps(arguments), **self._form}
        deadline = self._clock() + timeout_s
        try:
            if urlsplit(url).scheme == "dips":
                return self._exchange(url, method, arguments, deadline)
            status, body = self._post(url, urlencode(form), deadline)
        except ssl.SSLCertVerificationError as error:
            raise ServiceUnreachable(f"{url}: its certificate is not accepted: {error.verify_message}") from error
        except (OSError, http.client.HTTPException) as error:
            raise ServiceUnreachable(
                f"{url}: no answer to {method}: {error or type(error).__name__}{_way(url)}"
            ) from error
        return _value(url, method, status, body)

    def _exchange(self, url: str, method: str, arguments: Sequence[Any], deadline: float) -> Any:
        who = (self._form["clientSetup"], self._form["clientVO"], "hosts" if "extraCredentials" in self._form else "")
        try:
            answer = dips.exchange(self._context, url, method, arguments, who=who, deadline=deadline, clock=self._clock)
        except ValueError as error:
            raise ServiceUnreachable(f"{url}: answered {method} with no DISET message: {error}") from error
        return _value_of(url, method, answer)

    def _post(self, url: str, body: str, deadline: float) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        until = Until(deadline, self._clock)
        return send("POST", url, body.encode("ascii"), headers, context=self._context, until=until)


def send(
    method: str, url: str, body: bytes, headers: Mapping[str, str], *, context: ssl.SSLContext, until: Until
) -> tuple[int, bytes]:
    """Make one https request; return its status and its body.

    Raises:
        OSError, http.client.HTTPException: there is no whole answer in time, or it is too large.
        ServiceUnreachable: the URL is none of https.
    """
    host, port, path = _place(url)
    connection = web_proxy.connection(host, port, context, min(CONNECT_S, until.left_s()))
    with contextlib.ExitStack() as to_close:  # a proxy's answer among it, which Python 3.11.2 leaves open
        to_close.callback(connection.close)

        def answer_of(*arguments: Any, **named: Any) -> _Answer:
            return to_close.enter_context(contextlib.closing(_Answer(*arguments, until=until, **named)))

        connection.response_class = answer_of  # type: ignore[assignment]
        connection.connect()
        told = {**headers, "Connection": "close", "Content-Length": str(len(body))}
        connection.request(method, path, _pieces(body, connection.sock, until), told)
        answer = connection.getresponse()
        return answer.status, _read(answer)


class Until:
    """The time that is left for a request and its answer."""

    def __init__(self, deadline: float, clock: Callable[[], float]) -> None:
        self._deadline = deadline
        self._clock = clock

    def left_s(self) -> float:
        """Return the seconds that are left; never nothing, which would mean for ever to a socket."""
        return max(0.001, self._deadline - self._clock())

    def be_patient(self, sock: socket.socket) -> None:
        """Let the next read or write wait for what is left; a socket's own time-out begins anew with every byte."""
        if self._clock() >= self._deadline:
            raise TimeoutError("it took too long")
        sock.settimeout(self.left_s())


class _Timed(io.RawIOBase):
    """What comes in on a connection, until its deadline."""

    def __init__(self, source: io.RawIOBase, sock: socket.socket, until: Until) -> None:
        self._source = source
        self._socket = sock
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._until.be_patient(self._socket)
        return self._source.readinto(buffer)

    def close(self) -> None:
        self._source.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer whose head, however long it drips, is read until the deadline only."""

    def __init__(self, sock: socket.socket, *arguments: Any, until: Until, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock, until))


def _pieces(body: bytes, sock: socket.socket, until: Until) -> Iterator[bytes]:
    """Yield what is sent, in pieces that each have the time that is left."""
    for at in range(0, len(body), RECORD_BYTES):
        until.be_patient(sock)
        yield body[at : at + RECORD_BYTES]


def _read(answer: http.client.HTTPResponse) -> bytes:
    """Return the body; a server that floods us is cut off at the limit."""
    encoding = answer.getheader("Content-Encoding", "identity")
    if encoding != "identity":  # http.client asks for no other
        raise http.client.HTTPException(f"the answer is packed ({encoding[:40]})")
    body = bytearray()
    while chunk := answer.read1(CHUNK_BYTES):
        body += chunk
        if len(body) > ANSWER_LIMIT_BYTES:
            raise http.client.HTTPException(f"the answer has more than {ANSWER_LIMIT_BYTES} bytes")
    if answer.length:  # read1 does not mind
        raise http.client.HTTPException(f"the answer breaks off, {answer.length} bytes before its end")
    return bytes(body)


def _way(url: str) -> str:
    """Return how a sentence about a call ends: through which web proxy it went, or would have to go and cannot."""
    place = urlsplit(url)
    proxy = web_proxy.of(place.hostname or "")
    if not proxy:
        return ""
    if place.scheme == "dips":
        return f" (the web proxy {web_proxy.shown(proxy)} cannot carry dips)"
    return f", through the web proxy {web_proxy.shown(proxy)}"


def _place(url: str) -> tuple[str, int, str]:
    """Return host, port and path of an https URL."""
    try:
        place = urlsplit(url)
        host, port = (place.hostname or "").encode("idna").decode("ascii"), place.port or 443
    except ValueError:
        host, port = "", 0
    if not host or place.scheme != "https":
        raise ServiceUnreachable(f"{url}: not a service that can be called; expected https://host:port/path")
    return host, port, place.path


def _value(url: str, method: str, status: int, body: bytes) -> Any:
    if status in (401, 403):
        raise ServiceRefused(f"{url}: this credential may not call {method} (HTTP {status})")
    if status == 501:
        raise ServiceRefused(f"{url}: there is no method {method}")
    if status in TOO_MUCH:
        raise ServiceRefused(f"{url}: {method} is more than the server, or a proxy before it, takes (HTTP {status})")
    if status != 200:
        raise ServiceUnreachable(f"{url}: HTTP {status} for {method}; expected 200")
    try:
        answer = strict_json.read(body)
    except strict_json.NotJson as error:
        raise ServiceUnreachable(f"{url}: answered {method} with {_shown(body)}; expected JSON") from error
    return _value_of(url, method, answer)


def _value_of(url: str, method: str, answer: Any) -> Any:
    if not isinstance(answer, dict) or not isinstance(answer.get("OK"), bool):
        shown = _shown(str(answer)[:100].encode("utf-8", "replace"))
        raise ServiceUnreachable(f"{url}: answered {method} with {shown}; expected an object with OK")
    if not answer["OK"]:
        errno = answer.get("Errno", 0)
        message = str(answer.get("Message", "no reason given"))[:LONGEST_MESSAGE]
        raise ServiceRefused(f"{url}: {method}: {message}", errno if isinstance(errno, int) else 0)
    return answer.get("Value")


def _shown(body: bytes) -> str:
    return repr(body[:60].decode("utf-8", "replace"))


def call_any(services: Services, urls: Sequence[str], method: str, *arguments: object, timeout_s: float) -> Any:
    """Return the value of the first of these equal servers that gives one; raises the last one's error.

    Args:
        services: the caller.
        urls: one or more.
        method: as `Services.call`.
        arguments: as `Services.call`.
        timeout_s: for each server.
    """
    for url in urls[:-1]:
        try:
            return services.call(url, method, *arguments, timeout_s=timeout_s)
        except ServiceUnreachable:
            continue
    return services.call(urls[-1], method, *arguments, timeout_s=timeout_s)
