"""Running a helper command to its end: within a time, within bytes, and as one group that is killed where it has not.

The one way in which our own code asks a program something. Payloads, servers and what runs beside us are started
elsewhere (`spawn`, `batch/launcher`).
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ce_backends.linux import children as offspring
from ce_backends.linux.pipes import Pipes

_LOOK_S = 0.5
_LAST_WORDS_S = 2.0  # for the pipes of a command that was killed


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """How a command went.

    Attributes:
        exit_code: None when it was killed, because its time was over or it said too much; negative for a signal.
        stdout: what it wrote, until then; empty where it went elsewhere.
        stderr: the same.
        flood: in a sentence, that it said too much; empty if it did not.
        left: pid of a command that could not be killed (it hangs in the kernel, or is setuid), 0 for none.
    """

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    flood: str = ""
    left: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a command finds around it.

    Attributes:
        env: its environment, None for ours.
        cwd: where it runs, None for where we do.
        stdout: None to listen to it; a file here to write it into, to /dev/null where nobody wants to hear it.
        hears_stderr: listen to it; else it goes to /dev/null.
        is_session: a session of its own: it can ask nothing at our terminal. Else a group in ours.
    """

    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    stdout: Path | None = None
    hears_stderr: bool = True
    is_session: bool = False


class NotStarted(OSError):
    """Surely the command was not started, and has done nothing."""


NOWHERE = Path(os.devnull)
USUAL = Around()


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    stdin: IO[bytes] | bytes = b"",
    around: Around = USUAL,
    look: Callable[[int], object] | None = None,
) -> Said:
    """Run a command; it ends within this time, or is killed with all of its group as far as we may.

    It is known as a child of ours to whoever looks for what tasks have left. Any thread may call this; it waits no
    longer than `timeout_s` and two seconds more.

    Args:
        argv: the command.
        timeout_s: how long it may take. One whose children keep its pipes has not ended either.
        stdin: what it reads.
        around: what it finds around it.
        look: called every half a second with its pid while it runs; what it raises ends the command, and comes out.

    Raises:
        NotStarted: it was not.
        OSError: a file for its output cannot be written or looked at, or we have no descriptors left: it was killed.
    """
    with _stdout(around.stdout) as stdout:
        process = _started(argv, stdin, stdout, around)
        try:
            with process:
                return _said(process, stdin if isinstance(stdin, bytes) else None, timeout_s, around.stdout, look)
        finally:
            offspring.ended(process.pid)


def _started(
    argv: Sequence[str], stdin: IO[bytes] | bytes, stdout: int | IO[bytes], around: Around
) -> subprocess.Popen[bytes]:
    try:
        with offspring.starting() as started:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE if isinstance(stdin, bytes) else stdin,
                stdout=stdout,
                stderr=subprocess.PIPE if around.hears_stderr else subprocess.DEVNULL,
                env=around.env,
                cwd=around.cwd,
                start_new_session=around.is_session,
                process_group=None if around.is_session else 0,
            )
            started(process.pid)
    except OSError as error:
        raise NotStarted(error.errno, error.strerror, error.filename) from error
    return process


@contextmanager
def _stdout(into: Path | None) -> Iterator[int | IO[bytes]]:
    if into is None:
        yield subprocess.PIPE
        return
    with into.open("wb") as file:
        yield file


def _said(
    process: subprocess.Popen[bytes],
    stdin: bytes | None,
    timeout_s: float,
    into: Path | None,
    look: Callable[[int], object] | None,
) -> Said:
    try:
        pipes = Pipes(process, stdin, into=None if into == NOWHERE else into)
        try:
            has_ended = pipes.listen(timeout_s) if look is None else _watched(process, pipes, timeout_s, look)
            left = 0 if has_ended else _kill(process, pipes)
        finally:
            pipes.close()
    except Exception:
        _kill_group(process)  # else it would be waited for, however long it takes
        raise
    exit_code = process.returncode if has_ended else None
    stdout, stderr = (b"", b"") if pipes.flood else (bytes(pipes.stdout), bytes(pipes.stderr))
    return Said(exit_code=exit_code, stdout=stdout, stderr=stderr, flood=pipes.flood, left=left)


def _watched(process: subprocess.Popen[bytes], pipes: Pipes, timeout_s: float, look: Callable[[int], object]) -> bool:
    """Listen until the command has ended, and let somebody look at it meanwhile."""
    deadline = time.monotonic() + timeout_s
    while not pipes.flood and (left_s := deadline - time.monotonic()) > 0:
        if pipes.listen(min(left_s, _LOOK_S)):
            return True
        look(process.pid)
    return False


def _kill(process: subprocess.Popen[bytes], pipes: Pipes) -> int:
    """End a command and its children; return the pid of one that does not end, and is left alone."""
    _kill_group(process)
    try:
        if pipes.flood or not pipes.listen(_LAST_WORDS_S):
            process.wait(_LAST_WORDS_S if pipes.flood else 0)
    except subprocess.TimeoutExpired:
        process.returncode = -signal.SIGKILL  # nobody waits for it any more
        return process.pid
    return 0


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # oarsub is setuid
        os.killpg(process.pid, signal.SIGKILL)
