"""The real storage of `tests/clusters/storage`: where its servers are, and what lets clients in."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "tests" / "clusters" / "storage"
UP_S = 600.0  # the first time packages are installed
STATUS_S = 60.0


def home() -> Path:
    """Where the scripts keep it."""
    return Path(os.environ.get("GRIDPILOT_CLUSTERS") or "/var/tmp/gridpilot-clusters") / "storage"


def script(name: str, *arguments: str) -> None:
    """Run one of its scripts; what it says is for whoever watches."""
    subprocess.run(["bash", str(SCRIPTS / name), *arguments], check=True, timeout=UP_S)


def is_up() -> bool:
    """Tell whether all of it runs."""
    status = subprocess.run(["bash", str(SCRIPTS / "status.sh")], check=False, capture_output=True, timeout=STATUS_S)
    return status.returncode == 0


class Storage:
    """Running storage.

    Attributes:
        endpoint: what up.sh wrote; README.md beside it names the servers.
    """

    def __init__(self) -> None:
        self.endpoint: dict[str, Any] = json.loads((home() / "endpoint.json").read_text(encoding="utf-8"))

    def url(self, server: str, name: str) -> str:
        """The URL of a file below the VO's folder; `server` is a key of endpoint's `urls`."""
        return f"{self.endpoint['urls'][server]}/{name}"

    def path(self, server: str, name: str) -> Path:
        """Where the same file lies on this machine, for root to look at or to damage; `near`, `far` or `webdav`."""
        return Path(self.endpoint["folders"][server]) / name

    def proxy(self, who: str) -> str:
        """The path of a proxy: user, user2, admin, pilot, stranger, expired."""
        return str(self.endpoint["proxies"][who])

    def token(self, who: str) -> str:
        """A token's text: user, reader, expired, forged."""
        return Path(self.endpoint["tokens"][who]).read_text(encoding="utf-8")
