"""Jobs that are waited for: a line for each change, and the output of a single one as it is written."""

import os
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agents.local_wms.client import Client
from agents.local_wms.home import LocalWmsError
from agents.local_wms.throwaway import FINAL, Pilot, look, was_refused
from ce_backends.untrusted.text import printable, visible

_LOOK_S = 0.2
_MOST_AT_ONCE = 1 << 20  # bytes of output between two looks
_COLOURS = {"Done": "\033[32m", "Failed": "\033[31m", "Killed": "\033[31m", "Running": "\033[36m"}
_PLAIN = "\033[0m"


@dataclass(slots=True)
class Stream:
    """A file that grows, and how much of it was printed."""

    name: str
    descriptor: int
    printed: int = 0

    def print_more(self, folder: Path) -> None:
        """Print what is new of the file in a folder. It is the payload's: a link or a pipe in its place is not read."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with suppress(OSError):  # not there yet, or no more
            descriptor = os.open(folder / self.name, flags)
            with os.fdopen(descriptor, "rb") as written:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    return
                written.seek(self.printed)
                while piece := written.read(_MOST_AT_ONCE):
                    self.printed += len(piece)
                    self._write(piece)

    def _write(self, piece: bytes) -> None:
        while piece:
            piece = piece[os.write(self.descriptor, piece) :]


class Following:
    """What was shown of jobs so far; for one thread.

    Args:
        pilot_dir: the work directory of the pilot that runs them.
        streams: the files of a single job's output and errors, as its JDL names them; none to print no output.
    """

    def __init__(self, pilot_dir: Path, streams: Sequence[str] = ()) -> None:
        self._pilot_dir = pilot_dir
        self._streams = [Stream(name, descriptor) for name, descriptor in zip(streams, (1, 2), strict=False) if name]
        self._shown: dict[int, str] = {}
        self._is_coloured = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
        self._began = time.monotonic()

    def say(self, sentence: str) -> None:
        """Tell something on stderr."""
        print(f"gridpilot run: {visible(sentence)}", file=sys.stderr, flush=True)

    def until_ended(
        self, client: Client, names: Mapping[int, str], pilot: Pilot, deadline_s: float
    ) -> dict[int, dict[str, str]]:
        """Return the jobs once none of them can go on.

        Raises:
            LocalWmsError: the pilot ended before, or the deadline has passed.
        """
        until = time.monotonic() + deadline_s
        while True:
            has_ended = pilot.poll() is not None  # looked at first: what it reported last is seen below
            jobs = look(client, list(names))
            self._show(names, jobs)
            self._print_output()
            if all(job["Status"] in FINAL or was_refused(job) for job in jobs.values()):
                return jobs
            if has_ended:
                raise LocalWmsError(f"the pilot ended with {pilot.returncode}; it wrote:\n{self._last_words()}")
            if time.monotonic() > until:
                raise LocalWmsError(f"not ended within {deadline_s:.0f} s: what ran has been stopped")
            time.sleep(_LOOK_S)

    def _show(self, names: Mapping[int, str], jobs: Mapping[int, Mapping[str, str]]) -> None:
        for job_id, job in jobs.items():
            line = _line(job)
            if self._shown.get(job_id) != line:
                self._shown[job_id] = line
                self._print_line(printable(job.get("JobName") or names[job_id], 40), job["Status"], line)

    def _print_line(self, name: str, status: str, line: str) -> None:
        seconds = f"{time.monotonic() - self._began:5.1f} s"
        if self._is_coloured and status in _COLOURS:
            line = line.replace(status, f"{_COLOURS[status]}{status}{_PLAIN}", 1)
        print(f"{seconds}  {name}: {line}", file=sys.stderr, flush=True)

    def _print_output(self) -> None:
        """Print what the task has written since the last look."""
        for stream in self._streams:
            for work in self._pilot_dir.glob("tasks/*/work"):
                stream.print_more(work)

    def print_rest(self, folder: Path) -> None:
        """Print what the task wrote last, from the files that came back."""
        for stream in self._streams:
            stream.print_more(folder)

    def _last_words(self) -> str:
        out = self._pilot_dir.with_name("pilot.out")
        return out.read_text(encoding="utf-8", errors="replace")[-2000:] if out.exists() else "nothing"


def _line(job: Mapping[str, str]) -> str:
    if job["Status"] == "Waiting":
        return f"Waiting: {job['WhyWaiting']}" if was_refused(job) else "Waiting"
    code = job.get("ExitCode", "") if job["Status"] in FINAL else ""
    minor = f" ({printable(job['MinorStatus'], 80)})" if job["Status"] in FINAL else ""
    return f"{job['Status']}{minor}{f', exit code {code}' if code else ''}"
