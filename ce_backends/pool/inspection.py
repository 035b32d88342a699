"""Looking into a running task, for people who want to know why it does nothing; and waking it by a signal."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice

from ce_backends.containment.cell import Cell
from ce_backends.linux.process_usage import MOST_PROCESSES
from ce_backends.linux.processes import PROC, send
from ce_backends.linux.small_files import read_first, read_small
from ce_backends.untrusted.pattern import MOST_TEXT_BYTES, PatternFailed, found_in

_MOST_PROCESSES = 200
_FILES = ("wchan", "syscall", "stack")  # proc(5): a name, a number with arguments, a trace that only root may read
_FIELDS = ("Name", "State", "PPid", "Threads", "VmRSS", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")


def command_line(pid: int) -> str:
    """Return what a process was started with, in one line, so much of it; empty when it is gone or will not tell."""
    try:
        words = read_first(f"{PROC}/{pid}/cmdline", MOST_TEXT_BYTES).rstrip(b"\0").split(b"\0")
    except OSError:
        return ""
    return b" ".join(words).decode("utf-8", "backslashreplace")


def stacks(pids: Iterable[int]) -> str:
    """Return what each process does and where in the kernel each of its threads waits.

    Reading may hang where a process hangs in the kernel with its memory locked: not for a thread that must go on.
    """
    shown = "\n".join(_process(pid) for pid in islice(pids, _MOST_PROCESSES))
    return f"processes of this task on {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n\n{shown}"


def _process(pid: int) -> str:
    lines = [f"process {pid}: {command_line(pid)}"]
    lines += [f"  {line}" for line in _text(f"{pid}/status") if line.split(":")[0] in _FIELDS]
    try:
        threads = sorted(int(path.name) for path in (PROC / str(pid) / "task").iterdir())
    except OSError:  # it has just ended
        threads = []
    for thread in threads[:_MOST_PROCESSES]:
        lines.append(f"  thread {thread}")
        lines += [f"    {name}: {line}" for name in _FILES for line in _text(f"{pid}/task/{thread}/{name}")]
    return "\n".join(lines) + "\n"


def _text(path: str) -> list[str]:
    try:
        return read_small(f"{PROC}/{path}").decode("utf-8", "backslashreplace").split("\n")
    except OSError:
        return []


def signal_matching(cell: Cell, number: int, matching: str) -> int:
    """Send a signal to those in a cell whose command line the expression finds; return how many got it."""
    pids = list(islice(cell.members(), MOST_PROCESSES))
    try:
        chosen = [pids[index] for index in found_in(matching, [command_line(pid) for pid in pids])]
    except PatternFailed:
        return 0
    return sum(send(pid, number, lambda pid: pid in cell.members()) for pid in chosen)
