"""Where the commands of a batch system run: on this machine here, through ssh in `ssh.py`.

A backend never knows which. Commands are argv lists; nothing is ever put together into a shell's text.
"""

import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from ce_backends.errors import CEError, CEUnavailable
from ce_backends.linux import children as offspring
from ce_backends.linux.pipes import Pipes
from ce_backends.untrusted.text import printable

CANNOT_EXECUTE, NOT_FOUND = 126, 127  # exit codes of shells and env(1) for a command that they could not start
_ADVICE = {
    CANNOT_EXECUTE: "make it executable for this user",
    NOT_FOUND: "install it there, or have its directory in PATH, also in shells that ssh starts",
}
_AS_EXIT_CODE = {errno.EACCES: CANNOT_EXECUTE, errno.ENOENT: NOT_FOUND}
_MOST_SAID = 2000  # characters that are looked at for a sentence
_LAST_WORDS_S = 2.0  # for the pipes of a command that was killed


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
        with _stdout(into) as stdout:
            try:
                with offspring.starting() as started:
                    process = subprocess.Popen(
                        argv,
                        stdin=subprocess.PIPE if isinstance(stdin, bytes) else stdin,
                        stdout=stdout,
                        stderr=subprocess.PIPE,
                        env={**os.environ, "LC_ALL": "C"},
                        start_new_session=True,
                    )
                    started(process.pid)
            except OSError as error:
                sentence = f"{argv[0]} cannot be started on {self.where}: {error.strerror}"
                raise CEUnavailable(advised(sentence, _AS_EXIT_CODE.get(error.errno or 0))) from error
            try:
                with process:
                    return _answer(process, stdin if isinstance(stdin, bytes) else None, timeout_s, into)
            finally:
                offspring.ended(process.pid)

    def put(self, source: Path, target: str, *, timeout_s: float) -> None:  # noqa: ARG002 # a copy on one machine
        """See Transport."""
        try:
            shutil.copyfile(source, f"{target}.part")
            Path(f"{target}.part").replace(target)
        except OSError as error:
            raise CEUnavailable(f"{target} cannot be written on {self.where}: {error.strerror}") from error

    def close(self) -> None:
        """See Transport."""


@contextmanager
def _stdout(into: Path | None) -> Iterator[int | IO[bytes]]:
    if into is None:
        yield subprocess.PIPE
        return
    with into.open("wb") as file:
        yield file


def _answer(process: subprocess.Popen[bytes], stdin: bytes | None, timeout_s: float, into: Path | None) -> Done:
    pipes = Pipes(process, stdin, into=into)
    try:
        if not pipes.listen(timeout_s):
            _kill(process, pipes)
            if pipes.flood:
                return Done(None, "", pipes.flood)
            return Done(None, _text(pipes.stdout), _text(pipes.stderr))
    finally:
        pipes.close()
    code = process.returncode
    return Done(code if code >= 0 else None, _text(pipes.stdout), _text(pipes.stderr))


def _kill(process: subprocess.Popen[bytes], pipes: Pipes) -> None:
    """End a command and its children; one that we may not kill (oarsub is setuid) is left alone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if not pipes.listen(_LAST_WORDS_S) and process.poll() is None:
        process.returncode = -signal.SIGKILL  # nobody waits for it any more


def _text(written: bytes | bytearray) -> str:
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
