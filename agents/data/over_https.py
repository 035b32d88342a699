"""Files over https, as WebDAV servers and XRootD speak it, with the owner's proxy or token."""

import hashlib
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from agents.credentials.identity import Identity
from agents.data import local_file
from agents.data.errors import Exists, NoRoom, NotAllowed, NotHere, TransferError, Transient, Unsupported
from agents.data.http_head import Head
from agents.data.http_visit import Answered, Visit
from agents.data.local_file import Incoming, Outgoing, Probe
from agents.data.way import Content, Watch

_GOOD = range(200, 300)
_NONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_NO_MOVE = (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_FULL = (
    HTTPStatus.INSUFFICIENT_STORAGE,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
)
_PASSING = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.LOCKED,  # XRootD, while somebody writes the file, perhaps we before the connection broke off
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
)
_FULL_WORDS = ("no space", "read-only", "quota", "out of space")
_DIGEST = {"Want-Digest": "adler32"}
_CLEARING_S = 30.0  # for taking away what was left
_SUMMED_BYTES_PER_S = 50e6  # by a server that reads a file for its checksum from a busy disk


class OverHttps:
    """GET with resume; PUT beside, compared, then moved to its name. Any thread may call.

    Args:
        owner: whose proxy, or token, is shown.
    """

    def __init__(self, owner: Identity) -> None:
        self._owner = owner
        self._without_move: set[str] = set()

    def get(self, url: str, into: Path, content: Content, watch: Watch) -> None:
        """See Way."""
        url = https_url(url)
        with Incoming(into, content, watch) as incoming, Visit(self._owner, watch) as visit:
            incoming.completed(lambda: _fetch(visit, url, incoming, content.size_bytes))

    def put(self, path: Path, url: str, content: Content, watch: Watch) -> None:
        """See Way. A server without MOVE gets the file under its name at once."""
        url = https_url(url)
        host = urlsplit(url).netloc
        outgoing = Outgoing(path, content, watch)
        with Visit(self._owner, watch) as visit:
            _refuse_existing(visit, url, content)
            if host not in self._without_move:
                if self._put_beside(visit, outgoing, _beside(path, url), url, content):
                    return
                self._without_move.add(host)
            try:
                _send(visit, outgoing, url, {"If-None-Match": "*"})
                _compare(visit, url, content)
            except Exists:
                raise
            except TransferError as error:
                visit.close()
                raise self._judged(error, url) from error

    def take_away(self, path: Path, url: str, may: Callable[[Content], bool], watch: Watch) -> bool:
        """See Way."""
        url = https_url(url)
        with Visit(self._owner, watch) as visit:
            _remove(visit, _beside(path, url))
            found = look_at(visit, url)
            if found is None:
                return True
            if found.length_bytes is None or not may(Content(size_bytes=found.length_bytes, adler32=found.adler32)):
                return False
            _remove(visit, url)
        return True

    def _put_beside(self, visit: Visit, outgoing: Outgoing, beside: str, url: str, content: Content) -> bool:
        """Upload under another name, compare, and rename; False where the server cannot rename."""
        try:
            _send(visit, outgoing, beside, {})
            _compare(visit, beside, content)
            _refuse_existing(visit, url, content)  # XRootD's MOVE replaces whatever is there
            is_moved = _move(visit, beside, url)
        except TransferError as error:
            visit.close()
            raise self._judged(error, beside) from error
        if not is_moved:
            self._clear(beside)
        return is_moved

    def _judged(self, error: TransferError, url: str) -> TransferError:
        """Take away what was written; return what the error is, once the server was asked whether it takes any file."""
        if isinstance(error, Transient):
            watch, little = Watch(ends_s=time.monotonic() + _CLEARING_S, silence_s=_CLEARING_S), f"{url}-probe"
            with Visit(self._owner, watch) as visit:
                if local_file.is_full(lambda: _send(visit, Probe(), little, {})):
                    error = NoRoom(f"{error}; a small file is not taken either")
            self._clear(little)
        self._clear(url)
        return error

    def _clear(self, url: str) -> None:
        """Take away what was written; that it cannot be is no further error."""
        watch = Watch(ends_s=time.monotonic() + _CLEARING_S, silence_s=_CLEARING_S)
        with suppress(TransferError), Visit(self._owner, watch) as visit:
            visit.status("DELETE", url)


def _beside(path: Path, url: str) -> str:
    """Return the name under which a file is put first: the same after a crash, another one of other nodes and files."""
    whose = f"{socket.gethostname()}:{path.absolute()}".encode()
    return f"{url}.part-{hashlib.sha256(whose).hexdigest()[:8]}"


def _remove(visit: Visit, url: str) -> None:
    """Remove a file, if it is there.

    Raises:
        TransferError: the server does not.
    """
    with visit.asked("DELETE", url) as answered:
        answered.link.said("DELETE", answered.head)
        if answered.head.status not in (*_GOOD, *_NONE):
            raise error_of(url, "DELETE", answered)


def _fetch(visit: Visit, url: str, incoming: Incoming, size_bytes: int) -> None:
    begins = incoming.arrived_bytes
    wanted = {"Range": f"bytes={begins}-{size_bytes - 1}"} if begins else {}  # XRootD 5.5 wants to hear the end, too
    with visit.asked("GET", url, wanted) as answered:
        head = answered.head
        if begins and head.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            incoming.begin_anew()
            raise Transient(f"{url}: the server has no bytes from {begins} on; what had come is forgotten")
        if head.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            raise error_of(url, "GET", answered)
        if begins and not _begins_at(head, begins):
            incoming.begin_anew()
        answered.link.receive(head, incoming.take)


def _begins_at(head: Head, begins: int) -> bool:
    """Tell whether an answer goes on where it was asked to. The whole file from its beginning is no fault.

    Raises:
        Transient: it is another part.
    """
    if head.status == HTTPStatus.OK:
        return False
    if not head.headers.get("content-range", "").startswith(f"bytes {begins}-"):
        raise Transient(f"bytes from {begins} on were asked for, got {head.headers.get('content-range', '')[:60]!r}")
    return True


def _send(visit: Visit, outgoing: Outgoing | Probe, url: str, headers: Mapping[str, str]) -> None:
    """PUT a file; the folders above it are made where the server asks for them by 409."""
    for _ in range(2):
        with visit.asked("PUT", url, headers, outgoing) as answered:
            status = answered.head.status
            if status in _GOOD:
                answered.link.said("PUT", answered.head)
                return
            if status == HTTPStatus.PRECONDITION_FAILED:
                raise Exists(f"{url}: there is a file of that name already")
            if status != HTTPStatus.CONFLICT:
                raise error_of(url, "PUT", answered)
        _make_folders(visit, url)
    raise Transient(f"{url}: HTTP 409, although the folders above it are there")


def _make_folders(visit: Visit, url: str) -> None:
    """Make the folders above a file that are missing: upwards until one can be made, and down again."""
    base, parts = f"https://{urlsplit(url).netloc}", urlsplit(url).path.split("/")[1:-1]
    missing: list[str] = []
    for depth in range(len(parts), 0, -1):
        folder = f"{base}/{'/'.join(parts[:depth])}"
        status = visit.status("MKCOL", folder)
        if status in _GOOD or status == HTTPStatus.METHOD_NOT_ALLOWED:  # made, or there
            break
        if status != HTTPStatus.CONFLICT:
            raise NotAllowed(f"{folder}: the folder cannot be made (HTTP {status})")
        missing.append(folder)
    for folder in reversed(missing):
        visit.status("MKCOL", folder)


def _refuse_existing(visit: Visit, url: str, content: Content) -> None:
    """Raise Exists if there is a file of that name, with what the server says of it."""
    if found := look_at(visit, url, content.size_bytes):
        raise Exists(
            f"{url}: there is a file of that name already", size_bytes=found.length_bytes, adler32=found.adler32
        )


def _compare(visit: Visit, url: str, content: Content) -> None:
    """Compare what the server holds with what was sent; where it tells no checksum, TLS's own has to do.

    Raises:
        Transient: it is not the same.
    """
    found = look_at(visit, url, content.size_bytes)
    if found is None:
        raise Transient(f"{url}: it was uploaded, and is not there")
    is_other = content.adler32 is not None and found.adler32 not in (None, content.adler32)
    if is_other or found.length_bytes not in (None, content.size_bytes):
        raise Transient(f"{url}: what is there is not what was sent: {found.length_bytes} bytes, or another checksum")


def look_at(visit: Visit, url: str, size_bytes: int = 0) -> Head | None:
    """Return the head of a file, with its checksum where the server tells it; None when there is none.

    Args:
        visit: asks.
        url: of the file.
        size_bytes: what the server may have to read for the checksum; asked anew too early, it would read it twice.

    Raises:
        TransferError: the server does not say.
    """
    with visit.asked("HEAD", url, _DIGEST, needs_s=size_bytes / _SUMMED_BYTES_PER_S) as answered:
        answered.link.said("HEAD", answered.head)
        if answered.head.status in _NONE:
            return None
        if answered.head.status not in _GOOD:
            raise error_of(url, "HEAD", answered)
        return answered.head


def _move(visit: Visit, url: str, to: str) -> bool:
    """Give a file its name; False where the server has no MOVE."""
    with visit.asked("MOVE", url, {"Destination": to, "Overwrite": "F"}) as answered:
        status = answered.head.status
        if status == HTTPStatus.PRECONDITION_FAILED:
            raise Exists(f"{to}: there is a file of that name already")
        if status not in _GOOD and status not in _NO_MOVE:
            raise error_of(url, "MOVE", answered)
        return status in _GOOD


def error_of(url: str, method: str, answered: Answered) -> TransferError:
    """Return what an answer that is none of the good ones asks to do next."""
    status = answered.head.status
    with suppress(TransferError):
        said = answered.link.said(method, answered.head)
        text = f"{url}: HTTP {status} in answer to {method}" + (f": {said}" if said else "")
        return _kind(status, said)(text)
    return _kind(status, "")(f"{url}: HTTP {status} in answer to {method}")


def _kind(status: int, said: str) -> type[TransferError]:
    if status in _NONE:
        return NotHere
    if status in _FULL or any(word in said.lower() for word in _FULL_WORDS):
        return NoRoom
    if status in _DENIED:
        return NotAllowed
    return Transient if status >= 500 or status in _PASSING else Unsupported


def https_url(url: str) -> str:
    """Return a URL of https; `davs` is another name of it.

    Raises:
        Unsupported: it is none.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in ("https", "davs") or not rest.isascii() or any(letter <= " " for letter in rest):
        raise Unsupported(f"{url[:100]!r}: expected https://…")
    return f"https://{rest}"
