"""Pilots wait longer than their proxies live: these are renewed where the CE can, and else the pilots are replaced."""

from pathlib import Path
from typing import Any

import pytest

from agents.errors import CredentialError
from agents.site_director.ce_worker import CeWorker, Renew, Renewed
from agents.site_director.pilots import Pilot, State
from agents.site_director.proxy_in_queue import CurrentProxy, ProxyInQueue
from ce_backends.errors import CEError
from tests.waiting import until

NOW, LIFE, FILE = 1_000_000.0, 1000.0, Path("/p/pilot.pem")


def pilot(number: int, left_s: float) -> Pilot:
    return Pilot(
        stamp=f"{number:032x}", queue="ce/q", processors=1, state=State.WAITING, decided_s=NOW - 5000,
        task_id=f"t{number}", proxy_ends_s=NOW + left_s if left_s else 0.0,
    )  # fmt: skip


def keeper(left_s: float = 1500.0) -> ProxyInQueue:
    return ProxyInQueue(lambda: CurrentProxy(FILE, NOW + left_s), LIFE)


def test_only_proxies_that_have_become_short_are_renewed_and_not_at_every_turn() -> None:
    proxies, waiting = keeper(), [pilot(1, 1200), pilot(2, 700), pilot(3, 0), pilot(4, 100)]

    assert proxies.due(waiting, NOW) == Renew(["t4", "t2"], FILE, NOW + 1500)  # the shortest first
    assert proxies.due(waiting, NOW + 299) is None
    assert proxies.due(waiting, NOW + 301) is not None
    assert proxies.due(waiting, NOW + 10) is not None  # the clock was set back


def test_many_are_renewed_some_at_a_time_and_after_a_failure_not_at_once() -> None:
    proxies, waiting = keeper(), [pilot(number, 100 + number) for number in range(60)]

    first, second = proxies.due(waiting, NOW), proxies.due(waiting[25:], NOW + 1)
    assert first is not None
    assert second is not None
    assert [*first.task_ids, *second.task_ids] == [f"t{number}" for number in range(50)]
    proxies.after(Renewed("ce/q", second, {"t30": "cannot"}), {}, NOW + 2)
    assert proxies.due(waiting[50:], NOW + 3) is None
    assert proxies.due(waiting[50:], NOW + 303) is not None


def test_without_a_longer_one_nothing_is_done() -> None:
    def none() -> CurrentProxy:
        raise CredentialError("none")

    assert keeper(710.0).due([pilot(1, 700)], NOW) is None
    assert ProxyInQueue(none, LIFE).due([pilot(1, 700)], NOW) is None
    assert ProxyInQueue(none, LIFE).ends_s == 0.0


@pytest.mark.parametrize(
    ("left_s", "trouble", "new_s", "state", "ends_s"),
    [
        (700, None, 1500, State.WAITING, NOW + 1500),
        (700, "cannot", 1500, None, 0),  # it is long enough to begin with
        (400, "cannot", 1500, State.CANCELLING, NOW + 400),
        (400, "cannot", 600, None, 0),  # another pilot would get one that is no better
    ],
)
def test_who_has_no_new_one_goes_when_the_old_one_is_too_short_to_begin_with(
    left_s: float, trouble: str | None, new_s: float, state: State | None, ends_s: float
) -> None:
    one = pilot(1, left_s)
    renewed = Renewed("ce/q", Renew(["t1", "t9"], FILE, NOW + new_s), {"t1": trouble} if trouble else {})
    changed = keeper().after(renewed, {"t1": one}, NOW)

    assert [(each.state, each.proxy_ends_s) for each in changed] == ([(state, ends_s)] if state else [])


class Renewing:
    """A CE that can, but for one task."""

    def __init__(self) -> None:
        self.renewed: list[str] = []

    def renew_credential(self, task_id: str, credential: Path) -> None:
        if task_id == "t2":
            raise CEError("it has gone to its node")
        self.renewed.append(task_id)

    def close(self) -> None: ...


class Plain:
    def close(self) -> None: ...


def test_a_ce_that_can_renew_does_and_says_where_it_could_not() -> None:
    assert ordered(Renewing()).troubles == {"t2": "it has gone to its node"}
    assert ordered(Plain()).troubles == dict.fromkeys(["t1", "t2"], "this CE type renews none")


def ordered(ce: Any) -> Renewed:
    events: list[Any] = []
    worker = CeWorker("ce/q", lambda: ce, events.append)
    worker.order(Renew(["t1", "t2"], FILE, NOW))
    until(lambda: events, "it answers")
    worker.leave(5.0)
    assert isinstance(events[0], Renewed)
    return events[0]
