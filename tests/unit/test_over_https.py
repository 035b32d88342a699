"""Files over https from and to a small real TLS server that behaves badly; real servers are in tests/system."""

import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.credentials.identity import Identity
from agents.credentials.tokens import BearerToken
from agents.data import http_visit, over_https
from agents.data.errors import (
    Damaged,
    ElementDown,
    Exists,
    GivenUp,
    NoRoom,
    NoSpaceHere,
    NotAllowed,
    NotHere,
    TransferError,
    Transient,
    Unsupported,
)
from agents.data.local_file import PIECE_BYTES, Outgoing
from agents.data.over_https import OverHttps
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


# ---- uploads ----


class Store:
    """A server that keeps files, as WebDAV does, with faults of choice."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.invites = True
        self.has_move = True
        self.has_digest = True
        self.needs_folder = False
        self.put_says = ""
        self.takes_probes = False  # whatever it says to others
        self.breaks_off_at = 10**9
        self.spoils = False
        self.thinks_s = 0.0  # before it tells a checksum

    def __call__(self, peer: Conversation) -> None:
        while True:
            method, target, headers = peer.head()
            if not method:
                return
            self.asked.append((method, target))
            getattr(self, method.lower())(peer, target, headers)

    def head(self, peer: Conversation, target: str, headers: dict[str, str]) -> None:
        if target not in self.files:
            peer.say("404 Not Found", "Content-Length: 0\r\n")
            return
        data = self.files[target]
        time.sleep(self.thinks_s)
        digest = f"Digest: adler32={zlib.adler32(data):x}\r\n" if self.has_digest else ""
        peer.say("200 OK", f"Content-Length: {len(data)}\r\n{digest}")

    def put(self, peer: Conversation, target: str, headers: dict[str, str]) -> None:
        if self.put_says and not (self.takes_probes and target.endswith("-probe")):
            peer.say(self.put_says, "Content-Length: 0\r\n")
            return
        if self.needs_folder:
            peer.say("409 Conflict", "Content-Length: 0\r\nConnection: close\r\n")
            return
        if self.invites and "expect" in headers:
            peer.say("100 Continue")
        size = int(headers["content-length"])
        if size > self.breaks_off_at:
            self.files[target] = peer.stream.read(self.breaks_off_at)
            raise ConnectionResetError
        data = peer.stream.read(size)
        if len(data) < size:
            raise ConnectionResetError
        self.files[target] = data[:-1] + b"!" if self.spoils else data
        peer.say("201 Created", "Content-Length: 0\r\n")

    def mkcol(self, peer: Conversation, target: str, headers: dict[str, str]) -> None:
        self.needs_folder = False
        peer.say("201 Created", "Content-Length: 0\r\n")

    def move(self, peer: Conversation, target: str, headers: dict[str, str]) -> None:
        if not self.has_move:
            peer.say("405 No", "Content-Length: 0\r\n")
            return
        to = "/" + headers["destination"].split("/", 3)[3]
        self.files[to] = self.files.pop(target)
        peer.say("201 Created", "Content-Length: 0\r\n")

    def delete(self, peer: Conversation, target: str, headers: dict[str, str]) -> None:
        self.files.pop(target, None)
        peer.say("204 Gone")


def put(authority: Authority, owner: Identity, tmp_path: Path, store: Store) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    with serving(authority, store) as url:
        OverHttps(owner).put(tmp_path / "a", url, WHOLE, PATIENCE)


def test_a_file_gets_its_name_when_it_is_whole(authority: Authority, owner: Identity, tmp_path: Path) -> None:
    store = Store()
    put(authority, owner, tmp_path, store)
    assert store.files == {"/labvo/a": CONTENT}
    assert [method for method, _ in store.asked] == ["HEAD", "PUT", "HEAD", "HEAD", "MOVE"]
    assert store.asked[1][1].startswith("/labvo/a.part-")


@pytest.mark.parametrize(("needs_s", "times"), [(60.0, 1), (0.0, 2)], ids=["in its time", "control"])
def test_a_server_that_reads_a_large_file_for_its_checksum_is_asked_once(
    authority: Authority,
    owner: Identity,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    needs_s: float,
    times: int,
) -> None:
    monkeypatch.setattr(http_visit, "_PROMPT_S", 0.3)
    monkeypatch.setattr(over_https, "_SUMMED_BYTES_PER_S", len(CONTENT) / needs_s if needs_s else float("inf"))
    store = Store()
    store.thinks_s = 0.9
    put(authority, owner, tmp_path, store)
    assert [method for method, target in store.asked if ".part-" in target].count("HEAD") == times


@pytest.mark.parametrize("fault", ["invites", "has_digest", "has_move"])
def test_a_server_that_knows_less(authority: Authority, owner: Identity, tmp_path: Path, fault: str) -> None:
    store = Store()
    setattr(store, fault, False)
    put(authority, owner, tmp_path, store)
    assert store.files == {"/labvo/a": CONTENT}


def test_folders_are_made_where_they_are_asked_for(authority: Authority, owner: Identity, tmp_path: Path) -> None:
    store = Store()
    store.needs_folder = True
    put(authority, owner, tmp_path, store)
    assert ("MKCOL", "/labvo") in store.asked
    assert store.files == {"/labvo/a": CONTENT}


def test_what_is_there_is_not_touched(authority: Authority, owner: Identity, tmp_path: Path) -> None:
    store = Store()
    store.files["/labvo/a"] = b"other"
    with pytest.raises(Exists) as told:
        put(authority, owner, tmp_path, store)
    assert (told.value.size_bytes, told.value.adler32) == (5, zlib.adler32(b"other"))
    assert store.files == {"/labvo/a": b"other"}


@pytest.mark.parametrize(
    ("says", "error"),
    [
        ("403 No", NotAllowed),
        ("507 Full", NoRoom),
        ("413 Large", NoRoom),
        ("405 No", NoRoom),
        ("500 Oops", NoRoom),  # nor does it take a small file
    ],
)
def test_a_refused_upload_says_what_to_do(
    authority: Authority, owner: Identity, tmp_path: Path, says: str, error: type[TransferError]
) -> None:
    store = Store()
    store.put_says = says
    with pytest.raises(error):
        put(authority, owner, tmp_path, store)
    assert store.files == {}


@pytest.mark.parametrize("says", ["423 Locked", "409 Conflict", "425 Early", "429 Many", "500 Oops", "503 Busy"])
def test_what_passes_is_no_lack_of_room(authority: Authority, owner: Identity, tmp_path: Path, says: str) -> None:
    store = Store()
    store.put_says, store.takes_probes = says, True
    with pytest.raises(Transient):
        put(authority, owner, tmp_path, store)
    assert store.files == {}


@pytest.mark.parametrize(("at", "error"), [(4_500_000, Transient), (1_000_000, NoRoom)])
def test_an_upload_that_breaks_off_leaves_nothing(
    authority: Authority, owner: Identity, tmp_path: Path, at: int, error: type[TransferError]
) -> None:
    store = Store()
    store.breaks_off_at = at  # the small file that is tried then has 4 MiB
    with pytest.raises(error):
        put(authority, owner, tmp_path, store)
    assert store.files == {}


def test_what_became_another_file_on_the_way_is_taken_away(
    authority: Authority, owner: Identity, tmp_path: Path
) -> None:
    store = Store()
    store.spoils = True
    with pytest.raises(Transient, match="not what was sent"):
        put(authority, owner, tmp_path, store)
    assert store.files == {}


def test_a_file_that_has_changed_does_not_leave_as_a_whole(
    authority: Authority, owner: Identity, tmp_path: Path
) -> None:
    store, other = Store(), Content(size_bytes=len(CONTENT), adler32=5)
    (tmp_path / "a").write_bytes(CONTENT)
    with serving(authority, store) as url, pytest.raises(NoSpaceHere, match="has changed"):
        OverHttps(owner).put(tmp_path / "a", url, other, PATIENCE)
    assert store.files == {}


def test_an_upload_can_be_given_up_until_its_last_piece(tmp_path: Path) -> None:
    """However quick it is: looks are half a second apart, and on a quick machine all has gone before the second."""
    (tmp_path / "a").write_bytes(bytes(3 * PIECE_BYTES))
    content, told = Content(size_bytes=3 * PIECE_BYTES, adler32=None), list[int]()
    watch = Watch(progress=told.append, is_given_up=lambda: content.size_bytes in told)
    pieces = Outgoing(tmp_path / "a", content, watch).pieces()
    assert [len(next(pieces)), len(next(pieces))] == [PIECE_BYTES, PIECE_BYTES]
    with pytest.raises(GivenUp):
        next(pieces)
    assert told[-1] == content.size_bytes


# ---- what is taken away ----


@pytest.mark.parametrize(("may", "is_gone"), [(True, True), (False, False)])
def test_what_may_be_taken_away_is(
    authority: Authority, owner: Identity, tmp_path: Path, may: bool, is_gone: bool
) -> None:
    store, told = Store(), list[Content]()
    store.files["/labvo/a"] = b"other"

    def judged(found: Content) -> bool:
        told.append(found)
        return may

    with serving(authority, store) as url:
        assert OverHttps(owner).take_away(tmp_path / "a", url, judged, PATIENCE) is is_gone
        assert OverHttps(owner).take_away(tmp_path / "a", f"{url}-none", judged, PATIENCE)

    assert told == [Content(size_bytes=5, adler32=zlib.adler32(b"other"))]
    assert store.files == ({} if is_gone else {"/labvo/a": b"other"})


def test_what_a_put_that_died_has_left_beside_is_found_again(
    authority: Authority, owner: Identity, tmp_path: Path
) -> None:
    store = Store()
    store.breaks_off_at, store.delete = 4_500_000, store.head  # type: ignore[method-assign] # nothing is cleared
    with pytest.raises(TransferError):
        put(authority, owner, tmp_path, store)
    assert len(store.files) > 0
    del store.delete  # type: ignore[attr-defined] # the class's own again

    with serving(authority, store) as url:
        for stranger in ("b", "a"):
            OverHttps(owner).take_away(tmp_path / stranger, url, lambda _: True, PATIENCE)
            beside = [name for name in store.files if ".part-" in name and not name.endswith("-probe")]
            assert len(beside) == (stranger == "b")


def test_a_server_that_does_not_remove_is_told(authority: Authority, owner: Identity, tmp_path: Path) -> None:
    store = Store()
    store.files["/labvo/a"] = b"other"
    store.delete = lambda peer, target, headers: peer.say("403 No", "Content-Length: 0\r\n")  # type: ignore[method-assign]
    with serving(authority, store) as url, pytest.raises(NotAllowed):
        OverHttps(owner).take_away(tmp_path / "a", url, lambda _: True, PATIENCE)
