"""Jobs per second of the Pool, ledger and containment on, next to HyperQueue, PSI/J and DIRAC's PoolCE.

All run in turns on the same machine, so that what else it does meets all of them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.report import Chapter, Finding, Spread, as_text

ROOT = Path(__file__).parents[1]
CONTESTANTS = ROOT / "bench" / "contestants"
LIMIT_S = 120.0  # for one turn of one contestant
OURS = "gridpilot Pool"

HOW = """\
{tasks} times `/bin/true` in {slots} slots, {rounds} rounds in which everybody has one turn, the order rotating. Time
runs from the first submission to the end of the last task, start-up not counted. gridpilot journals every phase of
every job in its ledger, holds it in control groups, gives it a directory of its own and removes all of it within the
time that counts; posix_spawn is nothing but the same programs, in a loop of a few lines of Python; the others keep no
journal and, as they are driven here, hold their tasks in no control groups. HyperQueue's client looks for the end
once a second only: its time ends when its last task has touched a file."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """Somebody who runs tasks.

    Attributes:
        name: in words.
        argv: what starts a turn; the numbers of tasks and slots are added.
        times_wanted: how many times as fast we want to be, 0 for ourselves.
    """

    name: str
    argv: Sequence[str]
    times_wanted: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What a contestant said of one turn."""

    seconds: float
    version: str
    remark: str


class TurnFailed(Exception):
    """A contestant did not get through its turn; the message has what it wrote."""


def environments() -> Path:
    """Return where `set_up.sh` has made the environments of the others."""
    return Path(os.environ.get("GRIDPILOT_BENCH") or Path.home() / ".cache" / "gridpilot-bench")


def contestants(made: Path) -> tuple[list[Contestant], list[str]]:
    """Return who can take part, and a sentence about everybody who cannot."""
    others = [
        _other("HyperQueue LocalCluster", made / "hyperqueue", "with_hyperqueue.py", 1.5),
        _other("PSI/J local", made / "psij", "with_psij.py", 2.5),
        _other("DIRAC PoolCE", made / "dirac", "with_dirac.py", 4.0),
    ]
    ours = Contestant(OURS, (sys.executable, "-m", "bench.contestants.gridpilot_pool"))
    spawn = Contestant("posix_spawn", (sys.executable, str(CONTESTANTS / "with_posix_spawn.py")), 0.5)
    present = [other for other in others if Path(other.argv[0]).exists()]
    return [ours, spawn, *present], [_absence(other) for other in others if other not in present]


def _other(name: str, environment: Path, script: str, times_wanted: float) -> Contestant:
    return Contestant(name, (str(environment / "bin" / "python"), str(CONTESTANTS / script)), times_wanted)


def _absence(other: Contestant) -> str:
    said = Path(other.argv[0]).parents[1].with_suffix(".missing")
    reason = said.read_text(encoding="utf-8").strip() if said.exists() else "bench/set_up.sh was not run"
    return f"{other.name} took no part: {reason}"


def one_turn(contestant: Contestant, tasks: int, slots: int) -> Turn:
    """Let a contestant run in an empty directory.

    Raises:
        TurnFailed: it did not print its time.
    """
    with tempfile.TemporaryDirectory(prefix="gridpilot-bench-") as folder:
        environment = {**os.environ, "TMPDIR": folder}  # HyperQueue leaves its server's directory behind
        if contestant.name == OURS:
            environment["PYTHONPATH"] = str(ROOT)
        argv = [*contestant.argv, str(tasks), str(slots)]
        done = subprocess.run(
            argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    last = done.stdout.strip().rpartition("\n")[2]
    if done.returncode != 0 or not last.startswith("{"):
        raise TurnFailed(f"{contestant.name} ended with exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    return Turn(**json.loads(last))


def measure(tasks: int, slots: int, rounds: int) -> Chapter:
    """Let everybody run in turns, and compare."""
    present, absent = contestants(environments())
    turns: dict[str, list[Turn]] = {contestant.name: [] for contestant in present}
    for number in range(rounds):
        for place in range(len(present)):
            contestant = present[(number + place) % len(present)]
            turns[contestant.name].append(one_turn(contestant, tasks, slots))
    return _chapter(present, turns, absent, HOW.format(tasks=tasks, slots=slots, rounds=rounds), tasks)


def _chapter(
    present: Sequence[Contestant], turns: Mapping[str, Sequence[Turn]], absent: Sequence[str], how: str, tasks: int
) -> Chapter:
    rates = {name: [tasks / turn.seconds for turn in of_one] for name, of_one in turns.items()}
    ratios = {
        other.name: Spread([ours / theirs for ours, theirs in zip(rates[OURS], rates[other.name], strict=True)])
        for other in present
    }
    rows = [
        (name, turns[name][-1].version, Spread(of_one).shown(0), ratios[name].shown(2), turns[name][-1].remark)
        for name, of_one in rates.items()
    ]
    findings = [
        Finding(
            what=f"jobs per second, gridpilot / {other.name}",
            measured=ratios[other.name].shown(2),
            target=f"≥ {other.times_wanted}",
            is_met=ratios[other.name].median >= other.times_wanted,
        )
        for other in present
        if other.times_wanted
    ]
    return Chapter(
        title="Jobs per second",
        how=how,
        columns=("", "version", "jobs/s: median (min–max)", "gridpilot is so many times as fast", "in its last turn"),
        rows=rows,
        findings=findings,
        notes=absent,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.pool", description=__doc__)
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    chapter = measure(arguments.tasks, arguments.slots, arguments.rounds)
    print(json.dumps(asdict(chapter), indent=1) if arguments.json else as_text(chapter))
    return 0


if __name__ == "__main__":
    sys.exit(main())
