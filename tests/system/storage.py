"""The real storage of `tests/clusters/storage`: where its servers are, and what lets clients in."""

import copy
import json
import os
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.system.dirac_stack import CLIENT_S, Stack
from tests.system.dirac_stack import SCRIPTS as STACK_SCRIPTS

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "tests" / "clusters" / "storage"
UP_S = 600.0  # the first time packages are installed
STATUS_S = 60.0
OLD_S = 3600.0


def home() -> Path:
    """Where the scripts keep it."""
    return Path(os.environ.get("GRIDPILOT_CLUSTERS") or "/var/tmp/gridpilot-clusters") / "storage"


def script(name: str, *arguments: str) -> None:
    """Run one of its scripts; what it says is for whoever watches."""
    subprocess.run(["bash", str(SCRIPTS / name), *arguments], check=True, timeout=UP_S)


def is_up(*parts: str) -> bool:
    """Tell whether the file servers run, and the parts."""
    status = subprocess.run(
        ["bash", str(SCRIPTS / "status.sh"), *parts], check=False, capture_output=True, timeout=STATUS_S
    )
    return status.returncode == 0


def forget_old() -> None:
    """Remove the files that tests of an hour ago and longer have left: some are a gigabyte, and nobody reads them."""
    before_s = time.time() - OLD_S
    for path in (home() / "store").glob("*/*/data/**/*"):
        with suppress(FileNotFoundError):  # another run's test may remove its own
            if path.is_file() and not path.is_symlink() and path.stat().st_mtime < before_s:
                path.unlink()


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


@dataclass(frozen=True, slots=True)
class Registered:
    """What a catalogue's database holds of some files: as many rows, different GUIDs, and replicas."""

    files: int
    guids: int
    replicas: int


class DiracData:
    """DIRAC's elements, catalogue and requests, seen through DIRAC's own client."""

    def __init__(self, stack: Stack, storage: Storage, timeout_s: float = CLIENT_S) -> None:
        self.storage = storage
        self._stack = stack
        self._timeout_s = timeout_s

    def client(self, who: str, *arguments: str) -> Any:
        """Run data_client.py with one of the proxies; its JSON answer."""
        return self._dirac(who, SCRIPTS / "data_client.py", *arguments)

    def job_api(self, who: str, run: str, *names: str) -> Any:
        """Submit jobs of job_api_jobs.py; the numbers of each by its name."""
        return self._dirac(who, ROOT / "tests" / "system" / "job_api_jobs.py", run, *names)

    def _dirac(self, who: str, program: Path, *arguments: str) -> Any:
        endpoint = self._stack.endpoint
        environment = os.environ | endpoint["dirac_env"] | self.storage.endpoint["client_env"]
        environment |= {
            "X509_USER_PROXY": endpoint[f"{who}_proxy"],
            "PYTHONPATH": f"{endpoint['dirac_env']['PYTHONPATH']}:{STACK_SCRIPTS}",
        }
        argv = [endpoint["dirac_python"], str(program), *arguments]
        done = subprocess.run(
            argv, check=False, env=environment, capture_output=True, text=True, timeout=self._timeout_s
        )
        if done.returncode != 0:
            raise AssertionError(f"DIRAC's client, {' '.join(arguments)}: {done.stderr[-2000:]}")
        return json.loads(done.stdout)

    def put(self, lfn: str, file: Path, *elements: str, who: str = "user") -> None:
        """Put and register a file, and copy it to further elements."""
        self.client(who, "put", lfn, str(file), *elements)

    def look(self, *lfns: str) -> dict[str, Any]:
        """What the catalogue says of each file, replicas too; None for one that it does not know."""
        known: dict[str, Any] = self.client("user", "look", *lfns)
        return known

    def path(self, element: str, lfn: str) -> Path:
        """Where an element keeps a file on this machine."""
        return Path(self.storage.endpoint["elements"][element]) / lfn.removeprefix(f"/{self.storage.endpoint['vo']}/")

    def retarget(self, job: int, element: str) -> None:
        """Let what a job's Request copies go to another element, as an operator would in the ReqDB."""
        self._database(
            "ReqDB",
            "UPDATE Operation JOIN Request ON Request.RequestID = Operation.RequestID "
            f"SET Operation.TargetSE = '{element}' "
            f"WHERE Request.JobID = {job} AND Operation.Type = 'ReplicateAndRegister'",
        )

    def count_of_requests(self, job: int) -> int:
        """How many Requests of a job the ReqDB holds; DIRAC's client tells of one at most."""
        return int(self._database("ReqDB", f"SELECT COUNT(*) FROM Request WHERE JobID = {job}"))

    def registered(self, directory: str) -> Registered:
        """What the FileCatalogDB holds below a directory."""
        sql = (
            "SELECT COUNT(DISTINCT f.FileID), COUNT(DISTINCT i.GUID), COUNT(DISTINCT r.RepID) "
            "FROM FC_DirectoryLevelTree d JOIN FC_Files f USING (DirID) JOIN FC_FileInfo i USING (FileID) "
            f"LEFT JOIN FC_Replicas r USING (FileID) WHERE d.DirName LIKE '{directory}/%'"
        )
        return Registered(*map(int, self._database("FileCatalogDB", sql).split()))

    def _database(self, name: str, sql: str) -> str:
        socket = Path(self._stack.endpoint["server_capture"]).parent / "run" / "mysqld.sock"
        argv = ["mariadb", "--no-defaults", "--skip-column-names", f"--socket={socket}", name, "-e", sql]
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=CLIENT_S).stdout

    def execute_requests(self, *jobs: int) -> None:
        """Let DIRAC's own RequestExecutingAgent try the Requests of some jobs, once."""
        script("execute_requests.sh", *map(str, jobs))


class Rucio:
    """A Rucio server, seen through Rucio's own client as labuser; README.md of the storage names its elements.

    Args:
        storage: runs.
        name: of the server, in the endpoint.
        vo: of one that has several.
    """

    def __init__(self, storage: Storage, name: str = "rucio", vo: str = "def") -> None:
        self.url = str(storage.endpoint[name])
        self._storage = storage
        self._own_env = storage.endpoint[f"{name}_env"] | {"RUCIO_VO": vo}

    def of(self, vo: str) -> "Rucio":
        """Return the same server, seen as another VO."""
        other = copy.copy(self)
        other._own_env = self._own_env | {"RUCIO_VO": vo}
        return other

    def client(self, *arguments: str) -> Any:
        """Run rucio_client.py; its JSON answer."""
        endpoint = self._storage.endpoint
        environment = os.environ | endpoint["client_env"] | self._own_env
        environment |= {"X509_USER_PROXY": self._storage.proxy("user")}
        argv = [endpoint["rucio_python"], str(SCRIPTS / "rucio_client.py"), *arguments]
        done = subprocess.run(argv, check=False, env=environment, capture_output=True, text=True, timeout=CLIENT_S)
        if done.returncode != 0:
            raise AssertionError(f"Rucio's client, {' '.join(arguments)}: {done.stderr[-2000:]}")
        return json.loads(done.stdout)
