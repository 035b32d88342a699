"""What of a task travels in archives: to its node all that it needs, back what it left."""

import io
import shutil
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO

from ce_backends.base import TaskSpec
from ce_backends.errors import CEError
from ce_backends.linux.foreign_tree import ForeignTree
from ce_backends.task.image import NO_LAUNCHER, ImageLauncher
from ce_backends.task.script import render
from ce_backends.task.secret_files import PLACE, secrets_of
from ce_backends.task.unpacking import put
from ce_backends.untrusted.archive import ArchiveLimits, ForeignArchive
from ce_backends.untrusted.names import BadName, parts_of, shown

_MOST_MEMBERS = 20_000
_UNPACK_S = 3600.0  # as long as it may take to come


def new_archive(file: IO[bytes]) -> tarfile.TarFile:
    """Return an archive that is written into a file, in the form that every tar of the field reads."""
    return tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT)


def add_task(
    archive: tarfile.TarFile,
    task: TaskSpec,
    place: str,
    node_dir: Path,
    passed: Sequence[str],
    launcher: ImageLauncher = NO_LAUNCHER,
    there: Mapping[Path, str] = MappingProxyType({}),
) -> None:
    """Add all that a task needs on its node, as `task/script.py` describes it.

    Args:
        archive: to this one.
        task: the task.
        place: its directory there.
        node_dir: its directory when it runs.
        passed: variables of the batch system that the payload gets where they are set.
        launcher: starts the payload in the image that the task asks for.
        there: shared files that are there already, by the name that the archive would have for them.

    Raises:
        CEError: an input or a secret cannot be read, a variable not passed on, or nothing starts the task's image.
    """
    add_directory(archive, place)
    add_file(archive, f"{place}/payload", task.script.encode("utf-8", "surrogateescape"), 0o600)
    script = render(task, node_dir, passed=passed, is_alone=True, launcher=launcher)
    add_file(archive, f"{place}/node_script", script, 0o600)
    if task.credential is not None:
        add_credential(archive, place, task.credential)
    if task.secrets:
        add_directory(archive, f"{place}/{PLACE}")
        for name, content in secrets_of(task).items():
            add_file(archive, f"{place}/{PLACE}/{name}", content, 0o600)
    inputs = (*task.inputs, *task.given, *task.shared)
    if inputs:
        add_directory(archive, f"{place}/work")
    for source in inputs:
        if source in there:
            add_link(archive, f"{place}/work/{source.name}", there[source])
            continue
        try:
            archive.add(source, f"{place}/work/{source.name}", filter=_ours)
        except OSError as error:
            raise CEError(f"input {source} cannot be copied: {error.strerror or error}") from error


def add_credential(archive: tarfile.TarFile, place: str, credential: Path) -> None:
    """Add a task's credential, which takes the place of one that was added before.

    Raises:
        CEError: it cannot be read.
    """
    add_file(archive, f"{place}/credential", _read(credential, "credential"), 0o600)


def add_directory(archive: tarfile.TarFile, name: str) -> None:
    """Add an empty directory of the user there."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o700, int(time.time())
    archive.addfile(entry)


def add_link(archive: tarfile.TarFile, name: str, there: str) -> None:
    """Add one more name of a file that is there."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode, entry.mtime = tarfile.LNKTYPE, there, 0o600, int(time.time())
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

    Returns:
        A sentence for each thing that was skipped.

    Raises:
        BadArchive: it cannot be read, or there is no room for it.
        OSError: a file cannot be made.
    """
    skipped: list[str] = []
    into.mkdir(parents=True, exist_ok=True)
    limits = ArchiveLimits(unpacked_bytes=shutil.disk_usage(into).free // 2, members=_MOST_MEMBERS, seconds=_UNPACK_S)
    with archive.open("rb") as packed, ForeignTree(into) as tree:
        members = ForeignArchive(packed, limits)
        for member in members:
            try:
                put(members, member, _parts(member), tree)
            except BadName:
                name = shown(member.name.removeprefix("work/"))
                skipped.append(f"output {name} was skipped: it is not a regular file")
    return skipped


def _parts(member: tarfile.TarInfo) -> tuple[str, ...]:
    parts = parts_of(member.name)
    if not (member.isdir() or (member.isreg() and parts)) or member.name.startswith("/"):
        raise BadName(member.name)
    return parts
