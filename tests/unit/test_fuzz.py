"""Fuzzing itself, and what it has found once: every seed and every kept input is judged as `make fuzz` judges it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import registry

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "tests/fuzz/kept"  # NAME/WHAT, small inputs that were found and are answered now
TARGETS = {name: target for kind in registry.GROUPS for name, target in registry.group(kind).items()}
FOUND = sorted(KEPT.glob("*/*"))


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_answered_or_refused_with_a_declared_error(name: str) -> None:
    for seed in TARGETS[name].seeds():
        TARGETS[name].judge(seed)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_once_is_answered_now(path: Path) -> None:
    TARGETS[path.parent.name].judge(path.read_bytes())


def test_a_planted_error_slowness_and_size_are_found(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="libFuzzer for Python is not to be had here")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--only", "planted", "--seconds", "45"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        check=False,
        text=True,
        capture_output=True,
    )
    again = next(line.partition("again: ")[2].split() for line in done.stdout.splitlines() if "again: " in line)
    repeated = subprocess.run(again, cwd=ROOT, check=False, text=True, capture_output=True)

    assert done.returncode == 1, done.stdout + done.stderr
    for word in ("KeyError: 'the planted bug'", "TooSlow", "MemoryError", "0 passed, 3 failed"):
        assert word in done.stdout
    assert repeated.returncode == 1
    assert "KeyError: 'the planted bug'" in repeated.stderr
