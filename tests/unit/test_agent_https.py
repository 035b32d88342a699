"""HTTPS against a real server that misbehaves in every way seen in the field: the class of error and its sentence."""

import gzip
import socket
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from agents.errors import AccessDenied, BadAnswer, Busy, NoAnswer, ServiceError, Unreachable
from agents.local_wms.authority import Authority, Holder
from agents.wms.https import HttpsTransport, session
from agents.wms.server_clock import ServerClock
from agents.wms.service import NoFile
from ce_backends.untrusted.bounded_http import Limits
from tests.unit.agent_https_scene import asked, authority, client, failed, host, proxy, sentence
from tests.unit.https_server import OK, Act, http, serving
from tests.waiting import PATIENCE_S

__all__ = ["authority", "host", "proxy"]


def test_a_call_is_one_form_and_its_answer_is_decoded(authority: Authority, host: Holder, proxy: Path) -> None:
    with serving(OK, host) as server:
        assert asked(server, proxy, authority) == {"OK": True, "Value": 7}

    assert server.forms == [
        {"method": ["requestJob"], "args": ['[{"Site":"X"}]'], "clientVO": ["lab"], "clientSetup": ["None"]}
    ]


def test_the_servers_clock_is_reckoned_from_before_the_request_was_sent(
    authority: Authority, host: Holder, proxy: Path
) -> None:
    noon = datetime(2026, 1, 2, 12, 0, 0, 500_000, tzinfo=UTC)
    late = noon + timedelta(seconds=40)  # the thread that hears the answer had to wait for a processor
    clock = ServerClock(now=iter([noon, *[late] * 5]).__next__)
    dated = http("200 OK", b'{"OK": true, "Value": 7}', "Date: Fri, 02 Jan 2026 12:00:00 GMT")

    with serving(dated, host) as server, session(proxy, authority.certificates) as made:
        HttpsTransport(made, vo="lab", clock=clock).call(server.url, "m", [])

    assert clock.ahead_at_most() == timedelta(seconds=0.5)


def test_a_host_certificate_says_what_it_stands_for(authority: Authority, host: Holder, proxy: Path) -> None:
    with serving(OK, host) as server, session(proxy, authority.certificates) as made:
        HttpsTransport(made, vo="lab", extra="hosts").call(server.url, "m", [])

    assert server.forms[0]["extraCredentials"] == ['"hosts"']


def test_a_raw_answer_is_its_bytes(authority: Authority, host: Holder, proxy: Path) -> None:
    act = http("200 OK", b"\x00{", "Content-Type: application/octet-stream")
    with serving(act, host) as server:
        assert asked(server, proxy, authority, raw=True) == b"\x00{"

    assert server.forms[0]["rawContent"] == ["True"]


def test_a_refusal_in_place_of_a_raw_answer_is_decoded(authority: Authority, host: Holder, proxy: Path) -> None:
    act = http("200 OK", b'{"OK": false}', "Content-Type: application/json")
    with serving(act, host) as server:
        assert asked(server, proxy, authority, raw=True) == NoFile({"OK": False})


def test_a_transport_that_is_closed_keeps_no_connection(authority: Authority, host: Holder, proxy: Path) -> None:
    with serving(OK, host) as server, client(proxy, authority.certificates) as transport:
        transport.call(server.url, "m", [])
        transport.close()
        transport.call(server.url, "m", [])

        assert server.connections == 2


def test_a_connection_is_kept_for_the_next_call(authority: Authority, host: Holder, proxy: Path) -> None:
    with serving(OK, host) as server, client(proxy, authority.certificates) as transport:
        for _ in range(3):
            transport.call(server.url, "m", [])

        assert server.connections == 1


def test_a_zipped_answer_is_unzipped(authority: Authority, host: Holder, proxy: Path) -> None:
    packed = gzip.compress(b'{"OK": true, "Value": "zipped"}')
    with serving(http("200 OK", packed, "Content-Encoding: gzip"), host) as server:
        assert asked(server, proxy, authority) == {"OK": True, "Value": "zipped"}


@pytest.mark.parametrize(
    ("act", "kind", "expected"),
    [
        (
            http("200 OK", b"<html>Please sign in</html>", "Content-Type: text/html"),
            BadAnswer,
            "requestJob: the answer is not JSON (Expecting value: line 1 column 1 (char 0)): '<html>Please sign",
        ),
        (
            http("200 OK", b'{"OK": true, "Val'),
            BadAnswer,
            "requestJob: the answer is not JSON (Unterminated string starting at: line 1 column 14 (char 13)): '{",
        ),
        (http("401 Unauthorized"), AccessDenied, "no access to requestJob with this credential (HTTP 401)"),
        (http("403 Forbidden"), AccessDenied, "no access to requestJob with this credential (HTTP 403)"),
        (http("404 Not Found", b"<html>"), Busy, "there is no such service (HTTP 404)"),
        (http("405 Method Not Allowed"), BadAnswer, "HTTP 405 in answer to requestJob"),
        (http("500 Internal Server Error", b"<html>"), BadAnswer, "HTTP 500 in answer to requestJob"),
        (http("501 Not Implemented"), AccessDenied, "the service has no method requestJob (HTTP 501)"),
        (http("502 Bad Gateway"), BadAnswer, "HTTP 502 in answer to requestJob"),
        (http("503 Service Unavailable"), Busy, "busy (HTTP 503)"),
        (
            http("302 Found", b"", "Location: https://captive.example/"),
            BadAnswer,
            "HTTP 302 in answer to requestJob",
        ),
        (
            http("200 OK", b"no gzip at all", "Content-Encoding: gzip"),
            NoAnswer,
            "no answer to requestJob: ",
        ),
    ],
)
def test_an_http_answer_outside_the_protocol_is_told_apart(
    authority: Authority, host: Holder, proxy: Path, act: Act, kind: type[ServiceError], expected: str
) -> None:
    with serving(act, host) as server:
        error = failed(server, proxy, authority)

    assert type(error) is kind
    assert sentence(error, server).startswith(expected)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("86400", 3600.0), ("soon", None), ("-5", None), ("\u00b2", None), ("", None)],
)
def test_retry_after_is_read_in_seconds_up_to_an_hour(
    authority: Authority, host: Holder, proxy: Path, text: str, seconds: float | None
) -> None:
    with serving(http("429 Too Many Requests", b"", f"Retry-After: {text}"), host) as server:
        error = failed(server, proxy, authority)

    assert isinstance(error, Busy)
    assert error.retry_after_s == seconds


@pytest.mark.parametrize(("from_now", "least", "most"), [(timedelta(minutes=10), 1, 600), (timedelta(hours=-1), 0, 0)])
def test_retry_after_is_read_as_a_date(
    authority: Authority, host: Holder, proxy: Path, from_now: timedelta, least: float, most: float
) -> None:
    when = format_datetime(datetime.now(UTC) + from_now, usegmt=True)
    with serving(http("429 Too Many Requests", b"", f"Retry-After: {when}"), host) as server:
        error = failed(server, proxy, authority)

    assert isinstance(error, Busy)
    assert error.retry_after_s is not None
    assert least <= error.retry_after_s <= most


def test_a_date_of_retry_after_is_of_the_servers_own_clock(authority: Authority, host: Holder, proxy: Path) -> None:
    dates = ("Date: Fri, 02 Jan 2026 12:00:00 GMT", "Retry-After: Fri, 02 Jan 2026 12:00:30 GMT")
    with serving(http("429 Too Many Requests", b"", *dates), host) as server:
        error = failed(server, proxy, authority)

    assert isinstance(error, Busy)
    assert error.retry_after_s == 30.0


def test_silence_is_no_answer(authority: Authority, host: Holder, proxy: Path) -> None:
    def silent(connection: socket.socket) -> None:
        connection.recv(1)

    with serving(silent, host) as server:
        error = failed(server, proxy, authority, Limits(read_s=1.0))

    assert isinstance(error, NoAnswer)
    assert sentence(error, server) == "no answer to requestJob: silence until the read time-out"


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n"
BODY = b'{"OK": true, "Value": 7}'


@pytest.mark.parametrize(("at_once", "dripping"), [(HEAD, BODY), (b"", HEAD + BODY)], ids=["body", "head"])
def test_an_answer_that_drips_is_given_up_as_a_whole(
    authority: Authority, host: Holder, proxy: Path, at_once: bytes, dripping: bytes
) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(at_once)
        for byte in dripping:
            connection.sendall(bytes([byte]))
            threading.Event().wait(0.1)

    with serving(drip, host) as server:
        error = failed(server, proxy, authority, Limits(whole_s=1.0))

    assert isinstance(error, NoAnswer)
    assert sentence(error, server) == "no answer to requestJob: it was not complete in 1 s"


def test_an_endless_answer_is_given_up_at_its_limit(authority: Authority, host: Holder, proxy: Path) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(1600):
            connection.sendall(bytes(62500))

    with serving(endless, host) as server:
        error = failed(server, proxy, authority, Limits(body_mb=1))

    assert isinstance(error, BadAnswer)
    assert sentence(error, server) == "the answer is larger than 1 MB"


def test_a_zip_bomb_is_given_up_at_its_limit(authority: Authority, host: Holder, proxy: Path) -> None:
    bomb = gzip.compress(bytes(20_000_000), 1)
    with serving(http("200 OK", bomb, "Content-Encoding: gzip"), host) as server:
        error = failed(server, proxy, authority, Limits(body_mb=1))

    assert isinstance(error, BadAnswer)
    assert sentence(error, server) == "the answer is larger than 1 MB"


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{", b"nonsense\r\n\r\n"])
def test_a_connection_that_breaks_after_the_request_is_no_answer(
    authority: Authority, host: Holder, proxy: Path, sent: bytes
) -> None:
    def broken(connection: socket.socket) -> None:
        connection.sendall(sent)
        raise ConnectionAbortedError

    with serving(broken, host) as server:
        error = failed(server, proxy, authority)

    assert isinstance(error, NoAnswer)
    assert sentence(error, server).startswith("no answer to requestJob: ")


def test_tls_that_breaks_after_the_request_is_no_answer(authority: Authority, host: Holder, proxy: Path) -> None:
    def garbled(connection: socket.socket) -> None:
        with socket.socket(fileno=connection.detach()) as plain:  # below TLS: a record that cannot be decrypted
            plain.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            plain.settimeout(PATIENCE_S)
            while plain.recv(4096):
                pass

    with serving(garbled, host) as server:
        error = failed(server, proxy, authority)

    assert isinstance(error, NoAnswer)


def test_a_refused_connection_is_unreachable(authority: Authority, host: Holder, proxy: Path) -> None:
    with serving(OK, host) as server:
        url = server.url
    with client(proxy, authority.certificates) as transport, pytest.raises(Unreachable) as caught:
        transport.call(url, "m", [])

    assert str(caught.value) == f"{url}: [Errno 111] Connection refused"


def test_a_host_that_does_not_exist_is_unreachable(authority: Authority, proxy: Path) -> None:
    with client(proxy, authority.certificates) as transport, pytest.raises(Unreachable) as caught:
        transport.call("https://nowhere.invalid/X", "m", [])

    assert str(caught.value).startswith("https://nowhere.invalid/X: [Errno -")


def test_a_malformed_url_is_unreachable(authority: Authority, proxy: Path) -> None:
    with client(proxy, authority.certificates) as transport, pytest.raises(Unreachable):
        transport.call("https://:8443/X", "m", [])


def test_a_server_without_tls_is_unreachable(authority: Authority, proxy: Path) -> None:
    with serving(http("400 Bad Request"), None) as server:
        error = failed(server, proxy, authority)

    assert isinstance(error, Unreachable)


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x50",  # a fatal alert: internal_error
        b"\x17\x03\x03\x00\x40" + bytes(64),
        b"",
    ],
    ids=["plain http", "alert", "bad record", "end"],
)
def test_whatever_ends_tls_after_the_call_was_written_leaves_it_open(
    authority: Authority, host: Holder, proxy: Path, sent: bytes
) -> None:
    def below_tls(connection: socket.socket) -> None:
        with socket.socket(fileno=connection.detach()) as plain:
            plain.sendall(sent)
            plain.shutdown(socket.SHUT_WR)
            plain.settimeout(PATIENCE_S)
            while plain.recv(4096):
                pass

    with serving(below_tls, host) as server:
        error = failed(server, proxy, authority)

    assert type(error) is NoAnswer


def test_a_call_that_was_never_written_is_unreachable_after_one_that_was(
    authority: Authority, host: Holder, proxy: Path
) -> None:
    with client(proxy, authority.certificates) as transport:
        with serving(OK, host) as server:
            transport.call(server.url, "m", [])
            url = server.url
        with pytest.raises(Unreachable):
            transport.call(url.replace("127.0.0.1", "nowhere.invalid"), "m", [])
