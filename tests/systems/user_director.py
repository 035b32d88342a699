"""A SiteDirector of the unprivileged user, from the bundle, before a real CE."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from agents.local_wms.home import Endpoint
from pilot import cfg
from tests.end_to_end.director import ROOT, SECTION, SiteDirector
from tests.systems.real_system import PYTHON, USER, RealSystem

QUEUE = "local-ce.localhost/local"


@dataclass(frozen=True)
class Way:
    """One CE type before one system.

    Attributes:
        system: its folder in tests/clusters.
        ce_type: of the CE.
        options: of it.
        left: the command that prints what of it the batch system still has.
    """

    system: str
    ce_type: str
    options: Callable[[RealSystem], dict[str, object]]
    left: Callable[[RealSystem], list[str]]


def of_htcondor(system: RealSystem) -> dict[str, object]:
    host, _, port = system.env["GRIDPILOT_HTCONDOR_POOL"].partition(":")
    tokens, schedd = system.env["GRIDPILOT_HTCONDOR_TOKENS"], system.env["GRIDPILOT_HTCONDOR_SCHEDD"]
    return {"CEName": host, "Port": port, "Schedd": schedd, "TokenDirectory": tokens}


def of_arc(system: RealSystem) -> dict[str, object]:
    env = system.env
    usual = {"CEName": env["GRIDPILOT_ARC_CE"], "Port": env["GRIDPILOT_ARC_PORT"], "Queue": env["GRIDPILOT_ARC_QUEUE"]}
    return {**usual, "Proxy": f"{system.folder}/user/proxy"}


WAYS = (
    Way("htcondor", "HTCondorCE", of_htcondor, lambda _: ["condor_q", "-allusers", "-af", "ClusterId"]),
    Way("arc", "AREX", of_arc, lambda system: ["find", f"{system.folder}/session", "-mindepth", "1", "-maxdepth", "1"]),
)

STANDS_STILL: Mapping[str, Mapping[str, object]] = {  # options with which no pilot starts
    "htcondor": {"ExtraSubmitString": "My.MayGo = False\\nrequirements = MY.MayGo"},
    "arc": {},  # the nodes of its Slurm are drained
}


def sites(ces: Mapping[str, Mapping[str, object]]) -> str:
    """Return the configuration of a site with these CEs, of one queue each, which is called grid."""
    place = "/Resources/Sites/LOCAL/LOCAL.Demo.ch/CEs"
    of_ces = {f"{place}/{ce}/{name}": str(value) for ce, told in ces.items() for name, value in told.items()}
    queues = {f"{place}/{ce}/Queues/grid/MaxTotalJobs": str(told.get("MaxTotalJobs", 1000)) for ce, told in ces.items()}
    return cfg.render(cfg.nest({**of_ces, **queues}))


class AsUser(SiteDirector):
    """One of the unprivileged user, who has a copy of what the local WMS shows to root alone."""

    def __init__(self, system: RealSystem, endpoint: Endpoint, bundle: Path, options: Sequence[str]) -> None:
        folder = Path(tempfile.mkdtemp(dir=system.home))
        self._system = system
        self._bundle = shutil.copy(bundle, folder)
        shutil.copytree(endpoint.ca_dir, folder / "cas")
        shutil.copy(endpoint.pilot_proxy, folder / "proxy")
        told = {**asdict(endpoint), "ca_dir": f"{folder}/cas", "pilot_proxy": f"{folder}/proxy"}
        (folder / "endpoint.json").write_text(json.dumps(told), encoding="utf-8")
        for path in (folder, *folder.rglob("*")):
            system.own(path)
        super().__init__(folder, ["--local", str(folder), "-o", f"{SECTION}/Bundle={self._bundle}", *options])

    def argv(self, *words: str) -> list[str]:
        env = {"HOME": str(self.folder), **self._system.env}
        user = ["setpriv", f"--reuid={USER}", "--regid=grid", "--init-groups", "/usr/bin/env", "-i"]
        user += [f"{name}={value}" for name, value in env.items()]
        return [*user, PYTHON, str(self._bundle), "site-director", *words, "--work-dir", str(self.work_dir)]

    def ask(self, *words: str) -> str:
        return subprocess.run(self.argv(*words), cwd=ROOT, check=True, text=True, capture_output=True).stdout

    def kill(self) -> None:
        """Kill it, which is the bundle's own Python, and the one that has started it."""
        assert self.process
        for process in [*psutil.Process(self.process.pid).children(recursive=True), self.process]:
            process.kill()
        self.process.wait()

    def __exit__(self, *error: object) -> None:
        if self.process and self.process.poll() is None:
            self.kill()
