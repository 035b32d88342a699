"""Where people want things written: found out before anything is begun whose result would be lost otherwise."""

import os
import tempfile
from pathlib import Path

from ce_backends.errors import CEMisconfigured


class NoPlace(CEMisconfigured):
    """Nothing can be written there; the sentence says where and why."""


def folder(path: Path) -> Path:
    """Make a directory to write in, with those above it; return it.

    Raises:
        NoPlace: there can be none.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NoPlace(f"{path}: there is a file of that name; expected a directory") from None
    except OSError as error:
        raise NoPlace(f"{path}: the directory cannot be made: {error.strerror}") from error
    try:
        tempfile.TemporaryFile(dir=path).close()  # rights alone do not tell: file systems are full, read-only, /proc
    except OSError as error:
        raise NoPlace(f"{path}: no file can be made in this directory: {error.strerror}") from error
    return path


def file(path: Path) -> Path:
    """Make the directory of a file that is to be written; return the file.

    Raises:
        NoPlace: it cannot be there.
    """
    if path.is_dir():
        raise NoPlace(f"{path}: this is a directory; expected a file")
    folder(path.parent)
    if path.exists() and not os.access(path, os.W_OK):
        raise NoPlace(f"{path}: the file cannot be written")
    return path
