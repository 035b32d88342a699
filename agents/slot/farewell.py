"""How long the end of an agent may take, and what is said of the jobs that could not be told of."""

from collections.abc import Callable, Sequence

NOW_S = 20.0  # for the last reports to be accepted when the slot goes away
UNKNOWN_S = 200.0  # the same when the site does not say how long the slot lasts: a queue's limit may be days away
_MOST_NAMED = 10


class Patience:
    """Counts from its making on how long the WMS has not taken the last reports.

    Args:
        monotonic: a clock, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since = monotonic()
        self._now_since: float | None = None

    def is_over(self, *, is_now: bool, is_end_known: bool) -> bool:
        """Tell whether to wait no longer.

        Args:
            is_now: the slot goes away, or its time is over.
            is_end_known: the site says when it ends; that is waited for.
        """
        if is_now:
            self._now_since = self._monotonic() if self._now_since is None else self._now_since
            return self._monotonic() - self._now_since >= NOW_S
        return not is_end_known and self._monotonic() - self._since >= UNKNOWN_S


def jobs_in_words(job_ids: Sequence[int]) -> str:
    """Return `job 7`, `jobs 7, 8`, or the first of them and how many there are more."""
    named = ", ".join(map(str, job_ids[:_MOST_NAMED]))
    more = f" and {len(job_ids) - _MOST_NAMED} more" if len(job_ids) > _MOST_NAMED else ""
    return f"job{'' if len(job_ids) == 1 else 's'} {named}{more}"
