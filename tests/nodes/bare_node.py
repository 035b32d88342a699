"""A bare Debian worker node in a root of its own, and a local WMS that it reaches over its only network: loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import within

ROOT = Path(__file__).resolve().parents[2]
UP_S = 600.0  # the first time a tree is made
READY_S = 60.0
PATIENCE_S = 120.0


def tree(suite: str) -> Path:
    """Make the file tree of a node, unless it is there."""
    made = subprocess.run(
        [str(ROOT / "tests/clusters/nodes/up.sh"), suite], check=True, capture_output=True, text=True, timeout=UP_S
    )
    return Path(made.stdout.strip())


@dataclass(frozen=True)
class Wms:
    """A local WMS in a network namespace that has loopback and nothing else."""

    home: Path
    namespace: str

    def command(self, *arguments: str) -> str:
        """Run one of the local WMS's own commands there; what it wrote."""
        argv = [*self.inside(), sys.executable, "-m", "agents.local_wms", arguments[0], "--home", str(self.home)]
        return subprocess.run([*argv, *arguments[1:]], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    def inside(self) -> list[str]:
        return ["nsenter", f"--net={self.namespace}"]

    @property
    def endpoint(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "endpoint.json").read_text(encoding="utf-8"))
        return found

    def job(self, number: int) -> dict[str, Any]:
        (job,) = json.loads(self.command("status", "--json", str(number)))
        assert isinstance(job, dict)
        return job


@contextmanager
def wms_on_loopback(home: Path) -> Iterator[Wms]:
    """Run a local WMS in a namespace of its own until the block ends."""
    home.mkdir(parents=True)
    read_end, write_end = os.pipe()
    sandbox = ["bwrap", "--unshare-net", "--dev-bind", "/", "/", "--die-with-parent", "--info-fd", str(write_end)]
    serve = [sys.executable, "-m", "agents.local_wms", "serve", "--home", str(home)]
    with (home / "serve.out").open("w") as out:
        process = subprocess.Popen(
            [*sandbox, *serve], cwd=ROOT, pass_fds=[write_end], stdout=out, stderr=subprocess.STDOUT
        )
    os.close(write_end)
    try:
        with os.fdopen(read_end) as told:
            child = json.load(told)["child-pid"]
        _wait_for(home / "endpoint.json", process)
        yield Wms(home, f"/proc/{child}/ns/net")
    finally:
        process.terminate()
        process.wait(READY_S)


def _wait_for(path: Path, process: "subprocess.Popen[bytes]") -> None:
    within(READY_S, lambda: path.exists() or process.poll() is not None)
    assert process.poll() is None, (path.parent / "serve.out").read_text()
    assert path.exists(), f"{path}: not there within {READY_S} s"


@dataclass(frozen=True)
class Node:
    """One node: its tree cannot be written to, /mnt is its work folder, /opt has the bundle, /srv the credentials.

    With `disk_bytes` the work folder is a disk of its own that has no more.
    """

    tree: Path
    work: Path
    bundle: Path
    wms: Wms
    disk_bytes: int = 0

    def run(self, *argv: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a command on the node, which has no variable but those and a PATH."""
        certificates = self.wms.home / "authority"
        sandbox = ["bwrap", "--ro-bind", str(self.tree), "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
        small = ["--size", str(self.disk_bytes), "--tmpfs", "/mnt"]
        sandbox += small if self.disk_bytes else ["--bind", str(self.work), "/mnt"]
        sandbox += ["--ro-bind", str(self.bundle), "/opt"]
        sandbox += ["--ro-bind", str(certificates), "/srv", "--chdir", "/mnt", "--unshare-pid", "--die-with-parent"]
        sandbox += ["--clearenv", "--setenv", "PATH", "/usr/bin:/bin"]
        for name, value in variables.items():
            sandbox += ["--setenv", name, value]
        return subprocess.run(
            [*self.wms.inside(), *sandbox, *argv], check=False, capture_output=True, text=True, timeout=PATIENCE_S
        )

    def pilot(self, start: str, *options: str, word: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a pilot of the bundle until there is no more work, or what the word says: doctor."""
        endpoint = self.wms.endpoint
        # what is left outside of the work folder is written into it: all else is read-only, or gone with the node
        argv = ["sh", "-c", '"$@"; code=$?; ls -A /tmp >left; exit $code', "sh"]
        argv += ["python3", start, *filter(None, [word]), "-n", endpoint["site"]]
        argv += ["-N", endpoint["ce"], "-Q", endpoint["queue"], "-y", "Pool"]
        argv += ["-C", endpoint["configuration"], "--wnVO", endpoint["vo"], "--PollingTime", "0.2"]
        argv += ["--StopAfterFailedMatches", "1", "--disk", "100", *options]
        credentials = {
            "X509_USER_PROXY": f"/srv/{Path(endpoint['pilot_proxy']).name}",
            "X509_CERT_DIR": f"/srv/{Path(endpoint['ca_dir']).name}",
        }
        return self.run(*argv, **credentials)
