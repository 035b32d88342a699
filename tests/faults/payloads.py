"""What scenarios let run: shell scripts that keep their own books, outside of any sandbox."""

import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# One write with O_APPEND and an fsync: a line is there whole, or not at all, whatever is killed when.
_PRELUDE = """\
#!/bin/sh
note() {{
  read -r boot </proc/sys/kernel/random/boot_id
  printf '%s %s %s %s %s\\n' "$1" "$DIRACJOBID" "$GRIDPILOT_TASK" "$$" "$boot" |
    dd of={books} oflag=append conv=notrunc,fsync status=none
}}
BEGUN_BEFORE={environs}/../begun-$DIRACJOBID
note begin
tr '\\0' '\\n' </proc/$$/environ >{environs}/"$GRIDPILOT_TASK"
(
{body}
)
code=$?
note "end:$code"
exit "$code"
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a payload's books."""

    what: str
    job_id: int
    stamp: str
    pid: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class Books:
    """The side-effect ledger that all payloads of a scenario append to."""

    folder: Path

    @property
    def file(self) -> Path:
        """Where the lines are."""
        return self.folder / "books"

    @property
    def environs(self) -> Path:
        """Where each payload writes the environment it was given, by the stamp of its task."""
        return self.folder / "environs"

    def open(self) -> "Books":
        """Make the folder."""
        self.environs.mkdir(parents=True)
        self.file.touch()
        for place in (self.folder, self.environs, self.file):
            place.chmod(0o777)  # payloads in containers of root's are another user's processes
        return self

    def script(self, body: str) -> str:
        """Return a payload that writes down its begin, runs `body`, and writes down the exit code."""
        return _PRELUDE.format(
            books=shlex.quote(str(self.file)), environs=shlex.quote(str(self.environs)), body=body or ":"
        )

    def lines(self) -> list[Line]:
        """Return what was written so far."""
        fields = (line.split() for line in self.file.read_text(encoding="ascii").splitlines())
        return [Line(what, int(job_id), stamp, int(pid), boot) for what, job_id, stamp, pid, boot in fields]

    def begins(self) -> Counter[int]:
        """Return how often each job began."""
        return Counter(line.job_id for line in self.lines() if line.what == "begin")

    def ends(self) -> dict[int, list[int]]:
        """Return the exit codes that each job wrote down."""
        found: dict[int, list[int]] = {}
        for line in self.lines():
            if line.what.startswith("end:"):
                found.setdefault(line.job_id, []).append(int(line.what.removeprefix("end:")))
        return found


def jdl(executable: str, *attributes: str) -> str:
    """Return a JDL."""
    return "\n".join([f'Executable = "{executable}";', 'StdOutput = "std.out";', 'StdError = "std.err";', *attributes])


# Bodies.

SHORT = "echo done"
FAILS = "echo failing; exit 3"


def once(body: str) -> str:
    """Return a body that does this the first time, and ends well when the job is given back and runs again."""
    return f'if [ ! -e "$BEGUN_BEFORE" ]; then : >"$BEGUN_BEFORE"; {body}\nfi'


def sleeps(seconds: float) -> str:
    """Return a body that sleeps."""
    return f"sleep {seconds}"


def waits_for(file: Path) -> str:
    """Return a body that ends when this file is there."""
    return f"until [ -e {shlex.quote(str(file))} ]; do sleep 0.1; done"
