"""A program at a terminal of 80 columns, as a person has it: what is typed, and what stands on the screen."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import until

COLUMNS, LINES = 80, 24
ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[78=>])")
_SECONDS = 60.0
_LOOK_S = 0.05


class Typed:
    """A program that runs at a terminal. What it writes is read as it comes, so that it never waits for its reader."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int) -> None:
        self.process = process
        self._master = master
        self._written = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """All that it has written, escapes and all."""
        return bytes(self._written).decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        """The same in lines, as somebody reads them: without colours; what was written over is not there any more."""
        plain = ESCAPE.sub("", self.text)
        return [line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n")]

    def until_shows(self, words: str, after: int = 0) -> None:
        """Wait for a text on the screen, from a place in `text` on."""
        until(lambda: words in ESCAPE.sub("", self.text[after:]), f"{words!r} in {self.text[-2000:]!r}")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Make the window another size; the program is told by the kernel."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))

    def is_cooked(self) -> bool:
        """Tell whether the terminal shows what is typed and waits for the end of the line, as a shell expects it."""
        return termios.tcgetattr(self._master)[3] & (termios.ICANON | termios.ECHO) == termios.ICANON | termios.ECHO

    def ended(self) -> int:
        """Wait for its end; return its exit code."""
        code = self.process.wait(_SECONDS)
        self._reader.join(_SECONDS)
        return code

    def _read(self) -> None:
        """Read until the program has ended and nothing of it is left; we have its terminal open, so no end comes."""
        while True:
            has_ended = self.process.poll() is not None
            ready, _, _ = select.select([self._master], [], [], 0 if has_ended else _LOOK_S)
            if ready:
                self._written += os.read(self._master, 65536)
            elif has_ended:
                return


@contextmanager
def typed(
    argv: Sequence[str], *, cwd: Path, environment: Mapping[str, str], columns: int = COLUMNS, lines: int = LINES
) -> Iterator[Typed]:
    """Run a program at a terminal of its own until the block ends; then it is killed, if it lives."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env={"TERM": "xterm-256color", **environment},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=_has_terminal,  # noqa: PLW1509 - one system call
    )
    running = Typed(process, master)
    try:
        yield running
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        running.ended()
        os.close(slave)  # kept open until now: a pty is reset when nobody has its other end
        os.close(master)


def _has_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
