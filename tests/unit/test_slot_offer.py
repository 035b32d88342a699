"""What the Matcher is offered: what is free now, in DIRAC's words and types, in the order of the strategy."""

import pytest

from agents.jobs.jdl import Request
from agents.settings.agent import AgentSettings, Strategy
from agents.slot.allocation import Slot
from agents.slot.offer import can_offer, offers, site_requirements
from ce_backends.cfg import parse


def settings(
    strategy: Strategy = Strategy.NO, tags: tuple[str, ...] = (), required: tuple[str, ...] = ()
) -> AgentSettings:
    return AgentSettings(
        site="LCG.Test.ch", multi_processor_strategy=strategy, tags=tags, required_tags=required, vo="vo"
    )


def described(mine: AgentSettings, slot: Slot, **requirements: object) -> list[dict[str, object]]:
    return offers(mine, slot, work_left_hs06s=1000, requirements=requirements, first=True)


def required(mine: AgentSettings, slot: Slot, **requirements: object) -> list[object]:
    return [offer.get("RequiredTag") for offer in described(mine, slot, **requirements)]


def busy(processors: int, held: int) -> Slot:
    slot = Slot(range(processors))
    slot.take(Request(min_processors=held, max_processors=held))
    return slot


def test_without_strategy_there_is_one_offer_of_all_that_is_free() -> None:
    (offer,) = described(settings(), busy(8, 3))

    assert offer["NumberOfProcessors"] == 5
    assert "RequiredTag" not in offer


def test_types_are_what_the_matcher_formats() -> None:
    (offer,) = described(settings(), Slot(range(2), 4000))

    assert [type(offer[name]) for name in ("CPUTime", "MaxRAM", "PilotBenchmark", "PilotInfoReportedFlag")] == [
        int,
        int,
        float,
        bool,
    ]


def test_strategy_asks_for_the_whole_node_first_and_for_anything_last() -> None:
    asked = required(settings(Strategy.YES, tags=("WholeNode",)), Slot(range(4)))

    assert asked == [["WholeNode"], ["4Processors"], ["MultiProcessor"], None]


def test_busy_slot_never_asks_for_the_whole_node() -> None:
    mine = settings(Strategy.YES, tags=("WholeNode",))

    asked = described(mine, busy(4, 1))

    assert [offer.get("RequiredTag") for offer in asked] == [["3Processors"], ["MultiProcessor"], None]
    assert all("WholeNode" not in offer.get("Tag", ()) for offer in asked)  # type: ignore[operator]


def test_required_tags_of_the_site_do_not_pile_up_over_the_offers() -> None:
    mine = settings(Strategy.YES, tags=("fast",), required=("fast",))

    assert required(mine, Slot(range(2))) == [["fast", "2Processors"], ["fast", "MultiProcessor"], ["fast"]]


def test_required_tag_of_agentjobrequirements_is_kept_with_every_offer() -> None:
    asked = required(settings(Strategy.YES), Slot(range(2)), RequiredTag="fast")

    assert asked == [["2Processors", "fast"], ["MultiProcessor", "fast"], ["fast"]]


def test_strict_strategy_never_asks_for_single_processor_jobs() -> None:
    assert required(settings(Strategy.STRICT), Slot(range(4))) == [["4Processors"], ["MultiProcessor"]]


def test_strict_strategy_leaves_the_last_processor_idle() -> None:
    assert not can_offer(settings(Strategy.STRICT), busy(4, 3))


@pytest.mark.parametrize("strategy", list(Strategy))
def test_slot_of_one_processor_asks_for_anything_under_every_strategy(strategy: Strategy) -> None:
    assert required(settings(strategy), Slot(range(1))) == [None]


def test_slot_with_nothing_free_offers_nothing() -> None:
    assert not can_offer(settings(), busy(2, 2))


def test_slot_for_whole_node_jobs_only_waits_until_it_is_empty() -> None:
    mine = settings(tags=("WholeNode",), required=("WholeNode",))

    assert [can_offer(mine, Slot(range(2))), can_offer(mine, busy(2, 1))] == [True, False]


def test_tag_gpu_is_offered_only_while_a_device_is_free() -> None:
    slot = Slot(range(4), gpu_ids=["GPU-aa"])
    before = described(settings(), slot)[0]
    slot.take(Request(gpus=1))

    after = described(settings(), slot)[0]

    assert (before["Tag"], before["NumberOfGPUs"]) == (["GPU"], 1)
    assert not {"Tag", "NumberOfGPUs"} & set(after)


def test_tag_gpu_of_a_site_whose_devices_cannot_be_counted_stays() -> None:
    (offer,) = described(settings(tags=("GPU",)), Slot(range(2)))

    assert offer["Tag"] == ["GPU"]


def test_used_up_memory_is_not_offered_as_no_limit() -> None:
    slot = Slot(range(2), 2000)
    slot.take(Request(min_memory_mb=2000, memory_mb=2000))

    (offer,) = described(settings(), slot)

    assert offer["MaxRAM"] == 1


def test_site_requirements_are_lists_where_the_site_wrote_several() -> None:
    cfg = parse("AgentJobRequirements\n{\nOwnerGroup = a, b\nJobType = User\nExtraOptions = pilot.cfg\n}\n", "x.cfg")

    assert site_requirements(cfg) == {"OwnerGroup": ["a", "b"], "JobType": "User"}
