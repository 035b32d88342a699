"""Requests to a storage server during one transfer: connections that are kept, the owner's credential, redirects."""

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from agents.credentials import context
from agents.credentials.identity import Identity
from agents.data import http_head
from agents.data.errors import NotAllowed, Silent, Transient, Unsupported
from agents.data.http_head import Head
from agents.data.http_link import Body, Link
from agents.data.local_file import Outgoing, Probe
from agents.data.way import Watch
from agents.errors import CredentialError

_MOST_REDIRECTS = 4
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_UNANSWERED = 30
_REST_S = 0.05  # of a connection after a checksum was told on it
_FOLLOWED = ("GET", "HEAD", "PUT")
_PROMPT_S = 2.0  # then the same is asked on another connection, too: XRootD 5.5 loses one answer in a thousand


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer's head, and the connection on which its body still is."""

    head: Head
    link: Link


class Visit:
    """Requests one after the other, by one thread; open it by `with`.

    XRootD 5.5 tells checksums in a thread of its own: where it has a next request of the connection too early, or the
    connection is closed before, answers are lost, or the server ends. So a connection rests after a checksum, and one
    on which an answer was waited for in vain stays open until the visit ends.

    Args:
        owner: whose proxy, or token, is shown. It is read anew for each connection.
        watch: looks on.
    """

    def __init__(self, owner: Identity, watch: Watch) -> None:
        self._owner = owner
        self._watch = watch
        self._kept: Link | None = None
        self._kept_for: tuple[str, bool] = ("", False)
        self._unanswered: list[Link] = []
        self._rested_s = 0.0

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    @contextmanager
    def asked(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        outgoing: Outgoing | Probe | None = None,
        *,
        needs_s: float = 0.0,
    ) -> Iterator[Answered]:
        """Make a request; redirects of one that reads or writes a file are followed (`http_head.redirected`).

        Args:
            method: of HTTP.
            url: whom to ask.
            headers: further ones.
            outgoing: the body.
            needs_s: what the server may take for its answer, in addition to what a short one takes.

        Raises:
            TransferError: there is no answer, or it leads where we do not go. Whatever HTTP status comes is an answer.
        """
        origin, shows_credential = url, True
        for _ in range(_MOST_REDIRECTS + 1):
            link, head = self._head_of(
                method, url, headers or {}, outgoing, shows_credential=shows_credential, needs_s=needs_s
            )
            if head.status not in _REDIRECTS:
                yield Answered(head, link)
                return
            if method not in _FOLLOWED:
                raise Unsupported(f"{url}: a redirect of {method} is not followed")
            self.close()
            url, shows_credential = http_head.redirected(origin, url, head.headers.get("location", ""))
        raise Unsupported(f"{origin}: more than {_MOST_REDIRECTS} redirects")

    def status(self, method: str, url: str) -> int:
        """Return the status of a request whose answer's body nobody wants."""
        with self.asked(method, url) as answered:
            answered.link.said(method, answered.head)
            return answered.head.status

    def _head_of(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        outgoing: Outgoing | Probe | None,
        *,
        shows_credential: bool,
        needs_s: float,
        is_second: bool = False,
    ) -> tuple[Link, Head]:
        link, is_new = self._link(url, shows_credential=shows_credential)
        shown = self._token() if shows_credential else {}
        is_prompt = method == "HEAD" and not is_second and self._watch.silence_s > _PROMPT_S
        patience_s = needs_s + (_PROMPT_S if is_prompt else self._watch.silence_s)
        try:
            head = link.ask(method, url, {**headers, **shown}, _body(outgoing), patience_s=patience_s)
        except Silent:
            self._leave_open()
            if not is_prompt:
                raise
        except Transient:
            self.close()
            if is_new or link.has_heard:
                raise  # otherwise it was closed idle
        else:
            if head.adler32 is not None:
                self._rested_s = time.monotonic() + _REST_S
            return link, head
        return self._head_of(
            method, url, headers, outgoing, shows_credential=shows_credential, needs_s=needs_s, is_second=True
        )

    def _link(self, url: str, *, shows_credential: bool) -> tuple[Link, bool]:
        """Return a connection to the server, and whether it is new."""
        wanted = (urlsplit(url).netloc, shows_credential)
        if self._kept and self._kept_for == wanted and not self._kept.is_busy:
            time.sleep(max(0.0, self._rested_s - time.monotonic()))
            return self._kept, False
        self.close()
        self._kept = Link(url, self._with_credential if shows_credential else self._without, self._watch)
        self._kept_for = wanted
        return self._kept, True

    @property
    def is_rested(self) -> bool:
        """The next request need not wait for its connection."""
        return time.monotonic() >= self._rested_s

    def close(self) -> None:
        """Close the connection, whatever is under way on it; the next request opens another."""
        if self._kept:
            self._kept.close()
        self._kept = None

    def end(self) -> None:
        """Close all connections; nothing is to be asked after it."""
        self.close()
        while self._unanswered:
            self._unanswered.pop().close()

    def _leave_open(self) -> None:
        """Put a connection aside on which nothing came."""
        if self._kept:
            self._unanswered.append(self._kept)
        self._kept = None
        if len(self._unanswered) > _MOST_UNANSWERED:
            self._unanswered.pop(0).close()

    def _with_credential(self) -> ssl.SSLContext:
        owner = self._owner
        return self._without() if owner.token else context.tls(owner.certificate, owner.ca)

    def _without(self) -> ssl.SSLContext:
        return context.anonymous(self._owner.ca)

    def _token(self) -> dict[str, str]:
        if self._owner.token is None:
            return {}
        try:
            return {"Authorization": f"Bearer {self._owner.token.text()}"}
        except CredentialError as error:
            raise NotAllowed(str(error)) from error


def _body(outgoing: Outgoing | Probe | None) -> Body | None:
    return Body(outgoing.size_bytes, outgoing.pieces()) if outgoing else None
