"""A small real TLS server that speaks DIRAC's frames by a script."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from agents.local_wms.authority import Authority, write_private
from tests.waiting import PATIENCE_S


def frame(value: object, prefix: bytes = b"") -> bytes:
    payload = json.dumps(value).encode()
    return b"%b%d:%b" % (prefix, len(payload), payload)


class Peer:
    """The server's end of one connection."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self.connection = connection
        self.stream = connection.makefile("rb")

    def read(self) -> tuple[bytes, Any]:
        """Return the next frame: what stands before its length, and its value; (b"", None) at the end."""
        head = b""
        while not head.endswith(b":"):
            byte = self.stream.read(1)
            if not byte:
                return b"", None
            head += byte
        digits = head[:-1].lstrip(b"dka")
        return head[: -1 - len(digits)], json.loads(self.stream.read(int(digits)))

    def say(self, *values: object) -> None:
        for value in values:
            self.connection.sendall(value if isinstance(value, bytes) else frame(value))


Script = Callable[[Peer], None]


@dataclass
class Server:
    """Lets a script have each connection; keeps what it reads by `listen`."""

    context: ssl.SSLContext
    script: Script
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    open: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"dips://localhost:{self.listener.getsockname()[1]}/WorkloadManagement/Matcher"

    def run(self) -> None:
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(plain)
            with plain, suppress(OSError):
                plain.settimeout(PATIENCE_S)
                with self.context.wrap_socket(plain, server_side=True) as secured:
                    self.script(Peer(secured))

    def stop(self) -> None:
        for held in (self.listener, *self.open):
            with suppress(OSError):
                socket.socket.shutdown(held, socket.SHUT_RDWR)
        self.listener.close()


def server_context(authority: Authority, *host_names: str, asks_for_proxy: bool = True) -> ssl.SSLContext:
    path = authority.folder / f"{'-'.join(host_names) or 'none'}.pem"
    if not path.exists():
        write_private(path, authority.issue("localhost", host_names=host_names).pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    if asks_for_proxy:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(capath=str(authority.certificates))
        context.verify_flags |= ssl.VERIFY_ALLOW_PROXY_CERTS
    return context


@contextmanager
def serving(authority: Authority, script: Script, context: ssl.SSLContext | None = None) -> Iterator[str]:
    server = Server(context or server_context(authority, "localhost"), script)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
