"""Last words on jobs, read back: one counts as told when the WMS holds it after the last call that may be under way.

A call whose caller has given up may still be carried out: a late heartbeat sets an ended job Running again. And the
WMS takes words without complaint that it then ignores, because they seem older than what it knows.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from agents.errors import AccessDenied, Refused
from agents.jobs.job import JobStatus
from agents.log import EventLog
from agents.wms.job_monitoring import JobMonitoring

log = EventLog("reporter")

_NOT_ENDED = (JobStatus.MATCHED, JobStatus.RUNNING, JobStatus.STALLED, JobStatus.COMPLETING)
TOGETHER_S = 2.0  # the ends of several jobs are read back in one call
_LONGER_S = 2.0  # is waited after each of them: a database may lag behind
_SAID_WITHIN_S = 60.0  # then it is read back anyway
_TRIES = 3  # to say a last word that the WMS does not hold afterwards


@dataclass(slots=True)
class _Word:
    """A last word that was taken, and not read back yet."""

    not_before: float  # monotonic
    together_at: float  # the same: until then others may come
    tries: int = 0


class ReadBack:
    """Asks in bulk how jobs stand of which the last word was said. Used by the reporter's one thread.

    Args:
        monitoring: is asked.
        told: is told of each job whose end the WMS knows, or has decided otherwise.
        not_held: is told of each job that the WMS does not hold for ended, with the status that it holds.
        mine: references of the pilots that have worked here; what another one tells of is not ours to say again.
        clock: monotonic, in seconds.
        together_s: for so long ends may wait for those of other jobs.
    """

    def __init__(
        self,
        monitoring: JobMonitoring,
        told: Callable[[int], None],
        not_held: Callable[[int, JobStatus], None],
        mine: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
        together_s: float = TOGETHER_S,
    ) -> None:
        self._monitoring = monitoring
        self._told = told
        self._not_held = not_held
        self._mine = set(mine)
        self._clock = clock
        self._together_s = together_s
        self._words: dict[int, _Word] = {}
        self._given_up: set[int] = set()

    def said(self, job_id: int, not_before: float) -> None:
        """Take note that the last word on a job was taken.

        Args:
            job_id: whose.
            not_before: monotonic; until then a call may be under way that overtakes it.
        """
        self._given_up.discard(job_id)
        word = self._words.setdefault(job_id, _Word(not_before, self._clock() + self._together_s))
        word.not_before = max(not_before, self._clock() + word.tries * _LONGER_S) if word.tries else not_before

    def forget(self, job_id: int) -> None:
        """Ask no more about a job: it is not ours."""
        self._words.pop(job_id, None)
        self._given_up.discard(job_id)

    def next_s(self, *, is_all: bool = False) -> float | None:
        """Return in how many seconds something is to be read back, None when nothing is; no end waits for `is_all`."""
        due = [self._due_at(word, is_all=is_all) for word in self._words.values()]
        return max(0.0, min(due) - self._clock()) if due else None

    def _due_at(self, word: _Word, *, is_all: bool) -> float:
        return word.not_before if is_all else max(word.not_before, word.together_at)

    def untold(self) -> set[int]:
        """Return the jobs of which the WMS may not know how they ended."""
        return set(self._words) | set(self._given_up)

    def look(self, *, is_all: bool = False) -> None:
        """Read back what is due, and with it all that may be; at once where no end is to wait for others.

        Raises:
            ServiceError: the WMS could not be asked now.
        """
        if self.next_s(is_all=is_all) != 0.0:
            return
        due = [job_id for job_id, word in self._words.items() if word.not_before <= self._clock()]
        statuses, pilots = self._asked(due)
        for job_id in due:
            held = statuses.get(job_id, "")
            if held in _NOT_ENDED and pilots.get(job_id, "") in {"", *self._mine}:
                self._say_again(job_id, JobStatus(held))
            else:
                del self._words[job_id]
                self._told(job_id)

    def _say_again(self, job_id: int, held: JobStatus) -> None:
        word = self._words[job_id]
        word.tries += 1
        if word.tries > _TRIES:
            log.error("end.not_held", job_id=job_id, status=held, tries=word.tries)
            del self._words[job_id]
            self._given_up.add(job_id)
            return
        log.warning("end.said_again", job_id=job_id, status=held)
        word.not_before = self._clock() + _SAID_WITHIN_S
        self._not_held(job_id, held)

    def _asked(self, job_ids: Collection[int]) -> tuple[Mapping[int, str], Mapping[int, str]]:
        """Return how jobs stand, and which pilots tell of those not ended; nothing where we may not ask."""
        try:
            statuses = self._monitoring.statuses(job_ids)
            open_ones = [job_id for job_id, status in statuses.items() if status in _NOT_ENDED]
            return statuses, self._monitoring.pilots(open_ones) if open_ones and self._mine else {}
        except (Refused, AccessDenied) as error:
            log.warning("ends.not_read_back", jobs=len(job_ids), cause=error)
            return {}, {}
