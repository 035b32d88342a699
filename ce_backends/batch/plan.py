"""What a CE would do with a task, without doing it: its commands and files, recorded instead of run."""

import posixpath
import shlex
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol

from ce_backends.batch.transport import Done

_NUMBER = "1"  # of a job that is not there
_HOME_THERE = "~"  # of a user on another machine


class Records(Protocol):
    """What keeps the steps that it was asked to take."""

    steps: list[str]


class Recorder:
    """A Transport that does nothing and keeps what it was asked to do.

    Every command succeeds and prints a job's number: enough for a backend to go on to what it would do next.

    Args:
        where: the machine.
        home: directory there, where relative paths begin.
    """

    def __init__(self, where: str, home: str = _HOME_THERE) -> None:
        self.where = where
        self._home = home
        self.steps: list[str] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,  # noqa: ARG002
        stdin: IO[bytes] | bytes = b"",
        into: Path | None = None,  # noqa: ARG002
    ) -> Done:
        """See Transport."""
        if argv[:2] == ["/bin/sh", "-c"]:  # our own constant scripts move files; their effect is told by `put`
            return Done(0, f"{posixpath.join(self._home, argv[-1])}\n", "")
        self.steps.append(f"run on {self.where}: {shlex.join(argv)}")
        if isinstance(stdin, bytes):
            self.steps += [f"    {line}" for line in stdin.decode("utf-8", "replace").splitlines()]
        return Done(0, _printed(argv), "")

    def put(self, source: Path, target: str, *, timeout_s: float) -> None:  # noqa: ARG002
        """See Transport."""
        root = target.rpartition("/incoming/")[0]
        with tarfile.open(source) as archive:
            for entry in archive:
                if entry.isreg():
                    self.steps.append(f"write {root}/{entry.name} ({entry.size} bytes)")
                if entry.isreg() and entry.name.startswith("jobs/") and (file := archive.extractfile(entry)):
                    self.steps += [f"    {line}" for line in file.read().decode().splitlines()]

    def close(self) -> None:
        """See Transport."""


def _printed(argv: Sequence[str]) -> str:
    """Return what a submit command prints for its job, in the words of its batch system."""
    if argv[0] == "bsub":
        return f"Job <{_NUMBER}> is submitted to default queue <any>.\n"
    if argv[0] == "oarsub":
        size = int(argv[argv.index("--array") + 1]) if "--array" in argv else 1
        return "".join(f"OAR_JOB_ID={number + 1}\n" for number in range(size))
    return f"{_NUMBER}\n"
