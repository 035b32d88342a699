"""Laying out a task's directory, so that its node script can start."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from ce_backends.base import TaskSpec
from ce_backends.errors import CEError
from ce_backends.inside_script import render_inside
from ce_backends.node_script import Launch, render
from ce_backends.small_files import write_small
from ce_backends.task_dir import TaskDir, TaskRecord


def lay_out(
    spec: TaskSpec,
    directory: TaskDir,
    joins: Sequence[Path],
    *,
    reset_oom_score: bool,
    launch: Launch | None = None,
) -> TaskRecord:
    """Write everything the task needs, its record last: where that is, all is.

    Raises:
        CEError: an input cannot be read, or a variable not passed on.
        OSError: the directory cannot be written.
    """
    script = render(spec, directory.path, joins=joins, reset_oom_score=reset_oom_score, launch=launch)
    for part in (directory.path, directory.work, directory.path / "tmp"):
        part.mkdir(mode=0o700)
    for source in spec.inputs:
        _bring_in(source, directory.work)
    if spec.credential is not None:
        _bring_credential(spec.credential, directory.path / "credential")
    write_small(f"{directory.path}/payload", spec.script.encode("utf-8", "surrogateescape"))
    write_small(f"{directory.path}/node_script", script)
    if launch:
        _prepare_inside(spec, directory, launch)
    record = TaskRecord.of(spec, joins, is_enclosed=launch is not None)
    directory.write_record(record)
    return record


def _prepare_inside(spec: TaskSpec, directory: TaskDir, launch: Launch) -> None:
    for place in launch.places:
        place.mkdir(parents=True, exist_ok=True)
    write_small(f"{directory.path}/inside", render_inside(spec, directory.path))


def _bring_in(source: Path, work: Path) -> None:
    try:
        if source.is_dir():
            shutil.copytree(source, work / source.name, symlinks=True)
        else:
            shutil.copy2(source, work / source.name)
    except (OSError, shutil.Error) as error:
        raise CEError(f"input {source} cannot be copied: {_short(error)}") from error


def _bring_credential(source: Path, target: Path) -> None:
    """Copy a credential so that at no moment another user can read it."""
    try:
        target.touch(mode=0o600)
        target.write_bytes(source.read_bytes())
    except OSError as error:
        raise CEError(f"credential {source} cannot be copied: {_short(error)}") from error


def renew_credential(source: Path, target: Path) -> None:
    """Put a newer credential in the place of an older one, in one step.

    Raises:
        CEError: it cannot be copied.
    """
    aside = target.with_name(target.name + ".new")
    try:
        aside.unlink(missing_ok=True)
        _bring_credential(source, aside)
        aside.replace(target)
    except OSError as error:
        raise CEError(f"credential {source} cannot be put into {target}: {_short(error)}") from error


def _short(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
