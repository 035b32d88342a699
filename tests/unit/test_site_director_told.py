"""The local WMS tells of jobs that begin to wait, and the SiteDirector asks for them at once."""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any, cast

import pytest

from agents.errors import BadAnswer, NoAnswer
from agents.local_wms.changes import Changes
from agents.site_director.asking import Asking
from agents.site_director.demand import Demand
from agents.site_director.director import DemandSeen
from agents.site_director.pilots import Pilot
from agents.wms.service import Clock, Retry, Service
from agents.wms.testing import FakeTransport, ok
from tests.waiting import until


def test_who_waits_hears_of_a_job_and_of_one_that_came_before_it_asked() -> None:
    async def play() -> list[int]:
        changes = Changes()
        waits = [asyncio.create_task(changes.beyond(0, 60.0)) for _ in range(3)]
        await asyncio.sleep(0)
        changes.note()
        heard = [await wait for wait in waits]
        return [*heard, await changes.beyond(0, 60.0), await changes.beyond(1, 0.01), len(changes._listeners)]

    assert asyncio.run(play()) == [1, 1, 1, 1, 1, 0]


class Quiet:
    """A PilotManager and a proxy that nothing is wanted of."""

    def announce(self) -> int:
        return 0

    def tell(self) -> int:
        return 0

    def renew(self) -> None: ...


def test_the_matcher_is_asked_when_it_tells_and_when_it_does_not_now_and_then() -> None:
    """The polling interval is an hour: what is asked for twice was told."""
    news = threading.Event()

    def wait(number: int) -> object:
        if number == 7:
            news.wait(60)
        return {-1: ok(7), 7: ok(8)}.get(number, NoAnswer("cut off"))

    transport = FakeTransport({"waitForJobs": wait, "getMatchingTaskQueues": ok({})})
    demand = Demand(Service("S", ["https://s"], transport, Retry(attempts=1), Clock()), [])
    seen: list[float] = []
    demand.ask = lambda: cast("Any", seen.append(time.monotonic()) or [])  # type: ignore[method-assign]
    asked: list[object] = []
    asking = Asking(demand, cast("Any", Quiet()), cast("Any", Quiet()), asked.append)
    watched: Sequence[Pilot] = ()
    asking.start(lambda: watched, 3600.0, 3600.0, is_told=True)
    until(lambda: transport.methods.count("waitForJobs") == 2, "it waits")
    before = len(seen)
    news.set()
    until(lambda: len(seen) > before, "it asked")
    asking.close()

    assert all(isinstance(event, DemandSeen) for event in asked)


@pytest.mark.parametrize("answer", [None, True, "7", [7]])
def test_an_odd_answer_is_a_bad_answer(answer: object) -> None:
    transport = FakeTransport({"waitForJobs": ok(answer)})
    with pytest.raises(BadAnswer):
        Demand(Service("S", ["https://s"], transport, Retry(attempts=1), Clock()), []).wait(1)
