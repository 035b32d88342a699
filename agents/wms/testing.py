"""A transport for tests: its services answer what the test says. For tests of our own and of others."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agents.wms.service import NoFile

Answer = object | Exception | Callable[..., object]
"""What a call gets: a value, as it is on the wire (`ok`, `refused`, the bytes of a file); an exception, which is raised
(`agents.errors.ServiceError` says which a transport may raise); or a function of the call's arguments that returns
either."""


def ok(value: object = None) -> dict[str, object]:
    """Return DIRAC's S_OK."""
    return {"OK": True, "Value": value}


def refused(message: str, errno: int = 0) -> dict[str, object]:
    """Return DIRAC's S_ERROR."""
    return {"OK": False, "Message": message, "Errno": errno}


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was made.

    Attributes:
        url: of the service.
        method: DIRAC's name of it.
        arguments: positional.
        is_download: the content of a file was asked for.
    """

    url: str
    method: str
    arguments: list[object]
    is_download: bool = False


_NOTHING = object()


class FakeTransport:
    """See agents.wms.service.Transport: it answers as a test says, and keeps what it was asked.

    Of what is said for a call the first of these counts: `in_turn`, `answers`, `otherwise`. One for which nothing is
    said is an AssertionError, which no code of the agent takes for a failure of a service. It may be called by any
    number of threads: each answer of `in_turn` is given once, and the record loses no call.

    Args:
        answers: by method, again and again; may be changed at any time.
        in_turn: answers of any method, each once.
        otherwise: the answer for everything else.

    Attributes:
        is_closed: `close` was called.
    """

    def __init__(
        self,
        answers: Mapping[str, Answer] | None = None,
        *,
        in_turn: Sequence[Answer] = (),
        otherwise: Answer = _NOTHING,
    ) -> None:
        self.answers: dict[str, Answer] = dict(answers or {})
        self.in_turn: list[Answer] = list(in_turn)
        self.otherwise = otherwise
        self.is_closed = False
        self._lock = threading.Lock()
        self._calls: list[Call] = []

    @property
    def calls(self) -> list[Call]:
        """The calls so far, also those that raised, in the order in which they came."""
        with self._lock:
            return list(self._calls)

    @property
    def asked(self) -> list[tuple[str, list[object]]]:
        """Method and arguments of each of them."""
        return [(call.method, call.arguments) for call in self.calls]

    @property
    def methods(self) -> list[str]:
        """The method of each of them."""
        return [call.method for call in self.calls]

    @property
    def urls(self) -> list[str]:
        """The URL of each of them."""
        return [call.url for call in self.calls]

    def forget_calls(self) -> None:
        """Begin the record anew."""
        with self._lock:
            self._calls.clear()

    def call(self, url: str, method: str, arguments: Sequence[object]) -> object:
        """See Transport."""
        return self._answer(Call(url, method, list(arguments)))

    def download(self, url: str, method: str, arguments: Sequence[object]) -> bytes | NoFile:
        """See Transport. A scripted answer that is not bytes is what the service says in the place of a file."""
        answer = self._answer(Call(url, method, list(arguments), is_download=True))
        return answer if isinstance(answer, bytes) else NoFile(answer)

    def close(self) -> None:
        """See Transport. A call after it is an AssertionError."""
        self.is_closed = True

    def _answer(self, call: Call) -> object:
        answer = self._next(call)
        if answer is _NOTHING:
            raise AssertionError(f"{call.method} was not expected")
        if callable(answer):
            answer = answer(*call.arguments)  # without the lock: it may wait, or call
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _next(self, call: Call) -> Answer:
        with self._lock:
            if self.is_closed:
                raise AssertionError(f"{call.method} was called after close")
            self._calls.append(call)
            return self.in_turn.pop(0) if self.in_turn else self.answers.get(call.method, self.otherwise)
