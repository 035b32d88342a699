"""HTTPS against a real server that misbehaves in every way seen in the field: the class of error and its sentence."""

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes

from agents.errors import AccessDenied, BadAnswer, Busy, NoAnswer, ServiceError, Unreachable
from agents.local_wms.authority import Authority, Holder, open_authority, write_private
from agents.wms.https import HttpsTransport, session
from agents.wms.server_clock import ServerClock
from agents.wms.service import NoFile
from ce_backends.untrusted.bounded_http import Limits
from tests.unit.https_server import OK, Act, Server, http, serving
from tests.waiting import PATIENCE_S

HOST_NAMES = ("localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("ca"), lambda: datetime.now(UTC))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("other"), lambda: datetime.now(UTC), "Another CA")


@pytest.fixture(scope="module")
def host(authority: Authority) -> Holder:
    return authority.issue("localhost", host_names=HOST_NAMES)


@pytest.fixture(scope="module")
def proxy(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("proxy") / "proxy.pem"
    write_private(path, authority.delegate(authority.issue("Pilot"), "lab_pilot").pem())
    return path


@contextmanager
def client(certificate: Path, ca: Path, limits: Limits = Limits()) -> Iterator[HttpsTransport]:
    made = session(certificate, ca)
    with made:
        yield HttpsTransport(made, vo="lab", limits=limits)


def asked(server: Server, proxy: Path, ca: Authority, limits: Limits = Limits(), *, raw: bool = False) -> object:
    with client(proxy, ca.certificates, limits) as transport:
        carried = transport.download if raw else transport.call
        return carried(server.url, "requestJob", [{"Site": "X"}])


def failed(server: Server, proxy: Path, ca: Authority, limits: Limits = Limits()) -> ServiceError:
    """Return the error of one call, without the URL that begins its sentence."""
    with pytest.raises(ServiceError) as caught:
        asked(server, proxy, ca, limits)
    assert "\n" not in str(caught.value)
    return caught.value


def sentence(error: ServiceError, server: Server) -> str:
    return str(error).removeprefix(f"{server.url}: ")


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


def test_a_server_of_another_ca_is_not_trusted(
    authority: Authority, stranger: Authority, host: Holder, proxy: Path
) -> None:
    with serving(OK, host) as server:
        error = failed(server, proxy, stranger)

    assert isinstance(error, Unreachable)
    assert sentence(error, server).startswith("the server's certificate is not trusted: ")
    assert server.forms == []


def test_a_server_with_anothers_name_is_not_trusted(authority: Authority, proxy: Path) -> None:
    other = authority.issue("elsewhere", host_names=("elsewhere.example",))
    with serving(OK, other) as server:
        error = failed(server, proxy, authority)

    assert isinstance(error, Unreachable)
    assert sentence(error, server) == (
        "the server's certificate is not trusted: IP address mismatch, certificate is not valid for '127.0.0.1'; "
        "that name must stand in its subjectAltName, the CN does not count (RFC 6125)"
    )


def test_a_server_whose_certificate_has_no_san_is_not_trusted_and_the_sentence_says_so(
    authority: Authority, proxy: Path
) -> None:
    own = authority.issue("127.0.0.1", host_names=("127.0.0.1",))
    builder = authority._builder(own.certificate.subject, authority._ca, own.key.public_key(), timedelta(days=1))
    bare = Holder(builder.sign(authority._ca.key, hashes.SHA256()), own.key)
    with serving(OK, bare) as server:
        error = failed(server, proxy, authority)

    assert isinstance(error, Unreachable)
    assert "must stand in its subjectAltName, the CN does not count" in sentence(error, server)


def test_a_server_whose_certificate_has_expired_is_not_trusted(authority: Authority, proxy: Path) -> None:
    old = authority.issue("localhost", host_names=HOST_NAMES, life=timedelta(days=-1))
    with serving(OK, old) as server:
        error = failed(server, proxy, authority)

    assert isinstance(error, Unreachable)
    assert sentence(error, server) == "the server's certificate is not trusted: certificate has expired"


def test_a_server_that_refuses_our_certificate_after_the_call_was_written_may_have_got_it(
    authority: Authority, stranger: Authority, host: Holder, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign.pem"
    write_private(foreign, stranger.issue("Pilot").pem())
    with serving(OK, host, trusted=authority) as server:
        error = failed(server, foreign, authority)

    assert isinstance(error, NoAnswer)
    assert "alert unknown ca" in sentence(error, server)
    assert server.forms == []


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


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_environment_does_not_replace_our_cas(
    authority: Authority, stranger: Authority, host: Holder, proxy: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(stranger.folder / "ca.pem"))
    with serving(OK, host) as server:
        assert asked(server, proxy, authority) == {"OK": True, "Value": 7}


def test_the_environment_does_not_add_to_our_cas(
    authority: Authority, stranger: Authority, host: Holder, proxy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.folder / "ca.pem"))
    with serving(OK, host) as server:
        assert isinstance(failed(server, proxy, stranger), Unreachable)


def test_no_call_to_this_machine_goes_through_a_web_proxy(
    authority: Authority, host: Holder, proxy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with serving(OK, host) as server:
        assert asked(server, proxy, authority) == {"OK": True, "Value": 7}


def test_a_proxy_file_that_has_gone_is_unreachable_with_its_name(
    authority: Authority, host: Holder, tmp_path: Path
) -> None:
    with serving(OK, host) as server:
        error = failed(server, tmp_path / "gone.pem", authority)

    assert isinstance(error, Unreachable)
    assert "gone.pem" in sentence(error, server)


def test_a_ca_bundle_without_certificates_is_unreachable(
    authority: Authority, host: Holder, proxy: Path, tmp_path: Path
) -> None:
    (tmp_path / "bundle.pem").write_text("nothing")
    with serving(OK, host) as server, client(proxy, tmp_path / "bundle.pem") as transport:
        with pytest.raises(Unreachable):
            transport.call(server.url, "m", [])

        assert server.forms == []
