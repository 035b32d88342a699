"""What the benchmarks of our SiteDirector before a real HTCondor and a real ARC share: the systems, and a director."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from agents.local_wms.client import connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from tests.end_to_end.director import ROOT, SECTION
from tests.systems.real_system import RealSystem, bring_up
from tests.systems.sharing import shown_to
from tests.systems.slurm_queue import drained, empty
from tests.systems.user_director import QUEUE, STANDS_STILL, AsUser, Way, sites

_JDL = 'Executable = "/bin/true"; CPUTime = 100; Parameters = {number};'
_ROOM = {"MaxTotalJobs": 1000, "MaxWaitingJobs": 500}


class Scene:
    """One director, and the local WMS for which it submits."""

    def __init__(self, director: AsUser, endpoint: Endpoint, folder: Path) -> None:
        self.director = director
        self._client, self._folder = connect(endpoint), folder

    def submit(self, number: int) -> list[int]:
        """Have so many jobs wait; return their numbers."""
        (self._folder / "job.jdl").write_text(_JDL.format(number=number), encoding="utf-8")
        return self._client.submit(self._folder / "job.jdl")

    def pilots(self) -> list[dict[str, Any]]:
        """Return what the director has written down of each pilot that a CE has taken, the first one first."""
        taken = [pilot for pilot in self.director.ledger() if pilot["submitted_s"]]
        return sorted(taken, key=lambda pilot: float(pilot["submitted_s"]))

    def requests(self) -> int:
        """Return how many submissions the CE was sent: of each, its tasks are one batch job, cluster or list."""
        path = self.director.work_dir / "ces" / QUEUE.replace("/", "%") / "tasks.sqlite"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT COUNT(DISTINCT job) FROM tasks").fetchone()[0])


def name_of(way: Way, system: RealSystem) -> str:
    """Return what a row calls it."""
    return f"{way.ce_type} ({way.system} {system.version})"


def bundle(folder: Path) -> Path:
    """Make the one file that is director and pilot."""
    subprocess.run([sys.executable, "-m", "tools.bundle", "--into", str(folder)], cwd=ROOT, check=True)
    return folder / "gridpilot.pyz"


@contextmanager
def one_ce(way: Way, system: RealSystem, folder: Path) -> Iterator[Scene]:
    """Run a director with one CE, to whose nodes a web server shows the bundle; no pilot of it starts."""
    with shown_to(system) as shown:
        options = {**way.options(system), **shown.options, **_ROOM, **STANDS_STILL[way.system]}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with _director(way, system, folder, ["-y", way.ce_type, *words]) as scene:
            yield scene


@contextmanager
def some_ces(
    way: Way, system: RealSystem, folder: Path, ces: Mapping[str, Mapping[str, object]], **more: object
) -> Iterator[Scene]:
    """Run a director with several CEs.

    Args:
        way: by which it reaches the system.
        system: what all of them are.
        folder: with the bundle.
        ces: what is different with each; their one queue is called grid.
        more: options of all.
    """
    usual = {"CEType": way.ce_type, **way.options(system), **_ROOM, **more}
    told = system.home / f"sites-{time.monotonic_ns()}.cfg"
    told.write_text(sites({ce: {**usual, **different} for ce, different in ces.items()}), encoding="utf-8")
    system.own(told)
    with _director(way, system, folder, ["--cfg", str(told), "-o", f"{SECTION}/CEs={','.join(ces)}"]) as scene:
        yield scene


@contextmanager
def _director(way: Way, system: RealSystem, folder: Path, words: list[str]) -> Iterator[Scene]:
    with (
        running(folder / f"wms-{time.monotonic_ns()}") as endpoint,
        AsUser(system, endpoint, folder / "gridpilot.pyz", words) as director,
    ):
        scene = Scene(director, endpoint, folder)
        director.until(lambda: "director.begins" in director.written(), "it began")
        yield scene
        director.stop()
    if way.system == "htcondor":
        system.admin(["condor_rm", "-all"])


@contextmanager
def nothing_starts(way: Way) -> Iterator[RealSystem]:
    """Bring one up in which nothing that is submitted starts."""
    if way.system != "arc":
        system = bring_up(way.system, {})
        try:
            yield system
        finally:
            system.down()
        return
    slurm = bring_up("slurm", {})
    try:
        with drained(slurm):
            system = bring_up("arc", {"GRIDPILOT_ARC_LRMS": "slurm"})
            try:
                yield system
            finally:
                system.down()
                empty(slurm)
    finally:
        slurm.down()
