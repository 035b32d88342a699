"""Who holds which processors and how much memory."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.jobs.jdl import Request
from agents.jobs.job import Grant
from agents.slot.allocation import Slot, granted_processors

REQUESTS = st.builds(
    lambda least, more, whole, memory: Request(
        min_processors=least, max_processors=least + more, whole_node=whole, memory_mb=memory
    ),
    st.integers(1, 6),
    st.integers(0, 6),
    st.booleans(),
    st.integers(0, 5000),
)


@pytest.mark.parametrize(
    ("least", "most", "whole", "free", "total", "granted"),
    [
        (1, 1, False, 4, 4, 1),
        (1, 1, False, 0, 4, 0),
        (2, 8, False, 2, 2, 2),
        (2, 8, False, 8, 8, 8),
        (2, 8, False, 3, 8, 3),
        (2, 8, False, 1, 8, 0),
        (2, 8, False, 16, 16, 8),
        (4, 4, False, 4, 8, 4),
        (5, 5, False, 4, 4, 0),
        (1, 1, True, 4, 4, 4),
        (1, 1, True, 3, 4, 0),
        (4, 4, True, 4, 4, 4),
        (5, 5, True, 4, 4, 0),
        (1, 2, True, 4, 4, 4),
        (1, 1, True, 0, 0, 0),
    ],
)
def test_processors_are_granted_between_minimum_and_maximum(
    least: int, most: int, whole: bool, free: int, total: int, granted: int
) -> None:
    request = Request(min_processors=least, max_processors=most, whole_node=whole)

    assert granted_processors(request, free=free, total=total) == granted


@given(st.integers(0, 8), st.sampled_from([0, 4000]), st.lists(REQUESTS | st.none(), max_size=20), st.randoms())
@settings(max_examples=150, deadline=None, database=None)
def test_no_processor_is_held_twice_and_never_more_than_there_are(
    processors: int, memory_mb: int, steps: list[Request | None], random: Random
) -> None:
    slot, held = Slot(range(10, 10 + processors), memory_mb), list[Grant]()

    for request in steps:
        grant = slot.take(request) if request else None
        if grant:
            assert request.min_processors <= grant.processors  # type: ignore[union-attr]
            held.append(grant)
        elif request is None and held:
            slot.give_back(held.pop(random.randrange(len(held))))

        ids = [number for one in held for number in one.processor_ids]
        assert len(ids) == len(set(ids))
        assert set(ids) <= set(range(10, 10 + processors))
        assert slot.free_processors == processors - len(ids)
        assert not memory_mb or sum(one.memory_mb for one in held) <= memory_mb

    for grant in held:
        slot.give_back(grant)
    assert (slot.free_processors, slot.free_memory_mb, slot.is_all_free) == (processors, memory_mb, True)


def test_a_grant_given_back_twice_is_free_once() -> None:
    slot = Slot(range(4), 1000)
    grant = slot.take(Request(memory_mb=600))
    assert grant is not None

    slot.give_back(grant)
    slot.give_back(grant)

    assert (slot.free_processors, slot.free_memory_mb) == (4, 1000)


def test_processors_of_a_former_slot_do_not_become_processors_of_this_one() -> None:
    slot, former = Slot(range(2)), Grant(processor_ids=(0, 1, 2, 3))

    slot.hold(former)
    slot.give_back(former)

    assert slot.free_processors == 2


def test_a_job_found_again_holds_what_it_held() -> None:
    slot = Slot(range(4), 1000)

    slot.hold(Grant(processor_ids=(1, 2), memory_mb=300))

    again = slot.take(Request(min_processors=2, max_processors=2))
    assert again is not None
    assert (again.processor_ids, slot.free_memory_mb) == ((0, 3), 700)


def test_a_job_that_wants_more_memory_than_is_free_does_not_fit() -> None:
    slot = Slot(range(4), 1000)
    slot.take(Request(memory_mb=600))

    assert slot.take(Request(memory_mb=500)) is None


def test_where_the_slots_memory_is_unknown_a_job_gets_its_memory_and_none_is_offered() -> None:
    slot = Slot(range(4))

    grant = slot.take(Request(memory_mb=600))

    assert grant is not None
    assert (grant.memory_mb, slot.free_memory_mb) == (600, 0)


def test_what_cannot_be_killed_keeps_its_processors_and_memory_and_gpus() -> None:
    slot = Slot(range(4), memory_mb=1000, gpu_ids=("0", "1"))
    grant = Grant(processor_ids=(1, 2), memory_mb=300, gpu_ids=("0",))
    slot.hold(grant)
    while_it_runs = (slot.processors, slot.broken_processors, slot.free_processors, slot.is_all_free)

    slot.mark_broken(grant)
    slot.give_back(grant)

    assert while_it_runs == (4, 0, 2, False)
    assert (slot.processors, slot.broken_processors, slot.free_processors) == (2, 2, 2)
    assert (slot.is_all_free, slot.processor_ids) == (True, (0, 1, 2, 3))
    assert (slot.free_memory_mb, slot.free_gpus, slot.has_gpus) == (700, 1, True)


def test_a_slot_without_more_is_pinned_and_has_nothing_but_processors() -> None:
    slot = Slot((3, 1))

    assert (slot.is_pinned, slot.memory_mb, slot.free_memory_mb) == (True, 0, 0)
    assert (slot.has_gpus, slot.free_gpus, slot.processor_ids) == (False, 0, (1, 3))
