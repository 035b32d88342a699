"""A pilot whose jobs go to a CE behind a queue, and the jobs for it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from agents.local_wms.client import Client
from agents.local_wms.home import Endpoint
from tests.waiting import PATIENCE_S, within

ROOT = Path(__file__).parents[2]
QUICK = {"PollingTime": 0.2, "HeartBeatPeriod": 2}
HS06 = 10.0  # given, so that no pilot measures it for seconds beside its jobs
AGENT = "/Systems/WorkloadManagement/Agents/JobAgent"


class PushPilot:
    """One pilot after the other in the same directory: each goes on with the tasks of the one before."""

    def __init__(
        self, endpoint: Endpoint, folder: Path, options: Mapping[str, object], *words: str, **env: str
    ) -> None:
        self.work_dir = folder / "push"
        self._out = folder / "push.out"
        self._argv = [sys.executable, "-m", "pilot", "-n", endpoint.site, "-N", endpoint.ce, "-Q", endpoint.queue]
        self._argv += ["-C", endpoint.configuration, "--wnVO", endpoint.vo, "-y", "Local", "-P", "1"]
        self._argv += ["--work-dir", str(self.work_dir), "--StopAfterFailedMatches", "3", *words]
        self._argv += ["-o", f"/LocalSite/CPUNormalizationFactor={HS06}"]
        for name, value in options.items():
            self._argv += ["-o", f"/LocalSite/{name}={value}"]
        for name, number in QUICK.items():
            self._argv += ["-o", f"{AGENT}/{name}={number}"]
        proxies = {"X509_USER_PROXY": endpoint.pilot_proxy, "X509_CERT_DIR": endpoint.ca_dir}
        self._env = {**os.environ, **env, **proxies}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process, "it was not started"
        return self._process

    def start(self) -> None:
        with self._out.open("ab") as out:
            self._process = subprocess.Popen(self._argv, cwd=ROOT, env=self._env, stdout=out, stderr=out)

    def kill_agent(self) -> None:
        """SIGKILL the agent; its pilot starts another."""
        (pid,) = subprocess.check_output(["pgrep", "-f", f"agents --cfg {self.work_dir}"], text=True).split()
        os.kill(int(pid), signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM the pilot; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        assert within(PATIENCE_S, lambda: self.process.poll() is not None), f"not ended:\n{self.written()}"
        return self.process.wait()

    def __enter__(self) -> "PushPilot":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def written(self) -> str:
        log = self.work_dir / "agent.log"
        return self._out.read_text(errors="replace") + (log.read_text(errors="replace") if log.exists() else "")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        within(PATIENCE_S, lambda: condition() or self.process.poll() is not None)
        over = "the pilot has ended" if self.process.poll() is not None else f"not within {PATIENCE_S} s"
        assert condition(), f"{what}: {over}:\n{self.written()}"


def submit_many(client: Client, folder: Path, trace: Path, count: int) -> list[int]:
    """Submit jobs with an input and an output sandbox, each of which leaves a line of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "input.txt").write_text("from the owner\n", encoding="utf-8")
    result = 'cat input.txt > result.txt\necho "$DIRAC_JOB_PROCESSORS" >> result.txt\n'
    (folder / "run.sh").write_text(f'echo "$JOBID" >> {trace}\n{result}sleep 1\n', encoding="utf-8")
    jdl = f"""
        JobName = "push"; Executable = "/bin/sh"; Arguments = "run.sh"; StdOutput = "std.out"; StdError = "std.err";
        InputSandbox = {{"run.sh", "input.txt"}}; OutputSandbox = {{"std.out", "std.err", "result.txt"}};
        Parameters = {count};
    """
    (folder / "job.jdl").write_text(jdl, encoding="utf-8")
    return client.submit(folder / "job.jdl")
