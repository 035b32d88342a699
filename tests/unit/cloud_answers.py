"""A fake cloud of recorded answers: a real HTTPS server that says what Nova, Keystone and EC2 document, and no more.

No OpenStack and no EC2 can be had here; Libcloud in front of it is the real one.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from agents.local_wms.authority import open_authority
from agents.local_wms.server import tls_context, utc_now

Answer = tuple[int, object]
CREATED = "2026-11-30T12:00:00Z"
EC2_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


@dataclass
class RecordedCloud:
    """Answers by the beginning of a request, the longest first; what it was asked is kept."""

    answers: dict[str, Answer | Callable[[], Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    url: str = ""

    def forget(self) -> None:
        """Begin anew."""
        self.answers.clear()
        self.asked.clear()
        self.bodies.clear()

    def of(self, line: str, body: bytes) -> Answer:
        self.asked.append(line)
        text = body.decode()
        self.bodies.append(json.loads(text) if text.startswith("{") else parse_qs(text))
        found = [key for key in self.answers if line.startswith(key)]
        if not found:
            return 404, {"itemNotFound": {"message": "no such thing", "code": 404}}
        answer = self.answers[max(found, key=len)]
        return answer() if callable(answer) else answer


@contextmanager
def listening(cloud: RecordedCloud, folder: Path) -> Iterator[Path]:
    """Serve it over TLS; what is yielded is the file with the certificate of its authority."""
    authority = open_authority(folder / "ca", utc_now)
    authority.make_all()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, said = cloud.of(f"{self.command} {self.path}", body)
            content = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/xml" if isinstance(said, str) else "application/json")
            self.send_header("X-Subject-Token", "token-of-a-test")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = tls_context(authority.host(), authority.certificates)
    context.verify_mode = 0  # type: ignore[assignment] # clients of clouds have no certificates
    server.socket = context.wrap_socket(server.socket, server_side=True)
    cloud.url = f"https://localhost:{server.server_port}"
    bundle = folder / "ca.pem"
    bundle.write_bytes(b"".join(path.read_bytes() for path in sorted(authority.certificates.glob("*.0"))))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield bundle
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def keystone(url: str) -> Mapping[str, Answer]:
    """Return the answer to a sign-in, with the catalogue of Nova, Glance and Neutron."""
    endpoints = [
        {
            "type": kind,
            "name": name,
            "id": name,
            "endpoints": [
                {"interface": "public", "region": "here", "region_id": "here", "url": f"{url}/{name}", "id": name}
            ],
        }
        for kind, name in (("compute", "nova"), ("image", "glance"), ("network", "neutron"), ("volumev2", "cinder"))
    ]
    token = {
        "methods": ["password"],
        "expires_at": "2099-01-01T00:00:00.000000Z",
        "issued_at": CREATED,
        "user": {"id": "u1", "name": "pilot", "domain": {"id": "default", "name": "Default"}},
        "project": {"id": "p1", "name": "grid", "domain": {"id": "default", "name": "Default"}},
        "roles": [{"id": "r1", "name": "member"}],
        "catalog": endpoints,
    }
    return {"POST /v3/auth/tokens": (201, {"token": token})}


def server(name: str, machine_id: str = "m1", status: str = "ACTIVE", **more: object) -> dict[str, object]:
    """Return a machine as Nova lists it."""
    return {"id": machine_id, "name": name, "status": status, "created": CREATED, **more}


def ec2_instances(*instances: tuple[str, str, str]) -> str:
    """Return DescribeInstances' answer: id, name, state of each."""
    items = "".join(
        f"<item><instanceId>{i}</instanceId><instanceState><code>16</code><name>{state}</name></instanceState>"
        f"<launchTime>2026-11-30T12:00:00.000Z</launchTime><tagSet><item><key>Name</key><value>{name}</value></item>"
        "</tagSet></item>"
        for i, name, state in instances
    )
    return (
        f'<DescribeInstancesResponse xmlns="{EC2_NAMESPACE}"><requestId>r</requestId><reservationSet><item>'
        f"<instancesSet>{items}</instancesSet></item></reservationSet></DescribeInstancesResponse>"
    )


def ec2_run(machine_id: str) -> str:
    """Return RunInstances' answer."""
    return (
        f'<RunInstancesResponse xmlns="{EC2_NAMESPACE}"><instancesSet><item><instanceId>{machine_id}</instanceId>'
        "<instanceState><code>0</code><name>pending</name></instanceState>"
        "<launchTime>2026-11-30T12:00:00.000Z</launchTime></item></instancesSet></RunInstancesResponse>"
    )


def ec2_error(code: str, message: str = "words") -> str:
    """Return an error of EC2."""
    return f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"


def ec2_console(text: str) -> str:
    """Return GetConsoleOutput's answer."""
    return (
        f'<GetConsoleOutputResponse xmlns="{EC2_NAMESPACE}"><timestamp>2026-11-30T12:00:00.000Z</timestamp>'
        f"<output>{text}</output></GetConsoleOutputResponse>"
    )
