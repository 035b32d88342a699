import pytest

from pilot import cfg
from pilot.errors import UsageError


def test_what_is_rendered_is_read_back_the_same():
    flat = {
        "/LocalSite/Site": "LOCAL.Demo.ch",
        "/Resources/Computing/CEDefaults/Tag": "a, b",
        "/Resources/Computing/CEDefaults/NumberOfProcessors": "8",
        "/DIRAC/Configuration/Servers": "https://h:9135/Configuration/Server#x",
        "/DIRAC/Odd": "a = b { c",
    }

    again = cfg.parse(cfg.render(cfg.nest(flat)), "pilot.cfg")

    assert {path: cfg.option(again, path) for path in flat} == flat


def test_line_breaks_in_a_value_cannot_inject_a_section():
    text = cfg.render(cfg.nest({"/A/x": "1\n}\nB\n{\ny = 2"}))

    assert cfg.parse(text, "t") == {"A": {"x": "1 } B { y = 2"}}


def test_the_text_follows_the_rules_of_the_diraccfg_package():
    text = "# c\nS\n{\n  A = b # kept\n  L = a\n  L += b\n  E =\n  Sub {\n  Q = x=y\n}\n}\njunk\nTop = {1}\n"

    assert cfg.parse(text, "t") == {
        "S": {"A": "b # kept", "L": "a, b", "E": "", "Sub": {"Q": "x=y"}},
        "Top": "{1}",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A\n{\n" * 51 + "}\n" * 51, "t, line 102: sections are nested more than 50 deep"),
        ("S\n{\nA = 1\n", "t: the section that opens in line 2 is never closed; a '}' is missing"),
        ("A = 1\n}\n", "t, line 2: '}' closes a section that was never opened"),
        ("A\n{\n}\nA\n{\n}\n", "t, line 5: section A: that name stands there already"),
    ],
)
def test_unbalanced_braces_are_named_with_their_place(text, said):
    with pytest.raises(UsageError) as caught:
        cfg.parse(text, "t")

    assert said in str(caught.value)


def test_what_is_not_there_is_empty():
    root = cfg.parse("S\n{\nA = 1\n}\n", "t")

    assert (cfg.option(root, "/S/B"), cfg.option(root, "/S"), cfg.section(root, "/S/A/x")) == ("", "", {})
