"""A stand-in for DiracX and its S3 over real TLS: answers what a test says, and keeps what it was asked.

The real ones are met in `tests/system/test_diracx_interop.py`; here are the answers that they do not give on demand.
"""

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from agents.credentials.diracx_block import TokenPair
from agents.local_wms.authority import Authority, write_private


@dataclass(frozen=True)
class Said:
    """One answer; `cut` ends the connection in its place, or in the middle of its body."""

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False

    @property
    def raw(self) -> bytes:
        return (
            self.body if isinstance(self.body, bytes) else b"" if self.body is None else json.dumps(self.body).encode()
        )


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> object:
        return json.loads(self.body)

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")


Answer = Said | Callable[[Asked], Said]


class StandIn:
    """What it answers, by `METHOD path`: each of a list once, its last one again and again."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[Asked] = []
        self.connections = 0
        self.url = ""
        self._lock = threading.Lock()

    def on(self, route: str, *answers: Answer) -> None:
        self.answers[route] = list(answers)

    def of(self, route: str) -> list[Asked]:
        return [one for one in self.asked if f"{one.method} {one.path}" == route]

    def answer(self, asked: Asked) -> Said:
        with self._lock:
            self.asked.append(asked)
            waiting = self.answers.get(f"{asked.method} {asked.path}", [Said(404, {"detail": "Not Found"})])
            chosen = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return chosen(asked) if callable(chosen) else chosen


@contextmanager
def standing_in(authority: Authority) -> Iterator[StandIn]:
    """Serve until the block ends, with a certificate of this CA for localhost."""
    made = StandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            made.connections += 1
            super().setup()

        def log_message(self, *_: object) -> None:
            pass

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            where = urlsplit(self.path)
            said = made.answer(Asked(self.command, where.path, parse_qs(where.query), dict(self.headers), body))
            if said.cut and said.body is None:
                self.close_connection = True
                return
            self.send_response_only(said.status)
            if "Date" not in said.headers:
                self.send_header("Date", self.date_time_string())
            for name, text in said.headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(said.raw)))
            self.end_headers()
            self.wfile.write(said.raw[: len(said.raw) // 2] if said.cut else said.raw)
            self.close_connection = self.close_connection or said.cut or said.status == 500

        do_GET = do_POST = do_PATCH = _any  # noqa: N815 - names of http.server

    host = authority.folder / "stand-in.pem"
    if not host.exists():
        write_private(host, authority.issue("localhost", host_names=("localhost", "127.0.0.1")).pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(host)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    made.url = f"https://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def jwt(**claims: object) -> str:
    """A token with these claims and no signature that anybody checks."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'EdDSA'})}.{part(claims)}.c2lnbmF0dXJl"


def tokens(
    name: str = "a", *, left_s: float = 1200.0, rotates: bool = False, refresh_left_s: float = 86400
) -> TokenPair:
    """A pair of which the access token ends in so many seconds."""
    ends = time.time() + left_s
    refresh = jwt(jti=f"refresh-{name}", exp=time.time() + refresh_left_s, legacy_exchange=not rotates)
    return TokenPair(jwt(jti=f"access-{name}", exp=ends), refresh, ends)


def told(pair: TokenPair, life_s: int = 1200) -> dict[str, object]:
    """The same as DiracX answers it."""
    return {
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "expires_in": life_s,
        "token_type": "Bearer",
    }
