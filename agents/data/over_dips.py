"""Files over dips, as DIRAC's own StorageElement service speaks it: no resume, an MD5 on the way, no rename."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from agents.credentials.context import tls
from agents.credentials.identity import Identity
from agents.data import checksum, local_file
from agents.data.errors import (
    ElementDown,
    Exists,
    NoRoom,
    NotAllowed,
    NotHere,
    TransferError,
    Transient,
    Unsupported,
)
from agents.data.local_file import Incoming, Outgoing, Probe
from agents.data.way import Content, Watch
from agents.errors import AccessDenied, BadAnswer, NoAnswer, ServiceError, Unreachable
from agents.wms.dips import DipsTransport
from ce_backends.untrusted.bounded_http import Limits

_LONGEST_S = 10.0**7  # the watch ends it
_BLOCK_MB = 16  # of a frame: a block in base64
_CLEARING_S = 30.0
_CHECKED = "CheckSum"
_WORDS: tuple[tuple[str, type[TransferError]], ...] = (
    ("not exist", NotHere),
    ("no such file", NotHere),
    ("not found", NotHere),
    ("space", NoRoom),
    ("read-only", NoRoom),
    ("quota", NoRoom),
    ("unauthorized", NotAllowed),
    ("not authorized", NotAllowed),
    ("permission", NotAllowed),
)
"""What the service says, in small letters, and what it means."""


class OverDips:
    """FileTransfer ToClient and FromClient. Any thread may call.

    Args:
        owner: whose proxy is shown. It is read anew for each connection.
        vo: the owner's.
    """

    def __init__(self, owner: Identity, vo: str) -> None:
        self._owner = owner
        self._vo = vo

    def get(self, url: str, into: Path, content: Content, watch: Watch) -> None:
        """See Way. What a former try has left is fetched again."""
        service, transport = _service(url), self._transport(watch)
        with Incoming(into, content, watch) as incoming:

            def fetch() -> None:
                incoming.begin_anew()
                with _told(url):
                    most_bytes = 2 * content.size_bytes + 1  # `take` says it first
                    _check(url, transport.receive(service, [url, _CHECKED], incoming.take, most_bytes=most_bytes))

            incoming.completed(fetch)

    def put(self, path: Path, url: str, content: Content, watch: Watch) -> None:
        """See Way. The service has no rename: what was written of a file that did not become whole is removed."""
        service, transport = _service(url), self._transport(watch)
        self._refuse_existing(transport, service, url)
        outgoing = Outgoing(path, content, watch)
        try:
            with _told(url):
                _check(url, transport.send(service, [url, _CHECKED, content.size_bytes], outgoing.pieces()))
            found = self._look_at(transport, service, url)
            if found and (found.size_bytes != content.size_bytes or found.adler32 not in (None, content.adler32)):
                raise Transient(f"{url}: what is there is not what was sent: {found.size_bytes} bytes, or a checksum")
        except TransferError as error:
            raise self._judged(error, service, url) from error

    def take_away(self, path: Path, url: str, may: Callable[[Content], bool], watch: Watch) -> bool:  # noqa: ARG002
        """See Way; nothing is put beside."""
        service, transport = _service(url), self._transport(watch)
        if self._ask(transport, service, "exists", url) is not True:
            return True
        found = self._look_at(transport, service, url)
        if found is None or not may(found):
            return False
        self._ask(transport, service, "remove", url, "")
        return True

    def asked(self, method: str, url: str, arguments: Sequence[object], watch: Watch, *, most_mb: int) -> object:
        """Return what the service answers to a call about a file or a folder.

        Raises:
            TransferError: it refuses, or cannot be asked.
        """
        with _told(url):
            return _check(url, self._transport(watch, most_mb).call(_service(url), method, [url, *arguments]))

    def _refuse_existing(self, transport: DipsTransport, service: str, url: str) -> None:
        if self._ask(transport, service, "exists", url) is True:
            found = self._look_at(transport, service, url)
            size_bytes, adler32 = (found.size_bytes, found.adler32) if found else (None, None)
            raise Exists(f"{url}: there is a file of that name already", size_bytes=size_bytes, adler32=adler32)

    def _look_at(self, transport: DipsTransport, service: str, url: str) -> Content | None:
        """Return what lies there, None where the service does not tell its size; not all of them tell a checksum."""
        told = self._ask(transport, service, "getMetadata", url)
        size = told.get("Size") if isinstance(told, Mapping) else None
        if not isinstance(told, Mapping) or isinstance(size, bool) or not isinstance(size, int):
            return None
        return Content(size_bytes=size, adler32=checksum.number_of(told.get("Checksum")))

    def _ask(self, transport: DipsTransport, service: str, method: str, *arguments: object) -> object:
        with _told(arguments[0]):
            return _check(str(arguments[0]), transport.call(service, method, arguments))

    def _judged(self, error: TransferError, service: str, url: str) -> TransferError:
        """Take away what was written; return what the error is, once the service was asked for a small file's room."""
        if isinstance(error, Transient):
            little, probe = f"{url}-probe", Probe()
            transport = self._transport(Watch(ends_s=time.monotonic() + _CLEARING_S, silence_s=_CLEARING_S))

            def put_a_little() -> None:
                with _told(url):
                    _check(url, transport.send(service, [little, _CHECKED, probe.size_bytes], probe.pieces()))

            if local_file.is_full(put_a_little):
                error = NoRoom(f"{error}; a small file is not taken either")
            self._clear(service, little)
        self._clear(service, url)
        return error

    def _clear(self, service: str, url: str) -> None:
        """Take away what was written; that it cannot be is no further error."""
        watch = Watch(ends_s=time.monotonic() + _CLEARING_S, silence_s=_CLEARING_S)
        with suppress(TransferError):
            self._ask(self._transport(watch), service, "remove", url, "")

    def _transport(self, watch: Watch, most_mb: int = _BLOCK_MB) -> DipsTransport:
        secure = partial(tls, self._owner.certificate, self._owner.ca)
        limits = Limits(read_s=watch.silence_s, whole_s=_LONGEST_S, body_mb=most_mb)
        return DipsTransport(secure, vo=self._vo, extra=self._owner.extra_credentials, limits=limits, look=watch.check)


def _service(url: str) -> str:
    """Return the URL of the service that a file's URL names: `dips://host:port/System/Service`."""
    place = urlsplit(url)
    names = place.path.split("/")[1:3]
    if place.scheme not in ("dips", "dip") or len(names) < 2:
        raise Unsupported(f"{url[:100]!r}: expected dips://host:port/System/Service/…")
    return f"dips://{place.netloc}/{'/'.join(names)}"


@contextmanager
def _told(url: object) -> Iterator[None]:
    """Tell what the service's transport says in this room's words."""
    try:
        yield
    except AccessDenied as error:
        raise NotAllowed(str(error)) from error
    except Unreachable as error:
        raise ElementDown(str(error)) from error
    except (NoAnswer, BadAnswer) as error:
        raise Transient(str(error)) from error
    except ServiceError as error:
        raise _refusal(url, str(error)) from error


def _check(url: str, answer: object) -> object:
    """Return the value of a good answer.

    Raises:
        TransferError: it is S_ERROR, or no answer of DIRAC's.
    """
    if not isinstance(answer, Mapping):
        raise Transient(f"{url}: expected S_OK or S_ERROR, got {str(answer)[:80]!r}")
    if not answer.get("OK"):
        raise _refusal(url, str(answer.get("Message"))[:300])
    return answer.get("Value")


def _refusal(url: object, message: str) -> TransferError:
    kind = next((kind for words, kind in _WORDS if words in message.lower()), Transient)
    return kind(f"{url}: {message}")
