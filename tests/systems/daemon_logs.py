"""What the daemons of a system wrote, kept when a test fails: the next test's start would go on in the same files."""

import shutil
from collections.abc import Iterator
from pathlib import Path

WHERE = ("log/**/*", "condor-log/*", "munge/log", "spool/**/messages")
TAIL_BYTES = 1_000_000


def keep(system: Path, into: Path) -> Path:
    """Copy the ends of a system's logs into a new folder of the system's name; return it."""
    folder = into / system.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in _logs(system):
        copy = folder / path.relative_to(system)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(_tail(path))
    return folder


def _logs(system: Path) -> Iterator[Path]:
    found = {path for pattern in WHERE for path in system.glob(pattern)}
    return (path for path in sorted(found) if path.is_file() and path.stat().st_size)


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-min(TAIL_BYTES, path.stat().st_size), 2)
        return file.read(TAIL_BYTES)
