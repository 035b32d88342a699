"""What a job needs by its JDL: processors, memory, GPUs, tags, in all ways that DIRAC has of saying so."""

import pytest

from agents.jobs.jdl import Request
from tests.unit.jdl_scene import described


def requested(attributes: str) -> Request:
    return described(attributes).request


@pytest.mark.parametrize(
    ("attributes", "processors"),
    [
        ("", (1, 1)),
        ("NumberOfProcessors = 4;", (4, 4)),
        ('NumberOfProcessors = "4";', (4, 4)),
        ("NumberOfProcessors = 4.0;", (4, 4)),
        ('NumberOfProcessors = " 4.0 ";', (4, 4)),
        ("numberofprocessors = 4;", (4, 4)),
        ("MinNumberOfProcessors = 2; MaxNumberOfProcessors = 8;", (2, 8)),
        ("MinNumberOfProcessors = 2;", (2, 2)),
        ("MaxNumberOfProcessors = 8;", (1, 8)),
        ("MinNumberOfProcessors = 2; MaxNumberOfProcessors = 0;", (2, 2)),
        ("MinNumberOfProcessors = undefined; MaxNumberOfProcessors = 3;", (1, 3)),
        ('MinNumberOfProcessors = ""; MaxNumberOfProcessors = 3;', (1, 3)),
        ("NumberOfProcessors = 4; MinNumberOfProcessors = 2; MaxNumberOfProcessors = 8;", (4, 4)),
    ],
)
def test_processors_mean_what_they_mean_in_dirac(attributes: str, processors: tuple[int, int]) -> None:
    request = requested(attributes)

    assert (request.min_processors, request.max_processors) == processors


@pytest.mark.parametrize("value", ["1", '"1"', '"yes"', '"Yes"', '"TRUE"', "true", '"y"', '" Y "'])
def test_a_whole_node_is_asked_for_by_a_true_word(value: str) -> None:
    assert requested(f"WholeNode = {value};").whole_node is True


@pytest.mark.parametrize("value", ["0", '"0"', '"no"', '"No"', "false", '"false"', '""', "undefined", '"n"', "2"])
def test_a_whole_node_is_not_asked_for_by_any_other_word(value: str) -> None:
    assert requested(f"WholeNode = {value};").whole_node is False


@pytest.mark.parametrize(
    ("attributes", "memory_mb"),
    [
        ("", (0, 0)),
        ("MinRAM = 1000; MaxRAM = 4000;", (1000, 4000)),
        ("MinRAM = 1000;", (1000, 1000)),
        ('MaxRAM = "4000";', (0, 4000)),
    ],
)
def test_memory_has_a_least_and_a_most(attributes: str, memory_mb: tuple[int, int]) -> None:
    request = requested(attributes)

    assert (request.min_memory_mb, request.memory_mb) == memory_mb


def test_gpus_are_counted() -> None:
    assert requested("NumberOfGPUs = 2;").gpus == 2


@pytest.mark.parametrize(
    "attributes",
    [
        'Tags = {"a", "b"};',
        'Tags = "a, b";',
        'Tags = "a,b,";',
        'Tag = {"a, b"};',
        'Tags = "a"; Tag = "b";',
        'Tags = {"a", "b"}; Tag = "a";',
    ],
)
def test_tags_come_as_list_or_with_commas_under_both_names(attributes: str) -> None:
    assert requested(attributes).tags == {"a", "b"}


def test_a_bare_yes_asks_for_the_whole_node() -> None:
    assert requested("WholeNode = yes;").whole_node is True
