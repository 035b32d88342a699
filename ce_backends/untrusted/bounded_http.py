"""HTTPS of which nothing is without a bound: time to connect, to send and to answer, bytes of the answer, redirects.

A server is a stranger: it may drip its head or its body, never end them, pack a gigabyte into a kilobyte, send us
elsewhere, or leave cookies. Sockets' own time-outs begin anew with every byte; what is here does not.
"""

import functools
import http.client
import io
import math
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from ce_backends.untrusted.web_proxies import is_here, way, web_proxies

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

_E = TypeVar("_E", bound=BaseException)
_CHUNK_BYTES = 65536
_RECORD_BYTES = 16384  # of TLS: what one write may wait for, and has its time for
_GZIP = 31  # zlib's word for gzip alone
# Firewalls forget idle connections, mostly without a word: a call on one waits for its whole time, and may be lost.
# A new one is cheap beside that; DIRAC's own clients make one for each call.
_IDLE_S = 1.5
_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)

_written = threading.local()
"""Whether the exchange that this thread makes has written a byte of its request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one exchange may take.

    Attributes:
        connect_s: for TCP and TLS.
        read_s: of silence.
        whole_s: for the whole request, and again for the whole answer.
        body_mb: of the decoded answer.
        least_kb_s: speed at which a large one earns more time than `whole_s`; 0 for no more.
    """

    connect_s: float = 10.0
    read_s: float = 60.0
    whole_s: float = 120.0
    body_mb: int = 64
    least_kb_s: int = 0


class TooLarge(Exception):
    """An answer is larger than its limit; the request was received."""


class Failure(Exception):
    """There is no answer, or not a whole one.

    Attributes:
        cause: what requests, urllib3 or Python said.
        was_written: a byte of the request was written, so that it may have been received. Only this tells: with
            TLS 1.3 even the server's word on our certificate may come after that, and so may any alert or end.
        way: ends a sentence about it: through which web proxy, empty for none.
    """

    def __init__(self, cause: Exception, *, was_written: bool, way: str) -> None:
        super().__init__(f"{cause}{way}")
        self.cause = cause
        self.way = way
        self.was_written = was_written


class TooSlow(TimeoutError):
    """An answer, or a request that the server does not read, drips."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, whole.

    Attributes:
        status: of HTTP.
        headers: their names in any case.
        body: decoded.
        reason: beside the status.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    reason: str = ""


class Session(requests.Session):
    """Kept connections to whoever is called with one credential. Plain http is for who is on this machine only.

    Of the environment `https_proxy`, `all_proxy` and `no_proxy` count, in small letters or large: a proxy is asked for
    a tunnel (CONNECT), TLS is with the service. Who is on this machine is called without.
    """

    def __init__(self, limits: Limits, trusted: ssl.SSLContext | None = None) -> None:
        """Make one; servers that `trusted` accepts are so beside those that `verify` names."""
        super().__init__()
        self.trust_env = False  # REQUESTS_CA_BUNDLE would silently replace our CAs
        self.headers["Accept-Encoding"] = "gzip"
        self._trusted = trusted
        self.bound(limits)

    def bound(self, limits: Limits) -> None:
        """Keep to these limits from the next connection on."""
        self.limits = limits
        self.mount("https://", _Adapter(limits, self._trusted))
        self.mount("http://", _Adapter(limits))

    def get_adapter(self, url: str) -> Any:
        """Return what carries a request; an error in plain http to another machine."""
        where = urlsplit(url)
        if where.scheme == "http" and not is_here(where.hostname or ""):
            raise requests.exceptions.InvalidSchema(f"plain http to {where.hostname}: expected https")
        return super().get_adapter(url)

    def get_redirect_target(self, _resp: requests.Response) -> None:
        """Return nothing: no redirect is followed, nor its body read without a limit, as requests does to tell it."""


def exchange(
    session: Session,
    method: str,
    url: str,
    *,
    data: Mapping[str, str] | bytes | IO[bytes] = b"",
    headers: Mapping[str, str] | None = None,
    on_head: Callable[[Mapping[str, str]], object] = lambda _headers: None,
) -> Answer:
    """Make one request; whatever HTTP status comes is an answer. `on_head` gets its headers before its body is read.

    Raises:
        TooLarge: the answer is larger than its limit.
        Failure: there is no answer, or not a whole one.
    """
    with _asked(session, method, url, data, headers) as response:
        on_head(response.headers)
        body = b"".join(_pieces(response, session.limits.body_mb * 10**6))
    return Answer(response.status_code, response.headers, body, response.reason or "")


def save(session: Session, url: str, into: IO[bytes], *, most_mb: int, headers: Mapping[str, str]) -> int:
    """Write the body of a good answer to a file as it comes; return the HTTP status. Errors as of `exchange`."""
    with _asked(session, "GET", url, b"", headers) as response:
        if response.status_code == http.client.OK:
            for piece in _pieces(response, most_mb * 10**6):
                into.write(piece)
    return response.status_code


@contextmanager
def _asked(
    session: Session,
    method: str,
    url: str,
    data: Mapping[str, str] | bytes | IO[bytes],
    headers: Mapping[str, str] | None,
) -> Iterator[requests.Response]:
    """Make a request, and give up its connection at the end of the block if the answer was not read to its end."""
    _written.any = False
    patience = (session.limits.connect_s, session.limits.read_s)
    try:
        with session.request(
            method,
            url,
            data=data,
            headers=headers,
            stream=True,
            allow_redirects=False,
            timeout=patience,
            proxies=web_proxies(url),
        ) as response:
            yield response
    except (
        urllib3.exceptions.HTTPError,
        http.client.HTTPException,
        OSError,
        ValueError,
    ) as error:  # requests' own are OSErrors
        raise Failure(error, was_written=_written.any, way=way(web_proxies(url))) from error


def _pieces(response: requests.Response, limit_bytes: int) -> Iterator[bytes]:
    """Yield the decoded body in pieces of bounded size."""
    unpacked, left = _unpacking(response), limit_bytes
    while packed := response.raw.read1(_CHUNK_BYTES, decode_content=False):  # read() would wait for a whole chunk
        while packed:
            piece, packed = unpacked(packed, _CHUNK_BYTES)
            left -= len(piece)
            if left < 0:
                raise TooLarge(f"{response.url}: the answer is larger than {limit_bytes // 10**6} MB")
            yield piece


def _unpacking(response: requests.Response) -> Any:
    """Return what decodes so many bytes of a piece, and gives back what it has not used."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity":
        return lambda packed, _most: (packed, b"")
    if encoding != "gzip":  # several of them make a gigabyte of a kilobyte
        raise urllib3.exceptions.DecodeError(f"Content-Encoding {encoding[:40]!r}, where gzip alone was asked for")
    gzip = zlib.decompressobj(_GZIP)

    def unpacked(packed: bytes, most: int) -> tuple[bytes, bytes]:
        try:
            return gzip.decompress(packed, most), gzip.unconsumed_tail
        except zlib.error as error:
            raise urllib3.exceptions.DecodeError(f"no gzip: {error}") from error

    return unpacked


def caused_by(error: BaseException | None, kind: type[_E]) -> _E | None:
    """Return the error of this kind that led to another one."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


class _Deadline:
    """Time that a socket's reads or writes have together; each piece that is through earns some."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._ends = time.monotonic() + limits.whole_s

    def patience(self, sock: socket.socket) -> None:
        """Let the next read or write wait for no longer than is left."""
        left_s = self._ends - time.monotonic()
        if left_s <= 0:
            raise TooSlow(f"it was not complete in {self._limits.whole_s:g} s")
        sock.settimeout(min(self._limits.read_s, left_s))

    def moved(self, size: int) -> None:
        """Take note of bytes that have come or gone."""
        if self._limits.least_kb_s:
            self._ends += size / (self._limits.least_kb_s * 1000)

    def overdue(self) -> bool:
        """Tell whether the time is over."""
        return time.monotonic() >= self._ends


class _Timed(io.RawIOBase):
    """What comes in on a connection, until a deadline."""

    def __init__(self, source: io.RawIOBase, sock: socket.socket, limits: Limits) -> None:
        self._source = source
        self._socket = sock
        self._deadline = _Deadline(limits)
        self._most_bytes = 2 * limits.body_mb * 10**6  # of what a body, its chunks and a head may have together
        self.earns = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int | None:
        self._deadline.patience(self._socket)
        try:
            size = self._source.readinto(buffer)
        except TimeoutError:
            if self._deadline.overdue():
                self._deadline.patience(self._socket)
            raise
        self._most_bytes -= size or 0
        if self._most_bytes < 0:
            raise TooSlow("it went on and on")
        if self.earns:
            self._deadline.moved(size or 0)
        return size

    def close(self) -> None:
        self._source.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer of which head and body together have their time."""

    def __init__(self, sock: socket.socket, *arguments: Any, limits: Limits, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self._timed = _Timed(self.fp.detach(), sock, limits)
        self.fp = io.BufferedReader(self._timed)

    def begin(self) -> None:
        super().begin()
        self._timed.earns = True  # a head earns nothing, however much comes of it
        for name in ("Set-Cookie", "Set-Cookie2"):  # nobody here wants them, and they would be kept
            del self.msg[name]

    def _read_and_discard_trailer(self) -> None:
        self._timed.earns = False
        super()._read_and_discard_trailer()  # type: ignore[misc] # of http.client, since Python 3.0


class _Paced(urllib3.connection.HTTPConnection):
    """A connection whose requests and answers have their time."""

    def __init__(self, *arguments: Any, limits: Limits, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.response_class = functools.partial(_Response, limits=limits)  # type: ignore[assignment]
        self._limits = limits
        self._sending = _Deadline(limits)
        self._is_tunnelling = False
        self.idle_since_s = math.inf

    def _tunnel(self) -> None:
        self._is_tunnelling = True
        super()._tunnel()
        self._is_tunnelling = False

    def putrequest(self, *arguments: Any, **named: Any) -> None:
        self._sending = _Deadline(self._limits)
        super().putrequest(*arguments, **named)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        for at in range(0, len(data), _RECORD_BYTES):
            _written.any = not self._is_tunnelling
            self._sending.patience(self.sock)
            super().send(data[at : at + _RECORD_BYTES])
            self._sending.moved(_RECORD_BYTES)


class _SecureConnection(_Paced, urllib3.connection.HTTPSConnection):
    """The same over TLS."""


class _PlainPool(urllib3.HTTPConnectionPool):
    """Connections to one server. None is used again that was idle for long."""

    made_of: type[_Paced] = _Paced

    def __init__(self, *arguments: Any, limits: Limits, **named: Any) -> None:
        alive = [*urllib3.connection.HTTPConnection.default_socket_options, *_ALIVE]
        super().__init__(*arguments, **{**named, "socket_options": alive})
        self.ConnectionCls = functools.partial(self.made_of, limits=limits)  # type: ignore[assignment]

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection: Any = super()._get_conn(timeout)
        if time.monotonic() - connection.idle_since_s > _IDLE_S:
            connection.close()  # it is opened anew
        return connection

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since_s = time.monotonic()
        super()._put_conn(conn)


class _Pool(_PlainPool, urllib3.HTTPSConnectionPool):
    """The same over TLS."""

    made_of = _SecureConnection


class _Adapter(HTTPAdapter):
    """Keeps such connections."""

    def __init__(self, limits: Limits, trusted: ssl.SSLContext | None = None) -> None:
        kinds = {"http": _PlainPool, "https": _Pool}
        self._pools = {scheme: functools.partial(kind, limits=limits) for scheme, kind in kinds.items()}
        self._tls = {"ssl_context": trusted} if trusted else {}
        super().__init__(pool_connections=4, pool_maxsize=8, max_retries=0)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, **{**named, **self._tls})

    def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **{**named, **self._tls})
        manager.pool_classes_by_scheme = self._pools
        return manager
