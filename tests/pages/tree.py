"""A fresh copy of the tree, for commands that are run as pasted."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.pages.blocks import ROOT


def copied(into: Path) -> Path:
    """Copy what git knows; the environment is the one that runs this. Returns the copy."""
    list_files = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    known = subprocess.run(list_files, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    for name in filter(None, known.split("\0")):
        if (ROOT / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, into / name)
    (into / ".venv").symlink_to(sys.prefix)
    return into
