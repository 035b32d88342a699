"""The pilot's log lines on their way to DIRAC's PilotLogging service.

Lines wait in a bounded queue and are sent by a thread, so a slow or dead service costs the pilot nothing. What cannot
be sent is kept and sent with the next lines; when the queue is full the oldest lines go, and the loss is stated.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable

from pilot.errors import PilotError
from pilot.services import Services

SEND_S = 10.0
RETRY_S = 5.0

Send = Callable[[str, str], None]
"""Call a method of PilotLogging with a JSON text."""


def sender(services: Services, url: str, *, stamp: str, vo: str) -> Send:
    """Return what calls the logging service for this pilot."""

    def send(method: str, message: str) -> None:
        services.call(url, method, message, stamp, vo, timeout_s=SEND_S)

    return send


class RemoteLog:
    """A sink for log lines that never blocks. Silent until `start`, and for ever if that is not called."""

    def __init__(self, *, limit_lines: int = 1000, interval_s: float = 0.0) -> None:
        self._lines: deque[str] = deque()
        self._limit = max(1, limit_lines)
        self._interval_s = interval_s
        self._lost = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def write(self, line: str) -> None:
        """Queue a line; the oldest one goes when there are too many."""
        with self._changed:
            self._lines.append(line)
            if len(self._lines) > self._limit:
                self._lines.popleft()
                self._lost += 1
            self._changed.notify()

    def start(self, send: Send) -> None:
        """Send the lines queued so far, and those to come."""
        self._thread = threading.Thread(target=self._run, args=(send,), name="remote log", daemon=True)
        self._thread.start()

    def close(
        self, exit_code: int, send: Send, *, within_s: float, clock: Callable[[], float] = time.monotonic
    ) -> bool:
        """Send what is left and say that the log is complete; True if both worked in time.

        Args:
            exit_code: what the pilot will return.
            send: as for `start`.
            within_s: after this the rest is given up.
            clock: monotonic seconds.
        """
        if self._thread is None:
            return False
        deadline = clock() + within_s
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(max(0.0, deadline - clock()))
        if self._thread.is_alive() or self._lines or clock() >= deadline:
            return False
        try:
            send("finaliseLogs", json.dumps({"retCode": str(exit_code)}))
        except PilotError:  # the log is only less complete; the exit code matters more
            return False
        return True

    def _run(self, send: Send) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._closing)
                if not self._lines:
                    return
                batch, lost = list(self._lines), self._lost
                self._lines.clear()
                self._lost = 0
            if self._sent(send, batch, lost):
                pause_s = self._interval_s
            elif self._closing:
                return
            else:
                pause_s = max(RETRY_S, self._interval_s)
            with self._changed:
                self._changed.wait_for(lambda: self._closing, timeout=pause_s)

    def _sent(self, send: Send, batch: list[str], lost: int) -> bool:
        lines = [f"({lost} lines were lost here)\n", *batch] if lost else batch
        try:
            send("sendMessage", json.dumps(lines))
        except PilotError:  # kept, and sent with the next ones
            with self._changed:
                self._lines.extendleft(reversed(batch))
                self._lost += lost
            return False
        return True
