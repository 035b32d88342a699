"""The bundle, built once for all nodes."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.nodes.bare_node import ROOT

BUILD_S = 600


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the one file, and `gridpilot`, the folder that it unpacks to."""
    into = tmp_path_factory.mktemp("dist")
    argv = [sys.executable, "-m", "tools.bundle", "--into", str(into)]
    subprocess.run(argv, cwd=ROOT, check=True, timeout=BUILD_S)
    return into
