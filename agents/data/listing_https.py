"""Folders over https: WebDAV's PROPFIND for what lies in them, HEAD with Want-Digest for checksums."""

import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from agents.credentials.identity import Identity
from agents.data import checksum
from agents.data.errors import NotHere, Transient
from agents.data.http_visit import Visit
from agents.data.listing import Entry, Measured
from agents.data.multistatus import Multistatus
from agents.data.over_https import error_of, https_url, look_at
from agents.data.way import Watch

_ONE_LEVEL = {"Depth": "1", "Content-Length": "0"}  # without a body: all properties
_MULTISTATUS = 207


class HttpsShelf:
    """See Shelf. Connections are kept: one for each thread that asks at the same time, and those that rest.

    Args:
        owner: whose proxy, or token, is shown.
        watch: looks on.
    """

    def __init__(self, owner: Identity, watch: Watch) -> None:
        self._owner = owner
        self._watch = watch
        self._idle: dict[float, deque[Visit]] = defaultdict(deque)  # by their patience

    def folder(self, url: str, take: Callable[[Entry], object]) -> None:
        """See Shelf."""
        url = https_url(url).rstrip("/") + "/"
        reader = self._read_folder(url, Multistatus(url, take))
        if reader.is_misread:
            self._read_folder(url, Multistatus(url, take, is_plain=True))

    def _read_folder(self, url: str, reader: Multistatus) -> Multistatus:
        with self._visit(self._watch.silence_s) as visit, visit.asked("PROPFIND", url, _ONE_LEVEL) as answered:
            if answered.head.status != _MULTISTATUS:
                raise error_of(url, "PROPFIND", answered)
            answered.link.receive(answered.head, reader.feed)
            reader.end()
        return reader

    def measured(self, url: str, *, reads: bool, silence_s: float) -> Measured:
        """See Shelf."""
        url = https_url(url)
        with self._visit(silence_s) as visit:
            head = look_at(visit, url)
            if head is None:
                raise NotHere(f"{url}: the folder's list names it, and it is not there")
            if head.length_bytes is None:
                raise Transient(f"{url}: expected its size, got no Content-Length")
            if head.adler32 is not None or not reads:
                return Measured(size_bytes=head.length_bytes, adler32=head.adler32)
            return _read(visit, url, head.length_bytes)

    def close(self) -> None:
        """See Shelf."""
        for idle in self._idle.values():
            while idle:
                idle.popleft().end()

    @contextmanager
    def _visit(self, silence_s: float) -> Iterator[Visit]:
        idle = self._idle[silence_s]
        try:
            visit = idle.popleft()
        except IndexError:
            visit = self._new(silence_s)
        if not visit.is_rested:
            idle.appendleft(visit)
            visit = self._new(silence_s)
        try:
            yield visit
        except BaseException:
            visit.close()
            raise
        finally:
            idle.append(visit)

    def _new(self, silence_s: float) -> Visit:
        return Visit(self._owner, replace(self._watch, silence_s=silence_s))


def _read(visit: Visit, url: str, size_bytes: int) -> Measured:
    """Read a file for its checksum, and keep nothing of it."""
    summed, came = checksum.EMPTY, 0

    def take(piece: memoryview) -> None:
        nonlocal summed, came
        summed, came = zlib.adler32(piece, summed), came + len(piece)

    with visit.asked("GET", url) as answered:
        if answered.head.status != 200:
            raise error_of(url, "GET", answered)
        if answered.head.length_bytes not in (None, size_bytes):
            raise Transient(f"{url}: it has changed while it was read")
        answered.link.receive(answered.head, take)
    if came != size_bytes:
        raise Transient(f"{url}: {came} bytes came, expected {size_bytes}")
    return Measured(size_bytes=size_bytes, adler32=summed)
