"""What is counted of an agent's life, for Prometheus: plain numbers, so that counting costs a job next to nothing."""

import bisect
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agents.errors import AgentError, ServiceError
from agents.jobs.job import MatchedJob
from agents.observability.history import PastJob
from agents.observability.summary import durations
from agents.wms.matcher import Asks

# Upper bounds in seconds: from an answer of the Matcher to a payload of days.
BUCKETS_S = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 28800.0, 86400.0, 259200.0)
_LOOK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How the slot stood when the agent last looked.

    Attributes:
        processors: by what they are: free, held, broken.
        jobs: in hand, by phase.
        time_left_s: of the slot; None when nobody knows.
        unsent: reports that the WMS has not accepted.
        seen_s: when, s since 1970.
    """

    processors: Mapping[str, int]
    jobs: Mapping[str, int]
    time_left_s: float | None
    unsent: int
    seen_s: float = field(default_factory=time.time)


@dataclass(slots=True)
class Durations:
    """A histogram: how many took up to each bound of BUCKETS_S, the rest last, and all of them together."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect.bisect_left(BUCKETS_S, seconds)] += 1
        self.total_s += seconds


class Counts:
    """Counts of one agent process; its main thread and its workers add to them, whoever shows them reads a copy."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self.snapshot: Snapshot | None = None
        self.started_s = time.time()
        self.ended: Counter[tuple[str, str]] = Counter()
        self.core_s: Counter[str] = Counter()
        self.joules: dict[str, float] = {}
        self.co2_g = 0.0
        self.phases: dict[str, Durations] = {}
        self.matches: Counter[str] = Counter()
        self.match_s = Durations()

    def look(self, snapshot: Callable[[], Snapshot]) -> None:
        """See how the slot stands, every few seconds; called by the main thread as often as it likes."""
        now = self._clock()
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            self.snapshot = snapshot()

    def closed(self, one: PastJob) -> None:
        """Count a job of which the WMS has heard everything."""
        end, took = one.job.end, durations(one)
        ran, staged = ((to - start) * one.processors for start, to in _spans(one))
        cpu = None if one.job.cpu_s is None else min(one.job.cpu_s, ran)
        with self._lock:
            if end:
                self.ended[(str(end.status), str(end.blame or "nobody"))] += 1
            self.core_s.update({"staging": staged} | _uses(ran, cpu))
            if energy := one.job.energy:
                how = "measured" if energy.is_measured else "estimated"
                self.joules[how] = self.joules.get(how, 0.0) + energy.joules
                self.co2_g += energy.co2_g or 0.0
            for name, seconds in took.items():
                self.phases.setdefault(name, Durations()).add(seconds)

    def matched(self, result: str, seconds: float) -> None:
        """Count a request to the Matcher."""
        with self._lock:
            self.matches[result] += 1
            self.match_s.add(seconds)

    def copy(self) -> "Counts":
        """Return the counts as they are now."""
        with self._lock:
            made = Counts()
            made.snapshot, made.started_s = self.snapshot, self.started_s
            made.ended, made.core_s, made.matches = Counter(self.ended), Counter(self.core_s), Counter(self.matches)
            made.joules, made.co2_g = dict(self.joules), self.co2_g
            made.phases = {name: Durations(list(one.counts), one.total_s) for name, one in self.phases.items()}
            made.match_s = Durations(list(self.match_s.counts), self.match_s.total_s)
        return made


def _spans(one: PastJob) -> Sequence[tuple[float, float]]:
    return (one.run_from_s, one.held_to_s), (one.held_from_s, one.run_from_s)


def _uses(ran: float, cpu: float | None) -> dict[str, float]:
    return {"unknown": ran} if cpu is None else {"cpu": cpu, "waiting": ran - cpu}


class CountedMatcher:
    """A Matcher whose requests are counted."""

    def __init__(self, matcher: Asks, counts: Counts) -> None:
        self._matcher = matcher
        self._counts = counts

    def request_job(self, offer: Mapping[str, object]) -> MatchedJob | None:
        """Ask; answers and errors pass through."""
        asked = time.monotonic()
        result = "error"
        try:
            answer = self._matcher.request_job(offer)
            result = "job" if answer else "none"
        except ServiceError as error:
            result = _snake(type(error).__name__)
            raise
        except AgentError:
            result = "refused"
            raise
        finally:
            self._counts.matched(result, time.monotonic() - asked)
        return answer


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
