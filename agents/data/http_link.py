"""One connection of HTTPS for bodies of any size: nothing is without a bound, and somebody watches all the time.

`ce_backends.untrusted.bounded_http` is for calls, whose answers fit into memory. Here a body goes from the socket to
the file through one buffer of a megabyte, and a transfer may take as long as bytes move.
"""

import itertools
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from agents import __version__
from agents.data import http_head
from agents.data.errors import ElementDown, NotAllowed, Silent, Transient
from agents.data.http_head import Head
from agents.data.pieces import buffers
from agents.data.way import Watch
from agents.errors import CredentialError
from ce_backends.errors import plain_word

CONNECT_S = 20.0
_HEAD_S = 60.0  # for a head whose first byte has come
_LOOK_S = 0.5
_INVITED_S = 5.0  # how long a server may take to ask for a body, or to refuse it
_MOST_INTERIM = 8
_MOST_SAID_BYTES = 65536
_SHOWN = 160


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent with a request.

    Attributes:
        size_bytes: of all pieces together.
        pieces: each is sent before the next is asked for.
    """

    size_bytes: int
    pieces: Iterable[memoryview]


class _Quiet(Exception):
    """Nothing came in time."""


class Link:
    """A connection to one server, with or without a credential. One thread.

    Args:
        url: whose host and port are meant.
        secure: makes the TLS context; a CredentialError of it is NotAllowed.
        watch: looks on.

    Attributes:
        is_busy: no other request can be made on it: an answer was not read to its end, or was the last one.
        has_heard: something came in answer to the last request.
    """

    def __init__(self, url: str, secure: Callable[[], ssl.SSLContext], watch: Watch) -> None:
        self._place = urlsplit(url)
        self._name = f"https://{self._place.netloc}"
        self._watch = watch
        self._waiting = bytearray()
        self._next_look_s = 0.0
        self.is_busy = False
        self.has_heard = False
        self._is_last = False
        self._socket = self._connected(secure)

    def close(self) -> None:
        """Close the connection, whatever is still on it."""
        self._socket.close()

    def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None = None, *, patience_s: float
    ) -> Head:
        """Send a request and return the head of its answer; the body is still to be read, by `receive` or `said`.

        With a body the server is asked first whether it wants it (Expect), and what it says while the body is on its
        way is heard.

        Raises:
            Transient: the way broke, or nothing moved for too long.
            Silent: nothing came in answer for `patience_s`; the connection is open, and busy.
            ElementDown: what answers does not speak HTTP.
            NotAllowed: the server refuses our certificate.
            GivenUp: the watch says so.
        """
        self.is_busy, self.has_heard = True, False
        lines = {"Host": self._place.netloc, "User-Agent": f"gridpilot/{__version__}", "Accept": "*/*", **headers}
        if body is not None:
            lines["Content-Length"] = str(body.size_bytes)
        if body is not None and body.size_bytes:
            lines["Expect"] = "100-continue"  # XRootD 5.5 would wait for the body of an empty file
        self._send(memoryview(_request(method, urlsplit(url), lines)))
        if body is not None and body.size_bytes:
            early = self._invitation()
            if early is None:
                early = self._send_body(body)
            if early is not None:
                self._is_last = True  # the server may still wait for the rest of the body
                return early
        return self._final_head(method, patience_s)

    def receive(self, head: Head, take: Callable[[memoryview], None]) -> None:
        """Hand over the body of an answer in pieces, whatever comes of it then; each is valid until three more came.

        Raises:
            Transient: it ended too early, or nothing moved for too long; what came before was handed over.
            GivenUp: the watch says so.
        """
        turn = itertools.cycle(buffers())
        if head.is_chunked:
            while size := self._chunk_size():
                self._take(size, turn, take)
                self._line()
            while self._line():
                pass
        elif head.length_bytes is None:
            raise Transient(f"{self._name}: an answer without Content-Length: nobody can tell whether it is whole")
        else:
            self._take(head.length_bytes, turn, take)
        self.is_busy = self._is_last or not head.is_kept

    def said(self, method: str, head: Head) -> str:
        """Return what the body of a short answer says, as a sentence may show it; the connection is free after it."""
        if method == "HEAD" or head.status in (204, 304):
            self.is_busy = self._is_last or not head.is_kept
            return ""
        if head.length_bytes is None or head.length_bytes > _MOST_SAID_BYTES or head.is_chunked:
            return ""
        heard = bytearray()
        self.receive(head, heard.extend)
        text = heard[:_SHOWN].decode("utf-8", "replace").strip()
        return "" if text.startswith("<") else "".join(filter(str.isprintable, text))

    def _connected(self, secure: Callable[[], ssl.SSLContext]) -> ssl.SSLSocket:
        host, port = self._place.hostname or "", self._place.port or 443
        try:
            plain = socket.create_connection((host, port), timeout=CONNECT_S)
        except (OSError, UnicodeError) as error:
            raise ElementDown(f"{self._name}: {plain_word(error)}") from error
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            secured = secure().wrap_socket(plain, server_hostname=host)
        except OSError as error:
            plain.close()
            raise self._rejected(error, ElementDown) from error
        except CredentialError as error:
            plain.close()
            raise NotAllowed(f"{self._name}: {error}") from error
        secured.settimeout(_LOOK_S)
        return secured

    def _rejected(self, error: OSError, otherwise: type[ElementDown | Transient]) -> Exception:
        if isinstance(error, ssl.SSLCertVerificationError):
            return ElementDown(f"{self._name}: the server's certificate is not trusted: {error.verify_message}")
        reason = error.reason or "" if isinstance(error, ssl.SSLError) else ""
        if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
            word = reason.replace("_", " ").lower()
            return NotAllowed(f"{self._name}: the server does not accept the owner's certificate ({word})")
        return otherwise(f"{self._name}: {plain_word(error)}")

    def _invitation(self) -> Head | None:
        """Wait for the server's word on a body that is announced; None to send it."""
        try:
            head = self._head(_INVITED_S)
        except _Quiet:
            return None
        return None if head.status < 200 else head

    def _send_body(self, body: Body) -> Head | None:
        """Send a body; return the answer that came before its end, else None."""
        for piece in body.pieces:
            if not self._send(piece, heeds=True):
                return self._final_head("PUT", self._watch.silence_s)
        return None

    def _send(self, data: memoryview, *, heeds: bool = False) -> bool:
        """Send it all; False if the server answers before its end, where that is heeded."""
        sent, moved_s = 0, time.monotonic()
        while sent < len(data):
            self._look()
            try:
                sent += self._socket.send(data[sent:])
                moved_s = time.monotonic()
            except TimeoutError:
                if heeds and self._has_word():
                    return False
                self._be_patient(moved_s)
            except OSError as error:
                if heeds and self._has_word():
                    return False
                raise self._rejected(error, Transient) from error
        return True

    def _has_word(self) -> bool:
        """Tell whether the server has said something."""
        return bool(self._socket.pending()) or bool(select.select([self._socket], [], [], 0)[0])

    def _final_head(self, method: str, patience_s: float) -> Head:
        for _ in range(_MOST_INTERIM):
            try:
                head = self._head(patience_s)
            except _Quiet:
                raise Silent(f"{self._name}: no answer to {method} for {patience_s:.0f} s") from None
            if head.status >= 200:
                return head
        raise ElementDown(f"{self._name}: one interim answer after the other")

    def _head(self, first_byte_s: float) -> Head:
        asked_s = time.monotonic()
        while not self._waiting:
            self._read_some(lambda: time.monotonic() - asked_s < first_byte_s)
        begun_s = time.monotonic()
        while not (found := _end_of_head(self._waiting)):
            if len(self._waiting) > http_head.MOST_BYTES or time.monotonic() - begun_s > _HEAD_S:
                raise ElementDown(f"{self._name}: its head goes on and on")
            self._read_some(lambda: time.monotonic() - begun_s < _HEAD_S)
        raw = bytes(self._waiting[: found[0]])
        del self._waiting[: found[1]]
        return http_head.parse(raw)

    def _read_some(self, has_time: Callable[[], bool]) -> None:
        """Read what comes into the waiting bytes.

        Raises:
            _Quiet: nothing, in the time there is.
        """
        buffer = bytearray(16384)
        while not (size := self._receive(memoryview(buffer))):
            if not has_time():
                raise _Quiet
        self._waiting += buffer[:size]
        self.has_heard = True

    def _receive(self, view: memoryview) -> int:
        """Return how many bytes came into the view, 0 if none did within a moment."""
        self._look()
        try:
            size = self._socket.recv_into(view)
        except TimeoutError:
            return 0
        except OSError as error:
            raise self._rejected(error, Transient) from error
        if not size:
            raise Transient(f"{self._name}: the server closed the connection")
        return size

    def _take(self, size_bytes: int, turn: Iterator[memoryview], take: Callable[[memoryview], None]) -> None:
        while size_bytes:
            buffer = next(turn)
            size_bytes -= self._fill(buffer[: min(size_bytes, len(buffer))], take)

    def _fill(self, view: memoryview, take: Callable[[memoryview], None]) -> int:
        """Hand over a whole view, or less where the bytes come slowly, or no more will come."""
        filled = min(len(self._waiting), len(view))
        view[:filled] = self._waiting[:filled]
        del self._waiting[:filled]
        begun_s = moved_s = time.monotonic()
        try:
            while filled < len(view) and (not filled or moved_s - begun_s < _LOOK_S):
                if size := self._receive(view[filled:]):
                    filled += size
                    moved_s = time.monotonic()
                else:
                    self._be_patient(moved_s)
        finally:
            if filled:
                take(view[:filled])
        return filled

    def _chunk_size(self) -> int:
        digits = self._line().partition(b";")[0].strip()
        if not 0 < len(digits) <= 15 or not set(digits.lower()) <= set(b"0123456789abcdef"):
            raise Transient(f"{self._name}: expected the size of a chunk, got {digits[:20]!r}")
        return int(digits, 16)

    def _line(self) -> bytes:
        """Return the next line of the chunks' frame, without its end."""
        begun_s = time.monotonic()
        while (at := self._waiting.find(b"\n", 0, 1024)) < 0:
            if len(self._waiting) >= 1024:
                raise Transient(f"{self._name}: expected the size of a chunk, got {bytes(self._waiting[:20])!r}")
            try:
                self._read_some(lambda: time.monotonic() - begun_s < self._watch.silence_s)
            except _Quiet:
                self._be_patient(begun_s)
        line = bytes(self._waiting[:at]).rstrip(b"\r")
        del self._waiting[: at + 1]
        return line

    def _look(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._next_look_s:
            self._next_look_s = now_s + _LOOK_S
            self._watch.check()

    def _be_patient(self, moved_s: float) -> None:
        if time.monotonic() - moved_s >= self._watch.silence_s:
            raise Transient(f"{self._name}: no byte moved for {self._watch.silence_s:.0f} s")


def _request(method: str, place: SplitResult, headers: Mapping[str, str]) -> bytes:
    """Return the head of a request; URLs and headers are ours, but a redirect's URL is not: it was checked."""
    target = (place.path or "/") + (f"?{place.query}" if place.query else "")
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
    if any(letter in line for line in lines for letter in "\r\n\0"):
        raise ElementDown("a line end in a URL or a header")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _end_of_head(raw: bytearray) -> tuple[int, int] | None:
    """Return where a head ends, without and with its empty line."""
    at = raw.find(b"\r\n\r\n", 0, http_head.MOST_BYTES + 4)
    return (at, at + 4) if at >= 0 else None
