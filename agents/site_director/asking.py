"""Threads that ask the WMS: which jobs wait; what it is to be told of pilots, and which jobs they have; for a proxy."""

import time
from collections.abc import Callable, Sequence

from agents.errors import CredentialError, ServiceError
from agents.log import EventLog
from agents.site_director.demand import Demand
from agents.site_director.director import Crashed, DemandSeen, Event, JobsSeen
from agents.site_director.pilot_manager import PilotManager
from agents.site_director.pilot_proxy import PilotProxy
from agents.site_director.pilots import Pilot
from ce_backends.linux.loop import Loop

log = EventLog("site_director")

_LONGEST_REST_S = 60.0
_PROXY_S = 60.0
_CLOSE_S = 2.0


class Asking:
    """See the module. A WMS that is away is asked at longer and longer intervals, a minute at most.

    Args:
        demand: asks for waiting jobs.
        manager: tells and asks of pilots.
        proxy: is renewed.
        watched: returns the pilots whose jobs are asked for; called from a thread.
        put: takes events, from any thread.
    """

    def __init__(
        self,
        demand: Demand,
        manager: PilotManager,
        proxy: PilotProxy,
        watched: Callable[[], Sequence[Pilot]],
        put: Callable[[Event], None],
    ) -> None:
        self._demand = demand
        self._manager = manager
        self._proxy = proxy
        self._watched = watched
        self._put = put
        self._loops: list[Loop] = []

    def start(self, demand_s: float, jobs_s: float) -> None:
        """Begin, with so many seconds between two questions of each kind."""
        turns = (
            ("demand", self._ask_demand, demand_s),
            ("pilots", self._ask_jobs, jobs_s),
            ("proxy", self._proxy.renew, _PROXY_S),
        )
        for name, turn, rest_s in turns:
            loop = Loop(self._patient(name, turn, rest_s), name, broken=lambda: None)
            self._loops.append(loop)
            loop.start()

    def close(self) -> None:
        """End them; one that waits for a service is left alone."""
        for loop in self._loops:
            loop.close(_CLOSE_S)

    def _patient(self, name: str, turn: Callable[[], None], rest_s: float) -> Callable[[], float]:
        failures = 0

        def take() -> float:
            nonlocal failures
            try:
                turn()
                failures = 0
            except (ServiceError, CredentialError) as error:
                failures += 1
                log.warning("wms.not_asked", what=name, failures=failures, cause=error)
            except BaseException as error:
                self._put(Crashed(error))
                raise
            return min(rest_s * 2.0 ** min(failures, 10), max(rest_s, _LONGEST_REST_S))

        return take

    def _ask_demand(self) -> None:
        at_s = time.time()
        self._put(DemandSeen(self._demand.ask(), at_s))

    def _ask_jobs(self) -> None:
        at_s = time.time()
        if watched := self._watched():
            self._put(JobsSeen(self._manager.jobs_of(watched), at_s))
        self._manager.tell()
