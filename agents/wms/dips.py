"""DISET as DIRAC's dips services speak it: TLS, then four length-prefixed JSON frames; one call for each connection.

Seen on the wire of DIRAC 9.1.22: proposal, its acceptance, arguments, answer. A keep-alive may come between any two.
DIRAC 7.3 and 8 understand JSON, and answer in DEncode.
"""

import contextlib
import functools
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from agents import __version__
from agents.credentials.context import tls
from agents.errors import AccessDenied, BadAnswer, CredentialError, NoAnswer, ServiceError, Unreachable
from agents.wms import dencode, dips_files, jencode
from agents.wms.service import NoFile
from ce_backends.errors import plain_word
from ce_backends.untrusted.bounded_http import Limits
from ce_backends.untrusted.web_proxies import web_proxies

__all__ = ["DipsTransport", "tls"]
_T = TypeVar("_T")
_KEEP_ALIVE = b"dka"
_LONGEST_LENGTH = len("999999999")
_CHUNK_BYTES = 65536
_PROPOSAL_BYTES = 1024  # what the server reads of one
_LONGEST_MESSAGE = 500
_LOOK_S = 1.0
_UNAUTHORIZED = 1111  # DErrno.ENOAUTH, "Unauthorized query"


class DipsTransport:
    """Carries calls over one connection each, secured anew so that a proxy that was renewed is used at once."""

    def __init__(
        self,
        secure: Callable[[], ssl.SSLContext],
        *,
        vo: str,
        setup: str = "None",
        extra: str | None = None,
        limits: Limits = Limits(),
        monotonic: Callable[[], float] = time.monotonic,
        look: Callable[[], object] = lambda: None,
    ) -> None:
        self._secure = secure
        self._setup = setup
        self._vo = vo
        self._extra = extra or ""
        self._limits = limits
        self._monotonic = monotonic
        self._look = look

    def download(self, url: str, method: str, arguments: Sequence[object]) -> bytes | NoFile:
        """See Transport. What https calls `streamToClient` is a transfer to the client here.

        Raises:
            AccessDenied: it is another method.
        """
        if method != "streamToClient":
            raise AccessDenied(f"{url}: {method} carries no file over dips")
        pieces: list[bytes] = []
        answer = self.receive(url, [*arguments, "CheckSum"], pieces.append, most_bytes=self._limits.body_mb * 10**6)
        is_good = isinstance(answer, Mapping) and answer.get("OK")
        return b"".join(pieces) if is_good else NoFile(answer)

    def close(self) -> None:
        """See Transport. No connection is kept."""

    def call(self, url: str, method: str, arguments: Sequence[object]) -> object:
        """See Transport. What https calls `streamFromClient` is a transfer from the client here: its last argument."""
        if method == "streamFromClient" and isinstance(content := arguments[-1], bytes):
            return self.send(url, arguments[:-1], [memoryview(content)])
        with self._agreed(url, ["RPC", method]) as frames:
            return _answer(frames, url, method, arguments)

    def receive(
        self, url: str, arguments: Sequence[object], take: Callable[[bytes], object], *, most_bytes: int
    ) -> object:
        """Hand over a file in pieces of a megabyte; return the service's last word, S_OK or S_ERROR.

        Raises:
            ServiceError: as `call`; BadAnswer too where the MD5 is not that of what came, or more came than wanted.
        """
        with self._agreed(url, ["FileTransfer", "ToClient"]) as frames, _meant(url, "ToClient"):
            frames.send(_ok(list(arguments)))
            return dips_files.receive(frames, take, most_bytes)

    def send(self, url: str, arguments: Sequence[object], pieces: Iterable[memoryview]) -> object:
        """Send a file in pieces of at most a megabyte; return the service's last word, S_OK or S_ERROR.

        Raises:
            ServiceError: as `call`; what was sent may have been stored.
        """
        with self._agreed(url, ["FileTransfer", "FromClient"]) as frames, _meant(url, "FromClient"):
            frames.send(_ok(list(arguments)))
            return dips_files.send(frames, pieces)

    @contextlib.contextmanager
    def _agreed(self, url: str, action: Sequence[str]) -> Iterator["_Frames"]:
        """Connect, and agree with the server on what is to be done."""
        place = urlsplit(url)
        with self._connected(url, place, self._monotonic() + self._limits.whole_s) as frames:
            self._propose(frames, url, place.path.strip("/"), action)
            yield frames

    @contextlib.contextmanager
    def _connected(self, url: str, place: SplitResult, ends: float) -> Iterator["_Frames"]:
        if not place.hostname or not place.port:
            raise Unreachable(f"{url}: expected dips://host:port/System/Service")
        try:
            plain = socket.create_connection((place.hostname, place.port), timeout=self._limits.connect_s)
        except OSError as error:
            hint = "; the web proxy of https_proxy cannot carry dips" if web_proxies(url) else ""
            raise Unreachable(f"{url}: {plain_word(error)}{hint}") from error
        with plain:
            try:
                secured = self._secure().wrap_socket(plain, server_hostname=place.hostname)
            except CredentialError as error:  # a proxy that is being replaced, or has gone since the start
                raise Unreachable(f"{url}: {error}") from error
            except OSError as error:
                raise _rejected(url, error) from error
            with secured:
                yield _Frames(secured, self._limits, ends, self._monotonic, self._look)

    def _propose(self, frames: "_Frames", url: str, service: str, action: Sequence[str]) -> None:
        """Agree with the server on the call, before its arguments are sent.

        Raises:
            AccessDenied: not with this credential.
            Unreachable: the server will not take the call, and has not.
        """
        who = [service, self._setup, self._vo]
        proposal = _ok([who, list(action), self._extra, f"gridpilot {__version__}"])
        try:
            with contextlib.suppress(OSError):  # what the server has against us is read next (TLS 1.3)
                frames.send(proposal, limit_bytes=_PROPOSAL_BYTES)
            answer = frames.receive()
        except (OSError, BadAnswer) as error:
            raise _rejected(url, error) from error
        if not isinstance(answer, Mapping) or not answer.get("OK"):
            raise _refused(url, action[-1], answer)


def _answer(frames: "_Frames", url: str, method: str, arguments: Sequence[object]) -> object:
    """Send the arguments and return the answer; from here on the call may have been received."""
    with _meant(url, method):
        frames.send(_ok(list(arguments)))
        return frames.receive()


@contextlib.contextmanager
def _meant(url: str, method: str) -> Iterator[None]:
    """Name the call in what goes wrong once it may have been received."""
    try:
        yield
    except OSError as error:
        raise NoAnswer(f"{url}: no answer to {method}: {plain_word(error)}") from error
    except BadAnswer as error:
        raise BadAnswer(f"{url}: {method}: {error}") from error


def _ok(value: object) -> dict[str, object]:
    """Return a value as DIRAC sends every value."""
    return {"OK": True, "Value": value}


def _refused(url: str, method: str, answer: object) -> ServiceError:
    """Return the error for a proposal that the server turned down: nothing has been executed."""
    said = answer if isinstance(answer, Mapping) else {}
    message = str(said.get("Message") or f"answered the proposal with {str(answer)[:80]!r}")[:_LONGEST_MESSAGE]
    if said.get("Errno") == _UNAUTHORIZED:
        return AccessDenied(f"{url}: no access to {method} with this credential ({message})")
    return Unreachable(f"{url}: {method}: {message}")


def _rejected(url: str, error: Exception) -> ServiceError:
    """Return the error for a connection that failed before the call was sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreachable(f"{url}: the server's certificate is not trusted: {error.verify_message}")
    reason = error.reason or "" if isinstance(error, ssl.SSLError) else ""
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return AccessDenied(f"{url}: the server does not accept our certificate ({reason.replace('_', ' ').lower()})")
    return Unreachable(f"{url}: {plain_word(error)}")


class _Frames:
    """Values in frames of `<decimal length>:<JEncode or DEncode>`, within limits of silence, whole time and size."""

    def __init__(
        self,
        secured: ssl.SSLSocket,
        limits: Limits,
        ends: float,
        monotonic: Callable[[], float],
        look: Callable[[], object],
    ) -> None:
        self._socket = secured
        self._limits = limits
        self._ends = ends
        self._monotonic = monotonic
        self._look = look
        self._waiting = bytearray()

    def send(self, value: object, *, prefix: bytes = b"", limit_bytes: int = 0) -> None:
        """Send one value.

        Raises:
            OSError: it may have been sent in part.
            BadAnswer: it is longer than the limit, and was not sent.
        """
        payload = jencode.encode(value).encode()
        if limit_bytes and len(payload) > limit_bytes:
            raise BadAnswer(f"{len(payload)} bytes are too many for one frame, {limit_bytes} are allowed")
        waiting = memoryview(b"%b%d:%b" % (prefix, len(payload), payload))
        while waiting:
            waiting = waiting[self._patiently(functools.partial(self._socket.send, waiting)) :]

    def receive(self) -> object:
        """Return the next value that is no keep-alive; those are answered on the way.

        Raises:
            OSError: the connection ended, or nothing came in time.
            BadAnswer: what came is no frame, or too large.
        """
        while True:
            head = self._until_colon()
            is_keep_alive = head.startswith(_KEEP_ALIVE)
            payload = self._exactly(_length(head.removeprefix(_KEEP_ALIVE), self._limits.body_mb))
            value = dencode.decode(payload) if payload.startswith(dencode.BEGINNING) else jencode.decode(payload)
            if not is_keep_alive:
                return value
            self._answer_keep_alive(value)

    def _answer_keep_alive(self, packet: object) -> None:
        asked = packet.get("Value") if isinstance(packet, Mapping) else None
        if isinstance(asked, Mapping) and asked.get("kaping"):
            self.send(_ok({"id": asked.get("id"), "kaping": False}), prefix=_KEEP_ALIVE)

    def _until_colon(self) -> bytes:
        while (at := self._waiting.find(b":")) < 0:
            if len(self._waiting) > len(_KEEP_ALIVE) + _LONGEST_LENGTH:
                raise BadAnswer(f"expected a frame, got {bytes(self._waiting[:40])!r}")
            self._read()
        head = bytes(self._waiting[:at])
        del self._waiting[: at + 1]
        return head

    def _exactly(self, size: int) -> bytes:
        while len(self._waiting) < size:
            self._read()
        payload = bytes(self._waiting[:size])
        del self._waiting[:size]
        return payload

    def _read(self) -> None:
        chunk = self._patiently(functools.partial(self._socket.recv, _CHUNK_BYTES))
        if not chunk:
            raise ConnectionResetError("the server closed the connection")
        self._waiting += chunk

    def _patiently(self, move: Callable[[], _T]) -> _T:
        """Move the next piece, as long as the limits allow; who looks on may raise meanwhile."""
        silent_at = self._monotonic() + self._limits.read_s
        while True:
            self._look()
            left_s = self._ends - self._monotonic()
            if left_s <= 0:
                raise TimeoutError(f"not complete in {self._limits.whole_s:.0f} s")
            self._socket.settimeout(min(_LOOK_S, self._limits.read_s, left_s))
            try:
                return move()
            except TimeoutError:
                if self._monotonic() >= silent_at:
                    raise


def _length(text: bytes, limit_mb: int) -> int:
    if not text.isdigit():
        raise BadAnswer(f"expected a frame's length, got {text!r}")
    if int(text) > limit_mb * 10**6:
        raise BadAnswer(f"the answer has {int(text)} bytes, more than {limit_mb} MB")
    return int(text)
