"""A server that does to each connection what an act says, for as long as the client stays; and the acts."""

import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

DRIP_S = 0.01
Act = Callable[[socket.socket], None]

_GOOD = '{"OK": true, "Value": %s, "job": [{"id": "1", "status-code": "200", "x": %s}]}'
_END = b"\r\n\r\n"
GOOD = (_GOOD % (7, 7)).encode()


def valued(text: str) -> bytes:
    """Return what all clients take for an answer, but for this value in it."""
    return (_GOOD % (text, text)).encode()


def http(body: bytes, *headers: str, status: str = "200 OK") -> Act:
    """Answer with this."""
    head = "\r\n".join(
        [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    )
    return lambda peer: peer.sendall(head.encode() + _END + body)


def raw(*pieces: bytes, then: bytes = b"", every_s: float = 0.0) -> Act:
    """Send these, then for ever this."""

    def act(peer: socket.socket) -> None:
        for piece in pieces:
            peer.sendall(piece)
        while then:
            peer.sendall(then)
            time.sleep(every_s)

    return act


def _drips(before: bytes, byte: bytes) -> Act:
    return raw(before, then=byte, every_s=DRIP_S)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_CHUNKED = HEAD + b"Transfer-Encoding: chunked" + _END
_BLANKS = b" " * 1_000_000
_BOMB = gzip.compress(b" " * 30_000_000, 9)
_TWICE = gzip.compress(_BOMB, 9)

JSON: Mapping[str, bytes] = {
    "a list without end": b"[" * 1_000_000,
    "an object without end": b'{"OK":' * 200_000,
    "a deep value": valued("[" * 900 + "]" * 900),
    "a number of 5000 digits": valued("1" * 5000),
    "a fraction of 5000 digits": valued("0." + "1" * 5000),
    "not a number": valued("NaN"),
    "infinity": valued("-Infinity"),
    "more than a double holds": valued("1e999"),
    "a list": b"[]",
    "a text": b'"OK"',
    "null": b"null",
    "a number": b"7",
    "a list in place of an object": b'[["OK", true], ["job", []]]',
    "nothing": b"",
    "half": GOOD[:-9],
    "no JSON": b"<html>Please sign in</html>",
    "no UTF-8": b'{"OK": true, "Value": "\xff\xfe"}',
    "UTF-16": GOOD.decode().encode("utf-16"),
    "two values": GOOD + GOOD,
    "a refusal in many words": b'{"OK": false, "Errno": [1], "Message": "' + b"x" * 900_000 + b'", "job": 1}',
    "a refusal in no words": b'{"OK": false, "Errno": "x", "Message": {"a": ["b"]}, "job": [[]]}',
    "a word for yes": b'{"OK": "yes", "job": "yes"}',
}
"""Bodies that no client takes."""

HTTP: Mapping[str, Act] = {
    **{name: http(body) for name, body in JSON.items()},
    "a status that drips": _drips(b"HTTP/1.1 20", b"0"),
    "a head that drips": _drips(HEAD + b"X: ", b"y"),
    "headers that drip": _drips(HEAD, b"X: y\r\n"),
    "a body that drips": _drips(HEAD + b"Content-Length: 1000000" + _END, b" "),
    "chunks that drip": _drips(_CHUNKED, b"1\r\n \r\n"),
    "a chunk's length that drips": _drips(_CHUNKED, b"0"),
    "a trailer that drips": _drips(_CHUNKED + b"0\r\n", b"X: y\r\n"),
    "silence": _drips(b"", b""),
    "go on, again and again": raw(then=b"HTTP/1.1 100 Continue" + _END),
    "go on, dripping": _drips(b"", b"HTTP/1.1 100 Continue" + _END),
    "a status without end": raw(b"HTTP/1.1 200 ", then=_BLANKS),
    "a header without end": raw(HEAD + b"X: ", then=_BLANKS),
    "headers without end": raw(HEAD, then=b"X: y\r\n" * 10_000),
    "a body without end": raw(HEAD + b"\r\n", then=_BLANKS),
    "chunks without end": raw(_CHUNKED, then=b"f4240\r\n" + _BLANKS + b"\r\n"),
    "a chunk's length without end": raw(_CHUNKED, then=b"0" * 1_000_000),
    "a trailer without end": raw(_CHUNKED + b"0\r\n", then=b"X: y\r\n" * 10_000),
    "a body longer than told": raw(HEAD + b"Content-Length: 9999999999" + _END, then=_BLANKS),
    "a body shorter than told": raw(HEAD + b"Content-Length: 9999" + _END + GOOD),
    "a length that is none": raw(HEAD + b"Content-Length: -5" + _END + GOOD[:40]),
    "a chunk shorter than told": raw(_CHUNKED + b"ffff\r\n" + GOOD),
    "a chunk of no length": raw(_CHUNKED + b"zz\r\n" + GOOD),
    "a zip bomb": http(_BOMB, "Content-Encoding: gzip"),
    "a bomb in a bomb": http(_TWICE, "Content-Encoding: gzip, gzip"),
    "a bomb of another kind": http(_BOMB, "Content-Encoding: deflate"),
    "no zip": http(GOOD, "Content-Encoding: gzip"),
    "an unknown encoding": http(GOOD, "Content-Encoding: br"),
    "another protocol": raw(b"220 ready, go ahead\r\n"),
    "an impossible status": raw(b"HTTP/1.1 99999 OK" + _END + GOOD),
    "an end before the answer": raw(b""),
    **{
        f"a redirect: {status}": http(b"", "Location: @", status=f"{status} Moved")
        for status in (301, 302, 303, 307, 308)
    },
    "a redirect to nowhere": http(b"", "Location: http://[::1", status="302 Found"),
    "a redirect without end": raw(b"HTTP/1.1 302 Found\r\nLocation: https://localhost:1/" + _END, then=_BLANKS),
    "a redirect with a bomb": http(_BOMB, "Location: /", "Content-Encoding: gzip", status="302 Found"),
}
"""Answers over TLS that no client takes; `@` stands for a server that waits for those who follow."""


def _frame(payload: bytes, prefix: bytes = b"") -> bytes:
    return b"%b%d:%b" % (prefix, len(payload), payload)


_KEEP_ALIVE = _frame(json.dumps({"OK": True, "Value": {"id": 1, "kaping": True}}).encode(), b"dka")

DISET: Mapping[str, Act] = {
    **{name: raw(_frame(body)) for name, body in JSON.items()},
    "a length that drips": _drips(b"", b"0"),
    "a frame that drips": _drips(b"1000000:", b" "),
    "keep-alives that drip": _drips(b"", _KEEP_ALIVE),
    "keep-alives without end": raw(then=_KEEP_ALIVE * 100),
    "silence": _drips(b"", b""),
    "a length without end": raw(then=b"1" * 1_000_000),
    "a length beyond all": raw(b"99999999999:", then=_BLANKS),
    "no length": raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "a length of other digits": raw("\u0661\u0662:".encode() + GOOD),
    "a frame shorter than told": raw(b"9999:" + GOOD),
    "an end before the answer": raw(b""),
}
"""Frames that no client takes."""

BELOW_TLS: Mapping[str, Act] = {
    "no TLS": raw(b"HTTP/1.1 400 Bad Request" + _END),
    "a handshake that drips": _drips(b"\x16\x03\x03\x40\x00", b"\x02"),
    "a handshake without end": raw(b"\x16\x03\x03\x40\x00", then=_BLANKS),
    "a record of nonsense": raw(b"\x17\x03\x03\x00\x20" + bytes(32)),
    "an alert": raw(b"\x15\x03\x03\x00\x02\x02\x28"),
    "silence": _drips(b"", b""),
    "an end": raw(b""),
}
"""What may come in place of a TLS handshake."""


@dataclass
class Server:
    """Does one thing to all connections; `context` None: below TLS, as soon as something has come."""

    act: Act
    context: ssl.SSLContext | None
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    requests: list[bytes] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Where it listens, on the loopback interface."""
        number: int = self.listener.getsockname()[1]
        return number

    def run(self) -> None:
        """Serve until the listener is closed."""
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(plain)
            threading.Thread(target=self._one, args=(plain,), daemon=True).start()

    def _one(self, plain: socket.socket) -> None:
        plain.settimeout(5)
        with suppress(OSError), plain:
            peer = self.context.wrap_socket(plain, server_side=True) if self.context else plain
            with peer:
                self.requests.append(_request(peer))
                self.act(peer)

    def stop(self) -> None:
        """Take no more, and let nobody wait."""
        for held in (self.listener, *self.connections):
            with suppress(OSError):
                socket.socket.shutdown(held, socket.SHUT_RDWR)
        self.listener.close()


def _request(peer: socket.socket) -> bytes:
    """Read a whole HTTP request, or whatever comes first of anything else."""
    data = b""
    while more := peer.recv(65536):
        data += more
        head, found, body = data.partition(_END)
        if not data.startswith((b"POST ", b"GET ", b"PUT ")) or (found and len(body) >= _length(head)):
            break
    return data


def _length(head: bytes) -> int:
    lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    return int(lengths[0]) if lengths else 0


@contextmanager
def serving(act: Act, context: ssl.SSLContext | None) -> Iterator[Server]:
    """Run such a server until the block ends."""
    server = Server(act, context)
    threading.Thread(target=server.run, daemon=True).start()
    try:
        yield server
    finally:
        server.stop()
