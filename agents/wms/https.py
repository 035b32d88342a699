"""HTTPS as DIRAC's Tornado services speak it: POST form `method`, `args`; S_OK and S_ERROR in JEncode."""

import functools
import http.client
import io
import re
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import requests
import urllib3
from requests.adapters import HTTPAdapter

from agents.errors import AccessDenied, BadAnswer, Busy, NoAnswer, Unreachable
from agents.wms import jencode
from agents.wms.server_clock import ServerClock

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

_E = TypeVar("_E", bound=BaseException)
_REASONS = re.compile(
    r"\[Errno -?\d+\] [^'\")\]]+|Remote end closed[^'\")]*|Connection aborted|IncompleteRead|\[SSL[^\]]*\][^'\")(]*"
)
_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_NOT_NOW = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


_CHUNK_BYTES = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one exchange may take.

    Attributes:
        connect_s: for TCP and TLS.
        read_s: of silence.
        whole_s: for the whole answer; a server that drips its head or its body is given up at most `read_s` later.
        body_mb: of the decoded answer.
    """

    connect_s: float = 10.0
    read_s: float = 60.0
    whole_s: float = 120.0
    body_mb: int = 64


def session(certificate: Path | tuple[Path, Path], ca: Path) -> requests.Session:
    """Return a keep-alive session with this identity.

    Args:
        certificate: a proxy (leaf, key and chain in one file), or host certificate and key.
        ca: a directory of hashed CA certificates, or a bundle.
    """
    made = requests.Session()
    made.trust_env = False  # REQUESTS_CA_BUNDLE would silently replace our CAs
    made.verify = str(ca)
    made.cert = str(certificate) if isinstance(certificate, Path) else (str(certificate[0]), str(certificate[1]))
    return made


class HttpsTransport:
    """Carries calls over one keep-alive session."""

    def __init__(
        self,
        session: requests.Session,
        *,
        vo: str,
        setup: str = "None",
        extra: object = None,
        limits: Limits = Limits(),
        clock: ServerClock | None = None,
    ) -> None:
        self._session = session
        self._clock = clock or ServerClock()
        self._wire = _Wire()
        self._session.mount("https://", _adapter(limits.whole_s, self._wire))
        self._fixed = {"clientVO": vo, "clientSetup": setup}
        if extra is not None:
            self._fixed["extraCredentials"] = jencode.encode(extra)
        self._limits = limits

    def exchange(self, url: str, method: str, arguments: Sequence[object], *, raw: bool) -> object:
        """Post one call; errors as in `Transport.exchange`."""
        form = {"method": method, "args": jencode.encode(list(arguments)), **self._fixed}
        if raw:
            form["rawContent"] = "True"
        self._wire.is_written = False
        sent = self._clock.now()
        try:
            with self._session.post(
                url,
                data=form,
                stream=True,
                allow_redirects=False,
                timeout=(self._limits.connect_s, self._limits.read_s),
            ) as response:
                self._clock.heard(response.headers.get("Date", ""), sent)
                body = self._body(response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if self._wire.is_written:
                raise NoAnswer(f"{url}: no answer to {method}: {_plain(error)}") from error
            raise Unreachable(f"{url}: {_plain(error)}") from error
        return _answer(url, method, response, body)

    def _body(self, response: requests.Response) -> bytes:
        """Read the answer within its limit of size."""
        chunks, size, limit = [], 0, self._limits.body_mb * 10**6
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):  # read() would wait for a whole chunk
            size += len(chunk)
            if size > limit:
                raise BadAnswer(f"{response.url}: the answer is larger than {self._limits.body_mb} MB")
            chunks.append(chunk)
        return b"".join(chunks)


class _Wire(threading.local):
    """Whether a byte of the request was written, of the exchange that this thread is at.

    Only this tells whether a call can have been received: with TLS 1.3 even the server's word on our certificate may
    come after that, and so may any status, alert or end of the connection.
    """

    is_written = False


class _TooSlow(TimeoutError):
    """An answer drips."""


class _Timed(io.RawIOBase):
    """What comes in on a connection, until a deadline: the sockets' own time-out begins anew with every byte."""

    def __init__(self, source: io.RawIOBase, whole_s: float) -> None:
        self._source = source
        self._whole_s = whole_s
        self._deadline = time.monotonic() + whole_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int | None:
        if time.monotonic() > self._deadline:
            raise _TooSlow(f"it was not complete in {self._whole_s:g} s")
        return self._source.readinto(buffer)

    def close(self) -> None:
        self._source.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """An answer of which head and body together have their time."""

    def __init__(self, *arguments: Any, whole_s: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.fp = io.BufferedReader(_Timed(self.fp.detach(), whole_s))


class _Connection(urllib3.connection.HTTPSConnection):
    """A connection that says when a request begins to go out; its answers have their time."""

    def __init__(self, *arguments: Any, wire: _Wire, whole_s: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._wire = wire
        self.response_class = functools.partial(_TimedResponse, whole_s=whole_s)  # type: ignore[assignment]

    def send(self, data: Any) -> None:
        """Write a piece of a request."""
        if self.sock is None:
            self.connect()
        self._wire.is_written = True
        super().send(data)


def _adapter(whole_s: float, wire: _Wire) -> HTTPAdapter:
    """Return what keeps the connections."""

    def pool(*arguments: Any, **named: Any) -> urllib3.HTTPSConnectionPool:
        made = urllib3.HTTPSConnectionPool(*arguments, **named)
        made.ConnectionCls = functools.partial(_Connection, wire=wire, whole_s=whole_s)  # type: ignore[assignment]
        return made

    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=8, max_retries=0)
    adapter.poolmanager.pool_classes_by_scheme = {"https": pool}
    return adapter


def _plain(error: BaseException) -> str:
    """Return the innermost reason of requests' nested exceptions."""
    if refused := _caused_by(error, ssl.SSLCertVerificationError):
        return _untrusted(refused)
    if slow := _caused_by(error, _TooSlow):
        return str(slow)
    if isinstance(error, requests.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.ReadTimeout | urllib3.exceptions.ReadTimeoutError):
        return "silence until the read time-out"
    found = _REASONS.findall(repr(error))
    return found[-1].strip() if found else str(error)[:200]


def _caused_by(error: BaseException | None, kind: type[_E]) -> _E | None:
    """Return the error of this kind that led to another one."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def _untrusted(error: ssl.SSLCertVerificationError) -> str:
    """Return OpenSSL's word on a certificate that it refused."""
    san = "; that name must stand in its subjectAltName, the CN does not count (RFC 6125)"
    word = error.verify_message.rstrip(".")
    return f"the server's certificate is not trusted: {word}{san if 'mismatch' in word else ''}"


def _answer(url: str, method: str, response: requests.Response, body: bytes) -> object:
    """Turn an HTTP answer into a value or the error that says what to do next."""
    status = response.status_code
    if status == HTTPStatus.OK:
        if "octet-stream" in response.headers.get("Content-Type", ""):
            return body
        return _decoded(url, method, body)
    if status in _DENIED:
        raise AccessDenied(f"{url}: no access to {method} with this credential (HTTP {status})")
    if status in _NOT_NOW:
        raise Busy(f"{url}: busy (HTTP {status})", retry_after_s=_retry_after_s(response))
    if status == HTTPStatus.NOT_FOUND:
        raise Busy(f"{url}: there is no such service (HTTP 404)")
    if status == HTTPStatus.NOT_IMPLEMENTED:
        raise AccessDenied(f"{url}: the service has no method {method} (HTTP 501)")
    raise BadAnswer(f"{url}: HTTP {status} in answer to {method}")


def _decoded(url: str, method: str, body: bytes) -> object:
    try:
        return jencode.decode(body)
    except BadAnswer as error:
        raise BadAnswer(f"{url}: {method}: {error}") from error


def _retry_after_s(response: requests.Response) -> float | None:
    """Return what Retry-After asks (RFC 9110 §10.2.3), in seconds or as a date; at most an hour."""
    text = response.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return min(float(text), 3600.0)
    try:
        return min(max(0.0, parsedate_to_datetime(text).timestamp() - time.time()), 3600.0)
    except (ValueError, TypeError):
        return None
