"""The agent's settings: types, units, defaults, errors, origins."""

from dataclasses import fields
from pathlib import Path

import pytest

from agents.errors import ConfigurationError
from agents.settings.agent import (
    AGENT,
    CE_DEFAULTS,
    LOCAL,
    AgentSettings,
    LogLevel,
    explain,
    load,
    nearly_ours,
    without_effect,
)
from agents.settings.given import read_files
from agents.settings.inner_ce import inner_ce_options
from ce_backends.cfg import Section, from_options
from ce_backends.configuration.site_file import definitions
from ce_backends.configuration.site_file import read as read_definition
from ce_backends.configuration.slot_sections import slot_options, slot_sections
from ce_backends.errors import CfgError

SITE = {"/LocalSite/Site": "LAB.Local.ch"}


def tree(**options: str) -> Section:
    return from_options(SITE | {f"{AGENT}/{name}": text for name, text in options.items()}, "pilot.cfg:9")


def tree_of(path: str, text: str) -> Section:
    return from_options(SITE | {path: text}, "pilot.cfg:9")


def refusal(cfg: Section) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(cfg)
    return str(caught.value)


def test_the_site_alone_is_enough() -> None:
    settings = load(from_options(SITE, "x"))

    assert (settings.site, settings.ce_type, settings.polling_s, settings.filling) == (
        "LAB.Local.ch",
        "InProcess",
        20.0,
        True,
    )


def test_a_missing_site_is_named_with_what_it_means() -> None:
    sentence = refusal(Section())

    assert sentence == "/LocalSite/Site is not set; expected: Name of the site, as the WMS knows it."


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("/Resources/Computing/CEDefaults/NumberOfProcessors", "four", "a whole number, 0 or more"),
        ("/Resources/Computing/CEDefaults/NumberOfProcessors", "-1", "a whole number, 0 or more"),
        ("/Resources/Computing/CEDefaults/NumberOfProcessors", "1.5", "a whole number, 0 or more"),
        ("/Resources/Computing/CEDefaults/NumberOfProcessors", "100001", "a number of at most 100000"),
        ("/Resources/Computing/CEDefaults/MaxRAM", "9" * 16, "a number of at most 1000000000000000"),
        ("/Systems/WorkloadManagement/Agents/JobAgent/MetricsPort", "65536", "a number of at most 65535"),
        ("/Systems/WorkloadManagement/Agents/JobAgent/PollingTime", "1e10", "a number of at most 1000000000"),
        (f"{AGENT}/PollingTime", "20s", "a number, 0 or more"),
        (f"{AGENT}/LostMatchAfter", "soon", "a number, 0 or more"),
        (f"{AGENT}/PollingTime", "nan", "a number, 0 or more"),
        (f"{AGENT}/PollingTime", "inf", "a number, 0 or more"),
        (f"{AGENT}/PollingTime", "-0.1", "a number, 0 or more"),
        (f"{AGENT}/FillingModeFlag", "maybe", "yes or no"),
        (
            f"{AGENT}/LogLevel",
            "LOUD",
            "one of DEBUG, INFO, WARNING, ERROR, VERBOSE, NOTICE, WARN, FATAL, ALWAYS",
        ),
    ],
)
def test_a_wrong_type_is_named_with_file_path_value_and_what_was_expected(path: str, text: str, expected: str) -> None:
    assert refusal(tree_of(path, text)) == f"pilot.cfg:9: {path} = {text}: expected {expected}"


@pytest.mark.parametrize("word", ["1", "y", "Yes", "TRUE", "on"])
def test_every_true_word_is_true(word: str) -> None:
    assert load(tree(StopOnApplicationFailure=word)).stop_on_application_failure is True


@pytest.mark.parametrize("word", ["0", "n", "No", "FALSE", "off"])
def test_every_false_word_is_false(word: str) -> None:
    assert load(tree(FillingModeFlag=word)).filling is False


@pytest.mark.parametrize(
    ("word", "level"), [("debug", LogLevel.DEBUG), ("VERBOSE", LogLevel.DEBUG), ("warn", LogLevel.WARNING)]
)
def test_log_levels_have_diracs_words_too(word: str, level: LogLevel) -> None:
    assert load(tree(LogLevel=word)).log_level is level


def test_a_list_keeps_its_order_and_each_word_once() -> None:
    cfg = tree_of("/Resources/Computing/CEDefaults/Tag", " b, a ,, b")

    assert load(cfg).tags == ("b", "a")


def test_an_empty_value_is_as_good_as_none() -> None:
    assert load(tree(PollingTime="")).polling_s == 20.0


def test_the_first_of_several_paths_wins() -> None:
    cfg = from_options(SITE | {"/LocalSite/CPUTime": "1", "/LocalSite/CPUTimeLeft": "2"}, "x")

    assert load(cfg).cpu_time_left_hs06s == 2


def test_a_misspelt_option_of_the_agent_is_refused_with_the_nearest_name() -> None:
    sentence = refusal(tree(PolingTime="5"))

    assert sentence == f"pilot.cfg:9: unknown option {AGENT}/PolingTime; did you mean PollingTime?"


def test_an_option_near_to_none_is_refused_with_all_that_are_known() -> None:
    assert f"unknown option {AGENT}/Xyz; known: DrainFile, " in refusal(tree(Xyz="5"))


def test_an_open_section_takes_foreign_options_and_tells_of_near_misses() -> None:
    cfg = from_options(SITE | {"/LocalSite/Whatever": "1", "/LocalSite/PilotReferense": "1"}, "pilot.cfg:9")

    load(cfg)

    sentence = "pilot.cfg:9: /LocalSite/PilotReferense has no meaning here; did you mean PilotReference?"
    assert list(nearly_ours(cfg)) == [sentence]


@pytest.mark.parametrize("name", ["MinRAM", "LocalSE", "NumberOfGPUs", "CPUTime", "Architecture"])
def test_diracs_own_names_are_no_misspellings(name: str) -> None:
    cfg = from_options(SITE | {f"{section}/{name}": "1" for section in (LOCAL, CE_DEFAULTS)}, "x")

    assert list(nearly_ours(cfg)) == []


def test_options_without_effect_are_taken_and_named_with_the_reason() -> None:
    cfg = tree(SubmissionDelay="10")

    load(cfg)

    assert list(without_effect(cfg)) == [(f"{AGENT}/SubmissionDelay", "nothing waits between jobs")]


def test_explain_tells_each_settings_value_and_origin() -> None:
    rows = {row.name: row for row in explain(tree(PollingTime="5"))}

    assert len(rows) == len(fields(AgentSettings))
    assert (rows["polling_s"].shown, rows["polling_s"].origin, rows["polling_s"].unit) == ("5", "pilot.cfg:9", "s")
    assert (rows["filling"].shown, rows["filling"].origin) == ("True", "default")


def test_explain_shows_what_is_required_and_missing() -> None:
    rows = {row.name: row for row in explain(Section())}

    assert (rows["site"].shown, rows["site"].path) == ("(required)", "/LocalSite/Site")


def test_options_of_the_inner_ce_come_from_four_sections_in_order() -> None:
    cfg = from_options(
        SITE
        | {
            "/LocalSite/LocalCE": "Pool/Singularity",
            "/LocalSite/GridCE": "ce01",
            "/Resources/Computing/CEDefaults/a": "1",
            "/Resources/Computing/CEDefaults/b": "1",
            "/Resources/Computing/Pool/b": "2",
            "/Resources/Computing/Pool/c": "2",
            "/LocalSite/ce01/c": "3",
            "/LocalSite/ce01/d": "3",
            "/LocalSite/d": "4",
        },
        "x",
    )

    settings = load(cfg)
    merged = slot_options(cfg, settings.ce_type, settings.ce_name)
    assert {name: merged[name].text for name in "abcd"} == {"a": "1", "b": "2", "c": "3", "d": "4"}


@pytest.mark.parametrize("ce_type", ["Pool", "InProcess", "Pool/Singularity"])
@pytest.mark.parametrize("ce_name", ["ce01.example", "", None])
def test_the_agent_and_gridpilot_ce_give_the_slots_ce_the_same_options(ce_type: str, ce_name: str | None) -> None:
    sections = slot_sections(ce_type, ce_name or "")
    everywhere = {f"{path}/KillGraceTime": str(at) for at, path in enumerate(sections)}
    for last in range(1, len(sections) + 1):
        told = dict(list(everywhere.items())[:last]) | {f"{LOCAL}/LocalCE": ce_type}
        cfg = from_options(SITE | told | ({} if ce_name is None else {f"{LOCAL}/GridCE": ce_name}), "x")

        (definition,) = definitions(cfg)

        of_agent = inner_ce_options(cfg, load(cfg))
        assert of_agent == {"KillGraceTime": str(last - 1)}
        assert read_definition(definition).options == {"KillGraceTime": float(of_agent["KillGraceTime"])}


def test_files_are_read_in_order_and_the_command_line_wins(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text("x = 1\ny = 1\nz = 1\n")
    (tmp_path / "b.cfg").write_text("y = 2\nz = 2\n")

    merged = read_files([tmp_path / "a.cfg", tmp_path / "b.cfg"], ["/z = 3"])

    assert [merged.text(name) for name in "xyz"] == ["1", "2", "3"]
    assert merged.value("z").origin == "command line"  # type: ignore[union-attr]


@pytest.mark.parametrize("assignment", ["PollingTime=1", "/PollingTime", "", "/=1", "//=1"])
def test_a_malformed_assignment_is_refused_with_the_form_that_is_expected(assignment: str) -> None:
    with pytest.raises((ConfigurationError, CfgError), match="expected /Section/option"):
        read_files([], [assignment])
