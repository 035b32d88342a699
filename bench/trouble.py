"""One CE in trouble, another one well: what it costs the one that is well, under DIRAC's own SiteDirector and ours.

Each CE has a partition of the same real Slurm; commands before Slurm's hang or fail for the one of them alone.
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.director_scene import SETTLE_S, Bench
from bench.report import Chapter, Finding
from bench.site_directors import Director, Ours, Theirs
from tests.system.pilot_scene import WATCHED, calls

PARTITIONS = (WATCHED, "grid")
JOBS = 3
POLLING_S = 30  # DIRAC's; by default it would be 120
GIVEN_UP_S = 150.0
COLUMNS = ("trouble", "SiteDirector", "calls in trouble", "seconds from job Waiting to a pilot at the other CE")
TROUBLES = (("hang", "sbatch", "`sbatch` of one CE hangs"), ("fail", "squeue", "`squeue` of one CE fails"))


def chapter(bench: Bench) -> Chapter:
    """Measure both troubles with both directors."""
    stack, slurm = bench.stack, bench.slurm
    makers: Sequence[Callable[[Path], Director]] = (
        lambda path: Ours(stack, slurm, path, PARTITIONS),
        lambda path: Theirs(stack, slurm, path, PARTITIONS, polling_s=POLLING_S),
    )
    rows, findings = [], []
    for kind, command, what in TROUBLES:
        for make in makers:
            took_s, troubled, name = _took(bench, make, kind, command)
            shown = ", ".join(f"{each:.0f}" if each is not None else f"none in {GIVEN_UP_S:.0f} s" for each in took_s)
            rows.append([what, name, str(troubled), shown])
            print(" · ".join(rows[-1]), file=sys.stderr, flush=True)
            if make is makers[0]:
                late = max((GIVEN_UP_S if each is None else each for each in took_s[1:]), default=GIVEN_UP_S)
                findings.append(
                    Finding(what=f"{what}: later jobs, s", measured=f"{late:.0f}", target="8", is_met=late <= 8)
                )
    return Chapter(
        title=f"One CE in trouble, next to DIRAC {stack.endpoint['dirac_version']}",
        how=(
            "Two CEs that fit the same jobs, each with a partition of the same Slurm; all nodes drained. A command "
            f"before Slurm's hangs or fails for the one CE. Then {JOBS} jobs, one after the other: how long until one "
            "more pilot is in the other CE's queue. The first one is that by which a director finds out. Calls in "
            "trouble are those that hung or failed: the control that the trouble was there. "
            f"DIRAC's PollingTime is {POLLING_S} s here, so that it is not its pace that is seen."
        ),
        columns=COLUMNS,
        rows=rows,
        findings=findings,
    )


def _took(
    bench: Bench, make: Callable[[Path], Director], kind: str, command: str
) -> tuple[list[float | None], int, str]:
    """Return how long each job took, how many calls were in trouble, and whose it is."""
    took_s: list[float | None] = []
    with make(bench.folder()) as director:
        trouble = director.folder / f"{kind}-{command}"
        time.sleep(SETTLE_S)
        if kind == "fail":  # there is something to ask about
            with bench.waiting(1):
                _until(lambda: bool((director.folder / "jobs").read_text()), GIVEN_UP_S)
                trouble.write_text(WATCHED, encoding="utf-8")
                took_s = _jobs(bench)
        else:
            trouble.write_text(WATCHED, encoding="utf-8")
            took_s = _jobs(bench)
        troubled = sum(name == f"{kind}-{command}" for name, _ in calls(director.folder))
        trouble.unlink()
    return took_s, troubled, director.name


def _jobs(bench: Bench) -> list[float | None]:
    took_s: list[float | None] = []
    with bench.waiting_one_by_one(JOBS) as jobs:
        for job in jobs:
            before = _healthy(bench)
            came = _until(lambda before=before: _healthy(bench) > before, GIVEN_UP_S)  # type: ignore[misc]
            took_s.append(max(0.0, time.time() - bench.first_wait_s(job)) if came else None)
    return took_s


def _healthy(bench: Bench) -> int:
    """Return how many pilots are in the queue of the CE that is well."""
    return len(bench.slurm.run(["squeue", "-h", "-r", "-p", "grid", "-o", "%i"]).stdout.split())


def _until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Wait; tell whether it came."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
