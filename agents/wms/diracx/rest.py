"""DiracX over REST: JSON with a bearer token, over one kept connection; what comes back is told apart by what to do."""

import functools
import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import quote, urlencode

from agents.errors import AccessDenied, BadAnswer, Busy, NoAnswer, Refused, ServiceError, Unreachable
from agents.wms.https import plain, retry_after_s
from agents.wms.server_clock import ServerClock
from agents.wms.service import Clock, Retry
from ce_backends.untrusted import strict_json
from ce_backends.untrusted.bounded_http import Answer, Failure, Limits, Session, TooLarge, exchange

_GOOD = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT)
_SAID_NO = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)  # with a detail they are DiracX's own word; without, of somebody before it
_NOT_NOW = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.NOT_FOUND)
_LONGEST_DETAIL = 300
_STALE = timedelta(seconds=3)  # uvicorn makes a Date once a second, later when it is busy
_CLOCK = Clock()
Value = TypeVar("Value")


class Tokens(Protocol):
    """Where the tokens of one identity come from; `agents.wms.diracx.tokens`. Any thread may ask."""

    def token(self) -> str:
        """Return one that is good for a while; errors as in `refreshed`."""

    def refreshed(self, refused: str) -> str | None:
        """Return another one than was refused, None when the refresh was refused too.

        Raises:
            ServiceError: none can be had now; nothing was done.
        """

    def exchanged(self, refused: str) -> str | None:
        """Return a new one for the proxy, None when the refused one was that; errors as in `refreshed`."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom we believe to be DiracX or its store: grid CAs, the node's own store, what DIRACX_CA_PATH names.

    Attributes:
        grid: directory of hashed CAs, or a bundle.
        named: DIRACX_CA_PATH, a file or a directory; None without it.
    """

    grid: Path
    named: Path | None = None

    def session(self, limits: Limits) -> Session:
        """Return kept connections to whoever is trusted; without any credential."""
        made = Session(limits, _context(self))
        made.verify = str(self.grid)
        return made

    @property
    def sentence(self) -> str:
        """Where CAs were looked for."""
        store = ssl.get_default_verify_paths()
        own = store.capath or store.cafile or store.openssl_capath
        return f"CAs of {self.grid}, of the system ({own})" + (
            f", of DIRACX_CA_PATH ({self.named})" if self.named else ""
        )


@functools.lru_cache(maxsize=4)
def _context(trust: Trust) -> ssl.SSLContext:
    """Return what believes these; made once, since to read the CAs of a system takes a twentieth of a second."""
    context = ssl.create_default_context()
    if trust.named and trust.named.exists():
        context.load_verify_locations(**{"cafile" if trust.named.is_file() else "capath": str(trust.named)})
    return context


def trust_of(environ: Mapping[str, str], grid: Path) -> Trust:
    """Return whom we trust in an environment."""
    named = environ.get("DIRACX_CA_PATH", "")
    return Trust(grid, Path(named) if named else None)


class Server:
    """The one DiracX of an installation: kept connections, and when it wants to be asked. Any thread may ask.

    Args:
        url: where it is now; empty while the configuration has none for this VO.
        trust: whom we take for it.
        clock: hears what it says of the time.
        times: time, sleep and chance.
        failed: is told when it does not answer.

    Attributes:
        trouble: why it is not known to answer, empty when it did the last time.
    """

    def __init__(
        self,
        url: Callable[[], str],
        trust: Trust,
        clock: ServerClock,
        times: Clock = _CLOCK,
        *,
        failed: Callable[[], object] = lambda: None,
    ) -> None:
        self._failed = failed
        self._url = url
        self._trust = trust
        self._clock = clock
        self._session_lock = threading.Lock()
        self._kept: Session | None = None
        self._not_before = 0.0
        self.times = times
        self.trouble = "it was not asked yet"

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Make one request, unless the server has asked us to wait.

        Raises:
            Unreachable, NoAnswer, BadAnswer: as in `asked`.
            Busy: it is busy, or has said so and when to come again.
        """
        base = self._url()
        if not base:
            raise Unreachable("DiracX: the configuration has no /DiracX/URL for this VO")
        if (left_s := self._not_before - self.times.monotonic()) > 0:
            raise Busy(f"DiracX: {base} wants to be left alone for {left_s:.0f} s more", retry_after_s=left_s)
        try:
            answer = asked(
                self._session(), method, base + path, body=body, headers=headers, clock=self._clock, trust=self._trust
            )
        except ServiceError as error:
            self.trouble = str(error)
            self._failed()
            raise
        asked_s = retry_after_s(answer.headers) if answer.status in _NOT_NOW else None
        self._not_before = self.times.monotonic() + asked_s if asked_s else 0.0
        is_away = answer.status == HTTPStatus.SERVICE_UNAVAILABLE
        self.trouble = f"DiracX: {base}: HTTP {answer.status}" if is_away else ""
        return answer

    def _session(self) -> Session:
        """Return the kept connections: made for the first question, because all CAs of the node are read for them."""
        with self._session_lock:
            if self._kept is None:
                self._kept = self._trust.session(Limits(read_s=30, whole_s=60, body_mb=8))
            return self._kept

    def is_back(self) -> bool:
        """Ask, without any credential, whether it answers again."""
        try:
            return self.ask("GET", "/api/health/ready", b"", {}).status == HTTPStatus.OK
        except ServiceError:
            return False

    def close(self) -> None:
        """Let connections go."""
        with self._session_lock:
            if self._kept:
                self._kept.close()


class Rest:
    """Calls in the name of one identity. Any thread may call.

    Args:
        server: is asked.
        tokens: what identifies us.
        retry: how often a call is repeated while the server is away.
    """

    def __init__(self, server: Server, tokens: Tokens, retry: Retry) -> None:
        self._server = server
        self._tokens = tokens
        self._retry = retry

    def patch(self, path: str, body: object) -> object:
        """Change something; a repetition changes nothing more. Errors as in `post`."""
        return self._repeated("PATCH", path, body)

    def get(self, path: str, **query: str) -> object:
        """Read something; errors as in `post`."""
        more = f"?{urlencode(query, quote_via=quote)}" if query else ""
        return self._repeated("GET", path + more, None)

    def post(self, path: str, body: object, *, repeatable: bool = True) -> object:
        """Return the decoded answer.

        Args:
            path: of the route, from its slash on.
            body: becomes JSON.
            repeatable: False for what must not happen twice.

        Raises:
            Refused: DiracX said no, finally; with route and its detail.
            AccessDenied: no token of ours is taken.
            ServiceError: it could not be asked, or not understood, within the retry budget.
        """
        return self._repeated("POST", path, body, repeatable=repeatable)

    def _repeated(self, method: str, path: str, body: object, *, repeatable: bool = True) -> object:
        sent = b"" if body is None else json.dumps(body, allow_nan=False).encode()
        return patiently(lambda: self._once(method, path, sent), self._retry, self._server.times, repeatable=repeatable)

    def _once(self, method: str, path: str, body: bytes) -> object:
        token = self._tokens.token()
        answer = self._sent(method, path, body, token)
        for another in (self._tokens.refreshed, self._tokens.exchanged):
            if answer.status != HTTPStatus.UNAUTHORIZED:
                break
            if renewed := another(token):
                token = renewed
                answer = self._sent(method, path, body, token)
        return value(f"{method} {path.partition('?')[0]}", answer)

    def _sent(self, method: str, path: str, body: bytes, token: str) -> Answer:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        if body:
            headers["Content-Type"] = "application/json"
        return self._server.ask(method, path, body, headers)


def asked(
    session: Session,
    method: str,
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    clock: ServerClock,
    trust: Trust,
) -> Answer:
    """Make one request, and take what fails for what it means. What follows `?` in the URL is shown nowhere.

    Raises:
        Unreachable: it was surely not received.
        NoAnswer: it may have been.
        BadAnswer: the answer is larger than allowed.
    """
    where, sent = url.partition("?")[0], clock.now()
    try:
        return exchange(
            session,
            method,
            url,
            data=body,
            headers=headers,
            on_head=lambda heads: clock.heard(heads.get("Date", ""), sent, _STALE),
        )
    except TooLarge:
        raise BadAnswer(f"{where}: the answer is larger than allowed") from None
    except Failure as error:
        reason = plain(error.cause)
        if "?" in reason:  # the URL is in it
            reason = type(error.cause).__name__
        if "not trusted" in reason:
            reason += f"; looked at {trust.sentence}"
        if error.was_written:
            raise NoAnswer(f"{where}: no answer to {method}: {reason}{error.way}") from None
        raise Unreachable(f"{where}: {reason}{error.way}") from None


def patiently(attempt: Callable[[], Value], retry: Retry, times: Clock, *, repeatable: bool = True) -> Value:
    """Return what an attempt gives, tried again while the server is away and the budget lasts."""
    started = times.monotonic()
    for number in range(retry.attempts):
        try:
            return attempt()
        except (Unreachable, NoAnswer, BadAnswer) as error:
            delay_s = retry.delay_s(min(number, 16), error.retry_after_s, times.jitter)
            spent_s = times.monotonic() - started
            is_last = number + 1 >= retry.attempts or spent_s + delay_s > retry.budget_s
            if is_last or not (repeatable or isinstance(error, Unreachable)):
                raise
            times.sleep(delay_s)
    raise AssertionError("unreachable: the last attempt returns or raises")


def value(route: str, answer: Answer) -> object:
    """Turn an answer into a value, or the error that says what to do next."""
    if answer.status in _GOOD:
        return _decoded(route, answer) if answer.body else None
    detail = _detail(answer)
    said = f"DiracX: {route}: HTTP {answer.status}" + (f": {detail}" if detail else "")
    if answer.status == HTTPStatus.UNAUTHORIZED:
        raise AccessDenied(said)
    if answer.status in _SAID_NO and detail:
        raise Refused(said, errno=answer.status, is_final=True)
    if answer.status in _NOT_NOW:
        raise Busy(said, retry_after_s=retry_after_s(answer.headers))
    raise BadAnswer(said)


def _decoded(route: str, answer: Answer) -> object:
    try:
        return strict_json.read(answer.body)
    except strict_json.NotJson as error:
        raise BadAnswer(f"DiracX: {route}: the answer is not JSON") from error


def _detail(answer: Answer) -> str:
    """Return DiracX's own words on a refusal, of a wrong body where and why; empty when it said none."""
    try:
        found = strict_json.read(answer.body)
    except strict_json.NotJson:
        return ""
    detail = found.get("detail") if isinstance(found, dict) else None
    if isinstance(detail, list):
        faults = [fault for fault in detail[:5] if isinstance(fault, dict)]
        detail = "; ".join(f"{_place(fault.get('loc'))}: {fault.get('msg')}" for fault in faults)
    return detail[:_LONGEST_DETAIL] if isinstance(detail, str) else ""


def _place(loc: object) -> str:
    return "/".join(str(part)[:40] for part in loc[:6]) if isinstance(loc, list) else "body"
