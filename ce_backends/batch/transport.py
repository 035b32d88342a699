"""Where the commands of a batch system run: on this machine here, through ssh in `ssh.py`.

A backend never knows which. Commands are argv lists; nothing is ever put together into a shell's text.
"""

import errno
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from ce_backends.errors import CEError, CEUnavailable
from ce_backends.linux import command
from ce_backends.linux.command import Around, NotStarted
from ce_backends.untrusted.text import printable

CANNOT_EXECUTE, NOT_FOUND = 126, 127  # exit codes of shells and env(1) for a command that they could not start
_ADVICE = {
    CANNOT_EXECUTE: "make it executable for this user",
    NOT_FOUND: "install it there, or have its directory in PATH, also in shells that ssh starts",
}
_AS_EXIT_CODE = {errno.EACCES: CANNOT_EXECUTE, errno.ENOENT: NOT_FOUND}
_MOST_SAID = 2000  # characters that are looked at for a sentence


@dataclass(frozen=True, slots=True)
class Done:
    """How a command went.

    Attributes:
        exit_code: None when it gave no answer in time: what it was to do may have been done.
        stdout: what it wrote; empty where it went into a file.
        stderr: the same.
    """

    exit_code: int | None
    stdout: str
    stderr: str

    @property
    def sentence(self) -> str:
        """What it said when it failed, in one line."""
        said = self.stderr.strip() or self.stdout.strip()
        told = said[-_MOST_SAID:] if self.exit_code is None else said[:_MOST_SAID]
        said = printable(" ".join(told.split()), _MOST_SAID)
        if self.exit_code is None:
            return f"no answer: {said[-500:]}" if said else "no answer in time"
        return f"{said[:500]} (exit code {self.exit_code})" if said else f"exit code {self.exit_code}"


class Transport(Protocol):
    """Runs commands and brings files, on one machine."""

    @property
    def where(self) -> str:
        """The machine, for messages."""

    def run(
        self, argv: Sequence[str], *, timeout_s: float, stdin: IO[bytes] | bytes = b"", into: Path | None = None
    ) -> Done:
        """Run a command to its end; one that takes longer than this is killed as far as we can.

        Args:
            argv: the command.
            timeout_s: how long to wait.
            stdin: what it reads.
            into: a file here for its standard output; a command that writes more than 25 GB, or half of what is free
                there, is ended.

        Raises:
            CEUnavailable: surely it was not started.
        """

    def put(self, source: Path, target: str, *, timeout_s: float) -> None:
        """Copy a file of ours to that machine, whole or not at all.

        Raises:
            CEUnavailable: it is not there.
        """

    def close(self) -> None:
        """Release connections."""


class Closes(Protocol):
    """A way to another machine, whatever it is."""

    def close(self) -> None:
        """Release connections."""


class Local:
    """This machine."""

    where = "this machine"

    def run(
        self, argv: Sequence[str], *, timeout_s: float, stdin: IO[bytes] | bytes = b"", into: Path | None = None
    ) -> Done:
        """See Transport."""
        around = Around(env={**os.environ, "LC_ALL": "C"}, stdout=into, is_session=True)
        try:
            said = command.run(argv, timeout_s=timeout_s, stdin=stdin, around=around)
        except NotStarted as error:
            sentence = f"{argv[0]} cannot be started on {self.where}: {error.strerror}"
            raise CEUnavailable(advised(sentence, _AS_EXIT_CODE.get(error.errno or 0))) from error
        code = said.exit_code if said.exit_code is not None and said.exit_code >= 0 else None
        return Done(code, _text(said.stdout), said.flood or _text(said.stderr))

    def put(self, source: Path, target: str, *, timeout_s: float) -> None:  # noqa: ARG002 # a copy on one machine
        """See Transport."""
        try:
            shutil.copyfile(source, f"{target}.part")
            Path(f"{target}.part").replace(target)
        except OSError as error:
            raise CEUnavailable(f"{target} cannot be written on {self.where}: {error.strerror}") from error

    def close(self) -> None:
        """See Transport."""


def _text(written: bytes) -> str:
    return written.decode("utf-8", "replace")


def advised(sentence: str, exit_code: int | None) -> str:
    """Return a sentence about a command that could not be started, with what to do where that is known."""
    advice = _ADVICE.get(exit_code or 0)
    return f"{sentence}; {advice}" if advice else sentence


def sure(done: Done, what: str) -> Done:
    """Return a command's answer if it went well.

    Raises:
        CEError: it did not; `what` begins the sentence.
    """
    if done.exit_code != 0:
        raise CEError(f"{what}: {done.sentence}")
    return done
