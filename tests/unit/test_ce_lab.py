"""`gridpilot ce lab`: what it says of systems; that they start is tried with the systems themselves (tests/systems)."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from ce_backends.__main__ import main
from ce_backends.cli import lab


@pytest.fixture
def clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRIDPILOT_CLUSTERS", str(tmp_path))
    return tmp_path


@pytest.fixture
def slurm(clusters: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a Slurm that is said to be up."""
    (clusters / "slurm").mkdir()
    (clusters / "slurm/client.env").write_text(
        "SLURM_CONF='/a b/conf'\nGRIDPILOT_SYSTEM_VERSION='slurm-wlm 22'\nPATH=/s/bin:/usr/bin\n", encoding="utf-8"
    )
    monkeypatch.setattr(lab, "_quietly", lambda _name: 0)
    return clusters / "slurm"


@pytest.mark.usefixtures("clusters")
def test_all_systems_are_listed_with_how_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["system"]: row["here"] for row in rows} == dict.fromkeys(lab.SYSTEMS, "down")


def test_a_status_that_does_not_come_is_not_up(clusters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clusters / "slurm").mkdir()
    (clusters / "slurm/client.env").touch()
    monkeypatch.setattr(lab, "_argv", lambda *_: ["sleep", "600"])
    monkeypatch.setattr(lab, "_ASK_S", 0.05)
    assert not lab._is_up("slurm")


def test_scripts_run_without_their_right_to_be_run(
    clusters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clusters / "slurm").mkdir()
    (clusters / "slurm/client.env").touch()
    (tmp_path / "status.sh").write_text("exit 0\n", encoding="utf-8")
    monkeypatch.setattr(lab, "_script", lambda *_: tmp_path / "status.sh")
    assert lab._is_up("slurm")


def test_each_system_has_all_its_scripts() -> None:
    for name in lab.SYSTEMS:
        assert all(lab._script(name, action).exists() for action in ("up", "down", "status"))


@pytest.mark.usefixtures("slurm")
def test_a_shell_finds_its_own_commands_before_those_of_the_system(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "slurm", "env"]) == 0
    script = f'PATH=/mine\n{capsys.readouterr().out}\nprintf "%s|" "$SLURM_CONF" "$PATH"'
    done = subprocess.run(["/bin/sh", "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "/a b/conf|/mine:/s/bin:/usr/bin|"


@pytest.mark.usefixtures("slurm")
def test_what_comes_next_can_be_pasted() -> None:
    said, shell, test, end = lab._next("slurm").splitlines()
    assert said.startswith("slurm-wlm 22 is up.")
    assert shlex.split(shell) == ["eval", "$(gridpilot ce lab slurm env)"]
    assert shlex.split(test)[:6] == ["gridpilot", "ce", "test", "Local", "-o", "BatchSystem=SLURM"]
    assert end.strip() == "gridpilot ce lab slurm down"


@pytest.mark.usefixtures("clusters")
@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["lab", "slrum", "up"], 2, "ce lab: unknown system slrum; did you mean slurm?"),
        (["lab", "slurm", "env"], 3, "slurm is not up; start it with `gridpilot ce lab slurm up`"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: list[str], code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == code
    assert capsys.readouterr().err.splitlines()[-1].endswith(sentence)
