"""The SiteDirector on a real Slurm: real pilots, arrays, commands that hang, and the demo."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.local_wms.client import Client, connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from tests.end_to_end.director import QUICK_PILOT, ROOT, SECTION, SiteDirector
from tests.systems.conftest import Have
from tests.systems.real_system import RealSystem

COMMANDS = ("sbatch", "squeue", "scancel")
SLURM, HOST = "slurm.ce/grid", "host.ce/here"
# A command of Slurm's, counted; where the test wants it, it stops itself and goes on when somebody lets it.
SHIM = """#!/bin/sh
echo {name} >> {folder}/calls
[ ! -e {folder}/hang-{name} ] || kill -STOP $$
exec {real} "$@"
"""
SITES = """
Resources {{ Sites {{ LOCAL {{ LOCAL.Demo.ch {{ CEs {{
    slurm.ce {{
        CEType = Local
        BatchSystem = SLURM
        SharedArea = {area}/slurm
        CommandTimeout = 5
        ExitCodeWait = 5
        Queues {{ grid {{
            Queue = grid
            MaxWaitingJobs = 500
            ExtraPilotOptions = {pilot}
        }} }}
    }}
    {host}
}} }} }} }} }}
"""
HOST_CE = """
    host.ce {{
        CEType = Local
        BatchSystem = Host
        SharedArea = {area}/host
        Queues {{ here {{
            MaxTotalJobs = 4
            Price = 10
            ExtraPilotOptions = {pilot}
        }} }}
    }}
"""


@pytest.fixture(scope="module")
def slurm(have: Have) -> RealSystem:
    return have("slurm", SLURM_ACCOUNTING="0")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wms")


@pytest.fixture(scope="module")
def endpoint(home: Path) -> Iterator[Endpoint]:
    with running(home) as started:
        yield started


class Scene:
    """A director for two queues, with commands of Slurm's that a test may hold up."""

    def __init__(self, slurm: RealSystem, home: Path, folder: Path, client: Client, *, with_host: bool) -> None:
        self.folder, self.client, self.slurm = folder, client, slurm
        self.area = slurm.home / folder.name
        (folder / "bin").mkdir()
        found = {"folder": folder, "area": self.area, "pilot": QUICK_PILOT}
        for name in COMMANDS:
            real = next(f"{place}/{name}" for place in slurm.env["PATH"].split(":") if Path(place, name).exists())
            (folder / "bin" / name).write_text(SHIM.format(name=name, real=real, **found), encoding="utf-8")
            (folder / "bin" / name).chmod(0o755)
        host = HOST_CE.format(**found) if with_host else ""
        (folder / "sites.cfg").write_text(SITES.format(host=host, **found), encoding="utf-8")
        env = {**slurm.env, "PATH": f"{folder / 'bin'}:{slurm.env['PATH']}"}
        options = ["--local", str(home), "--cfg", str(folder / "sites.cfg"), "-o", f"{SECTION}/CEs=slurm.ce,host.ce"]
        self.director = SiteDirector(folder, options, **env)

    def submit(self, number: int, script: str = "true") -> list[int]:
        jdl = f'Executable = "/bin/sh"; Arguments = "-c \'{script}\'"; Parameters = {number};'
        (self.folder / "job.jdl").write_text(jdl, encoding="utf-8")
        return self.client.submit(self.folder / "job.jdl")

    def delete(self, job_ids: list[int]) -> None:
        for job_id in job_ids:
            self.client.call("JobManager", "killJob", job_id)

    def statuses(self, job_ids: list[int]) -> Counter[str]:
        summary: dict[str, Any] = self.client.call("JobMonitoring", "getJobsSummary", job_ids)
        return Counter(job["Status"] for job in summary.values())

    def calls(self) -> Counter[str]:
        path = self.folder / "calls"
        return Counter(path.read_text().split()) if path.exists() else Counter()

    def in_slurm(self) -> int:
        done = self.slurm.run(["squeue", "-h", "-r", "-o", "%i"])
        return len(done.stdout.split())


@pytest.fixture
def drained(slurm: RealSystem) -> Iterator[None]:
    """No pilot starts."""
    nodes = slurm.run(["sinfo", "-h", "-N", "-o", "%N"]).stdout.split()
    names = ",".join(sorted(set(nodes)))
    slurm.admin(["scontrol", "update", f"nodename={names}", "state=drain", "reason=test"])
    yield
    slurm.admin(["scontrol", "update", f"nodename={names}", "state=resume"])


def test_two_hundred_pilots_are_queued_by_arrays_and_taken_back_when_their_jobs_are_gone(
    slurm: RealSystem, endpoint: Endpoint, home: Path, tmp_path: Path, drained: None
) -> None:
    scene = Scene(slurm, home, tmp_path, connect(endpoint), with_host=False)

    with scene.director as director:
        director.until(lambda: "grid" in director.written(), "it began")
        time.sleep(3)
        began_s = time.monotonic()
        job_ids = scene.submit(200)
        director.until(lambda: scene.in_slurm() == 200, "all are queued")
        took_s = time.monotonic() - began_s
        sbatch = scene.calls()["sbatch"]
        time.sleep(5)
        queued = scene.in_slurm()
        scene.delete(job_ids)
        gone_s = time.monotonic()
        director.until(lambda: scene.in_slurm() == 0, "all are taken back")
        gone_s = time.monotonic() - gone_s
        director.until(lambda: director.pilots(SLURM) == {"Aborted": 200}, "and in the ledger")
        code = director.stop()

    assert (queued, code) == (200, 0)
    assert sbatch <= 3
    assert gone_s < 100
    print(f"200 pilots queued {took_s:.1f} s after the first job, by {sbatch} sbatch; taken back in {gone_s:.0f} s")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["squeue", "sbatch"])
def test_a_command_of_slurm_that_hangs_costs_another_ce_nothing(
    slurm: RealSystem, endpoint: Endpoint, home: Path, tmp_path: Path, drained: None, command: str
) -> None:
    """Slurm is the cheaper one and gets the pilots; they do not start, and the other CE takes over."""
    scene = Scene(slurm, home, tmp_path, connect(endpoint), with_host=True)
    (tmp_path / f"hang-{command}").touch()

    with scene.director as director:
        director.until(lambda: "host.ce/here" in director.written(), "it began")
        job_ids = scene.submit(3)
        director.until(lambda: scene.statuses(job_ids) == {"Done": 3}, "the jobs are done all the same")
        trouble = director.queues()[SLURM]["trouble"]
        (tmp_path / f"hang-{command}").unlink()
        subprocess.run(["pkill", "-CONT", "-f", f"{tmp_path}/bin/{command}"], check=False)
        director.until(lambda: scene.in_slurm() == 0, "what Slurm has got is gone too")
        code = director.stop()

    assert code == 0
    assert command in trouble, trouble


def test_demo_cluster_runs_a_hundred_jobs_and_leaves_nothing(slurm: RealSystem, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "agents.local_wms.demo_cluster", "--home", str(tmp_path / "wms")]
    done = subprocess.run(argv, cwd=ROOT, check=False, text=True, capture_output=True, timeout=600)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "all 100 jobs are Done, run by 8 pilots" in done.stdout
    assert slurm.run(["squeue", "-h"]).stdout == ""
    assert not list(Path("/var/tmp").glob("gp-demo-*"))
