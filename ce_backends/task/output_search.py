"""Finding what patterns name in a directory that a payload has filled: within bounds, and through no link to nowhere.

A part of a pattern with a wildcard goes into directories only, never into links to some: after `ln -s . a; ln -s . b`
each `*` more would double what is found.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ce_backends.linux.foreign_tree import ForeignTree, NotThere, Outside
from ce_backends.untrusted.names import BadName, parts_of, shown

_MOST_PROBLEMS = 100
_WILD = frozenset("*?[")
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchLimits:
    """What a search may cost.

    Attributes:
        files: found by all patterns together.
        names: looked at for one pattern, of those that do not match too.
        seconds: for one pattern.
        all_seconds: for all patterns, whatever happens between them.
    """

    files: int = 10_000
    names: int = 200_000
    seconds: float = 30.0
    all_seconds: float = 1800.0


@dataclass(frozen=True, slots=True)
class Found:
    """Something that a pattern names.

    Attributes:
        name: relative to the tree.
        match: what the pattern matched: this, or a directory that it lies in.
        is_directory: an empty one.
    """

    name: str
    match: str
    is_directory: bool = False

    @property
    def below_match(self) -> str:
        """The name without what stands before the last part of the match."""
        return self.name[self.match.rfind("/") + 1 :]


class OverLimit(Exception):
    """The search is not gone on with, and why."""


class OutputSearch:
    """Finds files in a tree, pattern by pattern, each file once.

    Args:
        tree: the directory.
        limits: what it may cost.
        clock: monotonic, in seconds.

    Attributes:
        problems: a sentence for each pattern or file that is skipped; a pattern that matches nothing has none.
        empty: the patterns that match nothing.
    """

    def __init__(self, tree: ForeignTree, limits: SearchLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._tree = tree
        self._limits = limits
        self._clock = clock
        self._all_end_s = clock() + limits.all_seconds
        self._end_s = self._all_end_s
        self._names = 0
        self._found: set[str] = set()
        self.problems: list[str] = []
        self.empty: list[str] = []

    def matches(self, patterns: Sequence[str]) -> Iterator[Found]:
        """Yield what patterns name, and all below directories among it, empty ones too; links are not gone into."""
        for pattern in sorted(dict.fromkeys(patterns), key=_is_wild):  # what is named in full comes first
            self._names, self._end_s = 0, min(self._all_end_s, self._clock() + self._limits.seconds)
            is_empty = True
            try:
                self.check_time()
                for name in self._matches(pattern):
                    is_empty = False
                    yield from self._new(name)
            except (OverLimit, BadName, Outside) as problem:
                self.skip(pattern, problem)
                continue
            if is_empty:
                self.empty.append(pattern)

    def skip(self, name: str, problem: Exception | str) -> None:
        """Name what is not brought, and why; of very many, no more than the first."""
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(f"output {shown(name)} was skipped: {problem}")
        elif len(self.problems) == _MOST_PROBLEMS:
            self.problems.append("more outputs were skipped")

    def check_time(self) -> None:
        """Give up when all the time is used.

        Raises:
            OverLimit: it is.
        """
        if self._clock() > self._all_end_s:
            raise OverLimit(f"it took longer than {self._limits.all_seconds:.0f} s")

    def _new(self, match: str) -> Iterator[Found]:
        """Yield a file, or what is below a directory, that was not found before."""
        for found in self._below(match):
            self._look()
            if found.name not in self._found:
                if len(self._found) >= self._limits.files:
                    raise OverLimit(f"there are more than {self._limits.files} files")
                self._found.add(found.name)
                yield found
                self._end_s = min(
                    self._all_end_s, self._clock() + self._limits.seconds
                )  # what was done with it is ours

    def _matches(self, pattern: str) -> Iterator[str]:
        parts = parts_of(pattern)
        if not parts or pattern.startswith("/"):
            raise BadName("it does not name something in the task's work directory")
        literal = next((number for number, part in enumerate(parts) if _is_wild(part)), len(parts))
        if literal == len(parts):
            if self._is_there(parts):
                yield "/".join(parts)
            return
        with suppress(NotThere), self._directory(parts[:literal]) as fd:
            yield from self._match(fd, parts[:literal], parts[literal:])

    def _match(self, fd: int, here: tuple[str, ...], parts: Sequence[str]) -> Iterator[str]:
        part, *rest = parts
        for name in self._names_in(fd) if _is_wild(part) else [part]:
            self._look()
            if _is_wild(part) and not fnmatchcase(name, part):
                continue
            if not rest:
                if _kind(name, fd) is not None:
                    yield "/".join((*here, name))
                continue
            with suppress(OSError), _opened(name, fd) as below:
                yield from self._match(below, (*here, name), rest)

    def _is_there(self, parts: tuple[str, ...]) -> bool:
        try:
            with self._directory(parts[:-1]) as fd:
                return _kind(parts[-1], fd) is not None
        except NotThere:
            return False

    def _directory(self, parts: Sequence[str]) -> AbstractContextManager[int]:
        """Open a directory that is named in full: links to it are followed, and stay inside."""
        return self._tree.directory("/".join(parts))

    def _below(self, match: str) -> Iterator[Found]:
        """Yield a file or link, or all of that and the empty directories below a directory."""
        if not self._is_directory(match):
            yield Found(match, match)
            return
        waiting = [match]
        while waiting:
            here = waiting.pop()
            try:
                names, directories = self._listed(here)
            except Outside as problem:
                self.skip(here, problem)
                continue
            yield from (Found(f"{here}/{one}", match) for one in names if one not in directories)
            waiting += [f"{here}/{one}" for one in reversed(names) if one in directories]
            if not names:
                yield Found(here, match, is_directory=True)

    def _is_directory(self, name: str) -> bool:
        """Tell whether what was found is a directory itself, not a link to one."""
        above, _, last = name.rpartition("/")
        with self._directory((above,)) as fd:
            return _is_directory(last, fd)

    def _listed(self, here: str) -> tuple[list[str], set[str]]:
        """Return what is in a directory, and which of it are directories."""
        with self._directory((here,)) as fd:
            names = self._names_in(fd)
            return names, {one for one in names if _is_directory(one, fd)}

    def _names_in(self, fd: int) -> list[str]:
        names = []
        with os.scandir(fd) as entries:
            for entry in entries:
                self._look()
                names.append(entry.name)
        return sorted(names)

    def _look(self) -> None:
        self._names += 1
        if self._names > self._limits.names:
            raise OverLimit(f"more than {self._limits.names} names had to be looked at")
        if self._names % 64 == 0 and self._clock() > self._end_s:
            raise OverLimit(f"looking for it took longer than {self._limits.seconds:.0f} s")


def _is_wild(part: str) -> bool:
    return not _WILD.isdisjoint(part)


@contextmanager
def _opened(name: str, fd: int) -> Iterator[int]:
    below = os.open(name, _OPEN, dir_fd=fd)
    try:
        yield below
    finally:
        os.close(below)


def _kind(name: str, fd: int) -> int | None:
    try:
        return os.lstat(name, dir_fd=fd).st_mode
    except OSError:
        return None


def _is_directory(name: str, fd: int) -> bool:
    """Tell whether it is one itself, not a link to one."""
    kind = _kind(name, fd)
    return kind is not None and stat.S_ISDIR(kind)
