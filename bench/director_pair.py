"""Two CEs of one real HTCondor or ARC under our SiteDirector: jobs that fit both; and one of the two refuses."""

import sys
import time
from pathlib import Path

from bench.ces_scene import Scene, bundle, name_of, nothing_starts, some_ces
from bench.director_scene import SETTLE_S, settled, until
from bench.report import Chapter, Finding
from tests.systems.user_director import STANDS_STILL, WAYS

COLUMNS = ("what", "CE", "figure", "seconds")
JOBS = 20
_TARGET_S = 8.0


def chapter(folder: Path, *, quick: bool) -> Chapter:
    """Measure both; the systems are brought up for it."""
    bundle(folder)
    rows: list[list[str]] = []
    findings: list[Finding] = []
    names: list[str] = []
    times = 2 if quick else 5
    for way in WAYS:
        with nothing_starts(way) as system:
            names.append(name_of(way, system))
            alike: dict[str, dict[str, object]] = {"one.ce": {}, "two.ce": {}}
            with some_ces(way, system, folder, alike, **STANDS_STILL[way.system]) as scene:
                _take(rows, findings, _shared(scene, names[-1]))
            refusing: dict[str, dict[str, object]] = {
                "bad.ce": {"Port": 1, "CommandTimeout": 5},
                "good.ce": {"Price": 10},
            }
            with some_ces(way, system, folder, refusing, **STANDS_STILL[way.system]) as scene:
                _take(rows, findings, _beside_one_that_refuses(scene, names[-1], times))
    return Chapter(
        title=f"Two CEs: gridpilot before {' and '.join(names)}, with the local WMS",
        how=(
            "Two CEs that fit the same jobs, both of them the same system; no pilot starts. "
            f"First {JOBS} jobs at once: how many pilots, from the jobs' submission to the last of them. "
            f"Then the cheaper CE refuses connections, and {times} jobs come one after the other: how long until the "
            "other CE has one more pilot. By the first job the director finds out. That the CE which refuses is called "
            "so, and has no pilot, is the control."
        ),
        columns=COLUMNS,
        rows=rows,
        findings=findings,
    )


def _take(rows: list[list[str]], findings: list[Finding], found: tuple[list[str], Finding]) -> None:
    rows.append(found[0])
    findings.append(found[1])
    print(" · ".join(found[0]), file=sys.stderr, flush=True)


def _shared(scene: Scene, name: str) -> tuple[list[str], Finding]:
    """Count the pilots for jobs that fit both."""
    scene.submit(JOBS)
    waits_s = time.time()
    until(lambda: len(scene.pilots()) >= JOBS, f"{JOBS} pilots")
    settled(lambda: len(scene.pilots()))
    pilots = scene.pilots()
    what, number = f"{JOBS} jobs, 2 CEs that fit all: pilots", len(pilots)
    row = [what, name, str(number), f"{pilots[-1]['submitted_s'] - waits_s:.1f}"]
    return row, Finding(what=f"{name}: {what}", measured=str(number), target=str(JOBS), is_met=abs(number - JOBS) <= 1)


def _beside_one_that_refuses(scene: Scene, name: str, times: int) -> tuple[list[str], Finding]:
    """Time the pilots of the CE that is well."""
    took_s: list[float] = []
    time.sleep(SETTLE_S)
    for number in range(times):
        scene.submit(1)
        waits_s = time.time()
        until(lambda n=number: len(scene.pilots()) > n, "a pilot")  # type: ignore[misc]
        took_s.append(max(0.0, scene.pilots()[number]["submitted_s"] - waits_s))
    troubled = {queue: each["trouble"] for queue, each in scene.director.queues().items()}
    refused = {pilot["queue"] for pilot in scene.pilots()} == {"good.ce/grid"} and troubled["bad.ce/grid"]
    if not refused or troubled["good.ce/grid"]:
        raise RuntimeError(f"the control: bad.ce was to refuse, and good.ce to be well: {troubled}")
    what, late = "one CE of two refuses: later jobs, s", max(took_s[1:])
    row = [what, name, f"{late:.1f}", ", ".join(f"{each:.1f}" for each in took_s)]
    return row, Finding(
        what=f"{name}: {what}", measured=f"{late:.1f}", target=f"{_TARGET_S:.0f}", is_met=late <= _TARGET_S
    )
