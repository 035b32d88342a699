"""When what is to be said of a job is sent: the words of one that goes on wait for each other, its last word does not.

So a short job is told of in one call of each kind, with the moment of each word, and a long one as it goes on.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Sequence

from agents.jobs.ledger import Report, ReportKind

_TOGETHER_S = 0.1  # ends of several jobs go in one turn
_LONGER = 4  # times: nobody acts on a parameter while a job runs
_Words = tuple[int, ReportKind]  # what is told in one call: of this job, of this kind


class Gathering:
    """Keeps since when something waits to be said; any thread may call.

    Args:
        wait_s: for so long the words of a job that goes on may wait, its parameters four times as long.
        monotonic: the clock.
    """

    def __init__(self, wait_s: float, monotonic: Callable[[], float]) -> None:
        self._wait_s = wait_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._until: dict[_Words, float] = {}
        self._coming: set[_Words] = set()
        self._is_urgent = False
        self.together_s = min(_TOGETHER_S, wait_s)

    @property
    def is_urgent(self) -> bool:
        """Tell whether something came that waits for nothing."""
        return self._is_urgent

    def expect(self, reports: Iterable[Report]) -> None:
        """Take note of what will be in the ledger in a moment: whoever looks just then lets it wait."""
        with self._lock:
            for report in reports:
                self._coming.add((report.job_id, report.kind))
                self._let_wait(report)

    def note(self, reports: Iterable[Report]) -> None:
        """Take note of what is in the ledger now, and was not before."""
        with self._lock:
            for report in reports:
                self._coming.discard((report.job_id, report.kind))
                self._let_wait(report)
                self._is_urgent |= report.is_last_word

    def _let_wait(self, report: Report) -> None:
        longer = _LONGER if report.kind is ReportKind.PARAMETERS else 1
        self._until.setdefault((report.job_id, report.kind), self._monotonic() + longer * self._wait_s)

    def hurry(self) -> None:
        """Let the next turn begin at once."""
        self._is_urgent = True

    def begin(self) -> None:
        """Take note that a turn begins, which sees all that came before."""
        self._is_urgent = False

    def next_s(self) -> float | None:
        """Return in how many seconds something has waited long enough, None when nothing waits."""
        with self._lock:
            first = min(self._until.values(), default=None)
        return None if first is None else max(0.0, first - self._monotonic())

    def due(self, unsent: Sequence[Report], at_once: Collection[int], *, is_all: bool) -> list[Report]:
        """Return what is to be sent now, in its order; only what is not waits on.

        Args:
            unsent: what the ledger holds.
            at_once: jobs of which everything is to be said.
            is_all: nothing may wait.
        """
        now = self._monotonic()
        ended = {report.job_id for report in unsent if report.is_last_word}.union(at_once)
        may_wait = {(report.job_id, report.kind) for report in unsent if report.job_id not in ended and not is_all}
        with self._lock:
            kept = may_wait | self._coming
            self._until = {key: until for key, until in self._until.items() if key in kept and until > now}
            waiting = may_wait & self._until.keys()
            return [report for report in unsent if (report.job_id, report.kind) not in waiting]
