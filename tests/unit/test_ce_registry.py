"""CE types and options by name, and the command that shows them."""

import json
from pathlib import Path

import pytest

from ce_backends.__main__ import main
from ce_backends.errors import CEMisconfigured
from ce_backends.options import Option, OptionValue
from ce_backends.pool.ce import InProcess, Pool
from ce_backends.registry import ce_types, create, validate

PLUGIN = Path(__file__).parents[1] / "plugins/echo_ce"


def test_ce_is_made_by_its_type_with_options_as_texts(tmp_path: Path) -> None:
    ce = create("Pool", {"NumberOfProcessors": "3"}, tmp_path)

    assert isinstance(ce, Pool)
    assert ce.slots().free_processors == 3
    ce.close()


def test_in_process_is_a_ce_type_of_its_own(tmp_path: Path) -> None:
    ce = create("InProcess", {}, tmp_path)

    assert isinstance(ce, InProcess)


@pytest.mark.parametrize(
    ("ce_type", "options", "sentence"),
    [
        ("pool", {}, "unknown CE type pool; did you mean Pool?"),
        ("Pol", {}, "unknown CE type Pol; did you mean Pool?"),
        (
            "Pool",
            {"NumberOfProcesors": 2},
            "unknown option NumberOfProcesors of CE type Pool; did you mean NumberOfProcessors?",
        ),
        (
            "Pool",
            {"NumberOfProcessors": "two"},
            "option NumberOfProcessors of CE type Pool is 'two': expected a whole number of at least 1",
        ),
        (
            "Pool",
            {"NumberOfProcessors": 0},
            "option NumberOfProcessors of CE type Pool is 0: expected a whole number of at least 1",
        ),
        (
            "InProcess",
            {"KillGraceTime": "nan"},
            "option KillGraceTime of CE type InProcess is 'nan': expected a number (s) of at least 0",
        ),
        (
            "Pool",
            {"Containment": "v3"},
            "option Containment of CE type Pool is 'v3': expected one of V2, HYBRID, V1, SESSION",
        ),
    ],
)
def test_wrong_type_or_option_is_told_in_one_sentence(
    ce_type: str, options: dict[str, OptionValue], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(CEMisconfigured) as wrong:
        create(ce_type, options, tmp_path)

    assert str(wrong.value) == sentence


def test_name_near_to_none_lists_all_there_are() -> None:
    with pytest.raises(CEMisconfigured, match="unknown option Xyzzy of CE type Pool; there are Containment, KillGrace"):
        validate("Pool", {"Xyzzy": 1})


def test_whole_number_is_no_fraction() -> None:
    option = Option(name="N", kind=int, default=1, doc="", minimum=1)

    with pytest.raises(CEMisconfigured, match=r"is '1\.5': expected a whole number of at least 1"):
        option.parse("1.5", "Pool")


def test_type_of_another_distribution_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(PLUGIN))

    ce = create("Echo", {"MaxTotalJobs": "7"}, tmp_path)

    assert ce.slots().free_processors == 7


def plugin(folder: Path, entry_point: str, source: str) -> None:
    (folder / "broken-1.dist-info").mkdir()
    (folder / "broken-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (folder / "broken-1.dist-info/entry_points.txt").write_text(f"[gridpilot.ce_backends]\n{entry_point}\n")
    (folder / "broken_ce.py").write_text(source)


@pytest.mark.parametrize(
    ("entry_point", "sentence"),
    [
        ("Broken = broken_ce:CE", "CE type Broken cannot be loaded from broken_ce:CE: No module named 'nowhere'"),
        ("Broken = no_such_module:CE", "CE type Broken cannot be loaded from no_such_module:CE: No module named"),
        ("Broken = os:sep", "CE type Broken from os:sep has no OPTIONS and no from_options"),
    ],
)
def test_broken_distribution_is_told_in_one_sentence(
    entry_point: str, sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plugin(tmp_path, entry_point, "import nowhere\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(CEMisconfigured) as wrong:
        validate("Broken", {})

    assert str(wrong.value).startswith(sentence)


def test_other_distribution_cannot_replace_our_own_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plugin(tmp_path, "Pool = os:sep", "")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert isinstance(create("Pool", {}, tmp_path / "work"), Pool)


def test_list_names_all_types(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    rows = {row["type"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"InProcess", "Local", "Pool", "SSH"} <= set(rows)
    assert rows["Local"]["here"].startswith("yes: Host")


def test_describe_shows_each_option_with_its_unit_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "Pool", "--json"]) == 0

    options = {option["name"]: option for option in json.loads(capsys.readouterr().out)}
    assert (options["KillGraceTime"]["unit"], options["KillGraceTime"]["default"]) == ("s", 5.0)


def test_validate_shows_what_the_ce_would_get(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "Pool", "-o", "NumberOfProcessors=2", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["options"], row["mistakes"]) == ({"NumberOfProcessors": 2}, [])


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["validate", "Pool", "-o", "Nothing"], "gridpilot ce: -o Nothing: expected OPTION=VALUE\n"),
        (["describe", "Poool"], "gridpilot ce: unknown CE type Poool; did you mean Pool?\n"),
        (
            ["test", "Local", "-o", "WholeNod=1"],
            "gridpilot ce: -o WholeNod: unknown option WholeNod = 1; did you mean WholeNode?\n",
        ),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert capsys.readouterr().err == sentence


def test_plan_shows_the_command_and_submits_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    area = tmp_path / "area"

    assert main(["plan", "Local", "-o", "BatchSystem=SLURM", "-o", f"SharedArea={area}", "--json"]) == 0

    steps = json.loads(capsys.readouterr().out)["steps"]
    assert any("sbatch --parsable" in step and "--array=1-2" in step for step in steps)
    assert not area.exists()


def test_describe_of_every_type_ends_with_an_example_that_validates(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for ce_type in ce_types():
        assert main(["describe", ce_type]) == 0
        file = tmp_path / "example.cfg"
        file.write_text(capsys.readouterr().out.partition("Example:\n")[2])

        code = main(["validate", str(file)])
        assert code == (3 if "cannot be used on this machine now" in capsys.readouterr().out else 0), ce_type
