"""The directory of one local WMS: where its files are, and who uses it."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from agents import private
from agents.errors import ConfigurationError

VARIABLE = "GRIDPILOT_LOCAL_WMS"


class LocalWmsError(Exception):
    """A command cannot do what was asked; the message is the sentence for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """How to reach a running server; written to `endpoint.json`."""

    url: str
    configuration: str
    ca_dir: str
    pilot_proxy: str
    user_proxy: str
    admin_proxy: str
    site: str
    ce: str
    queue: str
    vo: str
    pid: int


@dataclass(frozen=True, slots=True)
class Home:
    """The files below one directory."""

    folder: Path

    @property
    def endpoint(self) -> Path:
        """Where a running server says how to reach it."""
        return self.folder / "endpoint.json"

    @property
    def certificates(self) -> Path:
        """The authority's directory."""
        return self.folder / "authority"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "wms.sqlite"

    @property
    def sandboxes(self) -> Path:
        """The sandbox store."""
        return self.folder / "sandboxes"

    @property
    def storage(self) -> Path:
        """What lies in the storage elements, a folder each."""
        return self.folder / "storage"

    @property
    def pilot_logs(self) -> Path:
        """One log file for each pilot."""
        return self.folder / "pilot_logs"

    @property
    def log(self) -> Path:
        """The server's own log."""
        return self.folder / "server.log"

    def make(self) -> None:
        """Make the directory, or close it to others where it is there already.

        Raises:
            LocalWmsError: it is another account's.
        """
        try:
            private.folder(self.folder, is_closed=True)
        except ConfigurationError as error:
            raise LocalWmsError(str(error)) from error

    def lock(self) -> IO[str]:
        """Make this directory ours until the file returned is closed.

        Raises:
            LocalWmsError: another server has it, or it is another account's.
        """
        self.make()
        lock = (self.folder / "lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise LocalWmsError(f"a local WMS runs in {self.folder} already") from error
        return lock

    def write_endpoint(self, endpoint: Endpoint) -> None:
        """Tell clients that the server is there, in one step."""
        aside = self.endpoint.with_suffix(".part")
        aside.write_text(json.dumps(asdict(endpoint), indent=1) + "\n")
        aside.replace(self.endpoint)

    def read_endpoint(self) -> Endpoint:
        """Return how to reach the server.

        Raises:
            LocalWmsError: no server runs here.
        """
        if not self.endpoint.exists():
            raise LocalWmsError(f"no local WMS runs in {self.folder}: start one with `gridpilot wms serve`")
        return load_endpoint(self.endpoint)


def load_endpoint(path: Path) -> Endpoint:
    """Read an `endpoint.json`."""
    fields: dict[str, Any] = json.loads(path.read_text())
    return Endpoint(**fields)


def default_home() -> Path:
    """Return the directory used when none is named."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path.home() / ".gridpilot" / "local-wms"
