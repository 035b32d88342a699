"""Files over DISET, in both directions, against a small real TLS server that speaks DIRAC's frames, well and badly."""

import base64
import functools
import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agents.credentials.identity import Identity
from agents.data.errors import Damaged, ElementDown, Exists, GivenUp, NoRoom, NotAllowed, NotHere, Transient
from agents.data.over_dips import OverDips
from agents.data.way import Content, Watch
from agents.errors import AccessDenied, BadAnswer
from agents.local_wms.authority import Authority, open_authority, write_private
from agents.wms.dips import DipsTransport, tls
from agents.wms.https import Limits
from agents.wms.sandbox_store import SandboxStore
from agents.wms.service import Retry, Service
from tests.unit.dips_server import Peer, Script, serving
from tests.waiting import PATIENCE_S

LIMITS = Limits(connect_s=PATIENCE_S, read_s=2.0, whole_s=PATIENCE_S, body_mb=1)
OK: dict[str, object] = {"OK": True, "Value": None}
CONTENT = bytes(range(256)) * 9000  # three blocks
WHOLE = Content(size_bytes=len(CONTENT), adler32=zlib.adler32(CONTENT))


def good(value: object) -> dict[str, object]:
    return {"OK": True, "Value": value}


def bad(message: str) -> dict[str, object]:
    return {"OK": False, "Errno": 0, "Message": message}


def tagged(data: bytes) -> dict[str, str]:
    return {"__dCls": "b64", "obj": base64.b64encode(data).decode()}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("ca"), lambda: datetime.now(UTC))


@pytest.fixture(scope="module")
def proxy(authority: Authority) -> Path:
    path = authority.folder / "user.proxy.pem"
    write_private(path, authority.delegate(authority.issue("Lab User"), "lab_user").pem())
    return path


class Element:
    """A StorageElement service of one file, as DIRAC's answers."""

    def __init__(self, stored: bytes | None = None) -> None:
        self.stored = stored
        self.asked: list[Any] = []
        self.blocks: Callable[[bytes], Iterator[bytes]] = lambda data: (
            data[at : at + (1 << 20)] for at in range(0, len(data), 1 << 20)
        )
        self.refusal = ""
        self.spoils_md5 = False
        self.tells_sum = ""
        self.stops_after = self.stops_again_after = 1000

    def __call__(self, peer: Peer) -> None:
        action = peer.read()[1]["Value"][1]
        peer.say(OK)
        arguments = peer.read()[1]["Value"]
        self.asked.append((action, arguments))
        {"RPC": self.rpc, "ToClient": self.to_client, "FromClient": self.from_client}[
            action[0] if action[0] == "RPC" else action[1]
        ](peer, action, arguments)

    def rpc(self, peer: Peer, action: Any, arguments: Any) -> None:
        if action[1] == "exists":
            peer.say(good(self.stored is not None))
        elif action[1] == "remove":
            self.stored = None
            peer.say(OK)
        else:
            told = {"Size": len(self.stored or b""), "Exists": True}
            peer.say(good(told | {"Checksum": self.tells_sum} if self.tells_sum else told))

    def to_client(self, peer: Peer, action: Any, arguments: Any) -> None:
        peer.say(good("Accepted"))
        for number, block in enumerate(self.blocks(self.stored or b"")):
            if number >= self.stops_after:
                return
            peer.say(good([True, tagged(block)]))
            peer.read()
        md5 = hashlib.md5(self.stored or b"").hexdigest()
        peer.say(good([False, "0" * 32 if self.spoils_md5 else md5]))
        peer.say(OK if self.stored is not None else bad(f"File {arguments[0]} does not exist"))

    def from_client(self, peer: Peer, action: Any, arguments: Any) -> None:
        if self.refusal:
            peer.say(bad(self.refusal))
            return
        peer.say(good("Accepted"))
        came = b""
        while True:
            more, data = peer.read()[1]["Value"]
            if not more:
                break
            came += base64.b64decode(data["obj"])
            self.stored = came
            if len(came) >= self.stops_after << 20:
                self.stops_after = self.stops_again_after
                return
            peer.say(OK)
        assert data == hashlib.md5(came).hexdigest()
        peer.say(good("SB:LabSandboxSE|/x"))


@contextmanager
def element(authority: Authority, script: Script) -> Iterator[str]:
    with serving(authority, script) as url:
        yield url.replace("WorkloadManagement/Matcher", "DataManagement/StorageElement") + "/labvo/user/a.root"


@pytest.fixture
def way(authority: Authority, proxy: Path) -> OverDips:
    return OverDips(Identity(certificate=proxy, ca=authority.certificates), "labvo")


def watch(**more: Any) -> Watch:
    return Watch(**{"silence_s": 0.6, **more})


def test_a_file_comes_and_is_compared(authority: Authority, way: OverDips, tmp_path: Path) -> None:
    there, seen = Element(CONTENT), list[int]()
    with element(authority, there) as url:
        way.get(url, tmp_path / "a", WHOLE, watch(progress=seen.append))
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert there.asked == [(["FileTransfer", "ToClient"], [url, "CheckSum"])]
    assert seen


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"stored": None}, NotHere, "does not exist"),
        ({"stored": CONTENT[:-1]}, Damaged, "bytes came"),
        ({"stored": CONTENT + b"x"}, Damaged, "more came"),
        ({"stored": b"x" + CONTENT[1:]}, Damaged, "its Adler32 is"),
        ({"spoils_md5": True}, Transient, "MD5"),
        ({"stops_after": 1}, Transient, "closed the connection"),
        ({"blocks": lambda data: iter([b""])}, Transient, "expected a block of bytes"),
    ],
)
def test_what_is_wrong_with_a_file_says_what_to_do(
    authority: Authority, way: OverDips, tmp_path: Path, changed: dict[str, Any], error: type[Exception], words: str
) -> None:
    there = Element(CONTENT)
    for name, value in changed.items():
        setattr(there, name, value)
    with element(authority, there) as url, pytest.raises(error, match=words):
        way.get(url, tmp_path / "a", WHOLE, watch())


def test_what_a_former_try_left_is_fetched_again(authority: Authority, way: OverDips, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"other")
    with element(authority, Element(CONTENT)) as url:
        way.get(url, tmp_path / "a", WHOLE, watch())
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_file_goes_and_is_looked_at(authority: Authority, way: OverDips, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    there = Element()
    with element(authority, there) as url:
        way.put(tmp_path / "a", url, WHOLE, watch())
    assert there.stored == CONTENT
    assert [action[1] for action, _ in there.asked] == ["exists", "FromClient", "getMetadata"]
    assert there.asked[1][1] == [url, "CheckSum", len(CONTENT)]


def test_what_is_there_is_not_touched(authority: Authority, way: OverDips, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    there = Element(b"other")
    with element(authority, there) as url, pytest.raises(Exists) as told:
        way.put(tmp_path / "a", url, WHOLE, watch())
    assert (there.stored, told.value.size_bytes, told.value.adler32) == (b"other", 5, None)


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        ("Not enough disk space", NoRoom),
        ("Read-only file system", NoRoom),
        ("Unauthorized query", NotAllowed),
        ("Something else", NoRoom),  # it takes a small file no more
    ],
)
def test_a_refused_upload_says_what_to_do(
    authority: Authority, way: OverDips, tmp_path: Path, refusal: str, error: type[Exception]
) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    there = Element()
    there.refusal = refusal
    with element(authority, there) as url, pytest.raises(error, match=refusal):
        way.put(tmp_path / "a", url, WHOLE, watch())


@pytest.mark.parametrize(("again_after", "error"), [(1000, Transient), (1, NoRoom)])
def test_what_was_written_of_a_file_that_broke_off_is_removed(
    authority: Authority, way: OverDips, tmp_path: Path, again_after: int, error: type[Exception]
) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    there = Element()
    there.stops_after, there.stops_again_after = 1, again_after
    with element(authority, there) as url, pytest.raises(error, match="closed the connection"):
        way.put(tmp_path / "a", url, WHOLE, watch())
    assert there.asked[-1] == (["RPC", "remove"], [url, ""])
    assert there.stored is None


def test_who_watches_may_give_up_in_the_middle_of_silence(authority: Authority, way: OverDips, tmp_path: Path) -> None:
    silent = functools.partial(lambda peer: [peer.read(), peer.say(OK), peer.read(), peer.read()])
    asked = iter([False, True])
    with element(authority, silent) as url, pytest.raises(GivenUp):
        way.get(url, tmp_path / "a", WHOLE, watch(is_given_up=lambda: next(asked, True), silence_s=60.0))


def test_silence_is_a_reason_to_try_again(authority: Authority, way: OverDips, tmp_path: Path) -> None:
    silent = functools.partial(lambda peer: [peer.read(), peer.say(OK), peer.read(), peer.read()])
    with element(authority, silent) as url, pytest.raises(Transient, match="no answer to ToClient"):
        way.get(url, tmp_path / "a", WHOLE, watch())


def test_nobody_there(way: OverDips, tmp_path: Path) -> None:
    with pytest.raises(ElementDown, match="refused"):
        way.get("dips://localhost:1/DataManagement/StorageElement/labvo/a/b", tmp_path / "a", WHOLE, watch())


# ---- sandboxes, whose store calls the same over https and dips ----


def store(authority: Authority, proxy: Path, url: str) -> SandboxStore:
    transport = DipsTransport(functools.partial(tls, proxy, authority.certificates), vo="labvo", limits=LIMITS)
    service = url.rpartition("/labvo/")[0]
    return SandboxStore(Service("SandboxStore", [service], transport, Retry(attempts=1)))


def test_a_sandbox_comes_over_dips(authority: Authority, proxy: Path) -> None:
    there = Element(b"packed")
    with element(authority, there) as url:
        assert store(authority, proxy, url).download("SB:LabSandboxSE|/SandBox/l/u/x.tar.bz2") == b"packed"
    assert there.asked[0][1] == [f"{url.rpartition('/labvo/')[0]}/SandBox/l/u/x.tar.bz2", "CheckSum"]


def test_a_sandbox_goes_over_dips(authority: Authority, proxy: Path) -> None:
    there = Element()
    with element(authority, there) as url:
        assert store(authority, proxy, url).upload_output(6, b"packed") == "SB:LabSandboxSE|/x"
    name = hashlib.md5(b"packed").hexdigest() + ".tar.bz2"
    assert there.asked == [(["FileTransfer", "FromClient"], [[name, {"Job:6": "Output"}], "", 6])]


def test_a_sandbox_larger_than_allowed_is_no_answer(authority: Authority, proxy: Path) -> None:
    with element(authority, Element(bytes(1_000_001))) as url, pytest.raises(BadAnswer, match="more than 1 MB"):
        store(authority, proxy, url).download("SB:LabSandboxSE|/x")


def test_another_method_carries_no_file(authority: Authority, proxy: Path) -> None:
    transport = DipsTransport(functools.partial(tls, proxy, authority.certificates), vo="labvo", limits=LIMITS)
    with pytest.raises(AccessDenied, match="carries no file over dips"):
        transport.download("dips://localhost:1/W/X", "getFile", [])


# ---- what is taken away ----


@pytest.mark.parametrize(("tells_sum", "adler32"), [("", None), ("84b021f", 0x084B021F), ("junk!", None)])
@pytest.mark.parametrize("may", [True, False])
def test_what_may_be_taken_away_is(
    authority: Authority, way: OverDips, tmp_path: Path, tells_sum: str, adler32: int | None, may: bool
) -> None:
    there, told = Element(b"other"), list[Content]()
    there.tells_sum = tells_sum

    def judged(found: Content) -> bool:
        told.append(found)
        return may

    with element(authority, there) as url:
        assert way.take_away(tmp_path / "a", url, judged, watch()) is may
    assert told == [Content(size_bytes=5, adler32=adler32)]
    assert there.stored == (None if may else b"other")


def test_of_nothing_nothing_is_taken_away(authority: Authority, way: OverDips, tmp_path: Path) -> None:
    with element(authority, Element()) as url:
        assert way.take_away(tmp_path / "a", url, lambda _: False, watch())


def test_a_file_that_arrived_as_another_one_is_no_file(authority: Authority, way: OverDips, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    there = Element()
    there.tells_sum = "00000001"
    with element(authority, there) as url, pytest.raises(Transient, match="not what was sent"):
        way.put(tmp_path / "a", url, WHOLE, watch())
    assert there.stored is None
