"""Calls to DIRAC's dips services (DISET): TLS, then four frames of `<length>:<JSON>`, one call per connection.

DIRAC 7.3 and 8 understand JSON, and answer in DEncode.

DIRAC 9 serves PilotManager only so, unless the site has added a handler for https.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from pilot import strict_json
from pilot.wms import dencode

ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
PROPOSAL_BYTES = 1024  # what the server reads of one
CONNECT_S = 5.0
CHUNK_BYTES = 65536
RECORD_BYTES = 16384  # of TLS: what one write may wait for
LONGEST_HEAD = 16  # "dka" and a length
KEEP_ALIVE = b"dka"


def exchange(
    context: ssl.SSLContext,
    url: str,
    method: str,
    arguments: Sequence[Any],
    *,
    who: tuple[str, str, str],
    deadline: float,
    clock: Callable[[], float],
) -> Any:
    """Return the service's answer: DIRAC's S_OK or S_ERROR, as JSON gives it; bytes where DIRAC 8 sends such.

    Args:
        context: shows our credential.
        url: dips://host:port/System/Service.
        method: its name there.
        arguments: what JSON can hold.
        who: setup, VO, and "hosts" for a host certificate, else "".
        deadline: for the whole call, by this clock.
        clock: monotonic seconds.

    Raises:
        OSError: no connection, or no whole answer in time.
        ValueError: what came is no answer.
    """
    place = urlsplit(url)
    if not place.hostname or not place.port:
        raise ValueError(f"{url}: expected dips://host:port/System/Service")
    setup, vo, extra = who
    connect_s = min(CONNECT_S, max(0.001, deadline - clock()))
    plain = socket.create_connection((place.hostname, place.port), timeout=connect_s)
    with plain, context.wrap_socket(plain, server_hostname=place.hostname) as secured:
        frames = Frames(secured, deadline, clock)
        with contextlib.suppress(OSError):  # what the server has against us is read next (TLS 1.3)
            frames.send([[place.path.strip("/"), setup, vo], ["RPC", method], extra, "gridpilot"], most=PROPOSAL_BYTES)
        accepted = frames.receive()
        if not isinstance(accepted, dict) or not accepted.get("OK"):
            return accepted
        frames.send(list(arguments))
        return frames.receive()


class Frames:
    """Values over a connection, until a deadline."""

    def __init__(self, secured: ssl.SSLSocket, deadline: float, clock: Callable[[], float]) -> None:
        self._socket = secured
        self._deadline = deadline
        self._clock = clock
        self._waiting = bytearray()

    def send(self, value: object, prefix: bytes = b"", most: int = ANSWER_LIMIT_BYTES) -> None:
        """Send one value, wrapped as DIRAC wraps every value.

        Raises:
            OSError: it may have been sent in part.
            ValueError: it has more bytes than `most`, and was not sent.
        """
        payload = json.dumps({"OK": True, "Value": value}).encode()
        if len(payload) > most:
            raise ValueError(f"{len(payload)} bytes are too many for one frame, {most} are allowed")
        frame = b"%b%d:%b" % (prefix, len(payload), payload)
        for at in range(0, len(frame), RECORD_BYTES):
            self._be_patient()
            self._socket.sendall(frame[at : at + RECORD_BYTES])

    def receive(self) -> Any:
        """Return the next value; keep-alives on the way are answered."""
        while True:
            head = self._head()
            payload = self._take(self._length(head))
            value = dencode.decode(payload) if payload.startswith(dencode.BEGINNING) else strict_json.read(payload)
            if not head.startswith(KEEP_ALIVE):
                return value
            asked = value.get("Value") if isinstance(value, dict) else None
            if isinstance(asked, dict) and asked.get("kaping"):
                self.send({"id": asked.get("id"), "kaping": False}, KEEP_ALIVE)

    def _head(self) -> bytes:
        while (at := self._waiting.find(b":", 0, LONGEST_HEAD + 1)) < 0:
            if len(self._waiting) > LONGEST_HEAD:
                raise ValueError(f"expected the length of a frame, got {bytes(self._waiting[:LONGEST_HEAD])!r}")
            self._read()
        return self._cut(at, 1)

    def _length(self, head: bytes) -> int:
        digits = head[len(KEEP_ALIVE) :] if head.startswith(KEEP_ALIVE) else head
        if not digits.isdigit() or int(digits) > ANSWER_LIMIT_BYTES:
            raise ValueError(f"expected the length of a frame, got {head[:40]!r}")
        return int(digits)

    def _take(self, size: int) -> bytes:
        while len(self._waiting) < size:
            self._read()
        return self._cut(size, 0)

    def _cut(self, size: int, mark: int) -> bytes:
        piece = bytes(self._waiting[:size])
        del self._waiting[: size + mark]
        return piece

    def _read(self) -> None:
        self._be_patient()
        chunk = self._socket.recv(CHUNK_BYTES)
        if not chunk:
            raise ConnectionResetError("the server closed the connection")
        self._waiting += chunk

    def _be_patient(self) -> None:
        left_s = self._deadline - self._clock()
        if left_s <= 0:
            raise TimeoutError("the answer took too long")
        self._socket.settimeout(left_s)
