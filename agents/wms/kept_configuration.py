"""The configuration as the pilot, or a former agent of this slot, has downloaded it: only what is newer is sent again.

`pilot/wms/configuration.py` writes the same file. It is believed as far as pilot.cfg is, which lies beside it.
"""

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents import private
from agents.errors import BadAnswer
from agents.log import EventLog
from agents.wms.configuration import Downloaded, of_answer
from ce_backends.untrusted import strict_json

log = EventLog("configuration")

NAME = "configuration.json"
_MOST_BYTES = 64 * 1024 * 1024
_OTHERS_MAY_WRITE = 0o022


@dataclass(frozen=True, slots=True)
class Kept:
    """A file in the agent's folder.

    Attributes:
        path: of it.
        servers: what other ones have published is not believed.
    """

    path: Path
    servers: Sequence[str]

    def read(self) -> Downloaded | None:
        """Return what was kept; None where there is nothing whole of ours, which is no reason to stop."""
        try:
            content = strict_json.read(self._bytes())
            if not isinstance(content, dict) or content.get("servers") != sorted(self.servers):
                return None
            return of_answer(content, "0")
        except (OSError, strict_json.NotJson, BadAnswer) as error:
            if not isinstance(error, FileNotFoundError):
                log.warning("configuration.not_kept", path=self.path, cause=error)
            return None

    def write(self, found: Downloaded) -> None:
        """Keep this, whole or not at all; a disk that does not take it costs a download."""
        content = {"servers": sorted(self.servers), "newestVersion": found.version, "data": found.packed}
        try:
            private.replace(self.path, json.dumps(content))
        except OSError as error:
            log.warning("configuration.not_kept", path=self.path, cause=error)

    def _bytes(self) -> bytes:
        with os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = os.fstat(file.fileno())
            is_ours = found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_MAY_WRITE
            if not stat.S_ISREG(found.st_mode) or not is_ours or found.st_size > _MOST_BYTES:
                raise OSError(f"expected a file of our own of at most {_MOST_BYTES} bytes, which only we may write")
            return file.read(_MOST_BYTES)
