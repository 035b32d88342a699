"""The examples of configs/ are right, and say what would be submitted, also where the system cannot be had."""

from pathlib import Path

import pytest

from ce_backends.__main__ import main

CONFIGS = Path(__file__).parents[2] / "configs"
EXAMPLES = sorted(CONFIGS.glob("*.cfg"))
SUBMIT = {
    "slurm": "this machine: sbatch",
    "grid_engine": "this machine: qsub",
    "oar": "this machine: oarsub",
    "pbs": "this machine: qsub",
    "lsf": "this machine: bsub",
    "ssh": "login.example.org: sbatch",
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_is_valid(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(example)]) == 0, capsys.readouterr().err
    assert "  note: " not in capsys.readouterr().out


@pytest.mark.parametrize("name", SUBMIT)
def test_a_plan_names_the_submit_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(CONFIGS / f"{name}.cfg")]) == 0

    assert f"run on {SUBMIT[name]} " in capsys.readouterr().out
