"""Our SiteDirector before a real HTCondor and a real ARC, with the local WMS: how soon pilots are in their queues.

An unprivileged user's, from the bundle, which lies on a web server. No pilot starts: HTCondor's wait for an attribute
of theirs, ARC's in a Slurm whose nodes are drained. A pilot is queued when the CE has answered, as the ledger has it.
"""

import sys
import time
from pathlib import Path

from bench.ces_scene import Scene, bundle, name_of, nothing_starts, one_ce
from bench.director_scene import until
from bench.report import Chapter, Finding, percentile
from tests.systems.user_director import WAYS

COLUMNS = ("what", "CE", "figure", "seconds", "requests")
_TARGET_S, _BURST_TARGET_S, _REQUESTS = 2.0, 10.0, 4


def chapter(folder: Path, *, quick: bool) -> Chapter:
    """Measure both; the systems are brought up for it."""
    bundle(folder)
    rows: list[list[str]] = []
    names: list[str] = []
    for way in WAYS:
        with nothing_starts(way) as system:
            names.append(name_of(way, system))
            with one_ce(way, system, folder) as scene:
                rows += _measured(scene, names[-1], 3 if quick else 20, 20 if quick else 200)
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


def _measured(scene: Scene, name: str, times: int, jobs: int) -> list[list[str]]:
    took_s: list[float] = []
    for number in range(times):
        time.sleep(3.0 + number % 7 / 3)  # nobody is to fall into step with an interval
        scene.submit(1)
        waits_s = time.time()
        until(lambda n=number: len(scene.pilots()) > n, "a pilot")  # type: ignore[misc]
        took_s.append(max(0.0, scene.pilots()[number]["submitted_s"] - waits_s))
    before = scene.requests()
    scene.submit(jobs)
    waits_s = time.time()
    until(lambda: len(scene.pilots()) >= times + jobs, f"{jobs} pilots")
    time.sleep(5.0)
    queued_s = [pilot["submitted_s"] for pilot in scene.pilots()]
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
