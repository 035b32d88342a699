"""Files over https to a small real TLS server that behaves badly, and what is taken away there."""

import time
import zlib
from pathlib import Path

import pytest

from agents.credentials.identity import Identity
from agents.data import http_visit, over_https
from agents.data.errors import Exists, GivenUp, NoRoom, NoSpaceHere, NotAllowed, TransferError, Transient
from agents.data.local_file import PIECE_BYTES, Outgoing
from agents.data.over_https import OverHttps
from agents.data.way import Content, Watch
from agents.local_wms.authority import Authority
from tests.unit.over_https_scene import CONTENT, PATIENCE, WHOLE, Conversation, authority, owner, serving

__all__ = ["authority", "owner"]

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
