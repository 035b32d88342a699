from typing import Any

import pytest

from agents.local_wms.jdl import parse
from agents.local_wms.matching import BadOffer, Wish, job_tags, offer_of, segment, why_not, wish_of

SLOT: dict[str, Any] = {"Site": "LOCAL.Demo.ch", "CPUTime": 100_000, "NumberOfProcessors": 2, "MaxRAM": 4000}


def wish(jdl: str) -> Wish:
    return wish_of(parse(f'Executable = "x"; {jdl}'), "ann", "users")


def reason(jdl: str, **slot: Any) -> str | None:
    return why_not(wish(jdl), offer_of({**SLOT, **slot}))


@pytest.mark.parametrize(
    ("jdl", "slot"),
    [
        ("", {}),
        ("NumberOfProcessors = 2", {}),
        ("MinNumberOfProcessors = 2; MaxNumberOfProcessors = 8", {}),
        ("WholeNode = 1", {"WholeNode": True}),
        ('WholeNode = "no"', {}),
        ("CPUTime = 86400", {"CPUTime": 86400}),
        ('Site = {"X", "LOCAL.Demo.ch"}', {}),
        ('Site = "ANY"', {}),
        ('Tags = {"GPU"}', {"Tag": ["GPU", "other"]}),
        ('Tags = "a, b"', {"Tag": "[a, b]"}),
        ('Tags = "a"', {"Tag": "any"}),
        ('Tags = "a"', {"Tag": ["a"], "RequiredTag": ["a"]}),
        ("MinRAM = 4000", {}),
        ("MinRAM = 64000", {"MaxRAM": 0}),
        ("MinRAM = 1000; MaxRAM = 8000", {}),
        ('Platform = "x86_64"', {"Platform": ["x86_64", "any"]}),
        ('Platform = "x86_64"', {}),
        ('JobType = "Test"', {"JobType": "Test"}),
        ('GridCE = "ce1"', {"GridCE": "ce1"}),
        ("", {"OwnerGroup": ["users"], "Owner": "ann"}),
    ],
)
def test_a_job_that_fits_has_no_reason_to_wait(jdl: str, slot: dict[str, Any]) -> None:
    assert reason(jdl, **slot) is None


@pytest.mark.parametrize(
    ("jdl", "slot", "sentence"),
    [
        ("NumberOfProcessors = 64", {}, "it needs 64 processors, the slot has 2"),
        ("MinNumberOfProcessors = 4", {}, "it needs 4 processors, the slot has 2"),
        (
            "MinNumberOfProcessors = 1; MaxNumberOfProcessors = 2",
            {"NumberOfProcessors": 1},
            "it is a multi-processor job, the slot has one processor",
        ),
        ('WholeNode = "yes"', {}, "it needs a whole node, the slot offers only a part of one"),
        ("CPUTime = 1801", {"CPUTime": 3500}, "it needs 3600 HS06 s of CPU work, the slot has 3500 left"),
        ('Site = "X"', {}, "it may run at X only, the slot is at LOCAL.Demo.ch"),
        ('BannedSites = {"LOCAL.Demo.ch"}', {}, "it may not run at LOCAL.Demo.ch"),
        ('Tags = {"GPU", "AVX"}', {"Tag": ["AVX"]}, "it needs tag GPU, the slot does not offer it"),
        ("", {"Tag": ["GPU"], "RequiredTag": "GPU"}, "the slot takes only jobs with tag GPU"),
        ("MinRAM = 5000", {}, "it needs 5000 MB of memory, the slot has 4000"),
        ("MaxRAM = 5000", {}, "it needs 5000 MB of memory, the slot has 4000"),
        ('Platform = "arm"', {"Platform": "x86_64"}, "its platform is arm, the slot's is x86_64"),
        ('JobType = "User"', {"JobType": ["Test"]}, "its job type is User, the slot's is Test"),
        ('GridCE = "ce1"', {"GridCE": "ce2"}, "its CE is ce1, the slot's is ce2"),
        ("", {"OwnerGroup": "others"}, "the slot takes jobs of group others, not of users"),
        ("", {"Owner": "bob"}, "the slot takes jobs of bob, not of ann"),
        ('JobType = "MC"', {"BannedJobType": ["MC"]}, "the slot takes no job with JobType MC"),
    ],
)
def test_a_job_that_does_not_fit_says_why(jdl: str, slot: dict[str, Any], sentence: str) -> None:
    assert reason(jdl, **slot) == sentence


@pytest.mark.parametrize(
    ("asked", "rounded"), [(1, 360), (360, 360), (361, 1800), (43201, 86400), (86400, 86400), (10**9, 1_080_000)]
)
def test_cpu_work_is_rounded_up_to_a_segment(asked: int, rounded: int) -> None:
    assert segment(asked) == rounded


@pytest.mark.parametrize(
    ("jdl", "tags"),
    [
        ("NumberOfProcessors = 1", []),
        ("NumberOfProcessors = 4", ["4Processors", "MultiProcessor"]),
        ("MinNumberOfProcessors = 1; MaxNumberOfProcessors = 1", []),
        ("MinNumberOfProcessors = 1", ["MultiProcessor"]),
        ('WholeNode = "True"; Tag = "x"', ["WholeNode", "MultiProcessor", "x"]),
    ],
)
def test_processor_keys_become_tags(jdl: str, tags: list[str]) -> None:
    assert job_tags(parse(f'Executable = "x"; {jdl}')) == tags


@pytest.mark.parametrize(
    "slot",
    [
        {"CPUTime": 1},
        {"Site": "X"},
        {"Site": "X", "CPUTime": 1, "Tag": ["a"], "RequiredTag": ["b"]},
    ],
)
def test_an_offer_that_matches_nothing_by_itself_is_bad(slot: dict[str, Any]) -> None:
    with pytest.raises(BadOffer):
        offer_of(slot)


@pytest.mark.parametrize("wrong", [{"MaxRAM": "4000"}, {"CPUTime": "100"}])
def test_a_number_sent_as_text_breaks_off(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        offer_of({**SLOT, **wrong})
