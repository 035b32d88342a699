"""`python -m bench`: all benchmarks one after the other, and the page docs/performance.md with what they found."""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from agents import __version__
from bench import cold_start, machine, memory, pool, slot_refill
from bench.report import Chapter, Finding, as_markdown, as_text

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
MAIN_JOB_S = 400.0
JOBS_PER_S = 100

HEAD = """\
# Performance

Written by `make bench`; do not edit. How each figure is measured, and how to read it, is in
[bench/README.md](../bench/README.md).

- gridpilot {version}, {date}
- {machine}
- load by other work when it began: {load} (1 minute average); the whole run took {minutes:.1f} minutes

Ratios are of turns in the same round, on the same machine, at the same load. The other figures are of one machine at
one moment: they say whether a target is met there, and nothing about yours.
"""


def chapters(*, install: bool) -> Sequence[Callable[[], Chapter]]:
    """Return all benchmarks, with the sizes the page is made with; one of them may install DIRAC."""
    return (
        lambda: pool.measure(tasks=300, slots=2, rounds=5),
        lambda: slot_refill.measure(jobs=150, answer_ms=20),
        lambda: memory.measure(jobs=50),
        main_job,
        lambda: cold_start.measure(rounds=5, install=install),
    )


def main_job() -> Chapter:
    """Run bench.main_job, which prints its figures itself."""
    argv = [sys.executable, "-m", "bench.main_job", "--json"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=MAIN_JOB_S, check=True)
    figures = json.loads(done.stdout)
    rate = figures["jobs per second"]
    return Chapter(
        title="From the pilot's start to Done",
        how="200 times `/bin/true` from the local WMS over HTTPS, through pilot, agent and Pool with 2 slots.",
        columns=("figure", "measured"),
        rows=[(name, f"{value:.2f}") for name, value in figures.items()],
        findings=[
            Finding(
                what="jobs per second, match to Done, local WMS on the same processors",
                measured=f"{rate:.0f}",
                target=f"≥ {JOBS_PER_S}",
                is_met=rate >= JOBS_PER_S,
            )
        ],
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON; the page is written all the same")
    parser.add_argument("--no-install", action="store_true", help="do not time the installation of DIRAC: minutes")
    arguments = parser.parse_args()
    load, began = machine.load(), time.monotonic()
    found = []
    for measure in chapters(install=not arguments.no_install):
        found.append(measure())
        if not arguments.json:
            print(as_text(found[-1]), end="\n\n", flush=True)
    if arguments.json:
        print(json.dumps([asdict(chapter) for chapter in found], indent=1))
    PAGE.write_text(_page(found, load, time.monotonic() - began), encoding="utf-8")
    return 0


def _page(found: Sequence[Chapter], load: str, took_s: float) -> str:
    head = HEAD.format(
        version=__version__,
        date=datetime.now(UTC).date(),
        machine=machine.in_words(),
        load=load,
        minutes=took_s / 60,
    )
    return "\n".join([head, *map(as_markdown, found)])


if __name__ == "__main__":
    sys.exit(main())
