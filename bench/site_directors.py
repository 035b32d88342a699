"""DIRAC's own SiteDirector and ours, each before CEs of its own, on the same real DIRAC and the same real Slurm."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from tests.system.dirac_stack import SCRIPTS, Stack
from tests.system.pilot_scene import PilotScene, Shape, calls, shims
from tests.systems.real_system import RealSystem

END_S = 30.0
_AGENT = """\
Systems {{ WorkloadManagement {{ Agents {{ SiteDirector {{
    Module = SiteDirector
    VO = {vo}
    CEs = {names}
    WorkDirectory = {folder}/work
}} }} }} }}
Resources {{ Sites {{ LAB {{ {site} {{ CEs {{
"""
_CE = """\
    {ce} {{
        CEType = Local
        BatchSystem = SLURM
        SharedArea = {folder}/area
        Queues {{ {queue} {{
            maxCPUTime = 2880
            SI00 = 2500
            NumberOfProcessors = 1
            MaxTotalJobs = 1000
            MaxWaitingJobs = 500
        }} }}
    }}
"""


class Director(Protocol):
    """One that runs as long as the block."""

    name: str
    folder: Path

    def __enter__(self) -> "Director":
        """Start it."""

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End it."""


class Ours:
    """gridpilot's, with its defaults."""

    name = "gridpilot"

    def __init__(self, stack: Stack, slurm: RealSystem, folder: Path, partitions: Sequence[str] = ("grid",)) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.scene = PilotScene(stack, slurm, folder, Shape(ces=len(partitions), partitions=partitions))
        self.scene.director.options = ["--cfg", str(folder / "director.cfg")]

    def __enter__(self) -> "Ours":
        self.scene.director.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.scene.director.stop()


class Theirs:
    """DIRAC's, unmodified; with its defaults but for `polling_s`, 120 s by itself.

    No pilot file server is there: a pilot that starts ends at once.
    """

    def __init__(
        self,
        stack: Stack,
        slurm: RealSystem,
        folder: Path,
        partitions: Sequence[str] = ("grid",),
        *,
        polling_s: int = 120,
    ) -> None:
        (folder / "work").mkdir(parents=True)
        self.folder = folder
        self.name = f"DIRAC {stack.endpoint['dirac_version']}" + (
            "" if polling_s == 120 else f", PollingTime {polling_s}"
        )
        names = [f"their{number}.localhost" for number in range(1, len(partitions) + 1)]
        self._env = _server_env(stack, slurm, folder)
        self._python = Path(stack.endpoint["dirac_python"])
        self._run([str(self._python), str(SCRIPTS / "activate_ces.py"), *names])
        head = _AGENT.format(
            vo=stack.endpoint["vo"], names=", ".join(names), folder=folder, site=stack.endpoint["site"]
        )
        ces = [_CE.format(ce=ce, folder=folder, queue=queue) for ce, queue in zip(names, partitions, strict=True)]
        text = "\n".join([head, *ces, "} } } } }"])
        (folder / "agent.cfg").write_text(text, encoding="utf-8")
        self._options = ["--cfg", str(folder / "agent.cfg"), "-o", f"PollingTime={polling_s}"]
        self._process: subprocess.Popen[bytes] | None = None

    def _run(self, argv: Sequence[str]) -> None:
        subprocess.run(argv, env=self._env, check=True, capture_output=True, timeout=END_S * 4)

    def __enter__(self) -> "Theirs":
        argv = [str(self._python.with_name("dirac-agent")), "WorkloadManagement/SiteDirector", *self._options]
        with (self.folder / "agent.out").open("wb") as out:
            self._process = subprocess.Popen(argv, env=self._env, stdout=out, stderr=out, cwd=self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(END_S)


def _server_env(stack: Stack, slurm: RealSystem, folder: Path) -> dict[str, str]:
    """Return the environment of a DIRAC agent next to the servers: their configuration and host certificate."""
    home = Path(stack.endpoint["user_proxy"]).parents[1]
    left_out = ("X509_USER_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    inherited = {name: text for name, text in os.environ.items() if name not in left_out}
    path = [str(Path(stack.endpoint["dirac_python"]).parent), str(shims(folder, slurm)), slurm.env["PATH"]]
    return {
        **inherited,
        **slurm.env,
        "PATH": os.pathsep.join(path),
        "STACK_HOME": str(home),
        "X509_CERT_DIR": stack.endpoint["ca_dir"],
        "DIRAC_ROOT_PATH": str(folder),
        "DIRACSYSCONFIG": str(home / "server" / "etc" / "dirac.cfg"),
        "PYTHONPATH": str(SCRIPTS),
        "PYTHONUNBUFFERED": "yes",
    }


def sbatch_s(folder: Path) -> list[float]:
    """Return when each `sbatch` through the shims in a folder was over."""
    return [at_s for name, at_s in calls(folder) if name == "sbatch"]
