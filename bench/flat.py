"""`make bench-flat`: one agent, thousands of jobs, many at a time: do memory, files, threads and CPU stay flat?"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from agents.local_wms.client import Client, connect
from agents.local_wms.testing import running
from bench import machine
from bench.pilot_run import NothingMeasured, agent_of, running_pilot, wait_until
from bench.report import Chapter, Finding, as_markdown, as_text

PATIENCE_S = 60.0
LOOK_S = 0.5
PER_JOB_S = 1.0  # the most that we wait for each, on average
STOPS = 5  # measured when so many parts of the jobs are done
SETTLED = 1  # the stop after which all that is loaded once has been loaded
ONE_BATCH = 500
MORE_MB, MORE_CPU = 4.0, 1.15
MORE_FILES, MORE_THREADS = 8, 4  # tasks and calls that are under way at that moment; workers are made when needed

HEAD = "# One agent with many jobs\n\nWritten by `make bench-flat`; do not edit.\n\n"
HOW = """\
{jobs} times `/bin/true` from the local WMS over HTTPS, through one pilot, agent and Pool with {at_once} slots. The
agent is looked at when a fifth of the jobs is done, two fifths and so on. Flat is judged from the first of these looks
to the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the agent stands when so many jobs are done.

    Attributes:
        jobs: done until now.
        pss_mb: proportional set size, 10^6 bytes; with what it shares with others, as long as they are there.
        own_mb: of that, what it shares with nobody.
        files: open descriptors.
        threads: of its process.
        cpu_s: of its process, since its start.
        seconds: since the first look.
    """

    jobs: int
    pss_mb: float
    own_mb: float
    files: int
    threads: int
    cpu_s: float
    seconds: float


def measure(jobs: int, at_once: int) -> Chapter:
    """Run so many jobs, and look at the agent meanwhile."""
    looks: list[Look] = []
    with (
        tempfile.TemporaryDirectory(prefix="gridpilot-bench-") as name,
        running(Path(name, "wms")) as endpoint,
        connect(endpoint) as client,
    ):
        folder = Path(name)
        progress = Progress(client, _submitted(client, folder, jobs))
        with running_pilot(endpoint, folder, at_once) as pilot:
            wait_until(lambda: agent_of(pilot) is not None, "an agent", PATIENCE_S, folder)
            agent = agent_of(pilot)
            assert agent is not None
            began = time.monotonic()
            for stop in range(1, STOPS + 1):
                wanted = jobs * stop // STOPS
                while (done := progress.done()) < wanted:
                    if time.monotonic() - began > jobs * PER_JOB_S:
                        raise NothingMeasured(f"{wanted} jobs were not done within {jobs * PER_JOB_S:.0f} s")
                    time.sleep(LOOK_S)
                looks.append(_look(agent, done, time.monotonic() - began))
                print(f"{done} of {jobs} jobs after {looks[-1].seconds:.0f} s", file=sys.stderr, flush=True)
    return _chapter(looks, jobs, at_once)


def _submitted(client: Client, folder: Path, jobs: int) -> list[int]:
    jdl, ids = folder / "job.jdl", []
    while len(ids) < jobs:
        some = min(ONE_BATCH, jobs - len(ids))
        jdl.write_text(f'Executable = "/bin/true"; CPUTime = 300; Parameters = {some};', encoding="ascii")
        ids += client.submit(jdl)
    return ids


class Progress:
    """Counts the jobs that are done; asks about few at a time, so that it takes little from who is measured."""

    def __init__(self, client: Client, ids: Sequence[int]) -> None:
        self._client = client
        self._waiting = list(ids)
        self._all = len(ids)

    def done(self) -> int:
        """Return how many are done; of those that come last some may be so unseen.

        Raises:
            NothingMeasured: one has failed.
        """
        if not self._waiting:
            return self._all
        states = self._client.call("JobMonitoring", "getJobsStatus", self._waiting[:ONE_BATCH])
        ended = {int(job) for job, state in states.items() if state["Status"] == "Done"}
        if any(state["Status"] in ("Failed", "Killed") for state in states.values()):
            raise NothingMeasured("a job has failed")
        self._waiting = [job for job in self._waiting if job not in ended]
        return self._all - len(self._waiting)


def _look(agent: psutil.Process, jobs: int, seconds: float) -> Look:
    with agent.oneshot():
        times, memory = agent.cpu_times(), agent.memory_full_info()
        return Look(
            jobs=jobs,
            pss_mb=memory.pss / 1e6,
            own_mb=memory.uss / 1e6,
            files=agent.num_fds(),
            threads=agent.num_threads(),
            cpu_s=times.user + times.system,
            seconds=seconds,
        )


def _per_job_ms(before: Look, after: Look) -> float:
    return 1000 * (after.cpu_s - before.cpu_s) / max(1, after.jobs - before.jobs)


def _row(look: Look, cost_ms: float) -> list[str]:
    numbers = [f"{look.jobs}", f"{look.pss_mb:.1f}", f"{look.own_mb:.1f}", f"{look.files}", f"{look.threads}"]
    return [*numbers, f"{cost_ms:.1f}", f"{look.seconds:.0f}"]


def _chapter(looks: Sequence[Look], jobs: int, at_once: int) -> Chapter:
    start = Look(jobs=0, pss_mb=0, own_mb=0, files=0, threads=0, cpu_s=0, seconds=0)
    costs = [_per_job_ms(before, after) for before, after in zip([start, *looks], looks, strict=False)]
    first, last = looks[SETTLED - 1], looks[-1]
    grown: Mapping[str, tuple[float, float, str]] = {
        "its own memory, MB more at the end": (last.own_mb - first.own_mb, MORE_MB, "1"),
        "files, more at the end": (last.files - first.files, MORE_FILES, "0"),
        "threads, more at the end": (last.threads - first.threads, MORE_THREADS, "0"),
        "CPU per job, last fifth / second": (costs[-1] / costs[SETTLED], MORE_CPU, "2"),
    }
    return Chapter(
        title=f"{jobs} jobs, {at_once} at a time",
        how=HOW.format(jobs=jobs, at_once=at_once),
        columns=(
            "jobs done",
            "agent, PSS MB",
            "its own, MB",
            "open files",
            "threads",
            "agent's CPU per job since, ms",
            "after, s",
        ),
        rows=[_row(each, cost) for each, cost in zip(looks, costs, strict=True)],
        findings=[
            Finding(what=what, measured=f"{value:.{digits}f}", target=f"≤ {most:g}", is_met=value <= most)
            for what, (value, most, digits) in grown.items()
        ],
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.flat", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=256)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--page", type=Path, help="is written")
    arguments = parser.parse_args()
    conditions = f"{machine.in_words()}; load of other work when it began: {machine.load()}"
    chapter = measure(arguments.jobs, arguments.at_once)
    if arguments.page:
        arguments.page.write_text(f"{HEAD}{as_markdown(chapter)}\n{conditions}.\n", encoding="utf-8")
    print(json.dumps(asdict(chapter), indent=1) if arguments.json else as_text(chapter))
    return 0


if __name__ == "__main__":
    sys.exit(main())
