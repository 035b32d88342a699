"""The pilot's and the agent's log lines on their way to DIRAC's PilotLogging service.

The log files are the spool (see `pilot.wms.log_spool`): a thread sends what the service has not accepted yet, so a
slow or dead service costs the pilot nothing, an outage loses nothing, and what a pilot that died has left is sent by
the next one in the same work folder. Lines that no file took, since the disk is full, wait in memory.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from pilot.errors import PilotError
from pilot.wms.client import Services
from pilot.wms.log_spool import Batch, Spool

SEND_S = 10.0
RETRY_S = 5.0
LOOK_S = 2.0  # at the agent's log, which does not tell when it has grown
FILES = ("pilot.log", "agent.log")

Send = Callable[[str, str, str], None]
"""Call a method of PilotLogging with a JSON text, for the pilot with this stamp."""


def sender(services: Services, url: str, *, vo: str) -> Send:
    """Return what calls the logging service."""

    def send(method: str, message: str, stamp: str) -> None:
        services.call(url, method, message, stamp, vo, timeout_s=SEND_S)

    return send


class RemoteLog:
    """Sends log files while they grow. Silent until `start`, and for ever if that is not called.

    Attributes:
        trouble: what nobody foresaw and has ended the sending, empty while all is well.
    """

    def __init__(self, folder: Path, stamp: str, *, limit_lines: int = 1000, interval_s: float = 0.0) -> None:
        self._spool = Spool(folder, stamp, FILES, limit_lines)
        self._stamp = stamp
        self._homeless: deque[str] = deque(maxlen=max(1, limit_lines))
        self._interval_s = interval_s
        self._changed = threading.Condition()
        self._is_new = True
        self._closing = False
        self._is_complete = False
        self._thread: threading.Thread | None = None
        self.trouble = ""

    def noticed(self) -> None:
        """Say that a log file has grown."""
        with self._changed:
            self._is_new = True
            self._changed.notify()

    def keep(self, line: str) -> None:
        """Take a line that no file took; the oldest goes when there are too many."""
        self._homeless.append(line)
        self.noticed()

    def start(self, send: Send) -> None:
        """Send the lines written so far, and those to come."""
        self._thread = threading.Thread(target=self._run, args=(send,), name="remote log", daemon=True)
        self._thread.start()

    def close(
        self, exit_code: int, send: Send, *, within_s: float, clock: Callable[[], float] = time.monotonic
    ) -> bool:
        """Send what is left and say that the log is complete; True if both worked in time.

        Args:
            exit_code: what the pilot will return.
            send: as for `start`.
            within_s: after this the rest is given up; it stays in the files.
            clock: monotonic seconds.
        """
        if self._thread is None:
            return False
        deadline = clock() + within_s
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(max(0.0, deadline - clock()))
        if self._thread.is_alive() or not self._is_complete or clock() >= deadline:
            return False
        try:
            send("finaliseLogs", json.dumps({"retCode": str(exit_code)}), self._stamp)
        except PilotError:  # the log is only less complete; the exit code matters more
            return False
        return True

    def _run(self, send: Send) -> None:
        try:
            self._send_on(send)
        except Exception as error:  # noqa: BLE001 - the log is only less complete; the pilot tells of it at its end
            self.trouble = f"{type(error).__name__}: {error}"

    def _send_on(self, send: Send) -> None:
        while True:
            is_last = self._closing  # lines written before it was set are seen by this round
            worked = self._send_all(send)
            if is_last:
                self._is_complete = worked
                return
            self._wait(self._interval_s if worked else max(RETRY_S, self._interval_s))

    def _wait(self, pause_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing, timeout=pause_s)
            self._changed.wait_for(lambda: self._closing or self._is_new, timeout=LOOK_S)
            self._is_new = False

    def _send_all(self, send: Send) -> bool:
        """Send until nothing is left; False when the service did not take it."""
        while True:
            batch = self._spool.next()
            if batch is None:
                return self._send_homeless(send)
            if not self._sent(send, batch):
                return False
            self._spool.accept(batch)

    def _send_homeless(self, send: Send) -> bool:
        lines = list(self._homeless)
        if lines and not self._sent(send, Batch(self._stamp, lines, ())):
            return False
        for _ in lines:
            self._homeless.popleft()
        return True

    @staticmethod
    def _sent(send: Send, batch: Batch) -> bool:
        try:
            send("sendMessage", json.dumps(list(batch.lines)), batch.stamp)
        except PilotError:  # kept, and sent again
            return False
        return True
