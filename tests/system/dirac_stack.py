"""The real DIRAC of `tests/clusters/dirac`, and our pilot beside it: what the interop tests and the benchmark drive."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "tests" / "clusters" / "dirac"
CLIENT_S = 120.0
UP_S = 1500.0  # the first time a venv is made
RELEASE = os.environ.get("GRIDPILOT_DIRAC") or "9.1"  # of DIRAC; the scripts read the variable too
IS_DIRAC_8 = RELEASE == "8.0"
IS_JOINED = RELEASE == "9.1-diracx"  # 9.1 joined with DiracX, which has scripts of its own
JOINED_SCRIPTS = ROOT / "tests" / "clusters" / "diracx"
END_S = 60.0
FINAL = ("Done", "Failed", "Killed", "Deleted")


def home() -> Path:
    """Where the scripts keep the stack."""
    clusters = os.environ.get("GRIDPILOT_CLUSTERS") or Path.home() / ".cache" / "gridpilot-clusters"
    return Path(clusters) / {"9.1": "dirac", "9.1-diracx": "diracx"}.get(RELEASE, f"dirac-{RELEASE}")


def script(name: str, *arguments: str, timeout_s: float = UP_S) -> None:
    """Run one of the stack's scripts; what it says is for whoever watches."""
    subprocess.run([*_script(name), *arguments], check=True, timeout=timeout_s)


def _script(name: str) -> list[str]:
    if not IS_JOINED:
        return ["bash", str(SCRIPTS / name)]
    own = JOINED_SCRIPTS / name
    return ["bash", str(own)] if own.exists() else ["bash", str(JOINED_SCRIPTS / "of_dirac.sh"), name]


def outage(seconds: int) -> None:
    """Take away all that a pilot talks to, and bring it back; connections are refused meanwhile."""
    if IS_JOINED:
        script("down.sh", "diracx", "tornado", "dips", "sandboxes", "configuration")
        time.sleep(seconds)
        script("up.sh")
    else:
        script("pause.sh", "refuse", str(seconds))


def is_up() -> bool:
    """Tell whether the whole stack runs."""
    status = subprocess.run(_script("status.sh"), check=False, capture_output=True, timeout=END_S)
    return status.returncode == 0


class Stack:
    """A running stack, seen through DIRAC's own client."""

    def __init__(self, where: Path | None = None) -> None:
        folder = where or home()
        self.endpoint: dict[str, Any] = json.loads((folder / "endpoint.json").read_text(encoding="utf-8"))
        self._socket = folder / "run" / "mysqld.sock"

    def client(self, who: str, *arguments: str) -> Any:
        """Run DIRAC's client with one of the proxies; its JSON answer."""
        environment = os.environ | self.endpoint["dirac_env"] | {"X509_USER_PROXY": self.endpoint[f"{who}_proxy"]}
        argv = [self.endpoint["dirac_python"], str(SCRIPTS / "dirac_client.py"), *arguments]
        done = subprocess.run(argv, check=False, env=environment, capture_output=True, text=True, timeout=CLIENT_S)
        if done.returncode != 0:
            raise AssertionError(f"DIRAC's client, {' '.join(arguments)}: {done.stderr[-2000:]}")
        return json.loads(done.stdout)

    def submit(self, jdl: str, who: str = "user", count: int = 1) -> list[int]:
        """Submit a JDL; its local input files are uploaded."""
        jobs: list[int] = self.client(who, "submit", "--jdl", jdl, "--count", str(count))
        return jobs

    def status(self, *jobs: int, full: bool = False) -> dict[int, dict[str, Any]]:
        """What DIRAC says of each job."""
        more = ["--full"] if full else []
        found = self.client("admin", "status", *more, *map(str, jobs))
        return {int(job): attributes for job, attributes in found.items()}

    def wait(
        self, jobs: list[int], done: Callable[[str], bool], timeout_s: float, pilot: "Pilot | None" = None
    ) -> dict[int, str]:
        """Return the statuses once each fits; with the last ones and the pilot's output when they do not in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            statuses = {job: attributes["Status"] for job, attributes in self.status(*jobs).items()}
            if len(statuses) == len(jobs) and all(map(done, statuses.values())):
                return statuses
            if time.monotonic() > deadline or (pilot and pilot.process.poll() is not None):
                said = pilot.said()[-3000:] if pilot else ""
                raise AssertionError(f"after {timeout_s:.0f} s, or the pilot's end: {statuses}\n{said}")
            time.sleep(1.0)

    def sweep(self) -> None:
        """Delete the jobs that have not ended, which the next pilot would match."""
        final = ",".join(f"'{status}'" for status in FINAL)
        if left := [job for (job,) in self.query("JobDB", f"SELECT JobID FROM Jobs WHERE Status NOT IN ({final})")]:
            self.client("admin", "delete", *left)

    def query(self, database: str, query: str) -> list[list[str]]:
        """Return the rows of a query, whichever of the services are away."""
        argv = ["mariadb", "--no-defaults", f"--socket={self._socket}", "-N", "-B", database]
        done = subprocess.run([*argv, "-e", query], check=True, capture_output=True, text=True, timeout=CLIENT_S)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def captured(self, since: int = 0) -> list[dict[str, Any]]:
        """What the servers executed since a size of the capture file."""
        with Path(self.endpoint["server_capture"]).open(encoding="utf-8") as lines:
            lines.seek(since)
            return [json.loads(line) for line in lines if line.endswith("\n")]

    def capture_size(self) -> int:
        """The capture file's present size in bytes."""
        path = Path(self.endpoint["server_capture"])
        return path.stat().st_size if path.exists() else 0

    def logging_url(self) -> str:
        """Where pilots send their log lines; DIRAC 8 has no service for them."""
        place = self.endpoint["configuration"].rpartition(":")[0]
        port = int(self.endpoint["configuration"].rpartition(":")[2].partition("/")[0])
        return f"{place}:{port + 1}/WorkloadManagement/TornadoPilotLogging"


class Pilot:
    """Our pilot as a process of its own, with the pilot's proxy or the pilot host's certificate."""

    def __init__(self, stack: Stack, folder: Path, reference: str, *options: str, by_host: bool = False) -> None:
        endpoint = stack.endpoint
        self.work_dir = folder / "pilot"
        self._out = folder / "pilot.out"
        folder.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "pilot", "-n", endpoint["site"], "-N", endpoint["ce"], "-Q", endpoint["queue"]]
        argv += ["-C", endpoint["configuration"], "--wnVO", endpoint["vo"], "-r", endpoint["dirac_version"]]
        argv += ["-S", endpoint["setup"]] if endpoint["setup"] else []
        argv += ["--PollingTime", "1", "-R", reference, "--pilotUUID", reference, "-T", "800000"]
        argv += ["--work-dir", str(self.work_dir), *options]
        environment = {**os.environ, "X509_CERT_DIR": endpoint["ca_dir"], "X509_USER_PROXY": endpoint["pilot_proxy"]}
        if by_host:
            argv += ["--cert", "--certLocation", str(_host_folder(endpoint, folder))]
            del environment["X509_USER_PROXY"]
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)

    def said(self) -> str:
        """What it has written so far."""
        return self._out.read_text(encoding="utf-8", errors="replace")

    def drain(self) -> int:
        """Tell it to take no more jobs; its exit code."""
        self.process.send_signal(signal.SIGUSR1)
        return self.process.wait(END_S)

    def __enter__(self) -> "Pilot":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def _host_folder(endpoint: Mapping[str, Any], folder: Path) -> Path:
    """Certificate and key under the names that DIRAC's pilot looks for."""
    place = folder / "grid-security"
    place.mkdir()
    for name, source in (("hostcert.pem", "host_cert"), ("hostkey.pem", "host_key")):
        copy = place / name
        copy.touch(mode=0o600)
        copy.write_bytes(Path(endpoint[source]).read_bytes())
    return place
