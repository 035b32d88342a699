"""How tests wait: for what must come, however busy the machine is, and never for a time that luck decides."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE_S = 120.0  # for what comes in a second on an idle machine; it is waited for no longer than it needs
_PROCESSORS = len(os.sched_getaffinity(0))
_LONGEST_PAUSE_S = 1.0
_PAUSE_OF_LOOK = 4  # whoever waits leaves the machine to what is waited for: looking takes a fifth of the time at most
_PAUSE_OF_WAIT = 0.05  # and makes a long wait longer by this much at most


class FairTime:
    """Seconds in which nobody waits for a processor or a disk: where more want to run than can, they go by slower.

    What must happen within some seconds must do so on a machine that is not overloaded, and a test shares its machine.
    """

    def __init__(self) -> None:
        self._passed_s = 0.0
        self._looked_at = time.monotonic()

    def passed_s(self) -> float:
        """Return how much has gone by; to be asked often, because it goes by what happens at that moment."""
        now = time.monotonic()
        self._passed_s += (now - self._looked_at) * min(1.0, _PROCESSORS / _that_want_to_run())
        self._looked_at = now
        return self._passed_s


def _that_want_to_run() -> int:
    """Return how many threads run or could, ourselves among them, or wait for a disk (proc(5), stat)."""
    counted = (line.split() for line in Path("/proc/stat").read_text(encoding="ascii").splitlines())
    return max(1, sum(int(number) for name, number, *_ in counted if name in ("procs_running", "procs_blocked")))


def within(limit_s: float, done: Callable[[], object], pause_s: float = 0.05) -> bool:
    """Tell whether something becomes true in this much fair time; look again after this pause at least."""
    time_, began = FairTime(), time.monotonic()
    while True:
        looked = time.monotonic()
        if done():
            return True
        if time_.passed_s() > limit_s:
            return False
        now = time.monotonic()
        longer_s = max(_PAUSE_OF_LOOK * (now - looked), _PAUSE_OF_WAIT * (now - began))
        time.sleep(max(pause_s, min(_LONGEST_PAUSE_S, longer_s)))


def until(holds: Callable[[], object], what: str = "what was waited for", limit_s: float = PATIENCE_S) -> None:
    """Wait for something that must come.

    Raises:
        AssertionError: it did not, in this much fair time.
    """
    assert within(limit_s, holds, pause_s=0.01), f"{what}: not within {limit_s:g} s"


def ended(process: "subprocess.Popen[Any]", limit_s: float = PATIENCE_S) -> int:
    """Wait for a process that must end; return its exit code.

    Raises:
        AssertionError: it did not, in this much fair time; it is killed then.
    """
    try:
        until(lambda: process.poll() is not None, f"end of {process.args!r}", limit_s)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return process.wait()
