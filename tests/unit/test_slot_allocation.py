"""Grants of memory, GPUs and neighbouring processors; that nothing is granted twice, whatever comes and goes."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.jobs.jdl import Request
from agents.jobs.job import Grant
from agents.slot.allocation import Slot, chosen_processors, granted_memory_mb

GPUS = ("GPU-aa", "GPU-bb", "GPU-cc")


@pytest.mark.parametrize(
    ("least_mb", "most_mb", "free_mb", "granted_mb"),
    [
        (0, 0, 0, 0),
        (0, 0, 4000, 0),
        (1000, 2000, 4000, 2000),
        (1000, 2000, 1500, 1500),
        (1000, 2000, 999, None),
        (0, 2000, 4000, 2000),
        (0, 2000, 1500, None),
    ],
)
def test_memory_is_granted_between_minram_and_maxram(
    least_mb: int, most_mb: int, free_mb: int, granted_mb: int | None
) -> None:
    request = Request(min_memory_mb=least_mb, memory_mb=most_mb)

    assert granted_memory_mb(request, free_mb=free_mb) == granted_mb


def test_job_with_a_memory_wish_waits_when_all_memory_is_held() -> None:
    slot = Slot(range(4), 2000)
    slot.take(Request(min_memory_mb=2000, memory_mb=2000))

    assert slot.take(Request(min_memory_mb=1, memory_mb=1)) is None


def test_two_jobs_never_get_the_same_gpu() -> None:
    slot = Slot(range(4), gpu_ids=GPUS)

    grants = [slot.take(Request(gpus=1)) for _ in range(4)]

    assert [grant.gpu_ids if grant else None for grant in grants] == [("GPU-aa",), ("GPU-bb",), ("GPU-cc",), None]


def test_tag_gpu_alone_means_one_device() -> None:
    grant = Slot(range(4), gpu_ids=GPUS).take(Request(tags=frozenset({"GPU"})))

    assert grant is not None
    assert grant.gpu_ids == ("GPU-aa",)


def test_tag_gpu_of_a_site_whose_devices_cannot_be_counted_is_no_obstacle() -> None:
    assert Slot(range(4)).take(Request(tags=frozenset({"GPU"}))) is not None


def test_job_that_wants_gpus_does_not_fit_a_slot_without() -> None:
    assert Slot(range(4)).take(Request(gpus=1)) is None


def test_whole_node_job_has_every_gpu() -> None:
    grant = Slot(range(4), gpu_ids=GPUS).take(Request(whole_node=True))

    assert grant is not None
    assert grant.gpu_ids == GPUS


@pytest.mark.parametrize(
    ("free", "count", "chosen"),
    [
        ([0, 1, 4, 5, 6, 7], 2, (0, 1)),  # the node that is left with least
        ([0, 1, 4, 5, 6, 7], 3, (4, 5, 6)),
        ([0, 1, 2, 4, 5], 4, (0, 1, 2, 4)),  # no node has four: the fewest nodes
        ([3, 7], 1, (3,)),
    ],
)
def test_processors_are_chosen_to_lie_together(free: list[int], count: int, chosen: tuple[int, ...]) -> None:
    two_nodes = {number: number // 4 for number in range(8)}

    assert chosen_processors(free, count, two_nodes) == chosen


def test_gpu_held_before_a_restart_is_not_given_away() -> None:
    slot = Slot(range(2), gpu_ids=GPUS[:1])
    slot.hold(Grant(processor_ids=(0,), gpu_ids=GPUS[:1]))

    assert slot.take(Request(gpus=1)) is None


REQUESTS = st.builds(
    lambda least, more, whole, low_mb, more_mb, gpus: Request(
        min_processors=least,
        max_processors=least + more,
        whole_node=whole,
        min_memory_mb=low_mb,
        memory_mb=low_mb + more_mb,
        gpus=gpus,
    ),
    st.integers(1, 6),
    st.integers(0, 6),
    st.booleans(),
    st.integers(0, 3000),
    st.integers(0, 3000),
    st.integers(0, 2),
)


@dataclass
class History:
    """What was granted and not given back."""

    slot: Slot
    held: list[tuple[Request, Grant]] = field(default_factory=list)

    def step(self, request: Request | None) -> None:
        if request is None:
            if self.held:
                self.slot.give_back(self.held.pop(0)[1])
        elif grant := self.slot.take(request):
            self.held.append((request, grant))


@given(st.integers(1, 8), st.sampled_from([0, 4000]), st.integers(0, 3), st.lists(REQUESTS | st.none(), max_size=20))
@settings(max_examples=120, deadline=None, database=None)
def test_nothing_is_held_twice_and_every_job_has_what_it_needs(
    processors: int, memory_mb: int, gpus: int, steps: list[Request | None]
) -> None:
    history = History(Slot(range(processors), memory_mb, gpu_ids=GPUS[:gpus], neighbourhoods={0: 1, 3: 1}))

    for step in steps:
        history.step(step)

    grants = [grant for _, grant in history.held]
    numbers = [number for grant in grants for number in grant.processor_ids]
    devices = [device for grant in grants for device in grant.gpu_ids]
    assert len(set(numbers)) == len(numbers) == processors - history.slot.free_processors
    assert len(set(devices)) == len(devices) == gpus - history.slot.free_gpus
    assert not memory_mb or sum(grant.memory_mb for grant in grants) <= memory_mb
    for request, grant in history.held:
        assert grant.processors >= request.min_processors
        assert grant.memory_mb >= request.min_memory_mb
        assert len(grant.gpu_ids) >= request.gpus
        assert not request.whole_node or len(history.held) == 1
