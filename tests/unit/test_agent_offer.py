"""What the Matcher is asked with, and which processors the slot has."""

import json
from pathlib import Path

import pytest

from agents.jobs.jdl import Request
from agents.settings.agent import AgentSettings, load
from agents.slot.allocation import Slot
from agents.slot.offer import can_offer, offers, site_requirements
from agents.slot.resources import find_slot
from ce_backends.cfg import from_options

DEFAULTS = "/Resources/Computing/CEDefaults"


def settings(**options: str) -> AgentSettings:
    return load(from_options({"/LocalSite/Site": "LAB.Local.ch"} | options, "x"))


def described(chosen: AgentSettings, slot: Slot, **more: object) -> dict[str, object]:
    (sent,) = offers(chosen, slot, work_left_hs06s=1000, requirements=more, first=True)
    return sent


def test_an_offer_has_the_types_that_the_real_matcher_needs() -> None:
    sent = json.loads(json.dumps(described(settings(), Slot(range(4), 2000))))

    assert {name: type(sent[name]) for name in ("CPUTime", "NumberOfProcessors", "MaxRAM", "PilotBenchmark")} == {
        "CPUTime": int,
        "NumberOfProcessors": int,
        "MaxRAM": int,
        "PilotBenchmark": float,
    }
    assert sent["PilotInfoReportedFlag"] is False


def test_an_offer_names_what_is_free_and_no_more() -> None:
    slot = Slot(range(4), 2000)
    slot.take(Request(min_processors=3, max_processors=3, memory_mb=500))

    sent = described(settings(), slot)

    assert (sent["NumberOfProcessors"], sent["MaxRAM"]) == (1, 1500)


def test_what_is_empty_is_not_offered() -> None:
    assert not {"Tag", "RequiredTag", "Platform", "VirtualOrganization"} & described(settings(), Slot(range(1))).keys()


def test_the_whole_node_is_offered_only_while_nothing_runs() -> None:
    chosen = settings(**{f"{DEFAULTS}/Tag": "WholeNode, GPU"})
    slot = Slot(range(2))
    before = described(chosen, slot)["Tag"]
    slot.take(Request())

    assert (before, described(chosen, slot)["Tag"]) == (["WholeNode", "GPU"], ["GPU"])


def test_a_site_that_requires_whole_nodes_offers_nothing_beside_a_job() -> None:
    chosen = settings(**{f"{DEFAULTS}/Tag": "WholeNode", f"{DEFAULTS}/RequiredTag": "WholeNode"})
    slot = Slot(range(2))
    assert can_offer(chosen, slot)

    slot.take(Request())

    assert not can_offer(chosen, slot)


def test_a_full_slot_offers_nothing() -> None:
    slot = Slot(range(1))
    slot.take(Request())

    assert not can_offer(settings(), slot)


def test_what_a_site_requires_of_jobs_goes_on_top() -> None:
    cfg = from_options({"/AgentJobRequirements/OwnerGroup": "a, b", "/AgentJobRequirements/JobType": "MC"}, "x")

    requirements = site_requirements(cfg)

    assert requirements == {"OwnerGroup": ["a", "b"], "JobType": "MC"}
    assert described(settings(), Slot(range(1)), **requirements)["JobType"] == "MC"


@pytest.mark.parametrize(
    ("declared", "usable", "ids", "is_pinned"),
    [
        ("0", [3, 1, 7], (1, 3, 7), True),
        ("2", [3, 1, 7], (1, 3), True),
        ("5", [3, 1, 7], (0, 1, 2, 3, 4), False),
    ],
)
def test_the_slot_has_the_declared_processors_of_those_that_may_be_used(
    tmp_path: Path, declared: str, usable: list[int], ids: tuple[int, ...], is_pinned: bool
) -> None:
    slot = find_slot(settings(**{f"{DEFAULTS}/NumberOfProcessors": declared}), usable, root=tmp_path)

    grant = slot.take(Request(whole_node=True))

    assert grant is not None
    assert (grant.processor_ids, slot.is_pinned) == (ids, is_pinned)
