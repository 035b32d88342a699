"""Our SiteDirector before a real HTCondor and a real ARC, with the local WMS: how soon pilots are in their queues.

An unprivileged user's, from the bundle, which lies on a web server. No pilot starts: HTCondor's wait for an attribute
of theirs, ARC's in a Slurm whose nodes are drained. A pilot is queued when the CE has answered, as the ledger has it.
"""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from agents.local_wms.client import connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from bench.director_scene import until
from bench.report import Chapter, Finding, percentile
from tests.system.dirac_stack import ROOT
from tests.systems.real_system import RealSystem, bring_up
from tests.systems.sharing import shown_to
from tests.systems.user_director import QUEUE, WAYS, AsUser, Way

COLUMNS = ("what", "CE", "figure", "seconds", "requests")
_JDL = 'Executable = "/bin/true"; CPUTime = 100; Parameters = {number};'
_WAITS = {"htcondor": {"ExtraSubmitString": "My.MayGo = False\\nrequirements = MY.MayGo"}}
_ROOM = {"MaxTotalJobs": 1000, "MaxWaitingJobs": 500}
_TARGET_S, _BURST_TARGET_S, _REQUESTS = 2.0, 10.0, 4


class _Scene:
    """One director before one CE."""

    def __init__(self, director: AsUser, endpoint: Endpoint, folder: Path) -> None:
        self.director = director
        self._client, self._folder = connect(endpoint), folder

    def submit(self, number: int) -> list[int]:
        (self._folder / "job.jdl").write_text(_JDL.format(number=number), encoding="utf-8")
        return self._client.submit(self._folder / "job.jdl")

    def queued_s(self) -> list[float]:
        """Return when each pilot was queued, the first one first."""
        with closing(sqlite3.connect(f"file:{self.director.work_dir / 'pilots.sqlite'}?mode=ro", uri=True)) as db:
            pilots: list[dict[str, Any]] = [json.loads(body) for (body,) in db.execute("SELECT body FROM pilot")]
        return sorted(pilot["submitted_s"] for pilot in pilots if pilot["submitted_s"])

    def requests(self) -> int:
        """Return how many submissions the CE was sent: of each, its tasks are one batch job, cluster or list."""
        path = self.director.work_dir / "ces" / QUEUE.replace("/", "%") / "tasks.sqlite"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT COUNT(DISTINCT job) FROM tasks").fetchone()[0])


def chapter(folder: Path, *, quick: bool) -> Chapter:
    """Measure both; the systems are brought up for it."""
    subprocess.run([sys.executable, "-m", "tools.bundle", "--into", str(folder)], cwd=ROOT, check=True)
    rows: list[list[str]] = []
    names: list[str] = []
    for way in WAYS:
        with _system(way) as system, running(folder / f"wms-{way.system}") as endpoint:
            names.append(f"{way.ce_type} ({way.system} {system.version})")
            with shown_to(system) as shown:
                options = {**way.options(system), **shown.options, **_ROOM, **_WAITS.get(way.system, {})}
                words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
                with AsUser(system, endpoint, folder / "gridpilot.pyz", ["-y", way.ce_type, *words]) as director:
                    scene = _Scene(director, endpoint, folder)
                    director.until(lambda d=director: "director.begins" in d.written(), "it began")  # type: ignore[misc]
                    rows += _measured(scene, names[-1], 3 if quick else 20, 20 if quick else 200)
                    director.stop()
    return Chapter(
        title=f"gridpilot before {' and '.join(names)}, with the local WMS",
        how=(
            "An unprivileged user's director, from the bundle, which lies on a web server (FilesURL) and is fetched by "
            "the CE or its nodes. No pilot starts. A reaction begins when the job's submission has been answered, a "
            "burst when that of all its jobs has; both end when the CE has answered, as the director has written it "
            "down. Requests are submissions of many pilots each: clusters of HTCondor, lists of activities of ARC, for "
            "each of which two files are put there besides."
        ),
        columns=COLUMNS,
        rows=rows,
        findings=[found for row in rows for found in _findings(row)],
    )


def _measured(scene: _Scene, name: str, times: int, jobs: int) -> list[list[str]]:
    took_s: list[float] = []
    for number in range(times):
        time.sleep(3.0 + number % 7 / 3)  # nobody is to fall into step with an interval
        scene.submit(1)
        waits_s = time.time()
        until(lambda n=number: len(scene.queued_s()) > n, "a pilot")  # type: ignore[misc]
        took_s.append(max(0.0, scene.queued_s()[number] - waits_s))
    before = scene.requests()
    scene.submit(jobs)
    waits_s = time.time()
    until(lambda: len(scene.queued_s()) >= times + jobs, f"{jobs} pilots")
    time.sleep(5.0)
    queued_s = scene.queued_s()
    shown = " / ".join(f"{each:.1f}" for each in (min(took_s), sorted(took_s)[times // 2], max(took_s)))
    rows = [
        ["job Waiting → pilot queued: 95 %, s", name, f"{percentile(took_s, 95):.1f}", shown, str(before)],
        [
            f"{jobs} jobs at once: pilots",
            name,
            str(len(queued_s) - times),
            f"{max(queued_s) - waits_s:.1f}",
            str(scene.requests() - before),
        ],
    ]
    for row in rows:
        print(" · ".join(row), file=sys.stderr, flush=True)
    return rows


def _findings(row: list[str]) -> list[Finding]:
    what, name, figure, seconds, requests = row
    if "at once" not in what:
        is_met = float(figure) <= _TARGET_S
        return [Finding(what=f"{name}: reaction, 95 %", measured=f"{figure} s", target="2 s", is_met=is_met)]
    return [
        Finding(what=f"{name}: all queued, s", measured=seconds, target="10", is_met=float(seconds) <= _BURST_TARGET_S),
        Finding(what=f"{name}: requests", measured=requests, target="4", is_met=int(requests) <= _REQUESTS),
    ]


@contextmanager
def _system(way: Way) -> Iterator[RealSystem]:
    """Bring one up in which nothing that is submitted starts."""
    if way.system != "arc":
        system = bring_up(way.system, {})
        try:
            yield system
        finally:
            system.admin(["condor_rm", "-all"])
            system.down()
        return
    slurm = bring_up("slurm", {})
    try:
        nodes = ",".join(sorted(set(slurm.run(["sinfo", "-h", "-N", "-o", "%N"]).stdout.split())))
        slurm.admin(["scontrol", "update", f"nodename={nodes}", "state=drain", "reason=bench"])
        system = bring_up("arc", {"GRIDPILOT_ARC_LRMS": "slurm"})
        try:
            yield system
        finally:
            system.down()
            slurm.admin(["scancel", "--user", system.user])
            slurm.admin(["scontrol", "update", f"nodename={nodes}", "state=resume"])
    finally:
        slurm.down()
