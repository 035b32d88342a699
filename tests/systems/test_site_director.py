"""The SiteDirector on a real Slurm: real pilots, arrays, commands that hang, and the demo."""

import json
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.local_wms.client import Client, connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from tests.end_to_end.director import QUICK_PILOT, ROOT, SECTION, SiteDirector, pilots_known
from tests.systems.conftest import Have
from tests.systems.real_system import RealSystem
from tests.systems.slurm_queue import drained
from tests.waiting import until

COMMANDS = ("sbatch", "squeue", "scancel")
SLURM, HOST = "slurm.ce/grid", "host.ce/here"
# A command of Slurm's, counted; where the test wants it, it stops itself and goes on when somebody lets it, or kills
# the director before it does what it is asked, or after that, so that nobody hears the answer.
SHIM = """#!/bin/sh
echo {name} >> {folder}/calls
[ ! -e {folder}/hang-{name} ] || kill -STOP $$
[ ! -e {folder}/before-{name} ] || {{ kill -9 "$(cat {folder}/before-{name})"; exit 1; }}
[ -e {folder}/after-{name} ] || exec {real} "$@"
{real} "$@" > /dev/null
kill -9 "$(cat {folder}/after-{name})"
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
        return len(self.names_in_slurm())

    def names_in_slurm(self) -> list[str]:
        """Return what Slurm calls the pilots in its queue, as the CE does: each element of an array by itself."""
        return sorted(self.slurm.run(["squeue", "-h", "-r", "-o", "%i"]).stdout.split())

    def ledger(self) -> list[dict[str, Any]]:
        """Return the pilots that have not ended, as the ledger has them."""
        with sqlite3.connect(f"file:{self.director.work_dir / 'pilots.sqlite'}?mode=ro", uri=True) as db:
            rows = [json.loads(body) for (body,) in db.execute("SELECT body FROM pilot")]
        return [row for row in rows if row["state"] not in ("Done", "Failed", "Aborted")]

    def killed_by(self, place: str, act: Callable[[], object]) -> None:
        self.director.killed_by(self.folder / place, act)

    def killed_when(self, state: str, act: Callable[[], object]) -> None:
        """Act, and kill the director as soon as a pilot more is in this state; a decided one at first sight."""
        before = self.count(state)
        act()
        until(lambda: self.count(state) > before, state)
        assert self.director.process
        self.director.process.kill()
        self.director.process.wait()

    def count(self, state: str) -> int:
        """Return how many pilots are in a state; of the first state, how many there are at all."""
        return sum(state in ("Decided", pilot["state"]) for pilot in self.ledger())


@pytest.fixture(name="drained")
def _drained(slurm: RealSystem) -> Iterator[None]:
    """No pilot starts."""
    with drained(slurm):
        yield


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
        gone_s = time.monotonic()
        scene.killed_by("after-scancel", lambda: scene.delete(job_ids))
        director.start()
        director.until(lambda: scene.in_slurm() == 0, "all are taken back")
        gone_s = time.monotonic() - gone_s
        director.until(lambda: director.pilots(SLURM) == {"Aborted": 200}, "and in the ledger")
        code = director.stop()

    assert (queued, code) == (200, 0)
    assert sbatch <= 3
    assert gone_s < 100
    print(f"200 pilots queued {took_s:.1f} s after the first job, by {sbatch} sbatch; taken back in {gone_s:.0f} s")


STEPS = ("Decided", "before-sbatch", "after-sbatch", "Waiting")


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_director_that_is_killed_at_each_step_loses_no_pilot_and_doubles_none(
    slurm: RealSystem, endpoint: Endpoint, home: Path, tmp_path: Path, drained: None, rounds: int
) -> None:
    """Two jobs more in each round, and as many pilots: in Slurm, in the ledger, and in the WMS."""
    scene = Scene(slurm, home, tmp_path, connect(endpoint), with_host=False)
    job_ids: list[int] = []

    with scene.director as director:
        for number, step in enumerate(STEPS * rounds, start=1):
            director.until(lambda n=number: director.written().count("director.begins") == n, "it began")  # type: ignore[misc]
            killed = scene.killed_by if step.endswith("sbatch") else scene.killed_when
            killed(step, lambda: job_ids.extend(scene.submit(2)))
            director.start()
            wanted = ["Waiting"] * len(job_ids)
            director.until(lambda w=wanted: [p["state"] for p in scene.ledger()] == w, step)  # type: ignore[misc]
            assert scene.names_in_slurm() == sorted(pilot["task_id"] for pilot in scene.ledger()), step
        stamps = {pilot["stamp"] for pilot in scene.ledger()}
        director.until(lambda: pilots_known(endpoint, SLURM, stamps) == stamps, "the WMS knows them all")
        director.stop()
    scene.delete(job_ids)
    slurm.admin(["scancel", "--user", "root"])
    until(lambda: scene.in_slurm() == 0, "all are gone")


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
    said = re.search(r"all 100 jobs are Done, run by (\d+) pilots", done.stdout)
    assert said, done.stdout
    assert 8 <= int(said[1]) <= 12, "eight at a time; the place of one that found nothing that fits it is taken again"
    assert slurm.run(["squeue", "-h"]).stdout == ""
    assert not list(Path("/var/tmp").glob("gp-demo-*"))
