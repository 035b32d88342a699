"""An HTTPS proxy before the local WMS that fails on demand, call by call.

It has the local WMS's own host certificate and shows the pilot's proxy upstream, so both sides see what they would
without it. Each method (`requestJob`, `setJobStatusBulk`, …) has a script: a queue of faults, one for each call. Before
a storage element the methods are those of HTTP (`PUT`, `HEAD`, `MOVE`, …).
"""

import contextlib
import http.client
import os
import socket
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

from agents.local_wms.home import Endpoint

UPSTREAM_S = 30.0
JSON = "application/json"
OF_FILES = ("Content-Type", "Content-Length", "Content-Range", "Digest")
"""Headers of an element's answers that mean something to clients."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": JSON})


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it came in; `at_s` is monotonic."""

    method: str
    at_s: float
    text: str


class Cut(Exception):
    """The connection is to be closed without another word."""


class Exchange:
    """One call in the hands of a fault."""

    def __init__(self, handler: "_Receiver", path: str, body: bytes) -> None:
        self._handler = handler
        self._path = path
        self._body = body
        self.proxy = handler.proxy

    def forward(self) -> Reply:
        """Let the WMS answer; this may be done more than once."""
        return self.forward_as(self._body)

    def forward_as(self, body: bytes) -> Reply:
        """Let the WMS answer to something else of the same length."""
        if self._handler.command == "POST":
            return self.proxy.ask(self._path, body)
        return self.proxy.ask_element(self._handler.command, self._path, body, dict(self._handler.headers))

    @property
    def body(self) -> bytes:
        """What was sent."""
        return self._body

    def answer(self, reply: Reply) -> None:
        """Give an answer to the agent."""
        self.head(reply.status, {"Content-Length": str(len(reply.body)), **reply.headers})
        self.write(reply.body)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the first lines only."""
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()

    def write(self, content: bytes) -> None:
        """Send bytes, whatever they are."""
        self._handler.wfile.write(content)
        self._handler.wfile.flush()

    def write_below_tls(self, content: bytes) -> None:
        """Send bytes past the encryption."""
        os.write(self._handler.request.fileno(), content)

    def cut(self) -> None:
        """Close the connection."""
        raise Cut

    def wait(self, seconds: float) -> None:
        """Wait; the end of the test ends it."""
        self.proxy.ended.wait(seconds)

    def later(self, seconds: float) -> None:
        """Let the WMS have the call after a while, when nobody waits for its answer any more."""
        timer = threading.Timer(seconds, self.forward)
        self.proxy.late.append(timer)
        timer.start()


Fault = Callable[[Exchange], None]


def passes(exchange: Exchange) -> None:
    """No fault."""
    exchange.answer(exchange.forward())


class _Receiver(BaseHTTPRequestHandler):
    """Reads one call after the other from a connection."""

    protocol_version = "HTTP/1.1"
    proxy: "FaultProxy"

    def setup(self) -> None:
        """Do the TLS handshake here, so that a slow client stops nobody else."""
        self.request.settimeout(UPSTREAM_S * 20)
        self.request = self.proxy.tls.wrap_socket(self.request, server_side=True)
        self.proxy.connections.add(self.request)
        super().setup()

    def do_POST(self) -> None:
        """Find the call's fault and let it act."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._meet(parse_qs(body.decode("utf-8", "replace")).get("method", [""])[0], body)

    def do_PUT(self) -> None:
        """Do the same for a question or a file to an element."""
        self._meet(self.command, self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    do_GET = do_HEAD = do_MOVE = do_DELETE = do_MKCOL = do_PUT  # noqa: N815 - BaseHTTPRequestHandler's names

    def _meet(self, method: str, body: bytes) -> None:
        fault = self.proxy.fault_for(method, body)
        try:
            fault(Exchange(self, self.path, body))
        except (Cut, OSError, http.client.HTTPException):
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.request.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        """Close; the other side may have done so already."""
        self.proxy.connections.discard(self.request)
        with contextlib.suppress(OSError):
            super().finish()
        self.request.close()

    def log_message(self, *_: object) -> None:
        """Say nothing: the calls are kept."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """A client that went away is what these tests are about."""


class FaultProxy:
    """The proxy; use it in a `with`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._upstream = urlsplit(endpoint.url)
        self._scripts: dict[str, deque[Fault]] = defaultdict(deque)
        self._always: dict[str, Fault] = {}
        self._lock = threading.Lock()
        self.calls: list[Call] = []
        self.connections: set[socket.socket] = set()
        self.ended = threading.Event()
        self.late: list[threading.Timer] = []
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(Path(endpoint.ca_dir).parent / "host.pem")
        self._client = ssl.create_default_context(capath=endpoint.ca_dir)
        self._client.load_cert_chain(endpoint.pilot_proxy)
        self._receiver = type("Receiver", (_Receiver,), {"proxy": self})
        self._server = _Server(("127.0.0.1", 0), self._receiver)
        self._port = self._server.server_address[1]
        self._silent: list[socket.socket] = []

    @property
    def url(self) -> str:
        """What stands in the place of the WMS's own."""
        return f"https://localhost:{self._port}"

    def __enter__(self) -> "FaultProxy":
        self._serve()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._stop()
        self._hush()

    # ---- the script ----

    def on(self, method: str, *faults: Fault) -> None:
        """Let the next calls of a method meet these faults, one each; `*` means any method."""
        with self._lock:
            self._scripts[method].extend(faults)

    def always(self, method: str, fault: Fault | None) -> None:
        """Let every further call of a method meet this fault; None ends that."""
        with self._lock:
            self._always.pop(method, None)
            if fault is not None:
                self._always[method] = fault

    def fault_for(self, method: str, body: bytes) -> Fault:
        """Note a call and return what happens to it."""
        with self._lock:
            self.calls.append(Call(method, time.monotonic(), body.decode("utf-8", "replace")))
            for name in (method, "*"):
                if self._scripts[name]:
                    return self._scripts[name].popleft()
                if name in self._always:
                    return self._always[name]
        return passes

    def count(self, method: str) -> int:
        """Return how often a method was called."""
        return len(self.times(method))

    def times(self, method: str) -> list[float]:
        """Return when a method was called, monotonic."""
        with self._lock:
            return [call.at_s for call in self.calls if call.method == method]

    def ask(self, path: str, body: bytes) -> Reply:
        """Make one call to the WMS as the pilot."""
        assert self._upstream.hostname
        connection = http.client.HTTPSConnection(
            self._upstream.hostname, self._upstream.port, context=self._client, timeout=UPSTREAM_S
        )
        with contextlib.closing(connection):
            connection.request("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})
            answer = connection.getresponse()
            return Reply(answer.status, answer.read(), {"Content-Type": answer.getheader("Content-Type", JSON)})

    def ask_element(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Ask a storage element as whoever the endpoint's credential is."""
        assert self._upstream.hostname
        connection = http.client.HTTPSConnection(
            self._upstream.hostname, self._upstream.port, context=self._client, timeout=UPSTREAM_S
        )
        kept = {name: text for name, text in headers.items() if name not in ("Host", "Connection", "Expect")}
        with contextlib.closing(connection):
            connection.request(method, path, body or None, kept)
            answer = connection.getresponse()
            told = {name: value for name in OF_FILES if (value := answer.getheader(name))}
            return Reply(answer.status, answer.read(), told)

    def wait_for_the_late(self) -> None:
        """Return when the WMS has had every call that was held back."""
        for timer in self.late:
            timer.join()

    # ---- outages ----

    def lead_to(self, endpoint: Endpoint) -> None:
        """Forward to another WMS from now on."""
        self._upstream = urlsplit(endpoint.url)

    def refuse(self) -> None:
        """Let nobody connect, and close what is open."""
        self._stop()
        self._hush()

    def black_hole(self) -> None:
        """Let connections neither succeed nor fail: the queue of the listening socket is full and stays so."""
        self._stop()
        hole = socket.socket()
        hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        hole.bind(("127.0.0.1", self._port))
        hole.listen(0)
        self._silent = [hole]
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self._port))
            self._silent.append(filler)

    def restore(self) -> None:
        """Be there again, on the same port."""
        self._hush()
        self._server = _Server(("127.0.0.1", self._port), self._receiver)
        self._serve()

    def _serve(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _hush(self) -> None:
        for each in self._silent:
            each.close()
        self._silent = []


@contextlib.contextmanager
def before(endpoint: Endpoint) -> Iterator[FaultProxy]:
    """Run a fault proxy before a WMS until the block ends."""
    with FaultProxy(endpoint) as proxy:
        yield proxy
