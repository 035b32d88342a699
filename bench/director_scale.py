"""`make bench-site-director-scale`: a day of 10 000 pilots over 50 CEs in simulated time; memory and CPU time.

CEs, WMS and clock are doubles (bench/director_doubles.py); director, law, desks, ledger, and what is told to and asked
of the PilotManager are the agent's own. Figures are of this process, doubles included.
"""

import argparse
import logging
import os
import queue
import random
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.site_director.asking import rest_after
from agents.site_director.ce_desk import CeDesk
from agents.site_director.desk_terms import Pace, Papers
from agents.site_director.director import DemandSeen, Director, Event, JobsSeen
from agents.site_director.ledger import NAME, PilotLedger
from agents.site_director.outputs import prune
from agents.site_director.pilot_manager import PilotManager
from agents.site_director.pilots import Pilot
from agents.site_director.queues import PilotQueue
from agents.site_director.registrars import ByReference
from agents.site_director.supply import Choice, WaitingJobs
from agents.wms.job_monitoring import JobMonitoring
from bench import machine
from bench.director_doubles import CeDouble, Clock, WmsDouble, WorkerDouble
from bench.report import Chapter, Finding, as_markdown, as_text
from ce_backends.base import TaskSpec

PAGE = Path(__file__).parents[1] / "docs" / "site-director-scale.md"
POLL_S, DEMAND_S, JOBS_S, TURN_S = 10.0, 5.0, 5.0, 0.5  # the agent's defaults
JOB_S = 6 * 3600.0
DAY_STEP_S = 60.0  # of the day: what a turn costs while nothing happens is measured by itself
IDLE_S = 600.0
LIMIT_MB, LIMIT_GROWTH_MB, LIMIT_CPU = 80.0, 2.0, 0.01


@dataclass(slots=True)
class Day:
    """What was seen: memory at each hour, in MB of 10^6 bytes; CPU time of the day and of idle minutes, in s."""

    pilots: int = 0
    at_once: int = 0
    memory_mb: list[float] = field(default_factory=list)
    day_cpu_s: float = 0.0
    idle_cpu_s: float = 0.0


class Scene:
    """A director with its doubles, driven by hand."""

    def __init__(self, folder: Path, pilots: int, ces: int) -> None:
        self.clock, rng = Clock(), random.Random(1)
        self.wms = WmsDouble(self.clock, rng, pilots, JOB_S)
        names = [f"ce{number:02}.example.org/long" for number in range(ces)]
        queues = {name: _queue(name, 2 * pilots // ces) for name in names}
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.ledger = PilotLedger(folder / NAME)
        wms: Any = self.wms
        registrar = ByReference(wms, "labvo")
        self.manager = PilotManager(wms, registrar, JobMonitoring(wms), self.ledger, queues)
        doubles = {name: CeDouble(self.wms, self.clock, rng) for name in names}
        desks = {
            name: CeDesk(
                each,
                lambda name=name: WorkerDouble(name, doubles[name], self.events.put),  # type: ignore[misc, arg-type]
                self.ledger,
                Papers(_tasks, self.manager.is_announced),
                pace=Pace(poll_s=POLL_S, call_s=300.0),
                outputs_dir=folder / "outputs",
                jitter=rng.random,
                clocks=(self.clock, self.clock),
            )
            for name, each in queues.items()
        }
        self.director = Director(
            desks,
            self.ledger,
            self.events,
            choice=Choice(),
            start_up_s=0.0,
            keep_house=lambda: prune(folder / "outputs", 200, 604_800, time.time()),
            clock=self.clock,
        )
        self._names = frozenset(names)
        self._desks = desks
        self._demand_s = self._jobs_s = 0.0

    @property
    def at_once(self) -> int:
        return sum(len(desk.pilots) for desk in self._desks.values())

    def run(self, seconds: float, step_s: float) -> None:
        """Let so much time go by; the director looks around at each step."""
        ends_s = self.clock.now_s + seconds
        while self.clock.now_s < ends_s:
            self.clock.now_s += step_s
            self._ask()
            self.director.turn(0.0)

    def _ask(self) -> None:
        now_s = self.clock.now_s
        if now_s >= self._demand_s:
            self._demand_s = now_s + DEMAND_S
            found = [WaitingJobs(jobs=self.wms.waiting, processors=1, queues=self._names)] if self.wms.waiting else []
            self.events.put(DemandSeen(found, now_s))
        if now_s >= self._jobs_s:
            began_s = time.thread_time()
            self.manager.announce()
            if pilots := self.director.watched():
                self.events.put(JobsSeen(self.manager.jobs_of(pilots), now_s))
            self.manager.tell()
            self._jobs_s = now_s + rest_after(JOBS_S, time.thread_time() - began_s)


def _queue(name: str, most: int) -> PilotQueue:
    return PilotQueue(
        name=name,
        site="LCG.Example.org",
        ce=name.partition("/")[0],
        queue="long",
        ce_type="AREX",
        options={},
        processors=1,
        most_total=most,
        most_waiting=most,
        matcher={},
    )


def _tasks(pilots: Sequence[Pilot]) -> list[TaskSpec]:
    return [TaskSpec(stamp=pilot.stamp, script="true") for pilot in pilots]


def memory_mb() -> float:
    """Return what of this process is in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(folder: Path, pilots: int, ces: int, hours: int) -> Day:
    """Let a day go by, then minutes in which nothing ends and nothing waits."""
    day, scene = Day(), Scene(folder, pilots, ces)
    began_s = time.process_time()
    for hour in range(hours):
        scene.run(3600.0, DAY_STEP_S)
        day.memory_mb.append(memory_mb())
        print(f"hour {hour + 1}: {scene.at_once} pilots, {day.memory_mb[-1]:.1f} MB", file=sys.stderr, flush=True)
    day.day_cpu_s = time.process_time() - began_s
    day.pilots, day.at_once = scene.wms.registrations, scene.at_once
    scene.wms.ends = dict.fromkeys(scene.wms.ends, float("inf"))
    scene.wms.jobs = len(scene.wms.ends)
    scene.run(2 * IDLE_S, 1.0)  # what waits is taken back, outputs are brought
    began_s = time.process_time()
    scene.run(IDLE_S, TURN_S)
    day.idle_cpu_s = time.process_time() - began_s
    scene.ledger.close()
    return day


def chapter(day: Day, ces: int) -> Chapter:
    """Return it as a table, with what is wanted."""
    hours = len(day.memory_mb)
    half_mb, last_mb = day.memory_mb[hours // 2 - 1], day.memory_mb[-1]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    idle = day.idle_cpu_s / IDLE_S
    marks = sorted({0, hours // 4 - 1, hours // 2 - 1, 3 * hours // 4 - 1, hours - 1} - {-1})
    return Chapter(
        title=f"{day.at_once} pilots at a time over {ces} CEs, {hours} hours in simulated time",
        how=(
            f"Jobs of {JOB_S / 3600:.0f} hours, one for each pilot: {day.pilots} pilots in all. CEs, WMS and clock are "
            "doubles in memory, in the same process and counted with it; director, law, ledger (a file) and the "
            "PilotManager's client are the agent's. After the day, ten minutes in which nothing waits and nothing "
            "ends: the director looks around every half second, asks each CE every 10 s, and the WMS for the jobs of "
            "all pilots as often as that takes no more than 0.4 % of a processor, once a minute at least."
        ),
        columns=("after", "memory, MB"),
        rows=[(f"{mark + 1} h", f"{day.memory_mb[mark]:.1f}") for mark in marks],
        findings=[
            Finding(
                what="memory at most, MB",
                measured=f"{peak_mb:.1f}",
                target=f"{LIMIT_MB:.0f}",
                is_met=peak_mb <= LIMIT_MB,
            ),
            Finding(
                what="growth in the second half, MB",
                measured=f"{last_mb - half_mb:+.1f}",
                target=f"{LIMIT_GROWTH_MB:.0f}",
                is_met=last_mb - half_mb <= LIMIT_GROWTH_MB,
            ),
            Finding(
                what="CPU time while nothing happens, of a processor",
                measured=f"{100 * idle:.2f} %",
                target=f"{100 * LIMIT_CPU:.0f} %",
                is_met=idle <= LIMIT_CPU,
            ),
        ],
        notes=[
            (
                f"CPU time of the day: {day.day_cpu_s:.0f} s, {1000 * day.day_cpu_s / day.pilots:.1f} ms a pilot, with "
                "a look around each minute"
            )
        ],
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.director_scale", description=__doc__)
    parser.add_argument("--pilots", type=int, default=10_000, help="at a time")
    parser.add_argument("--ces", type=int, default=50)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--page", type=Path, help="is written")
    asked = parser.parse_args()
    logging.getLogger("gridpilot").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="gridpilot-bench-") as name:
        found = chapter(measure(Path(name), asked.pilots, asked.ces, asked.hours), asked.ces)
    print(as_text(found))
    if asked.page:
        head = "# The SiteDirector with many pilots\n\nWritten by `make bench-site-director-scale`; do not edit.\n\n"
        asked.page.write_text(f"{head}{as_markdown(found)}\n{machine.in_words()}.\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
