"""Packing output sandboxes: logs and small files first, and what does not fit is named instead of losing all."""

import bz2
import os
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.jobs.sandbox import TooLarge
from ce_backends.linux.foreign_tree import ForeignTree, Outside
from ce_backends.linux.sparse_files import pieces
from ce_backends.task.log_limit import Cap
from ce_backends.task.output_search import Found, OutputSearch, SearchLimits
from ce_backends.untrusted.names import BadName, shown

_MOST_READ_BYTES = 10**9  # of all files as they say themselves how large they are: holes have to be read too
_PACK_S = 300.0
_END_BYTES = 64  # what two empty blocks take
_SMALL_BYTES = 100_000  # a bzip2 block of the least size
_BLOCK_BYTES = 512
_MOST_NAMED = 20
_MOST_MISSING = 200


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What was asked for and is not in an output sandbox.

    Attributes:
        missing: patterns that matched nothing, of very many the first.
        problems: what is there and was left out, a phrase each.
    """

    missing: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """All the problems, of very many the first."""
        more = len(self.problems) - _MOST_NAMED
        return "; ".join([*self.problems[:_MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])


def pack(
    directory: Path,
    patterns: Sequence[str],
    limit_bytes: int,
    logs: Sequence[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> tuple[bytes, Shortfall]:
    """Pack the declared outputs that exist, flat as DIRAC does: base names, and below them what directories hold.

    Logs come first, of one that is too large head and tail; then all else, the smallest first. A file that does not
    fit any more is left out, and those before it are kept. Sizes are looked at before anything is packed.

    Args:
        directory: where they are.
        patterns: of what to pack.
        limit_bytes: for what is packed; memory never holds much more.
        logs: files that may be shortened.
        clock: monotonic, in seconds.

    Returns:
        The bz2 tar, empty when there is nothing in it; and what is not in it.
    """
    try:
        tree = ForeignTree(directory)
    except OSError:
        return b"", Shortfall(missing=tuple(patterns))
    with tree:
        search = OutputSearch(tree, SearchLimits(all_seconds=_PACK_S), clock)
        files, problems = _sized(tree, search.matches(patterns))
        sandbox = _Sandbox(tree, limit_bytes, clock)
        sandbox.add_logs([file for file in files if file.found.name in logs], sum(file.size for file in files))
        for file in sorted(files, key=lambda file: file.size):
            if file.found.name not in logs:
                sandbox.add(file)
        problems += search.problems + sandbox.problems
        return sandbox.finish(), Shortfall(tuple(search.empty[:_MOST_MISSING]), tuple(problems))


@dataclass(frozen=True, slots=True)
class _File:
    """A file that is there: under which name it goes, and how large it says that it is."""

    found: Found
    name: str
    size: int
    is_directory: bool

    @property
    def shown(self) -> str:
        return f"{shown(self.found.name)} ({self.size} bytes)"


def _sized(tree: ForeignTree, found: Iterable[Found]) -> tuple[list[_File], list[str]]:
    """Look at the sizes of what was found; of two that would have one name, the second is left out."""
    files: dict[str, _File] = {}
    problems = []
    for one in found:
        name = one.below_match
        if name in files:
            problems.append(f"output {shown(one.name)} was skipped: another one is called {shown(name)} too")
            continue
        try:
            size = 0 if one.is_directory else _size(tree, one.name)
        except (Outside, BadName) as problem:
            problems.append(f"output {shown(one.name)} was skipped: {problem}")
            continue
        files[name] = _File(one, name, size, one.is_directory)
    return list(files.values()), problems


def _size(tree: ForeignTree, name: str) -> int:
    with tree.file(name) as fd:
        return os.fstat(fd).st_size


class _Sandbox:
    """An output sandbox in the making: a stream of bzip2 for each file, so that one can be left out again."""

    def __init__(self, tree: ForeignTree, limit_bytes: int, clock: Callable[[], float]) -> None:
        self._tree = tree
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._end_s = clock() + _PACK_S
        self._left_bytes = limit_bytes - _END_BYTES
        self._unread_bytes = _MOST_READ_BYTES
        self._packed = bytearray()
        self._too_large: list[_File] = []
        self._problems: list[str] = []

    @property
    def problems(self) -> list[str]:
        """What was left out."""
        if not self._too_large:
            return self._problems
        names = [file.shown for file in self._too_large]
        more = [f"{len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
        left_out = ", ".join(names[:_MOST_NAMED] + more)
        too_large = f"the output sandbox is too large, packed it may have {self._limit_bytes} bytes: without {left_out}"
        return [*self._problems, too_large]

    def add_logs(self, logs: Sequence[_File], all_bytes: int) -> None:
        """Add log files; at least half of the limit is left for all else, if all else is as much."""
        others_bytes = all_bytes - sum(log.size for log in logs)
        reserve_bytes = min(self._limit_bytes // 2, others_bytes)
        for number, log in enumerate(sorted(logs, key=lambda log: log.size)):
            share_bytes = (self._left_bytes - reserve_bytes) // (len(logs) - number)
            try:
                self._add(log, share_bytes)
            except TooLarge:
                self._add_shortened(log, self._limit_bytes // (2 * len(logs)), share_bytes)

    def add(self, file: _File) -> None:
        """Add a file if it fits."""
        try:
            self._add(file, self._left_bytes)
        except TooLarge:
            self._too_large.append(file)

    def finish(self) -> bytes:
        """Return all of it, nothing when nothing was added."""
        return bytes(self._packed) + bz2.compress(bytes(2 * _BLOCK_BYTES)) if self._packed else b""

    def _add_shortened(self, log: _File, most_bytes: int, share_bytes: int) -> None:
        fitting_bytes = max(0, share_bytes * 95 // 100 - 1000)  # whatever is in it
        cap = Cap(min(most_bytes, fitting_bytes), mark="at least {} bytes left out")
        with self._tree.file(log.found.name) as fd:
            content = b"".join(cap.pieces(fd, log.size))
        try:
            self._put(_entry(log, len(content), fd_mode=0o644), [content], share_bytes)
        except TooLarge:
            self._too_large.append(log)

    def _add(self, file: _File, budget_bytes: int) -> None:
        """Add a file if it takes no more than that.

        Raises:
            TooLarge: it takes more, or more time than there is.
        """
        if file.is_directory:
            self._put(_entry(file, 0, fd_mode=0o755), [], budget_bytes)
            return
        if file.size > self._unread_bytes:
            raise TooLarge(file.shown)
        try:
            with self._tree.file(file.found.name) as fd:
                entry = _entry(file, file.size, fd_mode=os.fstat(fd).st_mode & 0o777, moment_s=os.fstat(fd).st_mtime)
                self._put(entry, _filled(pieces(fd, 0, file.size), file.size), budget_bytes)
        except (Outside, OSError) as problem:
            self._problems.append(f"output {shown(file.found.name)} was skipped: {problem}")

    def _put(self, entry: tarfile.TarInfo, content: Iterable[bytes], budget_bytes: int) -> None:
        compressor = bz2.BZ2Compressor(1 if entry.size < _SMALL_BYTES else 6)
        packed = bytearray(compressor.compress(entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")))
        for piece in content:
            packed += compressor.compress(piece)
            self._unread_bytes -= len(piece)
            self._require(len(packed), budget_bytes)
        packed += compressor.compress(bytes(-entry.size % _BLOCK_BYTES)) + compressor.flush()
        self._require(len(packed), budget_bytes)
        self._packed += packed
        self._left_bytes -= len(packed)

    def _require(self, packed_bytes: int, budget_bytes: int) -> None:
        if packed_bytes > budget_bytes or self._clock() > self._end_s:
            raise TooLarge(f"it takes more than {budget_bytes} bytes or {_PACK_S:.0f} s")


def _entry(file: _File, size: int, *, fd_mode: int, moment_s: float | None = None) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(file.name)
    entry.type = tarfile.DIRTYPE if file.is_directory else tarfile.REGTYPE
    entry.size, entry.mode = size, fd_mode
    entry.mtime = int(time.time() if moment_s is None else max(0.0, moment_s))
    return entry


def _filled(content: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield exactly so many bytes: a file may have become shorter meanwhile."""
    for piece in content:
        yield piece
        size -= len(piece)
    if size > 0:
        yield bytes(size)
