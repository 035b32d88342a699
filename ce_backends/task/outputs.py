"""Bringing files out of a work directory that belongs to the payload: nothing leads out of it, and not all is taken."""

import errno
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from ce_backends.linux.foreign_tree import ForeignTree, Outside
from ce_backends.linux.sparse_files import data_ranges, pieces
from ce_backends.task.log_limit import Cap
from ce_backends.task.output_search import Found, OutputSearch, OverLimit, SearchLimits
from ce_backends.untrusted.names import BadName, parts_of

OF_THE_TASK = ("stdout", "stderr")  # lie beside the work directory: the payload's own files cannot be in the way
MOST_DATA_BYTES = 20 * 10**9  # of all outputs of a task; holes are none
_LIMITS = SearchLimits()
_OUR_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EMFILE, errno.ENFILE)
_STAT_BLOCK_BYTES = 512  # stat(2)
_BYTES_PER_MB = 1_000_000


def tail(path: Path, root: Path, max_bytes: int) -> bytes:
    """Return the last bytes of a file below `root`, empty if there is no such file."""
    try:
        with ForeignTree(root) as tree, tree.file(str(path.relative_to(root))) as fd:
            size = os.fstat(fd).st_size  # what comes later does not count, or its beginning would be taken for an end
            return os.pread(fd, min(max_bytes, size), max(0, size - max_bytes))
    except (Outside, OSError, ValueError):  # an absolute path is not below it
        return b""


def has_file(root: Path, name: str) -> bool:
    """Tell whether there is something of this name below `root`."""
    try:
        with ForeignTree(root) as tree:
            return tree.has(name)
    except OSError:
        return False


def copy_outputs(
    work: Path,
    patterns: Sequence[str],
    into: Path,
    *,
    cap: Cap | None = None,
    capped: Collection[str] = (),
    limits: SearchLimits = _LIMITS,
    most_bytes: int = MOST_DATA_BYTES,
) -> list[str]:
    """Copy what the patterns match from `work` to `into`, under the same relative names; holes stay holes.

    Args:
        work: the directory that belongs to the payload.
        patterns: of what to copy.
        into: where to; made when missing.
        cap: how much to keep of the files that are named in `capped`.
        capped: relative names.
        limits: what the search for them may cost.
        most_bytes: of data, and no more than half of what is free; what goes beyond is skipped, what is smaller not.

    Returns:
        A sentence for each thing that was skipped.

    Raises:
        OSError: a copy cannot be written.
    """
    try:
        tree = ForeignTree(work)
    except FileNotFoundError:
        return []
    except OSError as error:  # something else has its name
        return [f"all outputs were skipped: {work.name} cannot be read: {error.strerror}"]
    with tree:
        search = OutputSearch(tree, limits)
        copies = _Copies(tree, into, search, min(most_bytes, shutil.disk_usage(into.parent).free // 2))
        for found in search.matches(patterns):
            try:
                copies.add(found, cap if found.name in capped else None)
            except (Outside, OverLimit, BadName) as problem:
                search.skip(found.name, problem)
        return search.problems


def tell_end(into: Path, exit_code: int | None, skipped: Sequence[str]) -> None:
    """Write what a fetched task ended with, and at the end of its `stderr` what could not be brought.

    Args:
        into: the directory of what was fetched; it is there.
        exit_code: of the task, None where nobody knows it: then there is no such file.
        skipped: a sentence for each thing.

    Raises:
        OSError: it cannot be written.
    """
    if exit_code is not None:
        (into / "exit_code").write_text(f"{exit_code}\n", encoding="ascii")
    if skipped:
        with (into / "stderr").open("a", encoding="utf-8", errors="backslashreplace") as stderr:
            stderr.writelines(f"gridpilot: {sentence}\n" for sentence in skipped)


class _Copies:
    """What is copied out of a tree."""

    def __init__(self, tree: ForeignTree, into: Path, search: OutputSearch, most_bytes: int) -> None:
        self._tree = tree
        self._into = into
        self._search = search
        self._left_bytes = self._most_bytes = most_bytes

    def add(self, found: Found, cap: Cap | None) -> None:
        """Copy a file, or make an empty directory.

        Raises:
            Outside: it cannot be read, or not be kept under its name.
            OverLimit: there is too much.
            OSError: there is no room for it.
        """
        target = self._into.joinpath(*parts_of(found.name))
        self._search.check_time()
        try:
            if found.is_directory:
                target.mkdir(parents=True, exist_ok=True)
                return
            with self._tree.file(found.name) as source:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._copy(source, target, cap)
        except OSError as error:
            if error.errno in _OUR_TROUBLE:
                raise
            raise Outside(f"it cannot be copied: {error.strerror}") from error  # too large for the file system here …

    def _copy(self, source: int, target: Path, cap: Cap | None) -> None:
        left_bytes, status = self._left_bytes, os.fstat(source)
        try:
            with target.open("wb") as copy:
                if cap:
                    copy.writelines(self._counted(cap.pieces(source, status.st_size)))
                    return
                self._require(min(status.st_size, status.st_blocks * _STAT_BLOCK_BYTES))
                for begin, end in data_ranges(source, status.st_size):
                    copy.seek(begin)
                    copy.writelines(self._counted(pieces(source, begin, end)))
                copy.truncate(status.st_size)
            target.chmod(status.st_mode & 0o777 | stat.S_IRUSR | stat.S_IWUSR)
        except (OSError, OverLimit):
            self._left_bytes = left_bytes
            target.unlink(missing_ok=True)
            raise

    def _counted(self, data: Iterable[bytes]) -> Iterator[bytes]:
        for piece in data:
            self._search.check_time()
            self._require(len(piece))
            self._left_bytes -= len(piece)
            yield piece

    def _require(self, count: int) -> None:
        if count > self._left_bytes:
            raise OverLimit(f"all outputs together have more than {self._most_bytes // _BYTES_PER_MB} MB")
