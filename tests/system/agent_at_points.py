"""Our agent on the real DIRAC, without the pilot that starts it anew: held, or killed, at points of its transfers."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from tests.system.dirac_stack import END_S, ROOT, Pilot, Stack
from tests.waiting import until

HOOK = Path(__file__).with_name("transfer_points")
CONFIGURED_S = 120.0


class AgentAtPoints:
    """An agent in a directory of its own, as often as it is started; `points` is a folder for transfer_points.

    Args:
        stack: the DIRAC.
        folder: what it writes is there.
        tag: it takes jobs with this tag alone.
        options: further ones of the pilot.
    """

    def __init__(self, stack: Stack, folder: Path, tag: str, *options: str) -> None:
        self.points = folder / "points"
        self.points.mkdir()
        reference = uuid.uuid4().hex
        stack.client("admin", "add-pilot", reference)
        wanted = ["-y", "Pool", "-t", tag, "--requiredTag", tag, "--StopAfterFailedMatches", "10000", *options]
        self._drain = folder / "drain"
        wanted += ["-o", f"/Systems/WorkloadManagement/Agents/JobAgent/DrainFile={self._drain}"]
        pilot = Pilot(stack, folder, reference, "-x", "/bin/true", *wanted)
        assert pilot.process.wait(CONFIGURED_S) == 0, pilot.said()
        self._out = folder / "agent.out"
        self._work_dir = pilot.work_dir
        proxies = {"X509_USER_PROXY": stack.endpoint["pilot_proxy"], "X509_CERT_DIR": stack.endpoint["ca_dir"]}
        hook = {"GRIDPILOT_TRANSFER_POINTS": str(self.points), "PYTHONPATH": f"{HOOK}:{ROOT}"}
        self._environment = os.environ | proxies | hook
        self.process: subprocess.Popen[bytes] | None = None

    def ran(self, longest_s: float, *, takes_jobs: bool) -> int:
        """Start it, to take jobs or only to end what a former one has left; its exit code at its end."""
        if takes_jobs:
            self._drain.unlink(missing_ok=True)
        else:
            self._drain.touch()
        process = self.start()
        until(lambda: process.poll() is not None, "the agent ends", longest_s)
        return process.wait()

    def start(self) -> subprocess.Popen[bytes]:
        """Start it, the first time or after its end."""
        argv = [sys.executable, "-P", "-m", "agents", "--cfg", str(self._work_dir / "pilot.cfg")]
        argv += ["--work-dir", str(self._work_dir)]
        with self._out.open("ab") as out:
            self.process = subprocess.Popen(
                argv, cwd=self._work_dir, env=self._environment, stdout=out, stderr=subprocess.STDOUT
            )
        return self.process

    def said(self) -> str:
        """What it has written."""
        return self._out.read_text(encoding="utf-8", errors="replace")[-6000:]

    def end(self) -> int:
        """Tell it to take no more jobs; its exit code."""
        assert self.process is not None, "it was started"
        self.process.send_signal(signal.SIGUSR1)
        return self.process.wait(END_S)

    def hold(self, *names: str) -> None:
        """Let the transfers of these files stop half-way."""
        for name in names:
            (self.points / f"{name}.hold").touch()

    def held(self, name: str) -> int:
        """Wait until a file is half-way; the bytes that have moved."""
        there = self.points / f"{name}.held"
        until(lambda: there.exists() or self._is_over(), f"{name} moves")
        assert there.exists(), self.said()
        return int(there.read_text(encoding="ascii"))

    def let_go(self, *names: str) -> None:
        """Let transfers go on."""
        for name in names:
            (self.points / f"{name}.go").touch()

    def owners_proxy(self, subject: str) -> Path:
        """Return the file with the proxy of an owner whose certificate has these words."""
        found = [path for path in self._work_dir.rglob("*.pem") if _subject(path).find(subject) >= 0]
        assert len(found) == 1, found
        return found[0]

    def _is_over(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def __enter__(self) -> "AgentAtPoints":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def _subject(path: Path) -> str:
    argv = ["openssl", "x509", "-noout", "-subject", "-in", str(path)]
    return subprocess.run(argv, check=False, capture_output=True, text=True).stdout
