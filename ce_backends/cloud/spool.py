"""The files of tasks that go to machines: in the user data or on a disk, but for inputs that a web server shows."""

import hashlib
import os
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ce_backends.base import TaskSpec
from ce_backends.batch.staged_spool import SentSpool
from ce_backends.batch.system import BatchJob
from ce_backends.batch.transport import Local
from ce_backends.cloud.system import FILES
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.task.archive import new_archive
from ce_backends.task.image import ImageLauncher
from ce_backends.task.log_limit import Cap


class Published:
    """A directory that a web server shows: each input lies there once, as an archive named by its SHA-256.

    Args:
        folder: that directory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, source: Path) -> str:
        """Publish a file or directory; return its name there without `.tar`.

        Raises:
            CEError: it cannot be read.
            CEUnavailable: it cannot be written.
        """
        if not source.exists():
            raise CEError(f"input {source} cannot be copied: there is no such file")
        try:
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".new", delete=False) as file:
                try:
                    with new_archive(file) as archive:
                        archive.add(source, f"./work/{source.name}", filter=_of_nobody)
                    file.seek(0)
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                    os.fchmod(file.fileno(), 0o644)
                    Path(file.name).replace(self._folder / f"{sha256}.tar")
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise CEUnavailable(f"input {source} cannot be put into {self._folder}: {error}") from error
        return sha256


def _of_nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same archive for the same content, whoever packs it and when."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


class CloudSpool(SentSpool):
    """See Spool.

    Args:
        area: directory here.
        scratch: directory here for archives on their way.
        published: where inputs are put for machines to fetch; None where they go with the task.
        cap: how much is kept of the log output.
        launcher: see Spool.
    """

    unkept: Mapping[str, str] = dict.fromkeys(
        ("running_task_shows_its_output", "look_leads_out_of_no_work_directory"),
        "nothing is shown: what a running task writes is in its machine, into which nobody can look",
    )

    def __init__(
        self, area: Path, scratch: Path, published: Published | None, *, cap: Cap, launcher: ImageLauncher
    ) -> None:
        super().__init__(Local(), str(area), scratch, cap=cap, launcher=launcher)
        self._tasks = area / "tasks"
        self._published = published

    def lay_out(self, job: BatchJob, tasks: Sequence[TaskSpec], index: Sequence[str], passed: Sequence[str]) -> None:
        """See Spool."""
        if self._published is None:
            super().lay_out(job, tasks, index, passed)
            return
        super().lay_out(job, [replace(task, inputs=(), shared=()) for task in tasks], index, passed)
        for task in tasks:
            names = "".join(f"{self._published.put(source)}\n" for source in (*task.inputs, *task.shared))
            try:
                (self._tasks / task.stamp / FILES).write_text(names, encoding="ascii")
            except OSError as error:
                raise CEUnavailable(f"task {task.stamp} cannot be laid out: {error}") from error
