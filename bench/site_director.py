"""`make bench-site-director`: our SiteDirector next to DIRAC's own, in turns, on one real DIRAC and one real Slurm.

Slurm's nodes are drained, so that pilots stay in the queue and can be counted. The page is docs/site-director-bench.md.
"""

import argparse
import functools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agents.local_wms.client import connect
from agents.local_wms.testing import running
from bench import director_ces, director_dying, director_pair, machine, trouble
from bench.director_scene import SETTLE_S, Bench, settled, until
from bench.report import Chapter, Finding, as_markdown, as_text, percentile
from bench.site_directors import Director, Ours, Theirs, sbatch_s
from tests.end_to_end.director import SiteDirector
from tests.system.dirac_stack import ROOT, Stack, is_up, script
from tests.system.pilot_scene import in_slurm, shims
from tests.systems.real_system import RealSystem, bring_up
from tests.systems.slurm_queue import drained, empty

PAGE = ROOT / "docs" / "site-director-bench.md"
HEAD = """\
# The SiteDirector next to DIRAC's own

Written by `make bench-site-director`; do not edit.

<!-- dirac: begin -->
<!-- dirac: end -->
<!-- trouble: begin -->
<!-- trouble: end -->
<!-- local: begin -->
<!-- local: end -->
<!-- ces: begin -->
<!-- ces: end -->
<!-- pair: begin -->
<!-- pair: end -->
<!-- dying: begin -->
<!-- dying: end -->
"""
CONDITIONS = "{machine}; load of other work when it began: {load}.\n"
LOCAL_JDL = 'Executable = "/bin/true";'
ON_CES: Mapping[str, Callable[..., Chapter]] = {
    "ces": director_ces.chapter,
    "pair": director_pair.chapter,
    "dying": director_dying.chapter,
}
PARTS = ("dirac", "trouble", "local", *ON_CES)
COLUMNS = ("what", "SiteDirector", "figure", "seconds", "sbatch")


def reaction(bench: Bench, make: Callable[[Path], Director], times: int) -> list[str]:
    """A job becomes Waiting, its pilot is in Slurm's queue: while nothing else happens."""
    took_s: list[float] = []
    with make(bench.folder()) as director:
        time.sleep(SETTLE_S)
        for _ in range(times):
            before = len(sbatch_s(director.folder))
            with bench.waiting(1) as (job,):
                until(lambda before=before: len(sbatch_s(director.folder)) > before, "a pilot")  # type: ignore[misc]
                took_s.append(sbatch_s(director.folder)[before] - bench.first_wait_s(job))
                time.sleep(time.monotonic() % 3)  # nobody is to fall into step with a polling interval
    figure = f"{percentile(took_s, 95):.1f}"
    return [f"job Waiting → pilot queued, {times} times: 95 %, s", director.name, figure, shown(took_s), str(times)]


def shown(seconds: Sequence[float]) -> str:
    """Return the least, the median and the most."""
    ordered = sorted(seconds)
    return f"{ordered[0]:.1f} / {ordered[len(ordered) // 2]:.1f} / {ordered[-1]:.1f}"


def burst(bench: Bench, make: Callable[[Path], Director], jobs: int, what: str) -> list[str]:
    """So many jobs wait when the director begins: how many pilots, how long from its first question to the last one."""
    with bench.waiting(jobs):
        since = bench.stack.capture_size()
        with make(bench.folder()) as director:
            until(lambda: len(in_slurm(bench.slurm)) >= jobs, f"{jobs} pilots")
            settled(lambda: len(in_slurm(bench.slurm)))
            pilots, asked = len(in_slurm(bench.slurm)), bench.stack.captured(since)
            first_s = next(call["t"] for call in asked if call["method"] == "getMatchingTaskQueues")
            done_s = sbatch_s(director.folder)
    return [what, director.name, f"{pilots}", f"{max(done_s) - first_s:.1f}", f"{len(done_s)}"]


def measured(bench: Bench, *, quick: bool) -> tuple[list[list[str]], list[Finding]]:
    """Return the rows, and what they say next to what is wanted."""
    stack, slurm = bench.stack, bench.slurm
    most = 40 if quick else 200

    def ours(ces: int = 1) -> Callable[[Path], Director]:
        return lambda path: Ours(stack, slurm, path, ["grid"] * ces)

    def theirs(ces: int = 1) -> Callable[[Path], Director]:
        return lambda path: Theirs(stack, slurm, path, ["grid"] * ces)

    rows: list[list[str]] = []

    def take(row: list[str]) -> None:
        rows.append(row)
        print(" · ".join(row), file=sys.stderr, flush=True)

    for make, times in ((ours(), 3 if quick else 10), (theirs(), 1 if quick else 3)):
        take(reaction(bench, make, times))
    for make in (ours(), theirs()):
        take(burst(bench, make, most, f"{most} jobs at once, one queue: pilots"))
    for queues in (2, 4):
        for make in (ours(ces=queues), theirs(ces=queues)):
            take(burst(bench, make, 20, f"20 jobs, {queues} queues that fit all: pilots"))
    return rows, findings(rows, most)


def findings(rows: Sequence[Sequence[str]], most: int) -> list[Finding]:
    """Return the figures for which there is a target."""
    react, sent = rows[0], rows[2]
    few = [row for row in rows if row[0].startswith("20 jobs") and row[1] == "gridpilot"]
    return [
        Finding(
            what="reaction, 95 %", measured=f"{react[2]} s", target="8 s (PollingTime 5)", is_met=float(react[2]) <= 8
        ),
        Finding(what=f"{most} pilots queued, s", measured=sent[3], target="10", is_met=float(sent[3]) <= 10),
        Finding(what=f"sbatch for {most} pilots", measured=sent[4], target="3", is_met=int(sent[4]) <= 3),
        *(Finding(what=row[0], measured=row[2], target="20", is_met=abs(int(row[2]) - 20) <= 1) for row in few),
    ]


def chapter(bench: Bench, *, quick: bool) -> Chapter:
    """Measure all there is."""
    rows, found = measured(bench, quick=quick)
    return Chapter(
        title=f"gridpilot and DIRAC {bench.stack.endpoint['dirac_version']}, Slurm {bench.slurm.version}",
        how=(
            "One director at a time, each with its own defaults, host certificate, dips Matcher and PilotManager; all "
            "nodes drained. A reaction ends when `sbatch` has answered, and begins at the second that DIRAC has "
            "written for the job's status Waiting (up to 1 s too early); its seconds are the least, the median and the "
            "most. A burst's seconds are from the director's first `getMatchingTaskQueues` to the last answer of "
            "`sbatch`; all jobs wait when it begins."
        ),
        columns=COLUMNS,
        rows=rows,
        findings=found,
    )


def told(slurm: RealSystem, folder: Path, times: int) -> Chapter:
    """Measure a reaction with the local WMS, which tells of new jobs."""
    made = folder / "told"
    made.mkdir()
    (made / "job.jdl").write_text(LOCAL_JDL, encoding="utf-8")
    options = ["BatchSystem=SLURM", "Queue=grid", f"SharedArea={slurm.home}/told"]
    options += ["MaxTotalJobs=1000", "MaxWaitingJobs=500"]
    words = [word for option in options for word in ("-c", option)]
    env = {**slurm.env, "PATH": f"{shims(made, slurm)}:{slurm.env['PATH']}"}
    took_s: list[float] = []
    with running(made / "wms") as endpoint:
        client = connect(endpoint)
        director = SiteDirector(made, ["--local", str(made / "wms"), "-y", "Local", *words], **env)
        with director:
            director.until(lambda: "director.begins" in director.written(), "it began")
            for number in range(times):
                time.sleep(3.0 + number % 7 / 3)  # nobody is to fall into step with an interval
                client.submit(made / "job.jdl")
                waits_s = time.time()
                director.until(lambda n=number: len(sbatch_s(made)) > n, "a pilot")  # type: ignore[misc]
                took_s.append(sbatch_s(made)[number] - waits_s)
            director.stop()
    empty(slurm)
    late = percentile(took_s, 95)
    what = f"job Waiting → pilot queued, {times} times: 95 %, s"
    return Chapter(
        title=f"gridpilot with the local WMS, Slurm {slurm.version}",
        how=(
            "The local WMS tells the SiteDirector when jobs begin to wait. A reaction begins when the job's submission "
            "has been answered, and ends when `sbatch` has answered; jobs and pilots of before go on waiting."
        ),
        columns=COLUMNS,
        rows=[[what, "gridpilot", f"{late:.1f}", shown(took_s), str(len(sbatch_s(made)))]],
        findings=[Finding(what="reaction, 95 %", measured=f"{late:.1f} s", target="2 s", is_met=late <= 2)],
    )


def written(part: str, chapter_: Chapter, conditions: str) -> None:
    """Put a chapter into its place on the page."""
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else HEAD
    before, begin, rest = page.partition(f"<!-- {part}: begin -->\n")
    _, end, after = rest.partition(f"<!-- {part}: end -->\n")
    text = f"{as_markdown(chapter_).rstrip()}\n\n{conditions}"
    PAGE.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")


def main() -> int:
    """Bring the systems up, measure, write the page, and leave them as they were found."""
    parser = argparse.ArgumentParser(prog="python -m bench.site_director", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer jobs, and no page")
    parser.add_argument("--part", choices=PARTS, help="only this one; the page keeps the others")
    asked = parser.parse_args()
    conditions = CONDITIONS.format(machine=machine.in_words(), load=machine.load())
    chapters: dict[str, Chapter] = {}
    for part, make in ON_CES.items():
        if asked.part in (None, part):
            with tempfile.TemporaryDirectory(prefix="gp-bench-", dir="/var/tmp") as name:
                Path(name).chmod(0o755)
                chapters[part] = make(Path(name), quick=asked.quick)
    if asked.part not in ON_CES:
        chapters |= with_slurm(asked.part, quick=asked.quick)
    for part, chapter_ in chapters.items():
        print(as_text(chapter_))
        if not asked.quick:
            written(part, chapter_, conditions)
    return os.EX_OK


def with_slurm(part: str | None, *, quick: bool) -> dict[str, Chapter]:
    """Measure what a Slurm of this machine is wanted for, or one part of that."""
    chapters = {}
    slurm = bring_up("slurm", {"SLURM_ACCOUNTING": "0"})
    try:
        with tempfile.TemporaryDirectory(prefix="gp-bench-", dir="/var/tmp") as name, drained(slurm):
            folder = Path(name)
            folder.chmod(0o755)
            if part in (None, "local"):
                chapters["local"] = told(slurm, folder, 5 if quick else 20)
            makers = {"dirac": functools.partial(chapter, quick=quick), "trouble": trouble.chapter}
            if wanted := {name: make for name, make in makers.items() if part in (None, name)}:
                chapters |= beside_dirac(slurm, folder, wanted)
    finally:
        slurm.down()
    return chapters


def beside_dirac(
    slurm: RealSystem, folder: Path, makers: Mapping[str, Callable[[Bench], Chapter]]
) -> dict[str, Chapter]:
    """Bring DIRAC up, measure, and leave it as it was found."""
    was_up = is_up()
    script("up.sh")
    try:
        stack = Stack()
        stack.client("pilot", "upload-proxy", str(Path(stack.endpoint["pilot_proxy"]).parent / "pilot"))
        bench = Bench(stack, slurm, folder)
        return {part: make(bench) for part, make in makers.items()}
    finally:
        if not was_up:
            script("down.sh")


if __name__ == "__main__":
    sys.exit(main())
