"""DISET as DIRAC's dips services speak it: TLS, then four length-prefixed JSON frames; one call for each connection.

Seen on the wire of DIRAC 9.1.22: proposal, its acceptance, arguments, answer. A keep-alive may come between any two.
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn
from urllib.parse import SplitResult, urlsplit

from agents import __version__
from agents.credentials.context import tls
from agents.errors import AccessDenied, BadAnswer, CredentialError, NoAnswer, ServiceError, Unreachable
from agents.wms import jencode
from ce_backends.untrusted.bounded_http import Limits, web_proxies

__all__ = ["DipsTransport", "tls"]
_KEEP_ALIVE = b"dka"
_LONGEST_LENGTH = len("999999999")
_CHUNK_BYTES = 65536
_PROPOSAL_BYTES = 1024  # what the server reads of one
_LONGEST_MESSAGE = 500
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
    ) -> None:
        self._secure = secure
        self._setup = setup
        self._vo = vo
        self._extra = extra or ""
        self._limits = limits
        self._monotonic = monotonic

    def download(self, url: str, method: str, arguments: Sequence[object]) -> NoReturn:  # noqa: ARG002 - the border's
        """See Transport. Files cannot be carried.

        Raises:
            AccessDenied: always.
        """
        raise AccessDenied(f"{url}: files are carried over https only; the configuration should publish such a URL")

    def close(self) -> None:
        """See Transport. No connection is kept."""

    def call(self, url: str, method: str, arguments: Sequence[object]) -> object:
        """See Transport."""
        ends = self._monotonic() + self._limits.whole_s
        place = urlsplit(url)
        with self._connected(url, place, ends) as frames:
            self._propose(frames, url, place.path.strip("/"), method)
            return _answer(frames, url, method, arguments)

    @contextlib.contextmanager
    def _connected(self, url: str, place: SplitResult, ends: float) -> Iterator["_Frames"]:
        if not place.hostname or not place.port:
            raise Unreachable(f"{url}: expected dips://host:port/System/Service")
        try:
            plain = socket.create_connection((place.hostname, place.port), timeout=self._limits.connect_s)
        except OSError as error:
            hint = "; the web proxy of https_proxy cannot carry dips" if web_proxies(url) else ""
            raise Unreachable(f"{url}: {_plain(error)}{hint}") from error
        with plain:
            try:
                secured = self._secure().wrap_socket(plain, server_hostname=place.hostname)
            except CredentialError as error:  # a proxy that is being replaced, or has gone since the start
                raise Unreachable(f"{url}: {error}") from error
            except OSError as error:
                raise _rejected(url, error) from error
            with secured:
                yield _Frames(secured, self._limits, ends, self._monotonic)

    def _propose(self, frames: "_Frames", url: str, service: str, method: str) -> None:
        """Agree with the server on the call, before its arguments are sent.

        Raises:
            AccessDenied: not with this credential.
            Unreachable: the server will not take the call, and has not.
        """
        who = [service, self._setup, self._vo]
        proposal = _ok([who, ["RPC", method], self._extra, f"gridpilot {__version__}"])
        try:
            with contextlib.suppress(OSError):  # what the server has against us is read next (TLS 1.3)
                frames.send(proposal, limit_bytes=_PROPOSAL_BYTES)
            answer = frames.receive()
        except (OSError, BadAnswer) as error:
            raise _rejected(url, error) from error
        if not isinstance(answer, Mapping) or not answer.get("OK"):
            raise _refused(url, method, answer)


def _answer(frames: "_Frames", url: str, method: str, arguments: Sequence[object]) -> object:
    """Send the arguments and return the answer; from here on the call may have been received."""
    try:
        frames.send(_ok(list(arguments)))
        return frames.receive()
    except OSError as error:
        raise NoAnswer(f"{url}: no answer to {method}: {_plain(error)}") from error
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
    return Unreachable(f"{url}: {_plain(error)}")


def _plain(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


class _Frames:
    """Values in frames of `<decimal length>:<JEncode>`, within limits of silence, whole time and size."""

    def __init__(self, secured: ssl.SSLSocket, limits: Limits, ends: float, monotonic: Callable[[], float]) -> None:
        self._socket = secured
        self._limits = limits
        self._ends = ends
        self._monotonic = monotonic
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
        self._be_patient()
        self._socket.sendall(b"%b%d:%b" % (prefix, len(payload), payload))

    def receive(self) -> object:
        """Return the next value that is no keep-alive; those are answered on the way.

        Raises:
            OSError: the connection ended, or nothing came in time.
            BadAnswer: what came is no frame, or too large.
        """
        while True:
            head = self._until_colon()
            is_keep_alive = head.startswith(_KEEP_ALIVE)
            value = jencode.decode(self._exactly(_length(head.removeprefix(_KEEP_ALIVE), self._limits.body_mb)))
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
        self._be_patient()
        chunk = self._socket.recv(_CHUNK_BYTES)
        if not chunk:
            raise ConnectionResetError("the server closed the connection")
        self._waiting += chunk

    def _be_patient(self) -> None:
        """Wait for the next piece as long as the limits allow."""
        left_s = self._ends - self._monotonic()
        if left_s <= 0:
            raise TimeoutError(f"not complete in {self._limits.whole_s:.0f} s")
        self._socket.settimeout(min(self._limits.read_s, left_s))


def _length(text: bytes, limit_mb: int) -> int:
    if not text.isdigit():
        raise BadAnswer(f"expected a frame's length, got {text!r}")
    if int(text) > limit_mb * 10**6:
        raise BadAnswer(f"the answer has {int(text)} bytes, more than {limit_mb} MB")
    return int(text)
