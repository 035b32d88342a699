"""`python -m bench.pilot_supply [--seeds N] [--page FILE]`: the laws beside each other; the page has the table."""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from agents.site_director.supply import Choice
from bench.pilot_supply import workloads as made
from bench.pilot_supply.laws import Glidein, Gridpilot, Harvester, Linear, SiteDirector
from bench.pilot_supply.world import Job, Law, Queue, World, measured

LAWS: tuple[Callable[[], Law], ...] = (
    SiteDirector,
    Glidein,
    Harvester,
    Linear,
    lambda: Gridpilot("**gridpilot**", Choice()),
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


def cell(make: Callable[[], Law], scenario: Scenario, seeds: int) -> str:
    """Return the means over the seeds."""
    rows = []
    for seed in range(1, seeds + 1):
        jobs, queues = scenario(seed)
        horizon_s = max(job.arrival for job in jobs) + AFTER_S
        rows.append(measured(World(copy.deepcopy(jobs), queues, make(), seed=seed, horizon_s=horizon_s).run()))
    mean = {name: statistics.mean(row[name] for row in rows) for name in rows[0]}
    late = f" · **{mean['not_started']:.0f} never**" if mean["not_started"] else ""
    return f"{mean['mean']:.0f} / {mean['p95']:.0f} · {mean['empty']:.0f} · {_number(mean['idle_h'])}{late}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def table(seeds: int) -> str:
    heads = [make().name for make in LAWS]
    lines = [f"| workload | {' | '.join(heads)} |", f"|---|{'--:|' * len(heads)}"]
    for title, scenario in scenarios():
        began = time.process_time()
        lines.append(f"| {title} | {' | '.join(cell(make, scenario, seeds) for make in LAWS)} |")
        print(f"{title}: {time.process_time() - began:.1f} s of CPU", file=sys.stderr, flush=True)
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.pilot_supply", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--page", type=Path, help="whose table is replaced")
    asked = parser.parse_args()
    made_table = table(asked.seeds)
    print(made_table)
    if asked.page:
        before, _, rest = asked.page.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        page = f"{before}{BEGIN}\n{made_table}\n{END}{after}"
        asked.page.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
