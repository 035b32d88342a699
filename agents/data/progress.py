"""How far the files of a job have come, for its owner to read."""

import threading
from collections.abc import Mapping

_UNITS = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


class Progress:
    """What has come of some files. Safe to use from several threads.

    Args:
        doing: begins the sentence.
        sizes: of the files, by LFN, in bytes.
    """

    def __init__(self, doing: str, sizes: Mapping[str, int]) -> None:
        self._doing = doing
        self._sizes = dict(sizes)
        self._lock = threading.Lock()
        self._there: dict[str, int] = {}
        self._done: set[str] = set()

    def at(self, lfn: str, size_bytes: int) -> None:
        """Take note of how much of a file is there."""
        with self._lock:
            self._there[lfn] = size_bytes

    def done(self, lfn: str) -> None:
        """Take note that a file is there."""
        with self._lock:
            self._there[lfn] = self._sizes.get(lfn, 0)
            self._done.add(lfn)

    @property
    def sentence(self) -> str:
        """What is told: `Downloading input data: 3 of 10 files, 1.2 of 4.0 GB`."""
        with self._lock:
            there, all_bytes = sum(self._there.values()), sum(self._sizes.values())
            done, files = len(self._done), len(self._sizes)
        unit, factor = next(((name, size) for name, size in _UNITS if all_bytes >= size), ("B", 1))
        digits = 0 if factor == 1 else 1
        how_much = f"{there / factor:.{digits}f} of {all_bytes / factor:.{digits}f} {unit}"
        return f"{self._doing}: {done} of {files} files, {how_much}"
