"""The numbers of a slot: what its core time went into, how its jobs ended, and who has to act."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from agents.errors import Blame
from agents.jobs import energy
from agents.jobs.energy import Energy
from agents.jobs.job import JobStatus, Phase
from agents.observability.history import FREED, History, PastJob

Moment = Callable[[PastJob], float]
# What of a job lies between two moments, in order; and the phases of which the first one ends it.
PHASES: Mapping[str, tuple[Moment, Moment, Sequence[Phase]]] = {
    "match": (lambda job: job.asked_s, lambda job: job.matched_s, tuple(Phase)),
    "stage in": (lambda job: job.matched_s, lambda job: job.run_from_s, (Phase.RUNNING, *FREED)),
    "run": (lambda job: job.run_from_s, lambda job: job.held_to_s, FREED),
    "stage out": (lambda job: job.held_to_s, lambda job: job.told_from_s, (Phase.REPORTING, Phase.CLOSED)),
    "report": (lambda job: job.told_from_s, lambda job: job.closed_s, (Phase.CLOSED,)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreTime:
    """What the slot's processors did, each second of each of them once; in core seconds.

    Attributes:
        total: processors times the slot's life.
        cpu: payloads computed.
        waiting: payloads held a processor and did not use it.
        unknown: payloads held a processor and nobody knows what they used, because they run still or were lost.
        staging: a job held a processor while its inputs came and it was started.
        idle: no job held the processor.
    """

    total: float
    cpu: float
    waiting: float
    unknown: float
    staging: float
    idle: float

    @property
    def held(self) -> float:
        """Core seconds that jobs held."""
        return self.total - self.idle

    @property
    def efficiency(self) -> float | None:
        """CPU time per core time of the payloads of which both are known; None when there are none."""
        return self.cpu / (self.cpu + self.waiting) if self.cpu + self.waiting > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseTimes:
    """How long a phase of the jobs took, in seconds; jobs that are in it or before it do not count."""

    name: str
    jobs: int
    total: float
    median: float
    p95: float
    longest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why jobs did not end well.

    Attributes:
        status: how they ended.
        minor_status: DIRAC's words for the cause.
        blame: who has to act, None when nobody has.
        jobs: their numbers.
        core_s: what they held until then.
        example: what the last of them said.
    """

    status: JobStatus
    minor_status: str
    blame: Blame | None
    jobs: Sequence[int]
    core_s: float
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All of it."""

    processor_ids: Sequence[int]
    core_time: CoreTime
    outcomes: Mapping[str, int]
    phases: Sequence[PhaseTimes]
    causes: Sequence[Cause]
    energy: Energy | None


def of(history: History) -> Summary:
    """Return the numbers of a slot."""
    ids = processor_ids(history)
    took = [durations(one) for one in history.jobs]
    return Summary(
        processor_ids=ids,
        core_time=_core_time(history, len(ids)),
        outcomes=_outcomes(history.jobs),
        phases=[_phase_times(name, [each[name] for each in took if name in each]) for name in PHASES],
        causes=_causes(history),
        energy=energy.total(one.job.energy for one in history.jobs),
    )


def processor_ids(history: History) -> tuple[int, ...]:
    """Return the slot's processors; in a ledger of an earlier version, those that jobs have held."""
    told = history.about.get("processor_ids")
    held = {number for one in history.jobs if one.job.grant for number in one.job.grant.processor_ids}
    return tuple(sorted(held | set(told if isinstance(told, list) else ())))


def held_span(history: History, one: PastJob) -> tuple[float, float, float]:
    """Return from when a job held its processors, from when its payload ran, and to when, inside the slot's life."""
    low, high = history.started_s, history.ended_s
    return (
        min(max(one.held_from_s, low), high),
        min(max(one.run_from_s, low), high),
        min(max(one.held_to_s, low), high),
    )


def cpu_s(history: History, one: PastJob) -> float | None:
    """Return the CPU time of a payload, no more than it had processors for; None when unknown."""
    _, run_from_s, to_s = held_span(history, one)
    return None if one.job.cpu_s is None else min(one.job.cpu_s, (to_s - run_from_s) * one.processors)


def _core_time(history: History, processors: int) -> CoreTime:
    cpu = waiting = unknown = staging = 0.0
    for one in history.jobs:
        from_s, run_from_s, to_s = held_span(history, one)
        staging += (run_from_s - from_s) * one.processors
        ran, used = (to_s - run_from_s) * one.processors, cpu_s(history, one)
        cpu, waiting = cpu + (used or 0.0), waiting + (0.0 if used is None else ran - used)
        unknown += ran if used is None else 0.0
    total = processors * (history.ended_s - history.started_s)
    idle = max(0.0, total - cpu - waiting - unknown - staging)
    return CoreTime(total=total, cpu=cpu, waiting=waiting, unknown=unknown, staging=staging, idle=idle)


def _outcomes(jobs: Sequence[PastJob]) -> dict[str, int]:
    named = [str(one.outcome) if one.outcome else "in hand" for one in jobs]
    pending = [JobStatus.COMPLETED] if JobStatus.COMPLETED in named else []
    order = [JobStatus.DONE, *pending, JobStatus.FAILED, JobStatus.KILLED, JobStatus.RESCHEDULED, "in hand"]
    return {str(name): named.count(str(name)) for name in order}


def durations(one: PastJob) -> dict[str, float]:
    """Return how long each phase of a job took; what it has not finished, or skipped, is left out."""
    return {
        name: max(0.0, end(one) - start(one))
        for name, (start, end, ended_by) in PHASES.items()
        if any(phase in one.began for phase in ended_by) and (one.has_run or name not in _OF_PAYLOADS)
    }


_OF_PAYLOADS = ("run", "stage out")


def _phase_times(name: str, durations_s: Sequence[float]) -> PhaseTimes:
    took = sorted(durations_s)
    return PhaseTimes(
        name=name,
        jobs=len(took),
        total=sum(took),
        median=_quantile(took, 0.5),
        p95=_quantile(took, 0.95),
        longest=took[-1] if took else 0.0,
    )


def _quantile(took: Sequence[float], part: float) -> float:
    """Return the least value that so large a part of the sorted values do not exceed; 0 when there are none."""
    return took[ceil(part * len(took)) - 1] if took else 0.0


def _causes(history: History) -> list[Cause]:
    """Return the causes, those that cost most jobs first."""
    groups: dict[tuple[JobStatus, str, Blame | None], list[PastJob]] = {}
    for one in history.jobs:
        end = one.job.end
        if end and one.outcome and not one.outcome.is_success:
            groups.setdefault((end.status, end.minor_status, end.blame), []).append(one)
    found = [_cause(history, *key, jobs) for key, jobs in groups.items()]
    return sorted(found, key=lambda cause: (-len(cause.jobs), cause.minor_status))


def _cause(
    history: History, status: JobStatus, minor_status: str, blame: Blame | None, jobs: Sequence[PastJob]
) -> Cause:
    spans = [(held_span(history, one), one.processors) for one in jobs]
    last = jobs[-1].job.end
    return Cause(
        status=status,
        minor_status=minor_status,
        blame=blame,
        jobs=[one.job.job_id for one in jobs],
        core_s=sum((to_s - from_s) * processors for (from_s, _, to_s), processors in spans),
        example=last.application_status if last else "",
    )
