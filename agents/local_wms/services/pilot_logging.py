"""Keeps what pilots write (WorkloadManagementSystem/Service/TornadoPilotLoggingHandler, FileCacheLoggingPlugin)."""

import re
from pathlib import Path
from typing import Any

from agents.local_wms.registry import GENERIC_PILOT, OPERATOR
from agents.local_wms.services.base import Caller, Refusal, Service, exported
from ce_backends.untrusted import strict_json

STAMP = re.compile(r"[0-9a-z]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MAX_BYTES = 10 * 1024 * 1024  # a pilot's log grows no further


class PilotLogging(Service):
    """Serves pilots; one file for each stamp."""

    name = "WorkloadManagement/PilotLogging"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @exported("sendMessage", OPERATOR, GENERIC_PILOT)
    def send_message(self, _caller: Caller, message: str, stamp: str, _vo: str = "") -> None:
        """Append lines, given as a JSON list of texts."""
        lines = strict_json.read(message)
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise Refusal("The message is no list of texts")
        self._append(stamp, "".join(line if line.endswith("\n") else f"{line}\n" for line in lines))

    @exported("finaliseLogs", OPERATOR, GENERIC_PILOT)
    def finalise(self, _caller: Caller, outcome: Any, stamp: str, _vo: str = "") -> None:
        """Close a log with the pilot's return code."""
        code = outcome.get("retCode", "?") if isinstance(outcome, dict) else outcome
        self._append(stamp, f"-- pilot ended, return code {code}\n")

    @exported("getLogs", OPERATOR, GENERIC_PILOT)
    def logs(self, _caller: Caller, stamp: str, _vo: str = "") -> dict[str, str]:
        """Return what a pilot has written."""
        file = self._file(stamp)
        if not file.exists():
            raise Refusal(f"No log of pilot {stamp}")
        return {"StdOut": file.read_text(errors="replace")}

    def file_of(self, stamp: str) -> Path | None:
        """Return where a pilot's log lies, None when it has written none."""
        file = self._folder / stamp if STAMP.fullmatch(stamp) else None
        return file if file and file.exists() else None

    def _file(self, stamp: str) -> Path:
        if not STAMP.fullmatch(stamp):
            raise Refusal("Pilot UUID is invalid")
        return self._folder / stamp

    def _append(self, stamp: str, text: str) -> None:
        file = self._file(stamp)
        self._folder.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as log:
            log.write(text.encode()[: max(0, MAX_BYTES - log.tell())])
