"""`gridpilot … | head`: a reader that has seen enough is no error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFIGS = Path(__file__).parents[2] / "configs"
SIGPIPE = 128 + 13


def ended(module: str, *arguments: str, where: Path) -> tuple[int, str]:
    """Return the exit code of a command whose output nobody reads, and what it says on stderr."""
    reader, writer = os.pipe()
    os.close(reader)
    argv = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent)}
    done = subprocess.run(
        argv, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=where, env=environment, check=False
    )
    os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("describe", "Local", "--json"), ("validate", f"{CONFIGS}/slurm.cfg"), ("plan", f"{CONFIGS}/slurm.cfg", "--json")],
    ids=lambda arguments: arguments[0],
)
def test_a_command_about_ces_ends_quietly(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert ended("ce_backends", *arguments, where=tmp_path) == (SIGPIPE, "")


def test_what_the_agent_explains_ends_quietly(tmp_path: Path) -> None:
    assert ended("agents", "--explain", where=tmp_path) == (SIGPIPE, "")


@pytest.mark.parametrize("asked", ["--help", "--explain"])
def test_what_the_pilot_tells_ends_quietly(asked: str, tmp_path: Path) -> None:
    assert ended("pilot", asked, where=tmp_path) == (0, "")
