"""A small real TLS server for files, whose connections the script of a test has; real servers are in tests/system."""

import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest

from agents.credentials.identity import Identity
from agents.data.way import Content, Watch
from agents.local_wms.authority import Authority, open_authority, write_private
from tests.unit.dips_server import server_context

CONTENT = bytes(range(256)) * 20_000  # 5 MB
WHOLE = Content(size_bytes=len(CONTENT), adler32=zlib.adler32(CONTENT))
PATIENCE = Watch(silence_s=1.5, ends_s=time.monotonic() + 1000)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("ca"), lambda: datetime.now(UTC))


@pytest.fixture(scope="module")
def owner(authority: Authority) -> Identity:
    path = authority.folder / "user.proxy.pem"
    write_private(path, authority.delegate(authority.issue("Lab User"), "lab_user").pem())
    return Identity(certificate=path, ca=authority.certificates)


class Conversation:
    """The server's end of one connection."""

    def __init__(self, connection: ssl.SSLSocket, port: int) -> None:
        self.connection = connection
        self.port = port
        self.stream = connection.makefile("rb")
        self.has_certificate = connection.getpeercert(binary_form=True) is not None

    def head(self) -> tuple[str, str, dict[str, str]]:
        """The next request's method, target and headers; empty at the end."""
        first = self.stream.readline().decode("latin-1").split()
        headers = {}
        while (line := self.stream.readline().decode("latin-1").strip()) and ":" in line:
            name, _, text = line.partition(":")
            headers[name.lower()] = text.strip()
        return (first[0], first[1], headers) if len(first) == 3 else ("", "", headers)

    def say(self, status: str, headers: str = "", body: bytes = b"") -> None:
        lines = f"HTTP/1.1 {status}\r\n{headers}"
        self.connection.sendall(lines.encode("latin-1") + b"\r\n" + body)

    def file(self, data: bytes = CONTENT, status: str = "200 OK", more: str = "") -> None:
        self.say(status, f"Content-Length: {len(data)}\r\n{more}", data)


Script = Callable[[Conversation], object]


@contextmanager
def serving(authority: Authority, script: Script) -> Iterator[str]:
    """A server on localhost whose connections the script has, each in a thread."""
    context = server_context(authority, "localhost")
    context.verify_mode = ssl.CERT_OPTIONAL
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    held: list[socket.socket] = [listener]

    def serve(plain: socket.socket) -> None:
        with suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as secured:
            secured.settimeout(20)
            script(Conversation(secured, port))

    def accept() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            held.append(plain)
            threading.Thread(target=serve, args=(plain,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"https://localhost:{port}/labvo/a"
    finally:
        for sock in held:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
