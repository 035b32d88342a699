"""The one program: what is typed, what is answered, and that nothing is started or written by accident."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.data_cli.command_line import parser as data_parser
from agents.site_director.command_line import COMMANDS as SITE_DIRECTOR
from gridpilot import __main__ as program
from gridpilot import completion, described, man
from gridpilot.table import COMMANDS, GROUPS

ROOT = Path(__file__).parents[2]


def typed(*words: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "gridpilot", *words],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(cwd), "COLUMNS": "80", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("word", [name for name, row in COMMANDS.items() if row.needs_words])
def test_a_command_without_a_word_shows_its_help_and_writes_nothing(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert program.main([word]) == 2

    assert f"usage: gridpilot {word}" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_the_program_alone_starts_no_pilot(tmp_path: Path) -> None:
    done = typed(cwd=tmp_path)

    assert (done.returncode, done.stderr) == (2, "")
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert list(tmp_path.iterdir()) == []


def test_a_pilot_json_is_all_that_a_pilot_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pilot.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    started: list[object] = []
    monkeypatch.setattr("pilot.__main__.main", lambda words: started.append(list(words)) or 7)

    assert program.main(["pilot"]) == 7
    assert started == [[]]


def test_options_in_the_first_place_are_the_pilots(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr("pilot.__main__.main", lambda words: started.append(list(words)) or 0)

    assert program.main(["-n", "LCG.Site.ch", "--dry-run"]) == 0
    assert program.main(["-V", "lab"]) == 0  # DIRAC's --installation, not the version
    assert started == [["-n", "LCG.Site.ch", "--dry-run"], ["-V", "lab"]]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["docter"], "unknown command docter; did you mean gridpilot doctor?"),
        (["validate"], "unknown command validate; did you mean gridpilot ce validate?"),
        (["sumbit"], "unknown command sumbit; did you mean gridpilot wms submit?"),
        (["SiteDirector"], "unknown command SiteDirector; did you mean gridpilot site-director?"),
        (["wms", "stauts"], "unknown command wms stauts; did you mean status?"),
        (["site-director", "frobnicate"], "unknown command site-director frobnicate; there are run, status, plan,"),
        (["xyzzy"], "unknown command xyzzy; `gridpilot --help` lists them"),
        (["help", "explian"], "unknown command explian; did you mean gridpilot explain?"),
        (["\033[31mdoctor"], "unknown command ?[31mdoctor; did you mean gridpilot doctor?"),
    ],
)
def test_a_misspelt_command_gets_the_nearest_name(
    words: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(words) == 2
    assert f"gridpilot: {answer}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["run", "--jsno", "a.jdl"], "gridpilot run: error: unrecognized arguments: --jsno; did you mean --json?"),
        (["wms", "submit", "--waitt", "a.jdl"], "--waitt; did you mean --wait?"),
        (["site-director", "plan", "--wrok-dir=x"], "--wrok-dir=x; did you mean --work-dir?"),
        (["data", "ls", "--jsn", "/lab"], "--jsn; did you mean --json?"),
        (["ce", "list", "--jsn"], "--jsn; did you mean --json?"),
        (["explain", "--wrkdir", "3"], "--wrkdir; did you mean --work-dir?"),
        (["wms", "status", "--zzzzzz"], "--zzzzzz; `gridpilot wms --help` lists what there is"),
    ],
)
def test_a_misspelt_option_gets_the_nearest_name(
    words: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(words)

    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(answer)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("asked", [lambda name: [name, "--help"], lambda name: ["help", name]])
def test_each_command_has_a_help_of_its_own_with_examples_and_exit_codes(
    name: str, asked: Callable[[str], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(asked(name)) == 0

    text = capsys.readouterr().out
    row = COMMANDS[name]
    assert f"usage: gridpilot {name}" in text
    assert "python -m" not in text
    assert all(f"  {example}" in text for example, _ in row.examples)
    assert row.examples
    assert all(f"  {code}" in text.split("exit codes:")[-1] for code in row.exit_codes)
    assert row.exit_codes


def test_the_table_names_the_commands_below_as_their_parsers_do() -> None:
    told = {name: tuple(described.described(COMMANDS[name]).commands) for name in ("wms", "ce", "data")}

    assert told == {name: COMMANDS[name].words for name in told}
    assert COMMANDS["site-director"].words == SITE_DIRECTOR
    assert COMMANDS["completion"].words == completion.SHELLS
    assert data_parser().prog == "gridpilot data"


def test_every_command_stands_in_a_group_that_is_shown() -> None:
    assert {row.group for row in COMMANDS.values()} == set(GROUPS)


@pytest.mark.parametrize("words", [["--help"], ["status", "--help"], ["run", "--help"], ["wms", "--help"]])
def test_help_fits_eighty_columns(words: list[str], tmp_path: Path) -> None:
    done = typed(*words, cwd=tmp_path)

    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []


def test_no_escape_sequence_is_written_to_a_pipe(tmp_path: Path) -> None:
    assert "\033" not in typed("--help", cwd=tmp_path).stdout


def test_version_and_help_load_nothing_of_pilot_and_agent(tmp_path: Path) -> None:
    code = (
        "import sys; from gridpilot.__main__ import main; [main(w) for w in (['--help'], ['version'], ['docter'])]; "
        "print([n for n in sys.modules if n.partition('.')[0] in ('pilot', 'agents', 'ce_backends', 'requests')])"
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_version_for_programs(tmp_path: Path) -> None:
    told = json.loads(typed("version", "--json", cwd=tmp_path).stdout)

    assert told["python"] == ".".join(map(str, sys.version_info[:3]))
    assert told["clashes"] == []


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["gridpilot", "expl"], {"explain"}),
        (["gridpilot", "wms", "s"], {"serve", "submit", "status"}),
        (["gridpilot", "wms", "status", "--j"], {"--json"}),
        (["gridpilot", "wms", "--home", "/x", "wa"], {"wait"}),
        (["gridpilot", "ce", "test", "--ju"], {"--junit"}),
        (["gridpilot", "completion", ""], {"bash", "zsh", "fish"}),
        (["gridpilot", "pilot", "--CPU"], {"--CPUTime"}),
        (["gridpilot", "explain", "--work-dir", "fold"], {"folder"}),
        (["gridpilot", "wms", "wait", "--deadline", ""], set()),
    ],
)
def test_bash_completes(words: list[str], offered: set[str], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "script").write_text(completion.script("bash"))
    code = 'source ./script; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gridpilot; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", code, "-", *words], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert set(done.stdout.split()) == offered
    assert done.stderr == ""


def test_the_manual_page_has_every_command_and_option() -> None:
    page = man.page().replace("\\-", "-").replace("...", "…")

    for name, row in COMMANDS.items():
        assert f".SS gridpilot {name}\n" in page
        told = described.described(row)
        assert all(f".B {man.spelled(option)}\n" in page for option in told.options)
