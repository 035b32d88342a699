"""Files that many tasks have alike: brought to a spool once, by what is in them, and linked into each task's directory.

    ROOT/shared/SHA256    removed when no task has it and it was last wanted a month ago

Where a link cannot be made (a file system without any, a file that somebody has removed), the tasks are refused once,
and looked at anew; where that does not help, each task gets a copy.
"""

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ce_backends.base import TaskSpec
from ce_backends.batch.transport import Done
from ce_backends.errors import CEError, CEUnavailable

SHARED_FILES = "shared"  # below the root
_MOST_DOUBTS = 2
# $1: the spool, $2: the file's name
_LOOK = """\
cd -- "$1" && mkdir -p -m 700 shared || exit
if [ -f "shared/$2" ] && [ ! -h "shared/$2" ] && touch -- "shared/$2"; then echo there; else echo missing; fi
find shared -type f -links 1 -mtime +30 -delete
"""
_TAKE = 'cd -- "$1" && chmod 600 -- "incoming/$3" && mv -fT -- "incoming/$3" "shared/$2"'


class SharedFiles:
    """See the module. One thread calls it.

    Args:
        sh: runs a script there, with arguments.
        put: copies a file of ours to a path there.
    """

    def __init__(self, sh: Callable[..., Done], put: Callable[[Path, str], None]) -> None:
        self._sh = sh
        self._put = put
        self._known: dict[tuple[Path, int, int], str] = {}  # names by path, size and time of change
        self._doubts = 0

    def brought(self, root: str, tasks: Sequence[TaskSpec]) -> Mapping[Path, str]:
        """Bring there what is missing; return where each lies, below the root. Empty where copies must do.

        Raises:
            CEError: a file cannot be read.
            CEUnavailable: it could not be brought.
        """
        if self._doubts >= _MOST_DOUBTS:
            return {}
        sources = dict.fromkeys(source for task in tasks for source in task.shared)
        return {source: f"{SHARED_FILES}/{self._name(root, source)}" for source in sources}

    def held(self) -> None:
        """Take note that links to these were made."""
        self._doubts = 0

    def doubt(self) -> None:
        """Take note that they were not: look again, and do without in the end."""
        self._known.clear()
        self._doubts += 1

    def _name(self, root: str, source: Path) -> str:
        try:
            stat = source.stat()
            key = (source, stat.st_size, stat.st_mtime_ns)
            if key not in self._known:
                with source.open("rb") as file:
                    name = hashlib.file_digest(file, "sha256").hexdigest()
                self._bring(root, source, name)
                self._known[key] = name
        except OSError as error:
            raise CEError(f"input {source} cannot be copied: {error.strerror or error}") from error
        return self._known[key]

    def _bring(self, root: str, source: Path, name: str) -> None:
        done = self._sh(_LOOK, root, name)
        if done.exit_code == 0 and done.stdout.endswith("missing\n"):
            coming = f"{uuid.uuid4().hex}.shared"
            self._put(source, f"{root}/incoming/{coming}")
            done = self._sh(_TAKE, root, name, coming)
        if done.exit_code != 0:
            raise CEUnavailable(f"input {source.name} could not be brought to {root}: {done.sentence}")
