"""On which boot the tasks of a pool were begun: none of them outlives it, whatever it has left behind."""

import os
from contextlib import suppress
from pathlib import Path

from ce_backends.linux.processes import boot_id
from ce_backends.linux.removal import remove_tree

_NAME = "boot"
_MAX_BYTES = 100


class BootMark:
    """A file beside the tasks with the name of the boot.

    Args:
        place: the directory where it is.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._is_set = False

    def is_of_another(self) -> bool:
        """Tell whether all that is here is surely of another boot; False when that is not known."""
        try:
            with (self._place / _NAME).open("rb") as file:
                marked = file.read(_MAX_BYTES).decode("ascii", "replace")
        except OSError:
            return False
        return marked.endswith("\n") and marked.strip() != boot_id()

    def set(self) -> None:
        """Mark what begins from now on; it is on the disk before any of it.

        Raises:
            OSError: it cannot be written.
        """
        if self._is_set:
            return
        self._place.mkdir(mode=0o700, exist_ok=True)
        aside = self._place / f"{_NAME}.new"
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, f"{boot_id()}\n".encode("ascii"))
            os.fsync(fd)
        finally:
            os.close(fd)
        aside.replace(self._place / _NAME)
        self._is_set = True

    def remove(self) -> None:
        """Remove it and its place, with whatever payloads have put there."""
        with suppress(OSError):
            remove_tree(self._place)
        self._is_set = False
