"""From which elements a file is read and to which it is written, in which order."""

import pytest

from agents.data import choice
from agents.wms.resource_status import Usability
from tests.unit.elements_scene import BY_SRM, ELEMENTS, LFN, elements, record


def no_dice() -> float:
    return 0.0


def test_sources_are_near_disk_first_tape_then_and_archives_last() -> None:
    there = record("CERN-archive", "CERN-tape", "PIC-disk", "CERN-disk")
    found = choice.sources(there, elements(), dice=no_dice)
    assert [source.element.name for source in found] == [
        "CERN-disk",
        "CERN-disk",
        "PIC-disk",
        "CERN-tape",
        "CERN-tape",
        "CERN-archive",
        "CERN-archive",
    ]
    assert [source.endpoint.protocol for source in found[:3]] == ["https", "root", "dips"]


def test_failover_elements_are_read_only_where_there_is_nothing_else() -> None:
    assert [s.element.name for s in choice.sources(record("FAILOVER", "PIC-disk"), elements())] == ["PIC-disk"]
    assert {s.element.name for s in choice.sources(record("FAILOVER"), elements())} == {"FAILOVER"}


def test_what_may_not_be_read_or_is_unknown_is_no_source() -> None:
    states = lambda: {"CERN-disk": Usability(False, True)}  # noqa: E731
    assert choice.sources(record("CERN-disk", "nobody"), elements(states=states)) == []


def test_the_catalogues_own_url_counts_where_the_element_says_so() -> None:
    mine = record(**{"GENEVA-disk": "srm://srm.ge.ch/elsewhere"})
    assert [s.url for s in choice.sources(mine, elements(text=BY_SRM))] == ["srm://srm.ge.ch/elsewhere"]


@pytest.mark.parametrize(
    "pfn",
    [
        "file:///etc/passwd",
        "srm://evil.example/elsewhere",
        "srm://srm.ge.ch@evil.example/elsewhere",
        "srm://srm.ge.ch.evil.example/elsewhere",
        "srm://evil.example/srm.ge.ch",
        "srm://evil.example?srm.ge.ch",
        "srm://[srm.ge.ch/elsewhere",
        "srm:///elsewhere",
    ],
)
def test_the_catalogues_own_url_shows_no_credential_to_a_host_of_its_choice(pfn: str) -> None:
    built = f"srm://srm.ge.ch:8446/srm/managerv2?SFN=/dpm{LFN}"
    assert [source.url for source in choice.sources(record(**{"GENEVA-disk": pfn}), elements(text=BY_SRM))] == [built]


def test_targets_are_the_jobs_own_then_failover() -> None:
    found = choice.targets(["CERN-disk"], elements(), dice=no_dice)
    assert [(t.element.name, t.endpoint.protocol, t.is_failover) for t in found] == [
        ("CERN-disk", "https", False),
        ("FAILOVER", "https", True),
    ]


def test_targets_without_a_wish_are_the_users_group_near_first_and_writable() -> None:
    text = ELEMENTS.replace("WriteAccess = InActive", "WriteAccess = Active")
    found = choice.targets([], elements(text=text), dice=no_dice)
    assert choice.elements_of(found) == ["CERN-disk", "PIC-disk", "FAILOVER"]  # GENEVA speaks srm alone
    assert choice.elements_of(choice.targets([], elements(), dice=no_dice)) == ["CERN-disk", "FAILOVER"]
