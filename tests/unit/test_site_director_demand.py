"""What the SiteDirector asks the WMS for, and what of it and of its pilots the law is told."""

from typing import Any

import pytest

from agents.errors import BadAnswer
from agents.site_director.demand import Demand, task_queues_of
from agents.site_director.pilots import Pilot, State
from agents.site_director.supply import Memory, Stage, WaitingJobs
from agents.site_director.views import Known, WorkSince, situation
from agents.wms.testing import FakeTransport, ok
from tests.unit.site_director_scene import NOW, chosen, pilot, service


def test_a_task_queue_that_fits_two_queues_is_counted_once() -> None:
    def answer(offer: dict[str, Any]) -> object:
        one = {"1": {"Jobs": 5, "Priority": 1.0}, "2": {"Jobs": 3, "Tags": ["8Processors", "MultiProcessor"]}}
        return ok(one if offer["Queue"] == "long" else {"1": one["1"]})

    found = Demand(service(FakeTransport({"getMatchingTaskQueues": answer})), chosen()).ask()

    assert sorted(found, key=lambda each: each.processors) == [
        WaitingJobs(jobs=5, processors=1, queues=frozenset({"ce1.one.ch/short", "ce1.one.ch/long"})),
        WaitingJobs(jobs=3, processors=8, queues=frozenset({"ce1.one.ch/long"})),
    ]


@pytest.mark.parametrize(
    "answer",
    [None, [], "x", {"1": 7}, {"1": {}}, {"1": {"Jobs": "5"}}, {"1": {"Jobs": -1}}, {"1": {"Jobs": True}},
     {"1": {"Jobs": 1, "Tags": "8Processors"}}, {"1": {"Jobs": 10**9}}],
)  # fmt: skip
def test_answers_of_odd_shape_are_bad_answers(answer: object) -> None:
    with pytest.raises(BadAnswer):
        task_queues_of(answer)


def test_tags_of_odd_size_are_one_processor() -> None:
    assert task_queues_of({"1": {"Jobs": 1, "Tags": ["999999999Processors", 7, "Processors"]}})["1"].processors == 1


def views_of(*pilots: Pilot, asked_s: float = NOW, known: bool = True) -> Any:
    all_known = Known(
        queues=chosen(),
        pilots=pilots,
        past={},
        waiting=[],
        asked_s=asked_s,
        are_jobs_known=known,
        start_up_s=45.0,
        memory=Memory(),
    )
    return situation(NOW, all_known).queues[0]


def test_a_pilot_that_took_its_job_after_the_question_is_free_yet_as_its_job_is_waiting_yet() -> None:
    busy = pilot(state=State.RUNNING, started_s=NOW - 100, jobs=1, is_busy=True, busy_since_s=NOW - 5)

    assert views_of(busy, asked_s=NOW - 10).pilots[0].free == 1
    assert views_of(busy, asked_s=NOW - 1).pilots[0].free == 0


def test_of_pilots_whose_jobs_nobody_knows_none_is_taken_for_idle() -> None:
    running = pilot(state=State.RUNNING, started_s=NOW - 1000)

    (known,), (unknown,) = views_of(running).pilots, views_of(running, known=False).pilots
    assert (known.free, known.has_run) == (1, False)
    assert (unknown.free, unknown.has_run) == (0, True)


def test_stages_and_room() -> None:
    view = views_of(
        pilot(1), pilot(2, state=State.SUBMITTING), pilot(3, state=State.RUNNING, started_s=NOW - 10),
        pilot(4, state=State.RUNNING, started_s=NOW - 50), pilot(5, state=State.CANCELLING),
    )  # fmt: skip

    assert [each.stage for each in view.pilots] == [Stage.WAITING, Stage.WAITING, Stage.STARTING, Stage.ASKING]
    assert view.room == 2  # of seven


def test_the_end_of_a_pilot_speaks_only_where_it_could_have_had_work() -> None:
    jobs = [WaitingJobs(jobs=1, processors=1, queues=frozenset({"ce1.one.ch/short"}))]
    since = WorkSince({}).seen(jobs, NOW - 100).seen(jobs, NOW)
    ended = {"state": State.DONE, "ended_s": NOW}

    assert since.verdict(pilot(started_s=NOW - 50, jobs=2, **ended)) is True
    assert since.verdict(pilot(started_s=NOW - 50, **ended)) is False
    assert since.verdict(pilot(started_s=NOW - 500, **ended)) is None  # the jobs came later
    assert since.verdict(pilot(**ended)) is None  # it never ran
    assert since.seen([], NOW).verdict(pilot(started_s=NOW - 50, **ended)) is None
    assert since.seen([], NOW).verdict(pilot(started_s=NOW - 50, met_work=True, **ended)) is False
