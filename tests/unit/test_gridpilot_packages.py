"""Packages of others in the place of ours: found, and told with what to do."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gridpilot import packages

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder in which gridpilot is installed, as in site-packages."""
    for name in ("gridpilot", "pilot", "agents", "ce_backends", "jobexec"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    recorded(tmp_path, "gridpilot", ["pilot/__init__.py", "agents/__init__.py"])
    return tmp_path


def recorded(place: Path, name: str, files: list[str]) -> None:
    folder = place / f"{name.replace('-', '_')}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def version(place: Path, *before: Path) -> "subprocess.CompletedProcess[str]":
    paths = [*map(str, before), str(place)]
    code = f"import sys; sys.path[:0] = {paths!r}; from gridpilot.__main__ import main; sys.exit(main(['version']))"
    return subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)


def test_alone_it_is_well(place: Path) -> None:
    done = version(place)

    assert (done.returncode, done.stdout, done.stderr) == (0, "1.0\n", "")


def test_another_distribution_that_has_files_in_our_package_is_named(place: Path) -> None:
    recorded(place, "panda-pilot", ["pilot/util/https.py", "pilot/__init__.py"])

    done = version(place)

    assert done.returncode == packages.UNFIT
    assert f"gridpilot: {place}/pilot: panda-pilot has files in this package too; give gridpilot an env" in done.stderr


def test_a_package_that_comes_before_ours_is_named(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "agents").mkdir()
    (other / "agents" / "__init__.py").write_text("class Agent: pass\n")

    done = version(place, other)

    assert done.returncode == packages.UNFIT
    assert f"{other}/agents: this package agents is not gridpilot's and comes before it" in done.stderr


def test_a_package_that_was_taken_away_is_missed(place: Path) -> None:
    shutil.rmtree(place / "pilot")  # as uninstalling the other one does

    assert "there is no package pilot beside gridpilot; install gridpilot again" in version(place).stderr


def test_a_missing_package_is_named_with_what_brings_it() -> None:
    error = ModuleNotFoundError("No module named 'prometheus_client.core'", name="prometheus_client.core")

    assert packages.trouble(error) == "this needs prometheus_client: pip install 'gridpilot[metrics]'"
    assert "pip install tornado" in packages.trouble(ModuleNotFoundError("", name="tornado"))
    assert packages.trouble(ImportError("cannot import name")) == ""
