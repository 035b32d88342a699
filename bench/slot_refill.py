"""From a payload's end to the next payload's start on the same processor, with a Matcher that answers in 20 ms.

Pilot, agent and Pool are real. The payloads write their own times, so starting and ending a program counts too.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from agents.local_wms.client import connect
from agents.local_wms.home import Endpoint, Home
from bench.pilot_run import ROOT, running_pilot, wait_until
from bench.report import Chapter, Finding, as_text, percentile

READY_S, PATIENCE_S = 30.0, 120.0
SLOTS = 2
MEDIAN_MS, P99_MS = 100.0, 1000.0

HOW = """\
{jobs} jobs of about 0.1 s, one at a time on each of {slots} processors, through the real pilot, agent and Pool. The
Matcher is that of the local WMS; it answers over HTTPS, {answer_ms} ms after the question. Each payload writes down its
processor, its first moment and its last; between the last of one and the first of the next on that processor lie its
exit, the end of all it started, the ledger, the match, and the start of the next."""

# The first and the last thing it does is to tell the time.
PAYLOAD = """\
began=$(date +%s.%N)
read -r processor <<END
$(grep Cpus_allowed_list /proc/self/status)
END
sleep 0.1
echo "$began $(date +%s.%N) $processor" >> {trace}
"""


@contextmanager
def slow_wms(home: Path, answer_ms: float) -> Iterator[Endpoint]:
    """Run bench.slow_wms until the block ends."""
    argv = [sys.executable, "-m", "bench.slow_wms", str(home), str(answer_ms)]
    home.mkdir(parents=True)
    with (home.parent / "pilot.out").open("wb") as out:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_until(Home(home).endpoint.exists, "the slow WMS listens", READY_S, home.parent)
        yield Home(home).read_endpoint()
    finally:
        process.terminate()
        process.wait(READY_S)


def gaps_ms(trace: str) -> list[float]:
    """Return how long each processor waited between two payloads."""
    rows = sorted(
        (processor, float(began), float(ended)) for began, ended, processor in map(_fields, trace.splitlines())
    )
    return [
        (began - ended) * 1000
        for (processor, _, ended), (next_processor, began, _) in itertools.pairwise(rows)
        if processor == next_processor
    ]


def _fields(line: str) -> tuple[str, str, str]:
    began, ended, processor = line.split(maxsplit=2)
    return began, ended, processor


def measure(jobs: int, answer_ms: float) -> Chapter:
    """Run the jobs and look at the gaps between them."""
    with tempfile.TemporaryDirectory(prefix="gridpilot-bench-") as name:
        folder, trace = Path(name), Path(name, "trace")
        trace.touch()
        with slow_wms(folder / "wms", answer_ms) as endpoint:
            _submit(endpoint, folder, trace, jobs)
            with running_pilot(endpoint, folder, SLOTS):
                wait_until(lambda: _ended(trace) == jobs, f"{jobs} payloads end", PATIENCE_S, folder)
        gaps = gaps_ms(trace.read_text(encoding="ascii"))
    return _chapter(gaps, HOW.format(jobs=jobs, slots=SLOTS, answer_ms=answer_ms))


def _submit(endpoint: Endpoint, folder: Path, trace: Path, jobs: int) -> None:
    payload, jdl = folder / "payload.sh", folder / "job.jdl"
    payload.write_text(PAYLOAD.format(trace=trace), encoding="ascii")
    jdl.write_text(
        f'Executable = "/bin/sh"; Arguments = "{payload}"; CPUTime = 300; Parameters = {jobs};', encoding="ascii"
    )
    with connect(endpoint) as client:
        client.submit(jdl)


def _ended(trace: Path) -> int:
    return trace.read_text(encoding="ascii").count("\n")


def _chapter(gaps: Sequence[float], how: str) -> Chapter:
    median_ms, p99_ms = percentile(gaps, 50), percentile(gaps, 99)
    return Chapter(
        title="From a free slot to the next payload",
        how=how,
        columns=("gaps", "least, ms", "p50, ms", "p90, ms", "p99, ms", "most, ms"),
        rows=[
            [str(len(gaps)), *(f"{ms:.0f}" for ms in (min(gaps), median_ms, percentile(gaps, 90), p99_ms, max(gaps)))]
        ],
        findings=[
            Finding(
                what="p50, ms", measured=f"{median_ms:.0f}", target=f"≤ {MEDIAN_MS:.0f}", is_met=median_ms <= MEDIAN_MS
            ),
            Finding(what="p99, ms", measured=f"{p99_ms:.0f}", target=f"≤ {P99_MS:.0f}", is_met=p99_ms <= P99_MS),
        ],
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.slot_refill", description=__doc__)
    parser.add_argument("--jobs", type=int, default=150)
    parser.add_argument("--answer-ms", type=float, default=20)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    chapter = measure(arguments.jobs, arguments.answer_ms)
    print(json.dumps(asdict(chapter), indent=1) if arguments.json else as_text(chapter))
    return 0


if __name__ == "__main__":
    sys.exit(main())
