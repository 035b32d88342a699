"""Threads that ask the WMS: which jobs wait; to take note of pilots; which jobs these have; for a proxy."""

import functools
import time
from collections.abc import Callable, Sequence

from agents.errors import CredentialError, ServiceError
from agents.log import EventLog
from agents.site_director.demand import Demand
from agents.site_director.director import Announced, Crashed, DemandSeen, Event, JobsSeen
from agents.site_director.pilot_manager import PilotManager
from agents.site_director.pilot_proxy import PilotProxy
from agents.site_director.pilots import Pilot
from ce_backends.linux.loop import Loop

log = EventLog("site_director")

_LONGEST_REST_S = 60.0
_PROXY_S = 60.0
_TOLD_S = 0.2  # jobs that come one after the other are asked for together
_ANNOUNCE_S = 5.0  # where nobody wakes it
_CLOSE_S = 2.0
_CPU_SHARE = 0.004  # of a processor, that a question may take on the whole: about many pilots it is asked less often


def rest_after(rest_s: float, cpu_s: float) -> float:
    """Return how long to rest after a question that took so much CPU time: a minute at most on its account."""
    return max(rest_s, min(cpu_s / _CPU_SHARE, _LONGEST_REST_S))


class Asking:
    """See the module. A WMS that is away is asked at longer and longer intervals, a minute at most.

    Args:
        demand: asks for waiting jobs.
        manager: tells and asks of pilots.
        proxy: is renewed.
        put: takes events, from any thread.
    """

    def __init__(
        self,
        demand: Demand,
        manager: PilotManager,
        proxy: PilotProxy,
        put: Callable[[Event], None],
    ) -> None:
        self._demand = demand
        self._manager = manager
        self._proxy = proxy
        self._put = put
        self._heard = -1  # how often jobs had begun to wait
        self._registrar = self._loop("registrar", self._announce, _ANNOUNCE_S)
        self._loops = [self._registrar]

    def start(self, watched: Callable[[], Sequence[Pilot]], demand_s: float, jobs_s: float, *, is_told: bool) -> None:
        """Begin.

        Args:
            watched: returns the pilots whose jobs are asked for; called from a thread.
            demand_s: between two questions for waiting jobs.
            jobs_s: between two questions for pilots' jobs.
            is_told: the Matcher tells of new jobs: then it is asked at once.
        """
        demand = self._loop("demand", self._ask_demand, demand_s)
        if is_told:
            self._loops.append(self._loop("told", functools.partial(self._hear_of_jobs, demand), _TOLD_S))
        self._loops += [
            demand,
            self._loop("pilots", functools.partial(self._ask_jobs, watched), jobs_s),
            self._loop("proxy", self._proxy.renew, _PROXY_S),
        ]
        for loop in self._loops:
            loop.start()

    def announce(self) -> None:
        """Have the WMS told of new pilots now."""
        self._registrar.wake()

    def close(self) -> None:
        """End them; one that waits for a service is left alone."""
        for loop in self._loops:
            loop.close(_CLOSE_S)

    def _loop(self, name: str, turn: Callable[[], None], rest_s: float) -> Loop:
        return Loop(self._patient(name, turn, rest_s), name, broken=lambda: None)

    def _patient(self, name: str, turn: Callable[[], None], rest_s: float) -> Callable[[], float]:
        failures = 0

        def take() -> float:
            nonlocal failures
            began_s = time.thread_time()
            try:
                turn()
                failures = 0
            except (ServiceError, CredentialError) as error:
                failures += 1
                log.warning("wms.not_asked", what=name, failures=failures, cause=error)
            except BaseException as error:
                self._put(Crashed(error))
                raise
            rested_s = min(rest_s * 2.0 ** min(failures, 10), max(rest_s, _LONGEST_REST_S))
            return rest_after(rested_s, time.thread_time() - began_s)

        return take

    def _ask_demand(self) -> None:
        at_s = time.time()
        self._put(DemandSeen(self._demand.ask(), at_s))

    def _hear_of_jobs(self, demand: Loop) -> None:
        number = self._demand.wait(self._heard)
        if number != self._heard:
            self._heard = number
            demand.wake()

    def _announce(self) -> None:
        if self._manager.announce():
            self._put(Announced())

    def _ask_jobs(self, watched: Callable[[], Sequence[Pilot]]) -> None:
        at_s = time.time()
        if pilots := watched():
            self._put(JobsSeen(self._manager.jobs_of(pilots), at_s))
        self._manager.tell()
