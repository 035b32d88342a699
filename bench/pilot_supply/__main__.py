"""`python -m bench.pilot_supply [--seeds N] [--page FILE]`: the laws next to each other; the page has the table."""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from agents.site_director.supply import Choice
from bench.pilot_supply import plot
from bench.pilot_supply import workloads as made
from bench.pilot_supply.laws import Glidein, Gridpilot, Harvester, Linear, SiteDirector
from bench.pilot_supply.plot import Means, Results
from bench.pilot_supply.world import Job, Law, Queue, World, measured

OURS = "**gridpilot**"
LAWS: tuple[Callable[[], Law], ...] = (
    SiteDirector,
    Glidein,
    Harvester,
    Linear,
    lambda: Gridpilot(OURS, Choice()),
    lambda: Gridpilot("with look-ahead", Choice(look_ahead=True)),
    lambda: Gridpilot("with a reserve of 10 %", Choice(reserve=0.1)),
)
Scenario = Callable[[int], tuple[list[Job], list[Queue]]]
AFTER_S = 4 * 3600  # long enough for the last job; to keep pilots for nothing costs
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def scenarios() -> Iterator[tuple[str, Scenario]]:
    yield "1 job, one CE", lambda s: (made.burst(1, s), made.one())
    yield "200 jobs, one CE", lambda s: (made.burst(200, s), made.one())
    yield "1 job, four CEs", lambda s: (made.burst(1, s), made.four())
    yield "200 jobs of 10 min, four CEs", lambda s: (made.burst(200, s), made.four())
    yield "2000 jobs of 5 min, four CEs", lambda s: (made.burst(2000, s, run_s=300), made.four())
    yield "steady 120/h of 20 min, 12 h, four CEs", lambda s: (made.steady(120, 12, s), made.four())
    yield "100 jobs of 10 min every 2 h, 24 h, four CEs", lambda s: (made.bursts(100, 7200, 24, s), made.four())
    yield "1, 4, 8 processors mixed, pilots of 8, 12 h", lambda s: (made.mixed(100, 12, s), made.four(8, 50))
    yield "200 jobs; one CE down, one a black hole", lambda s: (made.burst(200, s), made.bad())
    yield "60 jobs, cloud (boot 4 min, 4 processors)", lambda s: (made.burst(60, s), made.cloud())
    for name, what in (("hpc2n-2002", "HPC2N 2002, 2 days"), ("wagap-2013", "WAGAP 2013, 28 hours")):
        jobs = made.trace(made.TRACES / f"{name}.txt", largest=24)
        yield f"trace {what}: {len(jobs)} jobs, pilots of 24", lambda _, jobs=jobs: (jobs, made.four(24, 20))  # type: ignore[misc]


def whole(path: Path, days: float, processors: int) -> tuple[str, Scenario]:
    """Return a workload of a whole trace that is not here."""
    jobs = made.trace(path, largest=processors, days=days)
    return f"trace {path.stem}, {len(jobs)} jobs", lambda _: (jobs, made.four(processors, 60))


def means(make: Callable[[], Law], scenario: Scenario, seeds: int) -> Means:
    """Return the means over the seeds."""
    rows = []
    for seed in range(1, seeds + 1):
        jobs, queues = scenario(seed)
        horizon_s = max(job.arrival for job in jobs) + AFTER_S
        rows.append(measured(World(copy.deepcopy(jobs), queues, make(), seed=seed, horizon_s=horizon_s).run()))
    return {name: statistics.mean(row[name] for row in rows) for name in rows[0]}


def run(seeds: int, traces: Iterable[tuple[Path, float, int]] = ()) -> Results:
    """Return what each law did with each workload, by title and name."""
    results: Results = {}
    for title, scenario in (*scenarios(), *(whole(*each) for each in traces)):
        began = time.process_time()
        results[title] = {make().name: means(make, scenario, seeds) for make in LAWS}
        print(f"{title}: {time.process_time() - began:.1f} s of CPU", file=sys.stderr, flush=True)
    return results


def table(results: Results) -> str:
    """Return the table of the page, and a sentence on who is worse than DIRAC's in both respects."""
    names = [make().name for make in LAWS]
    lines = [f"| workload | {' | '.join(names)} |", f"|---|{'--:|' * len(names)}"]
    lines += [f"| {title} | {' | '.join(_shown(of[name]) for name in names)} |" for title, of in results.items()]
    worse = [title for title, of in results.items() if is_worse_in_both(of[OURS], of[names[0]])]
    verdict = f"in {len(worse)} of {len(results)} workloads" + (f": {', '.join(worse)}" if worse else "")
    return "\n".join([*lines, "", f"gridpilot is worse than {names[0]} in both, mean wait and idle hours, {verdict}."])


def is_worse_in_both(ours: Means, theirs: Means) -> bool:
    """Tell whether jobs waited longer although more processor hours were idle."""
    return ours["mean"] > theirs["mean"] and ours["idle_h"] > theirs["idle_h"]


def _shown(mean: Means) -> str:
    late = f" · **{mean['not_started']:.0f} never**" if mean["not_started"] else ""
    return f"{mean['mean']:.0f} / {mean['p95']:.0f} · {mean['empty']:.0f} · {_number(mean['idle_h'])}{late}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.pilot_supply", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--page", type=Path, help="whose table is replaced; the plot is written next to it")
    parser.add_argument("--swf", type=Path, action="append", default=[], help="a whole trace; its first --days")
    parser.add_argument("--days", type=float, default=14.0)
    parser.add_argument("--processors", type=int, default=8, help="of a pilot, for whole traces")
    asked = parser.parse_args()
    results = run(asked.seeds, [(path, asked.days, asked.processors) for path in asked.swf])
    made_table = table(results)
    print(made_table)
    if asked.page:
        before, _, rest = asked.page.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        page = f"{before}{BEGIN}\n{made_table}\n{END}{after}"
        asked.page.write_text(page, encoding="utf-8")
        asked.page.with_suffix(".svg").write_text(plot.drawn(results, OURS), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
