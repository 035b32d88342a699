"""DIRAC's CFG text as the agent reads it."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ce_backends.cfg import Section, from_options, parse, read, render
from ce_backends.errors import CfgError


def refusal(text: str) -> str:
    with pytest.raises(CfgError) as caught:
        parse(text, "pilot.cfg")
    return str(caught.value)


def test_nested_sections_are_read_with_the_origin_of_each_value() -> None:
    tree = parse("LocalSite\n{\n  # a comment\n  Site = LAB.Local.ch\n  Inner\n  {\n    a = 1\n  }\n}\n", "pilot.cfg")

    found = tree.value("/LocalSite/Inner/a")

    assert found is not None
    assert (found.text, found.origin) == ("1", "pilot.cfg:7")


@pytest.mark.parametrize(
    "text",
    [
        "A\n{\nb = 1\n}",
        "A {\nb = 1\n}",
        "A{\nb=1\n}",
        "A { b = 1\n}",
        "\n  A\n\n{  \n\tb\t=\t1\n}",
        "A { B {} b = 1\n}",
    ],
)
def test_braces_may_stand_on_the_line_of_the_name_or_alone(text: str) -> None:
    assert parse(text, "x").text("/A/b") == "1"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a=b", "a=b"),
        ("x { y }", "x { y }"),
        ("1 # not a comment", "1 # not a comment"),
        ("", ""),
        ("/CN=é ü", "/CN=é ü"),
    ],
)
def test_a_value_is_everything_after_the_first_equals_sign(value: str, expected: str) -> None:
    assert parse(f"option = {value}", "x").text("/option") == expected


def test_a_comment_may_follow_a_brace() -> None:
    assert parse("A { # opens { b = 2 }\nb = 1\n} # closes", "x").text("/A/b") == "1"


def test_plus_equals_appends_to_what_is_there() -> None:
    assert parse("Tag = a\nTag += b", "x").text("Tag") == "a, b"


def test_plus_equals_without_anything_before_it_sets() -> None:
    assert parse("Tag += b", "x").text("Tag") == "b"


@pytest.mark.parametrize(
    ("text", "slips"),
    [
        ("x = 1\nx = 2", ["a.cfg:2: x is set again: it stands in a.cfg:1 already"]),
        ("x = 1\nx += 2", []),
        ("A\nb = 1", ["a.cfg:1: 'A' says nothing: expected 'option = value', or a section's name and '{'"]),
        (
            "S\n{\nMaxTotalJobs 5\n}",
            ["a.cfg:3: 'MaxTotalJobs 5' says nothing: expected 'option = value', or a section's name and '{'"],
        ),
        ("S\n{\n}\nA", ["a.cfg:4: 'A' says nothing: expected 'option = value', or a section's name and '{'"]),
    ],
)
def test_what_dirac_reads_over_is_kept_as_a_slip_with_its_line(text: str, slips: list[str]) -> None:
    assert parse(text, "a.cfg").all_slips() == slips


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("A\n{\n", "pilot.cfg:1: a section is opened here and never closed; a '}' is missing"),
        ("A\n{\n" * 51 + "}\n" * 51, "pilot.cfg:102: sections are nested more than 50 deep"),
        ("A\n{\nB\n{\n}\n", "pilot.cfg:1: a section is opened here and never closed; a '}' is missing"),
        ("}", "pilot.cfg:1: '}' closes nothing"),
        ("{", "pilot.cfg:1: '{' without a section name before it"),
        ("= 1", "pilot.cfg:1: expected 'option = value', got '= 1'"),
        ("A = 1\nA\n{\n}", "pilot.cfg:2: section A: there is an option of that name in pilot.cfg:1 already"),
        ("A\n{\n}\nA\n{\n}", "pilot.cfg:4: section A: there is a section of that name in pilot.cfg:1 already"),
    ],
)
def test_malformed_text_is_refused_with_its_line(text: str, sentence: str) -> None:
    assert refusal(text) == sentence


@given(st.text(alphabet="aA={}+#/ \n\t\\\"'", max_size=40))
@settings(max_examples=300, deadline=None, database=None)
def test_any_text_is_refused_or_reads_the_same_when_it_is_rendered(text: str) -> None:
    try:
        tree = parse(text, "x")
    except CfgError:
        return

    assert render(parse(render(tree), "again")) == render(tree)


def test_what_is_rendered_is_read_back() -> None:
    text = "a = 1\nS\n{\n  b = x = y\n  T\n  {\n    c = \n  }\n}\n"

    assert render(parse(text, "x")).split() == text.split()


def test_a_file_that_is_missing_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(CfgError, match=r"no\.cfg: cannot be read: .*No such file"):
        read(tmp_path / "no.cfg")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.cfg").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(CfgError, match=r"b\.cfg: cannot be read"):
        read(tmp_path / "b.cfg")


def test_the_later_tree_wins_and_keeps_its_origin() -> None:
    first = parse("A\n{\nx = 1\ny = 1\n}", "first")

    merged = first.merge(parse("A\n{\ny = 2\n}", "second"))

    assert (merged.text("A/x"), merged.text("A/y")) == ("1", "2")
    assert merged.value("A/y").origin == "second:3"  # type: ignore[union-attr]


def test_merging_leaves_both_trees_as_they_were() -> None:
    first, second = parse("A\n{\nx = 1\n}", "first"), parse("A\n{\nx = 2\n}", "second")

    first.merge(second)

    assert (first.text("A/x"), second.text("A/x")) == ("1", "2")


def test_a_path_through_an_option_finds_nothing() -> None:
    assert parse("a = 1", "x").find("/a/b") is None


def test_options_become_a_tree() -> None:
    assert from_options({"/A/b": "1", "/A/C/d": "2"}, "test").text("/A/C/d") == "2"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/", "test: '/' names no option; expected /Section/option"),
        ("/A/b/c", "test: /A/b/c: b is an option, not a section"),
        ("/A", "test: /A is a section, not an option"),
    ],
)
def test_an_assignment_that_does_not_fit_the_tree_is_refused(path: str, sentence: str) -> None:
    tree = from_options({"/A/b": "1"}, "test")

    with pytest.raises(CfgError) as caught:
        tree.set(path, "2", "test")

    assert str(caught.value) == sentence


def test_an_absent_section_reads_as_an_empty_one() -> None:
    assert Section().section("/A/B").content == {}
