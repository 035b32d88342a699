"""How settings are read: one table of cases for each reader, which that of the pilot and that of all else must pass.

The pilot imports nothing of ours, so it has its own.
"""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from ce_backends import readers as everywhere
from ce_backends.errors import CEMisconfigured
from ce_backends.options import Option, parse_options
from ce_backends.registry import backend
from pilot import readers as pilots

BOTH = pytest.mark.parametrize("readers", [everywhere, pilots], ids=["everywhere", "pilot"])
WRONG = object()

YES_OR_NO = {
    **dict.fromkeys(["yes", "Yes", "true", "True", "TRUE", "y", "Y", "1", "on", "On", " yes ", "yes\n"], True),
    **dict.fromkeys(
        ["no", "No", "false", "False", "n", "N", "0", "off", "OFF", " no ", "", " "], False
    ),  # "": as DIRAC
    **dict.fromkeys(["maybe", "2", "-1", "ja", "yes no", "None", "truetrue", "t", "f", "1.0"], WRONG),
    **{True: True, False: False},  # noqa: PIE800 - of pilot.json, and of whoever makes a CE in Python
}
WHOLE = {
    "8": 8,
    " 8 ": 8,
    "+8": 8,
    "-8": -8,
    "0": 0,
    "-0": 0,
    "007": 7,
    "1_000": 1000,
    "1" + "0" * 15: 10**15,
    **dict.fromkeys(
        ["", " ", "1.5", "1e3", "0x10", "eight", "8 8", "8,", "1__0", "_1", "nan", "inf", "9" * 16, "9" * 5000], WRONG
    ),
}
OF_PYTHON = ((8, 8), (8.0, WRONG), (2.5, WRONG), (True, WRONG), (None, WRONG), (["8"], WRONG))
NUMBERS = {
    "20": 20.0,
    " 20.5 ": 20.5,
    "+1": 1.0,
    "-1": -1.0,
    "1e3": 1000.0,
    ".5": 0.5,
    "5.": 5.0,
    "1_000": 1000.0,
    **dict.fromkeys(
        ["", " ", "nan", "NaN", "inf", "-inf", "Infinity", "1e999", "1e10", "20 s", "20s", "1,5", "0x10"], WRONG
    ),
}
LISTS = {
    "": (),
    " ": (),
    ",": (),
    "a": ("a",),
    "a,b": ("a", "b"),
    " a , b ": ("a", "b"),
    "a,,b,": ("a", "b"),
    "b,a,b": ("b", "a", "b"),
    "a b,c": ("a b", "c"),
    "a\n,\tb": ("a", "b"),
}


def outcome(read: Callable[[object], object], value: object) -> object:
    try:
        return read(value)
    except ValueError:
        return WRONG


@BOTH
@pytest.mark.parametrize(("value", "meant"), YES_OR_NO.items())
def test_yes_and_no_mean_the_same_everywhere(readers, value: object, meant: object) -> None:
    assert outcome(readers.yes_no, value) is meant


@BOTH
@pytest.mark.parametrize(("value", "meant"), [*WHOLE.items(), *OF_PYTHON])
def test_a_whole_number_means_the_same_everywhere(readers, value: object, meant: object) -> None:
    assert outcome(readers.whole_number, value) == meant


@BOTH
@pytest.mark.parametrize(("value", "meant"), [*NUMBERS.items(), (2.5, 2.5), (2, 2.0), (True, WRONG), (None, WRONG)])
def test_a_number_means_the_same_everywhere(readers, value: object, meant: object) -> None:
    assert outcome(readers.number, value) == meant


@BOTH
@pytest.mark.parametrize(("least", "text", "meant"), [(0, "0", 0), (0, "-1", WRONG), (1, "0", WRONG), (1, "1", 1)])
def test_a_least_value_holds_for_both_kinds_of_numbers(readers, least: int, text: str, meant: object) -> None:
    assert outcome(lambda value: readers.whole_number(value, least), text) == meant
    assert outcome(lambda value: readers.number(value, least), text) == meant


@BOTH
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_a_number_is_one_that_can_be_waited_for(readers, value: object) -> None:
    assert outcome(readers.number, value) is WRONG


@BOTH
@pytest.mark.parametrize(("text", "meant"), LISTS.items())
def test_a_comma_list_means_the_same_everywhere(readers, text: str, meant: tuple[str, ...]) -> None:
    assert readers.comma_list(text) == meant


@BOTH
@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("NumberOfProcesors", ["NumberOfProcessors", "Queue"], "NumberOfProcessors"),
        ("numberofprocessors", ["NumberOfProcessors"], "NumberOfProcessors"),
        (" LONG ", ["long", "short"], "long"),
        ("xyzzy", ["long", "short"], ""),
        ("", ["long"], ""),
        ("long", [], ""),
    ],
)
def test_the_nearest_name_is_the_same_everywhere(readers, name: str, known: list[str], meant: str) -> None:
    assert readers.nearest(name, known) == meant


@pytest.mark.parametrize(
    ("kind", "value"), [(float, "inf"), (float, "nan"), (float, math.inf), (int, 2.5), (int, True), (bool, "perhaps")]
)
def test_a_ce_takes_no_value_that_the_others_refuse(kind: type, value: object) -> None:
    option = Option(name="N", kind=kind, default=None, doc="")

    with pytest.raises(CEMisconfigured, match="expected"):
        option.parse(value, "Pool")


def test_nobody_else_guesses_which_name_was_meant() -> None:
    root = Path(__file__).parents[2]
    files = [path for package in ("pilot", "agents", "ce_backends") for path in (root / package).rglob("*.py")]

    guessing = {str(path.relative_to(root)) for path in files if "import difflib" in path.read_text(encoding="utf-8")}

    of_the_dev_wms = {"agents/local_wms/jdl.py"}  # it shares nothing with the agent that it tries
    assert guessing == {"ce_backends/readers.py", "pilot/readers.py"} | of_the_dev_wms


@BOTH
@pytest.mark.parametrize(("most", "text", "fits"), [(100, "100", True), (100, "101", False), (100, "-101", False)])
def test_a_greatest_value_is_named_where_it_is_passed(readers, most: int, text: str, *, fits: bool) -> None:
    for read in (readers.whole_number, readers.number):
        if fits:
            assert read(text, most=most) == int(text)
        else:
            with pytest.raises(readers.TooMuch, match=f"a number of at most {most}$"):
                read(text, most=most)


@pytest.mark.parametrize(
    ("name", "value", "most"),
    [
        ("NumberOfProcessors", "100001", "100000"),
        ("KillGraceTime", "1e10", "1000000000"),
        ("OutputLimit", "9" * 20, "10{15}"),
    ],
)
def test_a_ce_says_how_much_is_too_much(name: str, value: str, most: str) -> None:
    with pytest.raises(CEMisconfigured, match=f"is '{value}': expected a number of at most {most}$"):
        parse_options(backend("Pool").OPTIONS, {name: value}, "Pool")


def test_a_long_value_is_cut_in_the_sentence_about_it() -> None:
    with pytest.raises(CEMisconfigured) as said:
        parse_options(backend("Pool").OPTIONS, {"NumberOfProcessors": "x" * 5000}, "Pool")

    assert len(str(said.value)) < 250
