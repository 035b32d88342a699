"""The local WMS on its socket, as somebody sees it who means no good: other people's names, jobs, time and log."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from agents.local_wms import registry
from agents.local_wms.authority import Authority, Holder, _load, open_authority, write_private
from agents.local_wms.home import Endpoint
from agents.local_wms.server import MOST_CONNECTIONS
from agents.local_wms.testing import running
from tests.waiting import PATIENCE_S, until, within


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running(tmp_path_factory.mktemp("wms")) as found:
        yield found


@pytest.fixture(scope="module")
def authority(endpoint: Endpoint) -> Authority:
    return open_authority(Path(endpoint.pilot_proxy).parent, lambda: datetime.now(UTC))


@pytest.fixture(scope="module")
def stranger(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a proxy of somebody whom the CA knows, and nobody else."""
    return str(held(tmp_path_factory.mktemp("held"), authority.delegate(authority.issue("Nobody"), "localvo_user")))


def held(folder: Path, holder: Holder) -> Path:
    write_private(folder / "held.pem", holder.pem())
    return folder / "held.pem"


def post(endpoint: Endpoint, service: str, cert: str | None, body: dict[str, str] | bytes) -> requests.Response:
    url = f"{endpoint.url}/WorkloadManagement/Tornado{service}"
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, data=body, cert=cert, verify=endpoint.ca_dir, timeout=PATIENCE_S)


def whoami(endpoint: Endpoint, cert: str | None) -> str:
    reply = post(endpoint, "JobMonitoring", cert, {"method": "whoami", "args": "[]"})
    value: dict[str, Any] = reply.json()["Value"]
    return str(value["username"])


def test_the_control_is_the_user_himself(endpoint: Endpoint) -> None:
    assert whoami(endpoint, endpoint.user_proxy) == registry.USER.username


@pytest.mark.parametrize("order", ["admin first", "admin last"])
def test_a_certificate_that_proves_nothing_makes_nobody_an_admin(
    endpoint: Endpoint, authority: Authority, tmp_path: Path, order: str
) -> None:
    user, admins = authority.issue(registry.USER.common_name), _load(Path(endpoint.admin_proxy)).chain[0]
    chain = (admins, user.certificate) if order == "admin first" else (user.certificate, admins)
    proxy = authority.delegate(user, None)

    claimed = whoami(endpoint, str(held(tmp_path, Holder(proxy.certificate, proxy.key, chain))))

    assert claimed == registry.USER.username


@pytest.mark.parametrize(("who", "status"), [("nobody", 401), ("stranger", 401), ("user", 200), ("admin", 200)])
def test_the_page_is_for_those_who_show_one_of_the_certificates(
    endpoint: Endpoint, stranger: str, who: str, status: int
) -> None:
    certs = {"stranger": stranger, "user": endpoint.user_proxy, "admin": endpoint.admin_proxy}
    with requests.Session() as session:
        session.trust_env = False
        page = session.get(f"{endpoint.url}/", cert=certs.get(who), verify=endpoint.ca_dir, timeout=PATIENCE_S)

    assert (page.status_code, "<h2>Jobs</h2>" in page.text) == (status, status == 200)


def logged(endpoint: Endpoint, expected: str) -> str:
    """Return the log once this is in it: it is written after the answer."""
    log = Path(endpoint.pilot_proxy).parents[1] / "server.log"
    until(lambda: expected in log.read_text(), f"{expected} in the log")
    return log.read_text()


FORGED = "x\n2026-01-01 00:00:00,000 ERROR forged \x1b[2J\u202e"


@pytest.mark.parametrize(
    "do",
    [
        lambda endpoint: post(endpoint, "Matcher", None, {"method": FORGED}),
        lambda endpoint: post(endpoint, "Matcher", None, {"method": "ping", "extraCredentials": json.dumps([FORGED])}),
        lambda endpoint: post(endpoint, "JobMonitoring", endpoint.user_proxy, {"method": "getJobJDL", "args": FORGED}),
        lambda endpoint: post(
            endpoint, "JobMonitoring", endpoint.user_proxy, {"method": "echo", "args": json.dumps([1, FORGED])}
        ),
    ],
    ids=["method", "group", "arguments", "too many arguments"],
)
def test_what_a_stranger_writes_makes_no_line_of_the_log(endpoint: Endpoint, do: Callable[[Endpoint], object]) -> None:
    do(endpoint)

    log = logged(endpoint, "WARNING POST /WorkloadManagement")
    assert "\n2026-01-01" not in log
    assert "\x1b" not in log
    assert "\u202e" not in log


def test_more_silent_connections_than_it_keeps_stop_it_for_nobody(endpoint: Endpoint) -> None:
    address = ("127.0.0.1", int(endpoint.url.rpartition(":")[2]))
    silent = [socket.create_connection(address) for _ in range(MOST_CONNECTIONS + 50)]
    try:
        assert whoami(endpoint, endpoint.user_proxy) == registry.USER.username
        silent[0].settimeout(PATIENCE_S)
        assert silent[0].recv(1) == b""  # the oldest made room
    finally:
        for one in silent:
            one.close()


def test_a_request_that_never_ends_stops_it_for_nobody(endpoint: Endpoint) -> None:
    context = ssl.create_default_context(capath=endpoint.ca_dir)
    context.load_cert_chain(endpoint.user_proxy)
    head = (
        b"POST /WorkloadManagement/TornadoMatcher HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nmethod"
    )
    plain = socket.create_connection(("127.0.0.1", int(endpoint.url.rpartition(":")[2])))
    with context.wrap_socket(plain, server_hostname="localhost") as slow:
        slow.sendall(head)

        assert whoami(endpoint, endpoint.user_proxy) == registry.USER.username


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (b"method=ping&args=" + b"x" * 1_000_000, {400}),
        (b"&".join(b"a%d=1" % n for n in range(9000)), {400}),
        (b"method=ping&extraCredentials=" + b"[" * 60_000, {500}),
        (b"method=ping&extraCredentials=" + b"[" * 900, {500}),
        (b"\xff\xfe=", {400}),
    ],
    ids=["large", "many fields", "long group", "deep group", "no text"],
)
def test_without_a_certificate_nobody_is_read_for_long(endpoint: Endpoint, body: bytes, statuses: set[int]) -> None:
    try:
        answered = post(endpoint, "Matcher", None, body).status_code
    except requests.ConnectionError:  # the connection was ended while the body was on its way
        answered = 400

    assert answered in statuses


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("echo", "[" * 100_000),
        ("echo", "[" + "[]," * 300_000 + "1]"),
        ("echo", "[" + "1" * 5000 + "]"),
        ("echo", '[{"__dCls": "dt", "obj": 5}]'),
        ("echo", '[{"__dCls": ["dt"], "obj": "x"}]'),
        ("getJobsStatus", "[[99999999999999999999999]]"),
        ("getJobsStatus", '[["\u0661"]]'),
    ],
)
def test_odd_arguments_cost_only_their_own_call(endpoint: Endpoint, method: str, arguments: str) -> None:
    done = threading.Event()

    def ask() -> None:
        post(endpoint, "JobMonitoring", endpoint.user_proxy, {"method": method, "args": arguments})
        if whoami(endpoint, endpoint.user_proxy) == registry.USER.username:
            done.set()

    asking = threading.Thread(target=ask)
    asking.start()

    in_time = within(5, done.is_set, pause_s=0.01)
    asking.join(PATIENCE_S)
    assert done.is_set()
    assert in_time
