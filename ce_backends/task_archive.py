"""What of a task travels in archives: to its node all that it needs, back what it left."""

import io
import shutil
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ce_backends.base import TaskSpec
from ce_backends.errors import CEError
from ce_backends.node_script import render


def add_task(archive: tarfile.TarFile, task: TaskSpec, place: str, node_dir: Path, passed: Sequence[str]) -> None:
    """Add all that a task needs on its node, as `node_script` describes it.

    Args:
        archive: to this one.
        task: the task.
        place: its directory there.
        node_dir: its directory when it runs.
        passed: variables of the batch system that the payload gets where they are set.

    Raises:
        CEError: an input cannot be read, or a variable not passed on.
    """
    add_directory(archive, place)
    add_file(archive, f"{place}/payload", task.script.encode("utf-8", "surrogateescape"), 0o600)
    add_file(archive, f"{place}/node_script", render(task, node_dir, passed=passed, is_alone=True), 0o600)
    if task.credential is not None:
        add_file(archive, f"{place}/credential", _read(task.credential, "credential"), 0o600)
    if task.inputs:
        add_directory(archive, f"{place}/work")
    for source in task.inputs:
        try:
            archive.add(source, f"{place}/work/{source.name}", filter=_ours)
        except OSError as error:
            raise CEError(f"input {source} cannot be copied: {error.strerror or error}") from error


def add_directory(archive: tarfile.TarFile, name: str) -> None:
    """Add an empty directory of the user there."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o700, int(time.time())
    archive.addfile(entry)


def _ours(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Owner and group are those of the user there."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CEError(f"{what} {path} cannot be copied: {error.strerror}") from error


def add_file(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    """Add a file."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), mode, int(time.time())
    archive.addfile(entry, io.BytesIO(content))


def unpack(archive: Path, into: Path) -> list[str]:
    """Unpack what came from a payload's directory: plain files and directories below `into`, nothing else.

    By hand, since Python 3.11.2, which Debian 12 has, knows no filters of tarfile yet.
    """
    skipped: list[str] = []
    with tarfile.open(archive) as opened:
        for entry in opened:
            path = PurePosixPath(entry.name)
            if not (entry.isreg() or entry.isdir()) or path.is_absolute() or ".." in path.parts:
                skipped.append(f"output {entry.name.removeprefix('work/')} was skipped: it is not a regular file")
            else:
                _bring(opened, entry, into / path)
    return skipped


def _bring(archive: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> None:
    (target if entry.isdir() else target.parent).mkdir(parents=True, exist_ok=True)
    if content := archive.extractfile(entry):
        with content, target.open("wb") as file:
            shutil.copyfileobj(content, file)
        target.chmod(entry.mode & 0o777 | 0o600)
