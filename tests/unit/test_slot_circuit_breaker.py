"""The circuit breaker against black holes."""

import pytest

from agents.slot.circuit_breaker import CircuitBreaker, Patience


class Time:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def breaker(time: Time) -> CircuitBreaker:
    return CircuitBreaker(Patience(failures=3, soon_s=10, pause_s=20, trials=2), time)


def die(breaker: CircuitBreaker, times: int, owner: str = "ann") -> None:
    for _ in range(times):
        breaker.ended(owner, 0.5, is_failure=True)


def test_brake_is_off_until_enough_payloads_have_died_at_once(breaker: CircuitBreaker) -> None:
    die(breaker, 2)

    assert breaker.lets_try(running=5)


def test_brake_makes_everybody_wait(breaker: CircuitBreaker) -> None:
    die(breaker, 3)

    assert not breaker.lets_try(running=0)
    assert breaker.wait_s() == 20.0


def test_one_job_may_try_after_the_pause_and_only_when_nothing_runs(breaker: CircuitBreaker, time: Time) -> None:
    die(breaker, 3)
    time.now_s = 20.0

    assert [breaker.lets_try(running=0), breaker.lets_try(running=1)] == [True, False]


def test_pause_doubles_with_every_failed_trial(breaker: CircuitBreaker) -> None:
    die(breaker, 4)

    assert breaker.wait_s() == 40.0


def test_node_is_given_up_after_its_trials(breaker: CircuitBreaker) -> None:
    die(breaker, 4)
    before = breaker.is_worn

    die(breaker, 1)

    assert [before, breaker.is_worn] == [False, True]


@pytest.mark.parametrize(("wall_s", "is_failure"), [(0.5, False), (60.0, True)])
def test_payload_that_succeeds_or_runs_makes_all_good(wall_s: float, is_failure: bool, breaker: CircuitBreaker) -> None:
    die(breaker, 3)

    breaker.ended("ann", wall_s, is_failure=is_failure)

    assert breaker.lets_try(running=3)


def test_payload_whose_time_is_not_known_counts_for_nothing(breaker: CircuitBreaker) -> None:
    die(breaker, 2)

    breaker.ended("ann", None, is_failure=True)
    die(breaker, 1)

    assert breaker.is_on


@pytest.mark.parametrize(("owners", "words"), [(["ann"] * 3, "all of ann"), (["ann", "bob", "ann"], "of 2 owners")])
def test_reason_says_whose_jobs_died(owners: list[str], words: str, breaker: CircuitBreaker) -> None:
    for owner in owners:
        die(breaker, 1, owner)

    assert breaker.reason == f"3 payloads in a row, {words}, failed within 10 s"


def test_brake_that_is_not_wanted_never_comes_on(time: Time) -> None:
    breaker = CircuitBreaker(Patience(failures=0), time)
    die(breaker, 50)

    assert breaker.lets_try(running=3)
    assert not breaker.is_worn
