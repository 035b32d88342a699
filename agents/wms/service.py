"""One call interface to every service, whatever its transport."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from agents.errors import BadAnswer, NoAnswer, Refused, ServiceError, ServiceMissing, Unreachable
from agents.log import EventLog
from agents.pacing import before_repeating_s

log = EventLog("service")


_LONGEST_MESSAGE = 500  # of a server's words that are passed on
_BANNED_S = 300.0  # a server that failed is asked last for so long


Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class NoFile:
    """What a service says in the place of a file.

    Attributes:
        answer: decoded; S_ERROR, if the service keeps to the protocol.
    """

    answer: object


class Transport(Protocol):
    """Carries calls to services with one credential, from any thread; each call once, whatever comes of it.

    `agents.wms.testing.FakeTransport` is one for tests.
    """

    def call(self, url: str, method: str, arguments: Sequence[object]) -> object:
        """Return the decoded answer, whatever its shape: S_OK and S_ERROR are told apart by `Service`.

        Raises:
            Unreachable: the service surely did not receive the call.
            NoAnswer: it may have.
            BadAnswer: it answered outside the protocol.
            AccessDenied: not with this credential.
        """

    def download(self, url: str, method: str, arguments: Sequence[object]) -> bytes | NoFile:
        """Return the content of a file, or what the service says in its place.

        Raises:
            ServiceError: as `call`; AccessDenied where the transport carries no files.
        """

    def close(self) -> None:
        """Let connections go. Nothing is to be called after it; what is under way may fail."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long a call is repeated: full jitter in a doubling window.

    Attributes:
        attempts: calls in all.
        base_s: the first window.
        cap_s: the longest window.
        budget_s: no repetition begins after this time.
    """

    attempts: int = 5
    base_s: float = 0.2
    cap_s: float = 10.0
    budget_s: float = 60.0

    def delay_s(self, attempt: int, asked_s: float | None, jitter: Callable[[], float]) -> float:
        """Return the wait before the next attempt; a server's own wish (Retry-After) is a lower bound."""
        window_s = min(self.cap_s, self.base_s * (1 << attempt))
        return before_repeating_s(window_s, asked_s or 0.0, jitter)


@dataclass(frozen=True, slots=True)
class Clock:
    """Time, sleep and chance, passed in so that tests decide them."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


class Service:
    """A DIRAC service: its URLs, tried in order, and how often. One that failed comes last for a while.

    Args:
        name: for messages.
        urls: in the order to try them; a function where they may change with the configuration, which raises
            ServiceMissing while there are none: the service is Unreachable then.
        transport: carries the calls.
        retry: how often a call is repeated.
        clock: time, sleep and chance.
        failed: is told whenever a server gives no usable answer.
    """

    def __init__(
        self,
        name: str,
        urls: Sequence[str] | Callable[[], Sequence[str]],
        transport: Transport,
        retry: Retry = Retry(),
        clock: Clock = Clock(),
        *,
        failed: Callable[[], object] = lambda: None,
    ) -> None:
        self._failed = failed
        self.name = name
        self._urls = urls if callable(urls) else lambda: urls
        self._banned_until: dict[str, float] = {}
        self._transport = transport
        self._retry = retry
        self._clock = clock

    @property
    def url(self) -> str:
        """Where it is published first."""
        return self._published()[0]

    def call(self, method: str, *arguments: object, repeatable: bool = True) -> object:
        """Return the `Value` of the service's answer.

        Args:
            method: DIRAC's name of it, without `export_`.
            arguments: positional; there are no others on the wire.
            repeatable: False for what must not happen twice (requestJob): then it is repeated only
                when it surely was not received.

        Raises:
            Refused: the service said no.
            ServiceError: it could not be asked, or not understood, within the retry budget.
        """
        name = f"{self.name}.{method}"

        def attempt(url: str) -> Mapping[str, object]:
            return _shaped(self._transport.call(url, method, arguments), name)

        return _value(self._repeat(attempt, repeatable=repeatable), name)

    def download(self, method: str, *arguments: object) -> bytes:
        """Return a raw answer's bytes.

        Raises:
            Refused: the answer is an S_ERROR (DIRAC sends it as a 200 with JSON in it).
            ServiceError: as `call`.
        """
        name = f"{self.name}.{method}"

        def attempt(url: str) -> bytes | Mapping[str, object]:
            found = self._transport.download(url, method, arguments)
            return _shaped(found.answer, name) if isinstance(found, NoFile) else found

        answer = self._repeat(attempt, repeatable=True)
        if isinstance(answer, bytes):
            return answer
        _value(answer, name)
        raise BadAnswer(f"{name}: expected the content of a file, got {type(answer).__name__}")

    def _repeat(self, attempted: Callable[[str], Answer], *, repeatable: bool) -> Answer:
        """Return what one attempt gives; it gets the URL to ask."""
        started = self._clock.monotonic()
        urls = self._order(started)
        not_before: dict[str, float] = {}
        for attempt in range(self._retry.attempts):
            url = urls[attempt % len(urls)]
            try:
                answer = attempted(url)
            except (Unreachable, NoAnswer, BadAnswer) as error:
                self._banned_until[url] = self._clock.monotonic() + _BANNED_S
                self._failed()
                if not (repeatable or isinstance(error, Unreachable)):
                    raise
                if error.retry_after_s:
                    not_before[url] = self._clock.monotonic() + error.retry_after_s
                self._wait(error, attempt, started, not_before.get(urls[(attempt + 1) % len(urls)]))
            else:
                self._banned_until.pop(url, None)
                return answer
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _wait(self, error: ServiceError, attempt: int, started: float, not_before: float | None) -> None:
        """Sleep before the next attempt, or raise when there is none.

        Args:
            error: what the last attempt gave.
            attempt: its number, from 0.
            started: monotonic time of the first one.
            not_before: monotonic time before which the next server does not want to be asked.
        """
        now = self._clock.monotonic()
        asked_s = None if not_before is None else not_before - now
        delay_s = self._retry.delay_s(attempt, asked_s, self._clock.jitter)
        spent_s = now - started
        if attempt + 1 >= self._retry.attempts or spent_s + delay_s > self._retry.budget_s:
            raise error
        log.debug("service.retry", service=self.name, attempt=attempt + 1, delay_s=delay_s, cause=error)
        self._clock.sleep(delay_s)

    def _published(self) -> Sequence[str]:
        try:
            return self._urls()
        except ServiceMissing as error:  # the configuration may publish it again
            raise Unreachable(str(error)) from error

    def _order(self, now: float) -> tuple[str, ...]:
        """Return the URLs in the order to ask them; those that failed lately come last, the longest ago first."""
        banned = {url: until for url, until in dict(self._banned_until).items() if until > now}
        return tuple(sorted(self._published(), key=lambda url: banned.get(url, 0.0)))


def _shaped(answer: object, call: str) -> Mapping[str, object]:
    """Return an answer of a DIRAC service.

    Raises:
        BadAnswer: it is not S_OK or S_ERROR.
    """
    if not isinstance(answer, Mapping) or not isinstance(answer.get("OK"), int):
        raise BadAnswer(f"{call}: expected S_OK or S_ERROR, got {str(answer)[:80]!r}")
    return answer


def _value(answer: Mapping[str, object], call: str) -> object:
    """Return the Value of an S_OK answer."""
    if answer["OK"]:
        return answer.get("Value")
    errno = answer.get("Errno")
    message = str(answer.get("Message") or "refused without a message")[:_LONGEST_MESSAGE]
    raise Refused(f"{call}: {message}", errno=errno if isinstance(errno, int) else 0)


class ByScheme:
    """Chooses the transport by the URL's scheme, as DIRAC's own client does."""

    def __init__(self, transports: Mapping[str, Transport]) -> None:
        self._transports = transports

    def call(self, url: str, method: str, arguments: Sequence[object]) -> object:
        """Carry the call over the transport that the URL names."""
        return self._of(url).call(url, method, arguments)

    def download(self, url: str, method: str, arguments: Sequence[object]) -> bytes | NoFile:
        """Get the file over the transport that the URL names."""
        return self._of(url).download(url, method, arguments)

    def close(self) -> None:
        """Close them all."""
        for transport in self._transports.values():
            transport.close()

    def _of(self, url: str) -> Transport:
        scheme = urlsplit(url).scheme
        if scheme not in self._transports:
            known = ", ".join(sorted(self._transports))
            raise Unreachable(f"{url}: no transport for {scheme!r}; known: {known}")
        return self._transports[scheme]
