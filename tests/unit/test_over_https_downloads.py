"""Files over https from a small real TLS server that behaves badly, and where it may lead by redirects."""

import socket
import time
from pathlib import Path

import pytest

from agents.credentials.identity import Identity
from agents.credentials.tokens import BearerToken
from agents.data.errors import (
    Damaged,
    ElementDown,
    GivenUp,
    NoSpaceHere,
    NotAllowed,
    NotHere,
    TransferError,
    Transient,
    Unsupported,
)
from agents.data.over_https import OverHttps
from agents.data.way import Watch
from agents.local_wms.authority import Authority
from tests.unit.dips_server import server_context
from tests.unit.over_https_scene import CONTENT, PATIENCE, WHOLE, Conversation, Script, authority, owner, serving

__all__ = ["authority", "owner"]


def got(authority: Authority, owner: Identity, path: Path, script: Script, watch: Watch = PATIENCE) -> bytes:
    with serving(authority, script) as url:
        OverHttps(owner).get(url, path, WHOLE, watch)
    return path.read_bytes()


def chunked(peer: Conversation, *chunks: bytes) -> None:
    peer.head()
    peer.say("200 OK", "Transfer-Encoding: chunked\r\n", b"".join(chunks))


# ---- downloads ----


def test_a_file_comes(authority: Authority, owner: Identity, tmp_path: Path) -> None:
    assert got(authority, owner, tmp_path / "a", lambda peer: (peer.head(), peer.file())) == CONTENT


def test_a_file_in_chunks(authority: Authority, owner: Identity, tmp_path: Path) -> None:
    half = len(CONTENT) // 2
    parts = [f"{half:x};x=y\r\n".encode(), CONTENT[:half], b"\r\n", f"{half:X}\r\n".encode(), CONTENT[half:], b"\r\n"]
    assert got(authority, owner, tmp_path / "a", lambda peer: chunked(peer, *parts, b"0\r\n\r\n")) == CONTENT


def test_what_has_come_is_not_asked_for_again(authority: Authority, owner: Identity, tmp_path: Path) -> None:
    asked: list[str] = []

    def script(peer: Conversation) -> None:
        _, _, headers = peer.head()
        asked.append(headers["range"])
        begin = 1_000_000
        more = f"Content-Range: bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}\r\n"
        peer.file(CONTENT[begin:], "206 Partial Content", more)

    (tmp_path / "a").write_bytes(CONTENT[:1_000_000])
    assert got(authority, owner, tmp_path / "a", script) == CONTENT
    assert asked == [f"bytes=1000000-{len(CONTENT) - 1}"]


def test_a_server_that_cannot_go_on_sends_all_of_it(authority: Authority, owner: Identity, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT[:1_000_000])
    assert got(authority, owner, tmp_path / "a", lambda peer: (peer.head(), peer.file())) == CONTENT


def test_a_wrong_beginning_is_not_this_replicas_fault(authority: Authority, owner: Identity, tmp_path: Path) -> None:
    def script(peer: Conversation) -> None:
        while "range" in (found := peer.head())[2] or found[0]:
            begin = 1000 if "range" in found[2] else 0
            status = "206 Partial Content" if begin else "200 OK"
            peer.file(CONTENT[begin:], status, f"Content-Range: bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}\r\n")

    (tmp_path / "a").write_bytes(b"x" * 1000)
    assert got(authority, owner, tmp_path / "a", script) == CONTENT


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        (lambda peer: (peer.head(), peer.say("404 Not Found", "Content-Length: 0\r\n")), NotHere, "HTTP 404"),
        (lambda peer: (peer.head(), peer.say("403 No", "Content-Length: 5\r\n", b"sorry")), NotAllowed, "403.*sorry"),
        (lambda peer: (peer.head(), peer.say("401 Who", "Content-Length: 0\r\n")), NotAllowed, "HTTP 401"),
        (lambda peer: (peer.head(), peer.say("503 Busy", "Content-Length: 0\r\n")), Transient, "HTTP 503"),
        (lambda peer: (peer.head(), peer.say("418 Tea", "Content-Length: 0\r\n")), Unsupported, "HTTP 418"),
        (lambda peer: (peer.head(), peer.file(CONTENT[:-1])), Damaged, "bytes came"),
        (lambda peer: (peer.head(), peer.file(CONTENT + b"x")), Damaged, "more came"),
        (lambda peer: (peer.head(), peer.file(b"x" + CONTENT[1:])), Damaged, "Adler32"),
        (
            lambda peer: (peer.head(), peer.say("200 OK", f"Content-Length: {10**15}\r\n", CONTENT + b"y" * 10**6)),
            Damaged,
            "more came",
        ),
        (lambda peer: (peer.head(), peer.say("200 OK", "Content-Length: 9999999\r\n", CONTENT)), Transient, "closed"),
        (lambda peer: (peer.head(), peer.say("200 OK", "", CONTENT)), Transient, "without Content-Length"),
        (lambda peer: chunked(peer, b"zz\r\n"), Transient, "size of a chunk"),
        (lambda peer: chunked(peer, b"-5\r\n"), Transient, "size of a chunk"),
        (lambda peer: chunked(peer, b"f" * 5000), Transient, "size of a chunk"),
        (lambda peer: chunked(peer, b"5\r\nab"), Transient, "closed"),
        (lambda peer: (peer.head(), peer.connection.sendall(b"SSH-2.0-x\r\n\r\n")), ElementDown, "HTTP/1.1"),
        (lambda peer: (peer.head(), peer.say("200 OK", "a: b\r\n" * 200)), ElementDown, "HTTP/1.1"),
        (lambda peer: (peer.head(), peer.connection.sendall(b"x" * 100_000)), ElementDown, "on and on"),
        (
            lambda peer: (peer.head(), peer.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 50)),
            ElementDown,
            "interim",
        ),
        (lambda peer: peer.head(), Transient, "closed the connection"),
        (lambda peer: (peer.head(), peer.head()), Transient, "no answer to GET for 2 s|no answer"),
        (
            lambda peer: (peer.head(), peer.say("200 OK", "Content-Length: 99999\r\n", b"x"), peer.head()),
            Transient,
            "no byte moved",
        ),
    ],
)
def test_what_a_server_does_wrong_says_what_to_do(
    authority: Authority, owner: Identity, tmp_path: Path, script: Script, error: type[TransferError], words: str
) -> None:
    with pytest.raises(error, match=words):
        got(authority, owner, tmp_path / "a", script)


def test_a_server_that_drips_is_given_up_in_time(authority: Authority, owner: Identity, tmp_path: Path) -> None:
    def script(peer: Conversation) -> None:
        peer.head()
        peer.say("200 OK", f"Content-Length: {len(CONTENT)}\r\n")
        while True:
            peer.connection.sendall(b"\0")
            time.sleep(0.05)

    begun = time.monotonic()
    with pytest.raises(GivenUp, match="time for the transfer is over"):
        got(authority, owner, tmp_path / "a", script, Watch(silence_s=60, ends_s=begun + 1.5))
    assert time.monotonic() - begun < 4
    assert 0 < (tmp_path / "a").stat().st_size < 100


def test_nobody_there(owner: Identity, tmp_path: Path) -> None:
    with pytest.raises(ElementDown, match="refused"):
        OverHttps(owner).get("https://localhost:1/labvo/a", tmp_path / "a", WHOLE, PATIENCE)


def test_a_server_of_another_name_gets_nothing(authority: Authority, owner: Identity, tmp_path: Path) -> None:
    asked: list[object] = []
    with serving(authority, lambda peer: asked.append(peer.head())) as url, pytest.raises(ElementDown, match="trusted"):
        OverHttps(owner).get(url.replace("localhost", "127.0.0.1"), tmp_path / "a", WHOLE, PATIENCE)
    assert asked == []


@pytest.mark.parametrize("url", ["http://localhost/a", "file:///etc/passwd", "https://localhost/a b", "https://x/é"])
def test_another_protocol_is_not_spoken(owner: Identity, tmp_path: Path, url: str) -> None:
    with pytest.raises(Unsupported):
        OverHttps(owner).get(url, tmp_path / "a", WHOLE, PATIENCE)


def test_a_link_in_the_place_of_the_file_is_not_followed(owner: Identity, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "victim")
    with pytest.raises(NoSpaceHere):
        OverHttps(owner).get("https://localhost:1/a", tmp_path / "a", WHOLE, PATIENCE)
    assert not (tmp_path / "victim").exists()


# ---- redirects: where they lead, and what is shown there ----


def redirecting(location: str, shown: list[tuple[bool, str]]) -> Script:
    def script(peer: Conversation) -> None:
        while (found := peer.head())[0]:
            shown.append((peer.has_certificate, found[2].get("authorization", "")))
            if found[1].startswith("/labvo"):
                peer.say("307 There", f"Location: {location}\r\nContent-Length: 0\r\n")
            else:
                peer.file()

    return script


def test_a_redirect_on_the_same_host_shows_the_credential(
    authority: Authority, owner: Identity, tmp_path: Path
) -> None:
    shown: list[tuple[bool, str]] = []
    with serving(authority, redirecting("", shown)) as second:
        there = second.replace("/labvo/a", "/elsewhere")
        assert got(authority, owner, tmp_path / "a", redirecting(there, shown)) == CONTENT
    assert shown == [(True, ""), (True, "")]


@pytest.mark.parametrize("has_token", [False, True])
def test_a_signed_redirect_to_another_host_is_followed_without_any_credential(
    authority: Authority, owner: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_token: bool
) -> None:
    token = BearerToken({"BEARER_TOKEN": "secret"}) if has_token else None
    bearer = Identity(certificate=owner.certificate, ca=owner.ca, token=token)
    real = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda place, **more: real(("127.0.0.1", place[1]), **more))
    shown: list[tuple[bool, str]] = []
    names = server_context(authority, "pool.example", "localhost")
    assert names
    with serving(authority, redirecting("", shown)) as second:
        port = second.split(":")[2].split("/")[0]
        there = f"https://pool.example:{port}/elsewhere?authz=signed"
        with pytest.raises(ElementDown, match="trusted"):  # its certificate is localhost's: TLS is checked there too
            got(authority, bearer, tmp_path / "a", redirecting(there, shown))
    assert shown == [(not has_token, "Bearer secret" if has_token else "")]


@pytest.mark.parametrize("location", ["http://localhost/a", "https://evil.example/a", "", "https://localhost@evil/a"])
def test_a_redirect_elsewhere_is_not_followed(
    authority: Authority, owner: Identity, tmp_path: Path, location: str
) -> None:
    shown: list[tuple[bool, str]] = []
    with pytest.raises((Unsupported, Transient)):
        got(authority, owner, tmp_path / "a", redirecting(location, shown))
    assert len(shown) <= 5


def test_redirects_have_an_end(authority: Authority, owner: Identity, tmp_path: Path) -> None:
    shown: list[tuple[bool, str]] = []
    with pytest.raises(Unsupported, match="more than 4 redirects"):
        got(authority, owner, tmp_path / "a", redirecting("/labvo/a", shown))
