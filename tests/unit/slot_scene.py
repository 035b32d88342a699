"""A slot's ledger as agents would have left it: written by the real Ledger, with a clock of the test."""

import random
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from agents.errors import Blame
from agents.jobs.job import Grant, Job, JobStatus, MatchedJob, Outcome, Phase
from agents.jobs.ledger import Ledger
from agents.observability.history import LEDGER

START_S = 1_790_000_000.0
ABOUT: Mapping[str, object] = {
    "site": "LCG.Lab.ch",
    "ce": "ce07.lab.example.org",
    "queue": "long",
    "ce_type": "Pool",
    "pilot": "htcondorce://ce07.lab.example.org/483920.17:::7f3a",
    "host": "wn1234.lab.example.org",
    "memory_mb": 64000,
    "gpus": 0,
    "power_hs06": 23.5,
    "version": "0.1.0",
    "pid": 1,
    "pilot_started_s": START_S - 3.2,
}
DONE = Outcome(JobStatus.DONE, "Application Finished Successfully")
ENDS: Sequence[tuple[int, Outcome, int | None]] = (
    (88, DONE, 0),
    (5, Outcome(JobStatus.FAILED, "Application Finished With Errors", "Exit code 2", Blame.USER), 2),
    (2, Outcome(JobStatus.FAILED, "Job has exceeded its memory limit", "used 2100 of 2000 MB", Blame.USER), 137),
    (2, Outcome(JobStatus.RESCHEDULED, "Failed Downloading InputSandbox", "no answer in 60 s", Blame.SERVER), None),
    (2, Outcome(JobStatus.KILLED, "Received Kill signal", "Killed on the owner's order", Blame.USER), 143),
    (1, Outcome(JobStatus.RESCHEDULED, "Payload lost on the node", "no exit code was left", Blame.SITE), None),
)


class Clock:
    """Says what it is told."""

    def __init__(self) -> None:
        self.now_s = START_S

    def __call__(self) -> float:
        return self.now_s


@dataclass(frozen=True)
class Course:
    """One job's way, in seconds since the slot's beginning; None for what it did not come to."""

    job_id: int
    processor_ids: tuple[int, ...]
    matched_s: float
    run_s: float | None
    end_s: float | None
    told_s: float | None = None
    closed_s: float | None = None
    cpu: float | None = 0.9
    end: Outcome = DONE
    exit_code: int | None = 0
    owner: str = "jdoe"
    attempt: int = 1
    name: str = ""


def write(
    folder: Path,
    courses: Sequence[Course],
    *,
    processors: int,
    end_s: float,
    reason: str | None,
    idle: Sequence[tuple[float, str]] = (),
) -> Path:
    """Write a ledger of these jobs; return its work directory.

    Args:
        folder: to be made.
        courses: of the jobs.
        processors: of the slot.
        end_s: when the agent was last seen, in seconds since the slot's beginning.
        reason: why it ended, None when it was killed.
        idle: from when on processors were idle for which reason.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    with closing(Ledger(folder / LEDGER, now=clock)) as ledger:
        ledger._db.execute("PRAGMA synchronous=OFF")  # thousands of transactions of a test
        life = ledger.begin_life({**ABOUT, "processor_ids": list(range(processors))})
        for moment, job in sorted(_steps(courses), key=lambda step: step[0]):
            clock.now_s = START_S + moment
            ledger.save(job)
        for moment, why in idle:
            clock.now_s = START_S + moment
            ledger.idles(why)
        clock.now_s = START_S + end_s
        ledger.still_alive(life, reason)
    return folder


def _steps(courses: Sequence[Course]) -> list[tuple[float, Job]]:
    steps: list[tuple[float, Job]] = []
    for course in courses:
        matched = MatchedJob(job_id=course.job_id, jdl="", owner=course.owner, group="lab_user", match_s=0.2)
        job = Job(matched=matched, stamp=f"{course.job_id:032x}", attempt=course.attempt, name=course.name)
        grant = Grant(processor_ids=course.processor_ids)
        ran_s = 0.0 if course.run_s is None or course.end_s is None else course.end_s - course.run_s
        cpu_s = None if course.cpu is None else course.cpu * ran_s * grant.processors
        ended = replace(job, grant=grant, end=course.end, exit_code=course.exit_code, wall_s=ran_s, cpu_s=cpu_s)
        held = replace(job, grant=grant)
        for phase, moment, shown in (
            (Phase.MATCHED, course.matched_s, job),
            (Phase.STAGING, course.matched_s, held),
            (Phase.RUNNING, course.run_s, held),
            (Phase.DELIVERING, course.end_s if course.run_s is not None else None, ended),
            (Phase.REPORTING, course.told_s, ended),
            (Phase.CLOSED, course.closed_s, ended),
        ):
            if moment is not None:
                steps.append((moment, shown.entering(phase)))
    return steps


def busy(jobs: int, processors: int, *, mean_s: float = 900.0, seed: int = 1) -> list[Course]:
    """Return a slot's work as it may be: jobs of one or more processors one after another, some of which fail."""
    chance = random.Random(seed)
    free_at = [chance.uniform(1.0, 5.0)] * processors
    courses = []
    for number in range(jobs):
        wanted = min(processors, chance.choice((1, 1, 1, 1, 2, 4, 8)))
        ids = tuple(sorted(sorted(range(processors), key=lambda one: free_at[one])[:wanted]))
        matched_s = max(free_at[one] for one in ids) + chance.uniform(0.05, 0.02 * mean_s)
        courses.append(_course(chance, 10_000 + number, ids, matched_s, mean_s))
        for one in ids:
            free_at[one] = courses[-1].end_s or 0.0
    return courses


def _course(chance: random.Random, job_id: int, ids: tuple[int, ...], matched_s: float, mean_s: float) -> Course:
    weights = [weight for weight, _, _ in ENDS]
    _, end, exit_code = chance.choices(ENDS, weights)[0]
    staged_s = matched_s + chance.uniform(0.1, 0.04 * mean_s)
    has_run = end.minor_status != "Failed Downloading InputSandbox"
    end_s = staged_s + (chance.lognormvariate(0.0, 0.6) * mean_s if has_run else 0.0)
    told_s = end_s + (chance.uniform(0.1, 5.0) if has_run else 0.0)
    return Course(
        job_id=job_id,
        processor_ids=ids,
        matched_s=matched_s,
        run_s=staged_s if has_run else None,
        end_s=end_s,
        told_s=told_s,
        closed_s=told_s + chance.uniform(0.5, 3.0),
        cpu=chance.betavariate(14, 2),
        end=end,
        exit_code=exit_code,
        owner=chance.choice(("jdoe", "asmith", "production_manager", "wzhang")),
        name=f"{chance.choice(('fit', 'reco', 'simulation_of_a_long_name_without_any_blank_in_it'))}_{job_id}",
    )
