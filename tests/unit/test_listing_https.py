"""Checksums asked for over https, of a small real TLS server that loses answers; real servers are in tests/system."""

import threading

import pytest

from agents.credentials.identity import Identity
from agents.data import http_visit
from agents.data.listing import Measured
from agents.data.listing_https import HttpsShelf
from agents.data.way import Watch
from agents.local_wms.authority import Authority
from tests.unit.over_https_scene import Conversation, authority, owner, serving
from tests.waiting import until

__all__ = ["authority", "owner"]
TOLD = Measured(size_bytes=5, adler32=7)
LONG_S = 1000.0


def tell(peer: Conversation) -> bool:
    """Answer one question; False at the connection's end."""
    method, _, _ = peer.head()
    if method:
        peer.say("200 OK", "Content-Length: 5\r\nDigest: adler32=7\r\n")
    return bool(method)


def measured(shelf: HttpsShelf, url: str) -> Measured:
    return shelf.measured(url, reads=False, silence_s=LONG_S)


def test_a_lost_answer_is_asked_for_again_while_its_connection_stays_open(
    authority: Authority, owner: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_visit, "_PROMPT_S", 0.1)
    is_first, is_left = threading.Lock(), threading.Event()

    def script(peer: Conversation) -> None:
        if is_first.acquire(blocking=False):
            peer.head()
            peer.connection.settimeout(None)
            peer.stream.read(1)  # the asker leaves
            is_left.set()
        while tell(peer):
            pass

    shelf = HttpsShelf(owner, Watch())
    with serving(authority, script) as url:
        assert measured(shelf, url) == TOLD
        assert measured(shelf, url) == TOLD  # on the connection that answers
        assert not is_left.is_set()
        shelf.close()
        until(is_left.is_set)


@pytest.mark.parametrize(("rest_s", "connections"), [(LONG_S, 3), (0.0, 1)])
def test_a_connection_rests_once_it_has_told_a_checksum(
    authority: Authority, owner: Identity, monkeypatch: pytest.MonkeyPatch, rest_s: float, connections: int
) -> None:
    monkeypatch.setattr(http_visit, "_REST_S", rest_s)
    opened: list[int] = []

    def script(peer: Conversation) -> None:
        opened.append(peer.port)
        while tell(peer):
            pass

    shelf = HttpsShelf(owner, Watch())
    with serving(authority, script) as url:
        assert [measured(shelf, url) for _ in range(3)] == [TOLD] * 3
        shelf.close()
    assert len(opened) == connections
