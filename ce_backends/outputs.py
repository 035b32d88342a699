"""Bringing files out of a work directory that belongs to the payload: nothing leads out of it."""

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ce_backends.errors import CEError


class Outside(CEError):
    """A name in the work directory that cannot be brought out, with the reason."""


@contextmanager
def open_inside(path: Path, root: Path) -> Iterator[BinaryIO]:
    """Open a regular file that really lies below `root`, whatever links lead there.

    Raises:
        Outside: it does not, or it is no regular file.
        OSError: it cannot be opened.
    """
    _require_inside(os.path.realpath(path), path, root)  # Path.resolve raises on a loop of links
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(fd, "rb") as file:  # noqa: PTH123 - a descriptor has no path
        _require_inside(
            str(Path(f"/proc/self/fd/{fd}").readlink()), path, root
        )  # what was opened, not what is there now
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Outside(f"{path.name} is not a regular file")
        yield file


def _require_inside(real: str, path: Path, root: Path) -> None:
    if not Path(real).is_relative_to(os.path.realpath(root)):
        raise Outside(f"{path.name} leads outside the work directory")


def tail(path: Path, root: Path, max_bytes: int) -> bytes:
    """Return the last bytes of a file below `root`, empty if there is no such file."""
    try:
        with open_inside(path, root) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - max_bytes))
            return file.read(max_bytes)
    except (OSError, Outside):
        return b""


def copy_outputs(work: Path, patterns: Sequence[str], into: Path) -> list[str]:
    """Copy what the patterns match from `work` to `into`, under the same relative names.

    Returns:
        A sentence for each thing that was skipped.
    """
    skipped: list[str] = []
    for path in _unique(match for pattern in patterns for match in sorted(work.glob(pattern))):
        for file in _files(path):
            target = into / file.relative_to(work)
            try:
                _copy(file, work, target)
            except Outside as problem:
                skipped.append(f"output {file.relative_to(work)} was skipped: {problem}")
            except OSError as error:
                skipped.append(f"output {file.relative_to(work)} was skipped: {error.strerror}")
    return skipped


def _unique(paths: Iterable[Path]) -> list[Path]:
    return list(dict.fromkeys(paths))


def _files(path: Path) -> Iterator[Path]:
    """Return a file, or all files and links below a directory; a link to a directory is not gone into."""
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for directory, names, files in os.walk(path):
        yield from (Path(directory) / name for name in files)
        yield from (Path(directory) / name for name in names if (Path(directory) / name).is_symlink())
        if not names and not files:
            yield Path(directory)


def _copy(file: Path, root: Path, target: Path) -> None:
    if file.is_dir() and not file.is_symlink():
        target.mkdir(parents=True, exist_ok=True)
        return
    with open_inside(file, root) as source:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
        target.chmod(os.fstat(source.fileno()).st_mode & 0o777 | stat.S_IRUSR | stat.S_IWUSR)
