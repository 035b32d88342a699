"""The first script in a container: it gives the payload exactly its task's environment, and waits for it.

It waits because it may be the container's init, which a signal ends only if it is caught.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ce_backends.base import TaskSpec
from ce_backends.containers.payload_user import PayloadUser
from ce_backends.linux.short_path import LONGEST_TMPDIR
from ce_backends.linux.small_files import write_small
from ce_backends.task.script import (
    DEFAULT_PATH,
    JOIN_FAILED_EXIT_CODE,
    OUTLIVES_PAYLOAD,
    assignments,
    environment_of,
    quote,
)

_TEMPLATE = """\
#!/bin/sh
cd {work} || exit {failed}
{{ rm -f {entered}; echo entered; }} > {entered}
{outlives}
env -i {assignments} /bin/sh {payload}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Starting the payload in a container.

    Attributes:
        argv: runs the task's `inside` there.
        environment: what argv runs with; the payload's own is set inside.
        places: directories that must be there before.
        files: empty files, likewise.
        user: whom the task's directory is given to; None where it stays ours.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    places: Sequence[Path]
    files: Sequence[Path] = ()
    user: PayloadUser | None = None


def prepare_inside(spec: TaskSpec, task_dir: Path, launch: Launch) -> None:
    """Make what a container needs in a task's directory that is laid out, and give all of it to the payload's user.

    Raises:
        CEError: a variable cannot be passed on.
        OSError: the directory cannot be written.
    """
    for place in launch.places:
        place.mkdir(parents=True, exist_ok=True)
    for file in launch.files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    write_small(f"{task_dir}/inside", render_inside(spec, task_dir))
    if launch.user:
        launch.user.own(task_dir)


def _tmpdir(task_dir: Path) -> Path:
    """Return the task's directory for temporary files; where sockets would not fit below it, as /tmp, which it is."""
    usual = task_dir / "tmp"
    return usual if len(str(usual)) <= LONGEST_TMPDIR else Path("/tmp")  # noqa: S108 - the container's


def render_inside(spec: TaskSpec, task_dir: Path) -> bytes:
    """Return the script for one task, whose directory has the same path in the container as outside.

    Raises:
        CEError: a variable cannot be passed on.
    """
    text = _TEMPLATE.format(
        work=quote(f"{task_dir}/work"),
        failed=JOIN_FAILED_EXIT_CODE,
        outlives=OUTLIVES_PAYLOAD,
        entered=quote(f"{task_dir}/entered"),
        assignments=assignments({"PATH": DEFAULT_PATH, **environment_of(spec, task_dir, _tmpdir(task_dir))}),
        payload=quote(f"{task_dir}/payload"),
    )
    return text.encode("utf-8", "surrogateescape")
