"""A terminal that is drawn on again and again, and is given back as it was."""

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Self

_ENTER = "\033[?1049h\033[?25l\033[?7l"  # a screen of its own, without cursor; what is too wide is cut
_LEAVE = "\033[?7h\033[?25h\033[?1049l"
_HOME, _REST_OF_LINE, _REST = "\033[H", "\033[K", "\033[J"
_ENDS = (signal.SIGTERM, signal.SIGHUP)
GONE = "gone"  # the key of a terminal that is not there any more


class Terminal:
    """Standard input and output for as long as a `with` lasts; for the main thread.

    SIGTERM and SIGHUP end the block by SystemExit, Ctrl-Z leaves it for as long as the program is stopped.
    """

    def __init__(self) -> None:
        self._in = sys.stdin.fileno()
        self._as_it_was = termios.tcgetattr(self._in)
        self._woken, self._wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        signal.set_wakeup_fd(self._wakes)
        for number in _ENDS:
            signal.signal(number, _end)
        signal.signal(signal.SIGWINCH, lambda *_: None)
        signal.signal(signal.SIGTSTP, self._pause)
        self._take()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._give_back()
        signal.set_wakeup_fd(-1)
        for number in (*_ENDS, signal.SIGWINCH, signal.SIGTSTP):
            signal.signal(number, signal.SIG_DFL)

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines and nothing else."""
        text = "\n".join(f"{line}{_REST_OF_LINE}" for line in lines)
        self._write(f"{_HOME}{text}{_REST}")

    def key(self, within_s: float) -> str:
        """Return what is typed; "" where nothing is within that time, or the terminal has changed its size."""
        ready, _, _ = select.select([self._in, self._woken], [], [], max(0.0, within_s))
        if self._woken in ready:
            os.read(self._woken, 64)
        if self._in not in ready:
            return ""
        typed = os.read(self._in, 64)
        return typed.decode(errors="replace") if typed else GONE

    def _pause(self, _number: int, _frame: FrameType | None) -> None:
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()

    def _take(self) -> None:
        tty.setcbreak(self._in, termios.TCSADRAIN)
        self._write(_ENTER)

    def _give_back(self) -> None:
        self._write(_LEAVE)
        termios.tcsetattr(self._in, termios.TCSADRAIN, self._as_it_was)

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
