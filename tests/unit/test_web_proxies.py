"""A node that reaches the world through a web proxy only: https goes by a tunnel, TLS is with the service itself."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from agents.errors import Refused, ServiceError, Unreachable
from agents.jobs.payload import _INHERITED
from agents.local_wms.authority import Authority, open_authority, write_private
from agents.wms.dips import DipsTransport, tls
from agents.wms.https import HttpsTransport, session
from ce_backends.arc.rest import Credential, Rest
from ce_backends.errors import CEError
from ce_backends.untrusted.bounded_http import Limits
from pilot.doctor import network
from pilot.errors import PilotError, ServiceRefused, UsageError
from pilot.wms import client as services
from pilot.wms import web_proxy
from tests.unit.hostile_server import GOOD, http, serving
from tests.waiting import PATIENCE_S

HOST = "service.test"  # known to the proxy only
LIMITS = Limits(connect_s=PATIENCE_S, read_s=PATIENCE_S, whole_s=PATIENCE_S)


@dataclass
class WebProxy:
    """Takes CONNECT for one host, which it knows to be this machine; with a refusal it gives nobody a way."""

    refusal: bytes = b""
    asked: list[bytes] = field(default_factory=list)
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    def __post_init__(self) -> None:
        self.place = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.url = f"http://user:s%2Fcret@{self.place}"

    def run(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._one, args=(self.listener.accept()[0],), daemon=True).start()

    def _one(self, near: socket.socket) -> None:
        with suppress(OSError), near:
            head = b""
            while not head.endswith(b"\r\n\r\n") and (more := near.recv(1)):
                head += more
            self.asked.append(head)
            place = head.split()[1].decode()
            if self.refusal or not place.startswith(f"{HOST}:"):
                near.sendall(self.refusal or b"HTTP/1.1 403 Forbidden\r\n\r\n")
                near.recv(1)
                return
            with socket.create_connection(("127.0.0.1", int(place.rpartition(":")[2]))) as far:
                near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                threading.Thread(target=_carry, args=(far, near), daemon=True).start()
                _carry(near, far)


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def proxying(refusal: bytes = b"") -> Iterator[WebProxy]:
    made = WebProxy(refusal)
    threading.Thread(target=made.run, daemon=True).start()
    with closing(made.listener):
        yield made


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("ca"), lambda: datetime.now(UTC))


@pytest.fixture(scope="module")
def proxy_file(authority: Authority) -> Path:
    path = authority.folder / "pilot.proxy.pem"
    write_private(path, authority.delegate(authority.issue("Lab Pilot"), "lab_pilot").pem())
    return path


@pytest.fixture(scope="module")
def context(authority: Authority) -> ssl.SSLContext:
    path = authority.folder / "service.pem"
    write_private(path, authority.issue(HOST, host_names=(HOST,)).pem())
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(path)
    return made


@pytest.fixture(autouse=True)
def _no_proxy_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def agent(ca: Authority, proxy_file: Path, port: int) -> object:
    with session(proxy_file, ca.certificates) as kept:
        transport = HttpsTransport(kept, vo="lab", limits=LIMITS)
        answer = transport.call(f"https://{HOST}:{port}/X/Y", "m", [])
    assert isinstance(answer, dict)
    return answer["Value"]


def pilot(ca: Authority, proxy_file: Path, port: int) -> object:
    return pilots(ca, proxy_file).call(f"https://{HOST}:{port}/X/Y", "m", timeout_s=2)


def pilots(ca: Authority, proxy_file: Path) -> services.Services:
    shown = SimpleNamespace(certificate=proxy_file, key=proxy_file)
    tls_context = services.tls(shown, ca.certificates)  # type: ignore[arg-type]
    return services.Services(tls_context, vo="lab", setup="s", is_host=False)


def arc(ca: Authority, proxy_file: Path, port: int) -> object:
    rest = Rest(
        f"https://{HOST}:{port}/arex/rest/1.0",
        Credential(proxy=proxy_file, token=None, ca_directory=ca.certificates),
        timeout_s=2,
    )
    with closing(rest):
        return rest.act("status", ["1"])["1"]["x"]


Client = Callable[[Authority, Path, int], object]
all_clients = pytest.mark.parametrize("client", [agent, pilot, arc], ids=lambda client: client.__name__)


@all_clients
@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_https_goes_through_the_proxy_with_its_credentials_and_none_of_ours(
    authority: Authority,
    proxy_file: Path,
    context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    client: Client,
    variable: str,
) -> None:
    with proxying() as proxy, serving(http(GOOD), context) as server:
        monkeypatch.setenv(variable, proxy.url)

        port = server.port
        assert client(authority, proxy_file, port) == 7

    (head,) = proxy.asked
    assert head.startswith(f"CONNECT {HOST}:{port} HTTP/1.".encode())
    assert b"Proxy-Authorization: Basic dXNlcjpzL2NyZXQ=\r\n" in head
    assert b"proxy-authorization" not in server.requests[0].lower()


@all_clients
@pytest.mark.parametrize("named", [HOST, ".test", "other.org,service.test"])
def test_who_is_in_no_proxy_is_called_straight(
    authority: Authority, proxy_file: Path, monkeypatch: pytest.MonkeyPatch, client: Client, named: str
) -> None:
    with proxying() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("NO_PROXY", named)

        with pytest.raises((ServiceError, PilotError, CEError)):
            client(authority, proxy_file, 1)

    assert proxy.asked == []


@all_clients
@pytest.mark.parametrize(
    "refusal",
    [
        b"HTTP/1.1 403 Forbidden\r\n\r\n",
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nno TLS",
    ],
)
def test_a_proxy_that_gives_no_way_is_named_and_its_password_is_not(
    authority: Authority, proxy_file: Path, monkeypatch: pytest.MonkeyPatch, client: Client, refusal: bytes
) -> None:
    with proxying(refusal) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)

        with pytest.raises((ServiceError, PilotError, CEError)) as caught:
            client(authority, proxy_file, 1)

    told = str(caught.value)
    assert f"through the web proxy {proxy.place}" in told
    assert "cret" not in told
    if client is agent:
        assert isinstance(caught.value, Unreachable)  # the service has heard nothing


def test_dips_is_called_straight_and_says_that_a_proxy_cannot_carry_it(
    authority: Authority, proxy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxying() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        dips = DipsTransport(lambda: tls(proxy_file, authority.certificates), vo="lab", limits=LIMITS)

        with pytest.raises(Unreachable, match="cannot carry dips"):
            dips.call(f"dips://{HOST}:1/X/Y", "m", [])
        with pytest.raises(PilotError, match="cannot carry dips"):
            pilots(authority, proxy_file).call(f"dips://{HOST}:1/X/Y", "m", timeout_s=2)

    assert proxy.asked == []


def test_a_proxy_of_another_kind_is_a_mistake_of_whoever_named_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://user:s3cret@host:1080")

    with pytest.raises(UsageError, match=r"^https_proxy names host:1080: expected http://host:port$"):
        web_proxy.connection(HOST, 1, ssl.create_default_context(), 1)


def test_the_doctor_names_the_proxy(
    authority: Authority, proxy_file: Path, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = SimpleNamespace(certificate=proxy_file, key=proxy_file)
    ours = services.tls(shown, authority.certificates)  # type: ignore[arg-type]
    with proxying() as proxy, serving(http(b""), context) as server:
        monkeypatch.setenv("https_proxy", proxy.url)
        urls = (f"https://{HOST}:{server.port}/X/Y", f"dips://{HOST}:1/X/Y")

        found = network.reach_all("services", urls, ours, datetime.now(UTC), "fault")[1]

    assert found[0].says.endswith(f" ms, through the web proxy {proxy.place}")
    assert found[1].says.endswith(f", not through (it cannot carry dips) the web proxy {proxy.place}")


def test_payloads_get_the_variables_whole() -> None:
    small = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}

    assert small | {name.upper() for name in small} <= set(_INHERITED)


# ---- and what is known of connections that were kept


def kept_alive(connection: socket.socket) -> bool:
    return bool(connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))


def test_a_connection_that_was_idle_is_not_used_again(
    authority: Authority, proxy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(authority.host())
    monkeypatch.setattr("ce_backends.untrusted.bounded_http._IDLE_S", PATIENCE_S)
    with serving(answering_twice, made) as server, session(proxy_file, authority.certificates) as held:
        transport = HttpsTransport(held, vo="lab", limits=LIMITS)
        url = f"https://localhost:{server.port}/X/Y"
        transport.call(url, "m", [])
        transport.call(url, "m", [])
        at_once = len(server.connections)
        monkeypatch.setattr("ce_backends.untrusted.bounded_http._IDLE_S", 0.0)
        transport.call(url, "m", [])

    assert (at_once, len(server.connections)) == (1, 2)


def answering_twice(peer: socket.socket) -> None:
    http(GOOD)(peer)
    while peer.recv(65536):
        http(GOOD)(peer)


def test_the_kernel_asks_whether_the_other_end_is_still_there(
    authority: Authority, proxy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[socket.socket] = []
    connect = ssl.SSLContext.wrap_socket

    def noted(self: ssl.SSLContext, sock: socket.socket, *arguments: object, **named: object) -> ssl.SSLSocket:
        if not named.get("server_side"):
            seen.append(sock)
            assert kept_alive(sock)
        return connect(self, sock, *arguments, **named)  # type: ignore[arg-type]

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(authority.host())
    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", noted)
    with serving(http(GOOD), made) as server, session(proxy_file, authority.certificates) as held:
        HttpsTransport(held, vo="lab").call(f"https://localhost:{server.port}/X/Y", "m", [])

    assert len(seen) == 1


@pytest.mark.parametrize("status", [413, 414, 415, 431])
def test_what_is_too_much_for_a_server_is_refused_for_good(authority: Authority, proxy_file: Path, status: int) -> None:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(authority.host())
    with serving(http(b"<html>", status=f"{status} Too much"), made) as server:
        url = f"https://localhost:{server.port}/X/Y"
        with session(proxy_file, authority.certificates) as held, pytest.raises(Refused, match=f"HTTP {status}"):
            HttpsTransport(held, vo="lab").call(url, "m", ["x" * 1000])
        with pytest.raises(ServiceRefused, match=f"HTTP {status}"):
            pilots(authority, proxy_file).call(url, "m", timeout_s=2)
