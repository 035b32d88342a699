"""Why the agent takes no more jobs: each reason is looked at in one place."""

from dataclasses import dataclass

from agents.errors import ExitCode
from agents.parts import Parts
from agents.slot.idle import Idle
from agents.slot.stop import Stop


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason, the exit code that it means for the agent, and why processors are idle from then on."""

    sentence: str
    exit_code: ExitCode = ExitCode.ENDED
    idle: Idle = Idle.DRAINING


class Reasons:
    """Looks at slot, node and jobs. Used by the agent's main thread."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def to_stop(self) -> Reason | None:
        """Return why no more jobs are taken, also while nobody asks for one; None while there is no reason."""
        settings, tally = self._parts.settings, self._parts.runner.tally
        if self._parts.drain_file.exists():
            return Reason(Stop.DRAINED)
        if settings.stop_on_application_failure and tally.failed:
            return Reason(Stop.APPLICATION_FAILED)
        unfit = self._unfit()
        return Reason(unfit, ExitCode.NODE_UNFIT, Idle.UNFIT) if unfit else None

    def _unfit(self) -> str:
        """Return why the node runs no jobs, empty while it may."""
        tally, monitor = self._parts.runner.tally, self._parts.monitor
        if tally.host_failures_in_a_row >= max(1, self._parts.settings.stop_after_host_failures):
            return Stop.HOST_FAILURES.format(limit=tally.host_failures_in_a_row)
        if tally.failed_here_twice:
            return Stop.SAME_JOB_TWICE.format(job=tally.failed_here_twice)
        if monitor.breaker.is_worn:
            return Stop.BLACK_HOLE.format(reason=monitor.breaker.reason)
        if not self._parts.slot.processors:
            return Stop.ALL_BROKEN
        return "" if self._parts.ledger.lasts else Stop.NO_LEDGER

    def not_to_ask(self, requests: int, empty_in_a_row: int) -> Reason | None:
        """Return why no job is asked for any more.

        Args:
            requests: so far.
            empty_in_a_row: answers that brought nothing.
        """
        settings, runner, monitor = self._parts.settings, self._parts.runner, self._parts.monitor
        if monitor.time_left.work_hs06s(monitor.power.hs06) <= settings.minimum_time_left_hs06s:
            return Reason(Stop.TIME_OVER, idle=Idle.LITTLE_LEFT)
        if runner.tally.matched and not settings.filling:
            return Reason(Stop.NOT_FILLING)
        if settings.max_matches and requests >= settings.max_matches:
            return Reason(Stop.MATCHES_USED_UP.format(limit=settings.max_matches))
        if empty_in_a_row > settings.stop_after_failed_matches and not runner.jobs.working:
            return Reason(Stop.NOTHING_TO_DO.format(limit=settings.stop_after_failed_matches), idle=Idle.NO_MATCH)
        return None
