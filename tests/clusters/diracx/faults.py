"""What a test wants to go wrong: a file with a JSON list, read again whenever it has changed.

{"path": "^/api/jobs/status$", "method": "PATCH", "status": 503, "headers": {"Retry-After": "1"}, "times": 2}
{"path": …, "delay": 5}            answers late
{"path": …, "drop": "before"}      the connection ends without an answer, before the request was looked at
{"path": …, "drop": "after"}       … after it was carried out
{"path": …, "cut": 100}, {"path": …, "spoil": true}     S3 only: the body ends early, or has a wrong byte

Without `times` a fault stays until the file changes.
"""

import json
import os
import re
import threading
from typing import Any


class Faults:
    """The faults of one server. Any thread may ask."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._changed = 0
        self._faults: list[dict[str, Any]] = []

    def of(self, method: str, path: str) -> dict[str, Any]:
        """Return what shall happen to this request, nothing mostly."""
        with self._lock:
            self._read()
            for fault in self._faults:
                fits = re.search(fault["path"], path) and fault.get("method", method) == method
                if fits and fault.get("times", 1) > 0:
                    if "times" in fault:
                        fault["times"] -= 1
                    return fault
        return {}

    def _read(self) -> None:
        try:
            changed = os.stat(self._path).st_mtime_ns  # noqa: PTH116 - no more than this is needed
            if changed != self._changed:
                with open(self._path, encoding="utf-8") as file:  # noqa: PTH123
                    self._faults = json.load(file)
                self._changed = changed
        except (OSError, ValueError):
            return


def note(path: str, line: dict[str, Any]) -> None:
    """Append one line to a capture."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, json.dumps(line).encode() + b"\n")
    os.close(file)
