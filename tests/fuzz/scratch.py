"""Places for targets that read files: below TMPDIR, which `python -m tests.fuzz` sets, and removes."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path


@cache
def folder() -> Path:
    """Return this process's own folder."""
    made = Path(tempfile.mkdtemp(prefix="gridpilot-fuzz-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def file(name: str, data: bytes) -> Path:
    """Return a file that holds this."""
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def empty(name: str) -> Path:
    """Return a folder with nothing in it."""
    path = folder() / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path
