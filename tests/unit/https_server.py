"""A real HTTPS server that misbehaves as a test tells it."""

import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

from agents.local_wms.authority import Authority, Holder, write_private
from tests.waiting import PATIENCE_S

Act = Callable[[socket.socket], None]


def http(status: str, body: bytes = b"", *headers: str) -> Act:
    """Answer with this, and keep the connection."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers])
    return lambda connection: connection.sendall(head.encode("latin-1") + b"\r\n\r\n" + body)


OK = http("200 OK", b'{"OK": true, "Value": 7}', "Content-Type: application/json")


@dataclass
class Server:
    """Answers each request with one act; TLS from the given context, plain when there is none."""

    act: Act
    context: ssl.SSLContext | None
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    connections: int = 0
    forms: list[dict[str, list[str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}/WorkloadManagement/TornadoMatcher"

        self.open: list[socket.socket] = []

    def stop(self) -> None:
        """Take no more connections, and end the one that a client may still hold."""
        for held in (self.listener, *self.open):
            with suppress(OSError):
                socket.socket.shutdown(held, socket.SHUT_RDWR)
        self.listener.close()

    def run(self) -> None:
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            plain.settimeout(PATIENCE_S)
            with suppress(OSError), plain:
                self._serve(self._greeted(plain))

    def _greeted(self, plain: socket.socket) -> socket.socket:
        """Shake hands; when that fails stay until the client has heard why."""
        if self.context is None:
            plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return plain
        connection = self.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        try:
            connection.do_handshake()
        except ssl.SSLError:
            with connection:
                while socket.socket.recv(connection, 4096):
                    pass
                raise
        return connection

    def _serve(self, connection: socket.socket) -> None:
        self.open.append(connection)
        with connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                length = 0
                while line.strip():
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                    line = stream.readline()
                self.forms.append(parse_qs(stream.read(length).decode(), keep_blank_values=True))
                self.act(connection)


@contextmanager
def serving(act: Act, holder: Holder | None, trusted: Authority | None = None) -> Iterator[Server]:
    """Run a server until the block ends; with `trusted` it requires a client certificate of that CA."""
    server = Server(act, _context(holder, trusted) if holder else None)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


def _context(holder: Holder, trusted: Authority | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "host.pem"
        write_private(path, holder.pem())
        context.load_cert_chain(path)
    if trusted:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(trusted.folder / "ca.pem")
    return context
