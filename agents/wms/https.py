"""HTTPS as DIRAC's Tornado services speak it: POST form `method`, `args`; S_OK and S_ERROR in JEncode."""

import re
import ssl
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path

import requests
import urllib3

from agents.errors import AccessDenied, BadAnswer, Busy, NoAnswer, Refused, Unreachable
from agents.wms import jencode
from agents.wms.server_clock import ServerClock
from agents.wms.service import NoFile
from ce_backends.untrusted.bounded_http import Answer, Failure, Limits, Session, TooLarge, TooSlow, caused_by, exchange

__all__ = ["HttpsTransport", "Limits", "plain", "retry_after_s", "session"]
_REASONS = re.compile(
    r"\[Errno -?\d+\] [^'\")\]]+|Remote end closed[^'\")]*|Connection aborted|IncompleteRead|\[SSL[^\]]*\][^'\")(]*"
)
_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_TOO_MUCH = (
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.REQUEST_URI_TOO_LONG,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
)  # it would be so again
_NOT_NOW = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def session(certificate: Path | tuple[Path, Path], ca: Path) -> Session:
    """Return a keep-alive session with this identity.

    Args:
        certificate: a proxy (leaf, key and chain in one file), or host certificate and key.
        ca: a directory of hashed CA certificates, or a bundle.
    """
    made = Session(Limits())
    made.verify = str(ca)
    made.cert = str(certificate) if isinstance(certificate, Path) else (str(certificate[0]), str(certificate[1]))
    return made


class HttpsTransport:
    """Carries calls over one keep-alive session."""

    def __init__(
        self,
        session: Session,
        *,
        vo: str,
        setup: str = "None",
        extra: object = None,
        limits: Limits = Limits(),
        clock: ServerClock | None = None,
    ) -> None:
        self._session = session
        self._clock = clock or ServerClock()
        self._session.bound(limits)
        self._fixed = {"clientVO": vo, "clientSetup": setup}
        if extra is not None:
            self._fixed["extraCredentials"] = jencode.encode(extra)

    def call(self, url: str, method: str, arguments: Sequence[object]) -> object:
        """See Transport."""
        return self._posted(url, method, arguments, {})

    def download(self, url: str, method: str, arguments: Sequence[object]) -> bytes | NoFile:
        """See Transport."""
        answer = self._posted(url, method, arguments, {"rawContent": "True"})
        return answer if isinstance(answer, bytes) else NoFile(answer)

    def close(self) -> None:
        """See Transport. The session is closed."""
        self._session.close()

    def _posted(self, url: str, method: str, arguments: Sequence[object], more: Mapping[str, str]) -> object:
        form = {"method": method, "args": jencode.encode(list(arguments)), **self._fixed, **more}
        sent = self._clock.now()
        try:
            answer = exchange(
                self._session,
                "POST",
                url,
                data=form,
                on_head=lambda headers: self._clock.heard(headers.get("Date", ""), sent),
            )
        except TooLarge as error:
            raise BadAnswer(str(error)) from error
        except Failure as error:
            if error.was_written:
                raise NoAnswer(f"{url}: no answer to {method}: {plain(error.cause)}{error.way}") from error
            raise Unreachable(f"{url}: {plain(error.cause)}{error.way}") from error
        return _value(url, method, answer)


def plain(error: BaseException) -> str:
    """Return the innermost reason of requests' nested exceptions."""
    if refused := caused_by(error, ssl.SSLCertVerificationError):
        return _untrusted(refused)
    if slow := caused_by(error, TooSlow):
        return str(slow)
    if isinstance(error, requests.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.ReadTimeout | urllib3.exceptions.ReadTimeoutError):
        return "silence until the read time-out"
    found = _REASONS.findall(repr(error))
    return found[-1].strip() if found else str(error)[:200]


def _untrusted(error: ssl.SSLCertVerificationError) -> str:
    """Return OpenSSL's word on a certificate that it refused."""
    san = "; that name must stand in its subjectAltName, the CN does not count (RFC 6125)"
    word = error.verify_message.rstrip(".")
    return f"the server's certificate is not trusted: {word}{san if 'mismatch' in word else ''}"


def _value(url: str, method: str, answer: Answer) -> object:
    """Turn an HTTP answer into a value or the error that says what to do next."""
    status = answer.status
    if status == HTTPStatus.OK:
        if "octet-stream" in answer.headers.get("Content-Type", ""):
            return answer.body
        return _decoded(url, method, answer.body)
    if status in _DENIED:
        raise AccessDenied(f"{url}: no access to {method} with this credential (HTTP {status})")
    if status in _NOT_NOW:
        raise Busy(f"{url}: busy (HTTP {status})", retry_after_s=retry_after_s(answer.headers))
    if status == HTTPStatus.NOT_FOUND:
        raise Busy(f"{url}: there is no such service (HTTP 404)")
    if status in _TOO_MUCH:
        raise Refused(f"{url}: {method} is more than the server, or a proxy before it, takes (HTTP {status})")
    if status == HTTPStatus.NOT_IMPLEMENTED:
        raise AccessDenied(f"{url}: the service has no method {method} (HTTP 501)")
    raise BadAnswer(f"{url}: HTTP {status} in answer to {method}")


def _decoded(url: str, method: str, body: bytes) -> object:
    try:
        return jencode.decode(body)
    except BadAnswer as error:
        raise BadAnswer(f"{url}: {method}: {error}") from error


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return what Retry-After asks (RFC 9110 §10.2.3), in seconds or as a date of its clock; at most an hour."""
    text = headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return min(float(text), 3600.0)
    asked_s, its_s = _date_s(text), _date_s(headers.get("Date", ""))
    if asked_s is None:
        return None
    return min(max(0.0, asked_s - (time.time() if its_s is None else its_s)), 3600.0)


def _date_s(text: str) -> float | None:
    """Return a date of HTTP in seconds since the epoch, None when it is none."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
