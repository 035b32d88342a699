"""A short name for a long work directory, so that a UNIX socket fits below a task's TMPDIR.

A socket's path may have 107 bytes (unix(7)), and programs put up to some fifty of their own behind TMPDIR: Python's
multiprocessing, ssh-agent, dask, MPI. Batch systems' job directories alone are longer than the rest.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

LONGEST_TMPDIR = 60  # characters
_PREFIX = "gp-"
_NAME_DIGITS = 8
_USUAL = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - what is put there is one link of ours, and checked
_STAMP_DIGITS = 32


class ShortPath:
    """One link to a pool's work directory, where that is too long; several objects for one directory share it.

    The link is ours if it belongs to our user and leads to our directory; a name that somebody else has is not used.

    Args:
        work_dir: of the pool, absolute.
        folders: where links may be made, the best first; by default the agent's TMPDIR and the usual ones.
    """

    def __init__(self, work_dir: Path, folders: Sequence[str] = ()) -> None:
        self._work_dir = work_dir
        self._folders = folders or (os.environ.get("TMPDIR", ""), *_USUAL)
        self._link: Path | None = None

    def open(self) -> None:
        """Make the link if it is needed and not there."""
        if len(str(self._work_dir)) + _STAMP_DIGITS + len("//tmp") > LONGEST_TMPDIR:
            self._link = next(filter(self._made, self._names()), None)

    def tmpdir(self, task_dir: Path) -> Path:
        """Return a task's TMPDIR by its short name; by its long one where no short one could be had."""
        return (self._link / task_dir.name if self._link else task_dir) / "tmp"

    def close(self, *, is_needed: bool) -> None:
        """Remove the link, unless a task still runs: the next object finds it."""
        if is_needed:
            return
        if self._link and self._is_ours(self._link):
            with suppress(OSError):
                self._link.unlink()
        self._link = None

    def _names(self) -> Iterator[Path]:
        key = hashlib.sha256(bytes(self._work_dir)).hexdigest()[:_NAME_DIGITS]
        for folder in self._folders:
            name = Path(folder, _PREFIX + key)
            if folder.startswith("/") and len(str(name)) + _STAMP_DIGITS + len("//tmp") <= LONGEST_TMPDIR:
                yield name

    def _made(self, name: Path) -> bool:
        try:
            name.symlink_to(self._work_dir)
        except FileExistsError:
            return self._is_ours(name)
        except OSError:
            return False
        return True

    def _is_ours(self, name: Path) -> bool:
        try:
            return name.lstat().st_uid == os.geteuid() and name.readlink() == self._work_dir
        except OSError:
            return False
