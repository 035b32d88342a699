"""Bringing files out of a work directory that belongs to the payload: nothing leads out of it."""

import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ce_backends.capped_output import Cap
from ce_backends.errors import CEError


class Outside(CEError):
    """A name in the work directory that cannot be brought out, with the reason."""


@contextmanager
def open_inside(path: Path, root: Path) -> Iterator[BinaryIO]:
    """Open a regular file that really lies below `root`, whatever links lead there.

    Raises:
        Outside: it does not, is no regular file, or cannot be read.
    """
    _require_inside(os.path.realpath(path), path, root)  # Path.resolve raises on a loop of links
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise Outside(f"{path.name} cannot be read: {error.strerror}") from error
    try:
        opened = str(Path(f"/proc/self/fd/{fd}").readlink())  # what is there now may be something else again
        _require_inside(opened, path, root)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Outside(f"{path.name} is not a regular file")
        with open(fd, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(fd)


def _require_inside(real: str, path: Path, root: Path) -> None:
    if not Path(real).is_relative_to(os.path.realpath(root)):
        raise Outside(f"{path.name} leads outside the work directory")


def tail(path: Path, root: Path, max_bytes: int) -> bytes:
    """Return the last bytes of a file below `root`, empty if there is no such file."""
    try:
        with open_inside(path, root) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - max_bytes))
            return file.read(max_bytes)
    except Outside:
        return b""


def copy_outputs(
    work: Path, patterns: Sequence[str], into: Path, *, cap: Cap | None = None, capped: Collection[str] = ()
) -> list[str]:
    """Copy what the patterns match from `work` to `into`, under the same relative names.

    Args:
        work: the directory that belongs to the payload.
        patterns: of what to copy.
        into: where to; made when missing.
        cap: how much to keep of the files that are named in `capped`.
        capped: relative names.

    Returns:
        A sentence for each thing that was skipped.

    Raises:
        OSError: a copy cannot be written.
    """
    skipped: list[str] = []
    small = {work / name for name in capped}
    for path in _unique(match for pattern in patterns for match in sorted(work.glob(pattern))):
        try:
            _require_inside(os.path.realpath(path), path, work)
        except Outside as problem:
            skipped.append(f"output {path.relative_to(work)} was skipped: {problem}")
            continue
        for file in _files(path):
            try:
                _copy(file, work, into / file.relative_to(work), cap if file in small else None)
            except Outside as problem:
                skipped.append(f"output {file.relative_to(work)} was skipped: {problem}")
    return skipped


def _unique(paths: Iterable[Path]) -> list[Path]:
    return list(dict.fromkeys(paths))


def _files(path: Path) -> Iterator[Path]:
    """Return a file, or all files, links and empty directories below a directory; links are not gone into."""
    if not _is_directory(path):
        yield path
        return
    for directory, names, files in os.walk(path):
        here = Path(directory)
        yield from (here / name for name in (*files, *names) if not _is_directory(here / name))
        if not names and not files:
            yield here


def _is_directory(path: Path) -> bool:
    """Tell whether it is one itself, not a link to one."""
    return not path.is_symlink() and path.is_dir()


def _copy(file: Path, root: Path, target: Path, cap: Cap | None) -> None:
    if _is_directory(file):
        target.mkdir(parents=True, exist_ok=True)
        return
    with open_inside(file, root) as source:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as copy:
            if cap:
                cap.copy(source, copy)
            else:
                shutil.copyfileobj(source, copy)
        target.chmod(os.fstat(source.fileno()).st_mode & 0o777 | stat.S_IRUSR | stat.S_IWUSR)
