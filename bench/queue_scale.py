"""`make bench-queue`: a thousand tasks handed to a real Slurm and followed to their end; a look at ten thousand.

Slurm is that of tests/clusters/slurm: real daemons, three nodes on this machine. Root starts them. The page is
docs/performance-ce.md.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.report import Chapter, Finding, Spread, as_markdown, as_text
from ce_backends.base import Accepted, TaskSpec, TaskState
from ce_backends.batch.ce import BatchCE
from ce_backends.registry import create
from tests.systems.real_system import ROOT, CannotBeHad, RealSystem, bring_up

PAGE = ROOT / "docs" / "performance-ce.md"
HEAD = """\
# Performance over a batch system

Written by `make bench-queue`; do not edit. {machine}; load of other work when it began: {load}.

"""
PATIENCE_S = 900.0
INTERVAL_S = 5.0
LOOKS = 5
IN_MEMORY = Path("/dev/shm")
SUBMIT_TIMES, LOOK_CPU_S = 20, 1.0
STATUS = ("squeue", "sacct", "scontrol")
NEVER_NOW = "--begin=now+1day"

HOW = """\
{tasks} tasks `exit 0` with a stamp of their own are handed to the CE (Local, SLURM) with one call: it makes their
directories, journals them, and submits arrays. To make a directory and two files for each task takes longer on some
disks than all the rest, so that is done in memory, and on this machine's disk too. Next to it, in turns, {tasks} times
`sbatch` of one script that does nothing, one after the other; none of all these is to run before tomorrow, so that none
disturbs the next. Then as many are followed to Done with a status interval of {interval:g} s; what Slurm's commands are
asked is written down by a stand-in that hands over to the real one. At last {many} tasks wait in the queue, and {looks}
looks at all of them are measured: the CPU time is this process's own (reading the answer, the book), without Slurm's
commands."""


@dataclass(frozen=True)
class Followed:
    """How tasks came to their end.

    Attributes:
        wall_s: from the submission's end to the last task's Done.
        commands: how often each of Slurm's status commands was run meanwhile.
    """

    wall_s: float
    commands: dict[str, int]


@contextmanager
def real_slurm() -> Iterator[RealSystem]:
    """Run Slurm, its commands in our PATH, until the block ends."""
    try:
        system = bring_up("slurm", {"SLURM_NODE_TIMEOUT_S": "300"})  # a busy machine is no lost node
    except CannotBeHad as reason:
        raise SystemExit(f"bench.queue_scale: Slurm was not run: {reason}") from None
    os.environ.update(system.env)
    try:
        yield system
    finally:
        system.down()
        shutil.rmtree(system.home, ignore_errors=True)


@contextmanager
def slurm_ce(place: Path, tasks: int, *, interval_s: float, submit_options: str = "") -> Iterator[BatchCE]:
    """Make the CE that users get for `BatchSystem = SLURM`, its tasks in a directory of that place."""
    area = place / f"gridpilot-bench-{uuid.uuid4().hex[:6]}"
    options = {"BatchSystem": "SLURM", "SharedArea": str(area), "StatusInterval": interval_s, "MaxTotalJobs": tasks}
    options |= {"MaxWaitingJobs": tasks, "SubmitOptions": submit_options}
    ce = create("Local", options, area / "state")
    assert isinstance(ce, BatchCE)
    try:
        yield ce
    finally:
        ce.close()
        subprocess.run(["scancel", "--user=root"], check=True)
        shutil.rmtree(area)


def tasks(number: int) -> list[TaskSpec]:
    return [TaskSpec(stamp=uuid.uuid4().hex, script="exit 0\n") for _ in range(number)]


def submitted(ce: BatchCE, number: int) -> list[str]:
    """Hand tasks over with one call; their ids."""
    answers = ce.submit(tasks(number)).values()
    ids = [answer.task_id for answer in answers if isinstance(answer, Accepted)]
    if len(ids) != number:
        raise SystemExit(f"{number - len(ids)} of {number} tasks were not accepted: {next(iter(answers))}")
    return ids


def one_by_one_s(system: RealSystem, number: int) -> float:
    """Return how long so many `sbatch` take, one after the other."""
    script = system.home / "nothing.sh"
    script.write_text("#!/bin/sh\nexit 0\n", encoding="ascii")
    argv = ["sbatch", "--parsable", NEVER_NOW, "--output=/dev/null", str(script)]
    took_s = timed(lambda: [subprocess.run(argv, check=True, stdout=subprocess.DEVNULL) for _ in range(number)])
    subprocess.run(["scancel", "--user=root"], check=True)
    return took_s


def timed(act: Callable[[], object]) -> float:
    began_s = time.monotonic()
    act()
    return time.monotonic() - began_s


@contextmanager
def written_down(folder: Path) -> Iterator[Path]:
    """Put stand-ins before Slurm's status commands: each writes a line and becomes the real one."""
    folder.mkdir()
    log, path = folder / "log", os.environ["PATH"]
    for name in STATUS:
        real = shutil.which(name)
        (folder / name).write_text(f'#!/bin/sh\necho {name} >>{log}\nexec {real} "$@"\n', encoding="ascii")
        (folder / name).chmod(0o755)
    os.environ["PATH"] = f"{folder}:{path}"
    try:
        yield log
    finally:
        os.environ["PATH"] = path


def followed(ce: BatchCE, ids: Sequence[str], log: Path) -> Followed:
    """Wait until all tasks are Done, by what the CE tells."""
    began_s = time.monotonic()
    log.write_text("", encoding="ascii")
    while others := [status for status in ce.poll(ids).values() if status.state is not TaskState.DONE]:
        failed = [status for status in others if status.state.is_final]
        if failed or time.monotonic() - began_s > PATIENCE_S:
            raise SystemExit(f"{len(others)} tasks are not Done: {(failed or others)[0]}")
        time.sleep(0.5)
    lines = log.read_text(encoding="ascii").split()
    return Followed(time.monotonic() - began_s, {name: lines.count(name) for name in STATUS if name in lines})


def look_cpu_s(ce: BatchCE) -> float:
    """Return the CPU time of this process for one look at all tasks, without the batch system's commands."""
    began_s = time.process_time()
    ce.look()
    return time.process_time() - began_s


def at_once_s(place: Path, number: int) -> float:
    """Return how long the CE takes to submit so many tasks."""
    with slurm_ce(place, number, interval_s=3600, submit_options=NEVER_NOW) as ce:
        return timed(lambda: submitted(ce, number))


def measure(number: int, many: int, rounds: int) -> Chapter:
    """Run all of it."""
    with real_slurm() as system:
        turns = [
            (one_by_one_s(system, number), at_once_s(IN_MEMORY, number), at_once_s(system.home, number))
            for _ in range(rounds)
        ]
        with slurm_ce(system.home, number, interval_s=INTERVAL_S) as ce, written_down(system.home / "commands") as log:
            end = followed(ce, submitted(ce, number), log)
        with slurm_ce(system.home, many, interval_s=3600, submit_options=NEVER_NOW) as ce:
            many_s = timed(lambda: submitted(ce, many))
            ce.look()
            looks_s = sorted(look_cpu_s(ce) for _ in range(LOOKS))
    return _chapter(number, many, turns, end, many_s, looks_s)


def _chapter(
    number: int,
    many: int,
    turns: Sequence[tuple[float, float, float]],
    end: Followed,
    many_s: float,
    looks_s: Sequence[float],
) -> Chapter:
    intervals = int(end.wall_s / INTERVAL_S) + 1
    asked = sum(end.commands.values())
    single, at_once, on_disk = (Spread(values) for values in zip(*turns, strict=True))
    times = Spread([one_s / other_s for one_s, other_s, _ in turns])
    look_s = looks_s[len(looks_s) // 2]
    said = ", ".join(f"{times} {name}" for name, times in end.commands.items())
    return Chapter(
        title="Many tasks on a real Slurm",
        how=HOW.format(tasks=number, interval=INTERVAL_S, many=many, looks=LOOKS),
        columns=("what", "measured"),
        rows=[
            (f"{number} times sbatch, one after the other", f"{single.shown(1)} s"),
            (f"{number} tasks submitted by the CE, their files in memory", f"{at_once.shown(2)} s"),
            (f"{number} tasks submitted by the CE, their files on this disk", f"{on_disk.shown(2)} s"),
            (f"{number} tasks from there to Done", f"{end.wall_s:.0f} s, {intervals} intervals: {said}"),
            (f"{many} tasks submitted by the CE", f"{many_s:.1f} s"),
            (f"a look at {many} tasks, CPU time of ours", f"{look_s:.3f} s ({looks_s[0]:.3f}–{looks_s[-1]:.3f})"),
        ],
        findings=[
            Finding(
                what=f"submission of {number} tasks / that by single sbatch",
                measured=f"1/{times.shown(0)}",
                target="≤ 1/20",
                is_met=times.median >= SUBMIT_TIMES,
            ),
            Finding(
                what="status commands for each interval",
                measured=f"{asked / intervals:.2f}",
                target="≤ 1",
                is_met=asked <= intervals,
            ),
            Finding(
                what=f"a look at {many} tasks, CPU time of ours",
                measured=f"{look_s:.3f} s",
                target=f"≤ {LOOK_CPU_S:g} s",
                is_met=look_s <= LOOK_CPU_S,
            ),
        ],
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.queue_scale", description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000, help="followed to their end (default %(default)s)")
    parser.add_argument("--many", type=int, default=10_000, help="looked at (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of both ways to submit, in turns (default %(default)s)")
    arguments, load = parser.parse_args(), machine.load()
    found = measure(arguments.tasks, arguments.many, arguments.rounds)
    print(as_text(found))
    PAGE.write_text(HEAD.format(machine=machine.in_words(), load=load) + as_markdown(found), encoding="utf-8")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
