"""The real DIRAC joined with a real DiracX of `tests/clusters/diracx`: its modes, faults, and what its servers saw."""

import bz2
import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.system.dirac_stack import CLIENT_S, FINAL, ROOT, UP_S, Pilot, Stack

SCRIPTS = ROOT / "tests" / "clusters" / "diracx"


def home() -> Path:
    """Where the scripts keep the stack."""
    clusters = os.environ.get("GRIDPILOT_CLUSTERS") or Path.home() / ".cache" / "gridpilot-clusters"
    return Path(clusters) / "diracx"


def script(name: str, *arguments: str) -> None:
    """Run one of the stack's scripts; what it says is for whoever watches."""
    subprocess.run(["bash", str(SCRIPTS / name), *arguments], check=True, timeout=UP_S)


def is_up() -> bool:
    """Tell whether the whole stack runs."""
    return subprocess.run(["bash", str(SCRIPTS / "status.sh")], check=False, capture_output=True).returncode == 0


class Joined(Stack):
    """A running stack, seen through DIRAC's and DiracX's own clients."""

    def __init__(self) -> None:
        super().__init__(home())

    def publish(self, *choices: str) -> None:
        """Let the installation publish this, and start again what has to hear of it."""
        script("publish.sh", *choices)

    @contextmanager
    def settings(self, **variables: str) -> Iterator[None]:
        """Run DiracX with other settings."""
        overrides = home() / "run" / "overrides.env"
        overrides.write_text("".join(f"{name}={value}\n" for name, value in variables.items()), encoding="utf-8")
        script("down.sh", "diracx")
        script("up.sh")
        try:
            yield
        finally:
            overrides.unlink()
            script("down.sh", "diracx")
            script("up.sh")

    @contextmanager
    def away(self, *names: str) -> Iterator[None]:
        """Take some processes away."""
        script("down.sh", *names)
        try:
            yield
        finally:
            script("up.sh")

    @contextmanager
    def faults(self, which: str, *faults: Mapping[str, Any]) -> Iterator[None]:
        """Let something go wrong at `diracx` or `s3`."""
        path = Path(self.endpoint["faults"][which])
        path.write_text(json.dumps(faults), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text("[]", encoding="utf-8")

    def diracx_client(self, folder: Path, *arguments: str) -> Any:
        """Run DiracX's own client as the job's owner; its JSON answer."""
        private = folder / "client"
        private.mkdir(mode=0o700, exist_ok=True)
        environment = os.environ | self.endpoint["dirac_env"]
        environment |= {"X509_USER_PROXY": self.endpoint["user_proxy"], "TMPDIR": str(private)}
        argv = [self.endpoint["dirac_python"], str(SCRIPTS / "diracx_client.py"), *arguments]
        done = subprocess.run(argv, check=False, env=environment, capture_output=True, text=True, timeout=CLIENT_S)
        if done.returncode != 0:
            raise AssertionError(f"DiracX's client, {' '.join(arguments)}: {done.stderr[-2000:]}")
        return json.loads(done.stdout)

    def optimize(self, *jobs: int) -> None:
        """Let DIRAC's optimizers look at jobs now, of which DiracX has told nobody.

        A message of DIRAC's is not acknowledged, and may be lost when its sender ends: it is sent until it has worked.
        """
        server = home() / "server"
        environment = os.environ | self.endpoint["dirac_env"]
        environment |= {"DIRAC_ROOT_PATH": str(server), "DIRACSYSCONFIG": str(server / "etc" / "dirac.cfg")}
        environment.pop("X509_USER_PROXY", None)
        argv = [self.endpoint["dirac_python"], str(SCRIPTS / "optimize.py")]
        deadline = time.monotonic() + CLIENT_S
        while new := [job for job in jobs if self.state(job)["Status"] == "Received"]:
            if time.monotonic() > deadline:
                raise AssertionError(f"DIRAC's optimizers do not look at the jobs {new}")
            subprocess.run([*argv, *map(str, new)], check=True, env=environment, capture_output=True, timeout=CLIENT_S)
            time.sleep(0.5)

    def state(self, job: int) -> dict[str, Any]:
        """What the database holds, whichever of the services are away."""
        columns = ("Status", "MinorStatus", "ApplicationStatus", "RescheduleCounter")
        (row,) = self.query("JobDB", f"SELECT {','.join(columns)} FROM Jobs WHERE JobID = {job:d}")
        return dict(zip(columns, row, strict=True))

    def sizes(self) -> dict[str, int]:
        """How large the captures are now."""
        paths = {which: Path(path) for which, path in self.endpoint["captures"].items()}
        return {which: path.stat().st_size if path.exists() else 0 for which, path in paths.items()}

    def seen(self, which: str, since: Mapping[str, int]) -> list[dict[str, Any]]:
        """What a server saw since then."""
        with Path(self.endpoint["captures"][which]).open(encoding="utf-8") as lines:
            lines.seek(since[which])
            return [json.loads(line) for line in lines if line.endswith("\n")]


@dataclass
class Run:
    """One job of the user with a sandbox in S3, and a pilot for it."""

    stack: Joined
    folder: Path
    job: int
    since: Mapping[str, int]
    pilot: Pilot

    def until(self, *statuses: str, timeout_s: float = 150) -> dict[str, Any]:
        """Return the job's state when it is one of these."""
        deadline = time.monotonic() + timeout_s
        while (state := self.stack.state(self.job))["Status"] not in statuses:
            if (
                time.monotonic() > deadline
                or self.pilot.process.poll() is not None
                or state["RescheduleCounter"] != "0"
            ):
                raise AssertionError(f"not {statuses} within {timeout_s:.0f} s: {state}\n{self.pilot.said()[-3000:]}")
            time.sleep(0.5)
        return state

    def end(self, timeout_s: float = 240) -> str:
        """Return how the job ended; its pilot has ended too, and has told everything."""
        state = self.until(*FINAL, timeout_s=timeout_s)
        assert self.pilot.drain() == 0, self.pilot.said()[-3000:]
        return str(state["Status"])

    def output(self) -> dict[str, str]:
        """The output sandbox by DiracX's client."""
        into = self.folder / "output"
        names = self.stack.diracx_client(self.folder, "output", str(self.job), "--into", str(into))
        return {name: (into / name).read_text(encoding="utf-8") for name in names}

    def output_of_dirac(self) -> dict[str, str]:
        """The same by DIRAC's client, which finds sandboxes of both kinds."""
        into = self.folder / "output-of-dirac"
        names = self.stack.client("user", "output", str(self.job), "--into", str(into))
        return {name: (into / name).read_text(encoding="utf-8") for name in names}

    def rest(self, pattern: str = "", who: str = "") -> list[dict[str, Any]]:
        """What DiracX was asked by pilot and owner."""
        return [
            line
            for line in self.stack.seen("diracx", self.since)
            if re.search(pattern, f"{line['method']} {line['path']}")
            and (not who or line["who"].get("preferred_username") == who)
        ]

    def s3(self) -> list[dict[str, Any]]:
        """What the store was asked by others than DiracX."""
        return [line for line in self.stack.seen("s3", self.since) if not line["authorization"]]


@contextmanager
def running(
    stack: Joined, folder: Path, payload: str, *, jdl: str, kind: str = "tar.zst", options: tuple[str, ...] = ()
) -> Iterator[Run]:
    """Submit one job through DiracX, and start a pilot for it; no other job waits."""
    files = {"run.sh": payload, "data.txt": "some data\n"}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    if kind == "tar.zst":
        job = int(stack.diracx_client(folder, "submit", "--jdl", jdl, *(str(folder / name) for name in files)))
    else:
        reference = stored_as_bz2(stack, folder, files)
        job = int(stack.diracx_client(folder, "submit", "--jdl", f'{jdl}\nInputSandbox = {{"{reference}"}};'))
    stack.optimize(job)
    script("of_dirac.sh", "sweep.sh")  # among many empty queues DIRAC's Matcher finds no job
    since = stack.sizes()
    name = uuid.uuid4().hex
    stack.client("admin", "add-pilot", name)
    try:
        with Pilot(stack, folder, name, *options) as pilot:
            yield Run(stack, folder, job, since, pilot)
    finally:  # no other test may meet it
        stack.sweep()


def stored_as_bz2(stack: Joined, folder: Path, files: Mapping[str, str]) -> str:
    """Store a sandbox in the other form that DiracX takes, which its own client does not make."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name in files:
            tar.add(folder / name, name)
    packed = bz2.compress(raw.getvalue())
    checksum = hashlib.sha256(packed).hexdigest()
    info = {"checksum_algorithm": "sha256", "checksum": checksum, "size": len(packed), "format": "tar.bz2"}
    token = stack.diracx_client(folder, "token")
    asked = requests.post(
        f"{stack.endpoint['diracx']}/api/jobs/sandbox",
        json=info,
        headers={"Authorization": f"Bearer {token}"},
        verify=stack.endpoint["ca_file"],
        timeout=CLIENT_S,
    )
    asked.raise_for_status()
    told: dict[str, Any] = asked.json()
    if told.get("url"):
        requests.post(told["url"], data=told["fields"], files={"file": packed}, timeout=CLIENT_S).raise_for_status()
    return str(told["pfn"])
