"""Outputs of ended pilots: kept for a while, one folder for each, named by its stamp; and the last word in them."""

import os
import re
import shutil
from pathlib import Path

_TAIL_BYTES = 20_000
_STAMP = re.compile(r"[0-9a-f]{32}", re.ASCII)
_WHY = re.compile(r'pilot\.ended why=(?:"([^"\n]{1,300})"|\'([^\'\n]{1,300})\'|([^\s"\']{1,300}))')


def tail(folder: Path) -> str:
    """Return the end of what a pilot wrote, empty where it is not here; it may have written anything."""
    try:
        fd = os.open(folder / "stdout", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            file.seek(max(0, os.fstat(fd).st_size - _TAIL_BYTES))
            return file.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def why(folder: Path) -> str:
    """Return why a pilot says that it ended, in its last sentence about it; empty where it says nothing."""
    found = _WHY.findall(tail(folder))
    return next(filter(None, found[-1])) if found else ""


def prune(outputs: Path, number: int) -> None:
    """Remove all folders of pilots but so many of the newest; what cannot be removed stays."""
    try:
        folders = [entry for entry in os.scandir(outputs) if _STAMP.fullmatch(entry.name)]
        folders.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime, reverse=True)
    except OSError:  # there are none yet
        return
    for entry in folders[number:]:
        shutil.rmtree(entry.path, ignore_errors=True)
