"""Laying out a task's directory, so that its payload can start."""

import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from ce_backends.base import TaskSpec
from ce_backends.containers.entrypoint import Launch, prepare_inside
from ce_backends.errors import CEError
from ce_backends.linux.foreign_tree import ForeignTree
from ce_backends.linux.small_files import write_small
from ce_backends.pool.wrapper_script import WrapperScript
from ce_backends.task.directory import TaskDir
from ce_backends.task.record import TaskRecord
from ce_backends.task.script import quote
from ce_backends.task.secret_files import write_secrets


def make_directories(path: Path) -> None:
    """Make a task's directory, with the payload's two inside it."""
    for part in (path, path / "work", path / "tmp"):
        os.mkdir(part, 0o700)  # noqa: PTH102 - Path.mkdir costs twice as much


def lay_out(
    spec: TaskSpec,
    directory: TaskDir,
    *,
    wrapper_script: WrapperScript | None = None,
    launch: Launch | None = None,
    make: Callable[[Path], None] = make_directories,
    write: Callable[[str, bytes], None] = write_small,
) -> TaskRecord:
    """Write everything the payload needs, the task's record last: where that is, all is.

    Args:
        spec: the task.
        directory: where it will be.
        wrapper_script: tells its wrapper to start it, where there is one.
        launch: starts the payload, where it is not to be started by that shell.
        make: makes the directories.
        write: writes the record.

    Raises:
        CEError: an input or a secret cannot be read, or a variable not passed on.
        OSError: the directory cannot be written.
    """
    make(directory.path)
    inputs = frozenset(spec.inputs)
    for source in (*spec.inputs, *spec.shared):
        _bring_in(source, directory.work, inputs)
    for source in spec.given:
        _link_in(source, directory.work)
    if spec.credential is not None:
        _bring_credential(spec.credential, directory.path / "credential")
    write_secrets(spec, directory.path)
    preamble = wrapper_script.preamble if wrapper_script else ""
    if not (wrapper_script and wrapper_script.has_script):
        write_small(f"{directory.path}/payload", _bytes(spec.script if launch else preamble + spec.script))
    if launch:
        os.mkfifo(directory.path / "entered", 0o600)
        prepare_inside(spec, directory.path, launch)
        write_small(f"{directory.path}/outside", _bytes(f"{preamble}exec {' '.join(map(quote, launch.argv))}\n"))
    record = TaskRecord.of(spec, is_enclosed=launch is not None)
    directory.write_record(record, write)
    return record


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _bring_in(source: Path, work: Path, inputs: Collection[Path]) -> None:
    """Copy an input; a link to another input stays a link, or each would be one more copy of it."""
    try:
        if source.is_symlink() and (not source.exists() or _leads_to(source, inputs)):
            (work / source.name).symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, work / source.name, symlinks=True)
        else:
            shutil.copy2(source, work / source.name)
    except (OSError, shutil.Error) as error:
        raise CEError(f"input {source} cannot be copied: {_short(error)}") from error


def _link_in(source: Path, work: Path) -> None:
    """Give an input that nobody else needs another name; copy it where that cannot be."""
    try:
        if source.is_dir():
            shutil.copytree(source, work / source.name, symlinks=True, copy_function=_link)
        else:
            _link(str(source), str(work / source.name))
    except (OSError, shutil.Error) as error:
        raise CEError(f"input {source} cannot be copied: {_short(error)}") from error


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # on another file system, or on one that has no links
        shutil.copy2(source, target)


def _leads_to(link: Path, inputs: Collection[Path]) -> bool:
    target = link.readlink()
    return not target.is_absolute() and (not target.parts or link.parent / target.parts[0] in inputs)


def _bring_credential(source: Path, target: Path) -> None:
    """Copy a credential so that at no moment another user can read it, and nothing that is there is written to."""
    content = _read_credential(source)
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor has no path
        file.write(content)


def renew_credential(source: Path, target: Path) -> None:
    """Put a newer credential in the place of an older one, in one step, whatever the payload does there meanwhile.

    Raises:
        CEError: it cannot be copied.
    """
    content = _read_credential(source)
    try:
        with ForeignTree(target.parent) as directory:
            directory.replace(target.name, content)
    except OSError as error:
        raise CEError(f"credential {source} cannot be put into {target}: {_short(error)}") from error


def _read_credential(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise CEError(f"credential {source} cannot be copied: {_short(error)}") from error


def _short(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
