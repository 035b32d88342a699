"""Outputs of ended pilots: kept for a while, one small folder for each, named by its stamp; the last word in them."""

import os
import re
import shutil
from pathlib import Path

_TAIL_BYTES = 20_000
_HEAD_BYTES, _MOST_BYTES = 100_000, 1_000_000  # of what is kept of each file
_CUT = b"\n[gridpilot: the middle of this output was cut out]\n"
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


def shorten(folder: Path) -> None:
    """Cut what a pilot wrote down to a megabyte for each file: its head and its tail.

    Raises:
        OSError: it cannot be.
    """
    for name in ("stdout", "stderr"):
        path = folder / name
        if not path.is_symlink() and path.is_file() and (size := path.stat().st_size) > _MOST_BYTES:
            with path.open("rb") as file:
                head = file.read(_HEAD_BYTES)
                file.seek(size - (_MOST_BYTES - _HEAD_BYTES - len(_CUT)))
                kept = head + _CUT + file.read(_MOST_BYTES - _HEAD_BYTES - len(_CUT))
            aside = path.with_name(f"{name}.short")
            aside.write_bytes(kept)
            aside.replace(path)


def prune(outputs: Path, number: int, age_s: float, now_s: float) -> None:
    """Remove all folders of pilots but so many of the newest, and those of this age; what cannot be removed stays.

    Args:
        outputs: where they are.
        number: of those that stay, at most.
        age_s: after which they go.
        now_s: seconds since 1970.
    """
    try:
        folders = [entry for entry in os.scandir(outputs) if _STAMP.fullmatch(entry.name)]
        folders.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime, reverse=True)
    except OSError:  # there are none yet
        return
    old = [entry for entry in folders[:number] if now_s - entry.stat(follow_symlinks=False).st_mtime > age_s]
    for entry in [*folders[number:], *old]:
        shutil.rmtree(entry.path, ignore_errors=True)
