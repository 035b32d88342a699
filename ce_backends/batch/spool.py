"""Where the tasks of a batch system lie: a directory that its nodes and its submit host share.

    ROOT/tasks/STAMP/     as `task/script.py` describes it
    ROOT/jobs/NAME        what a node runs for the batch job NAME, and beside it the list of its tasks and its log

All of it is reached through a Transport, in bulk: one archive there, one archive back, one look at all ends. The POSIX
sh scripts below are constants; names and stamps are given to them as arguments and lines.
"""

import functools
import re
import shutil
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ce_backends.base import Limit, TaskSpec, Usage
from ce_backends.batch.shared_files import SharedFiles
from ce_backends.batch.system import BatchJob
from ce_backends.batch.transport import Done, Transport, sure
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.task.archive import add_file, add_task, new_archive, unpack
from ce_backends.task.directory import parse_cpu_s
from ce_backends.task.image import NO_LAUNCHER, ImageLauncher
from ce_backends.task.log_limit import Cap
from ce_backends.task.output_list import INSIDE, OUTPUTS
from ce_backends.task.outputs import OF_THE_TASK, copy_outputs
from ce_backends.task.record import MAX_REASON, WORST_EXIT_CODE
from ce_backends.task.script import quote
from ce_backends.untrusted.text import lines_of, printable

_SECONDS = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)
_EXIT_CODE = re.compile(r"\d{1,3}", re.ASCII)
LOOK_S = 60.0  # for a command that touches a few small files of each task
MOVE_S = 3600.0  # for one that moves whole sandboxes

_MAKE = 'cd && umask 077; mkdir -p -- "$1/tasks" "$1/jobs" "$1/incoming" && cd -- "$1" && pwd -P'
# tar does not say that the disk is full, a small write does. Of what had no room nothing stays: it would fill the disk
# for all that come after it.
_UNPACK = """\
cd -- "$1" || exit
tar -xf "incoming/$2"
code=$?
if [ "$code" -ne 0 ]; then
    head -c 65536 /dev/zero > "incoming/$2.room"
    rm -f -- "incoming/$2.room"
    tar -tf "incoming/$2" | cut -d/ -f1,2 | grep -E '^(tasks|jobs)/.' | sort -u |
        while read -r path; do rm -rf -- "$path"; done
fi
rm -f -- "incoming/$2"
exit "$code"
"""
# What a payload may have put there is opened so that no link is followed and no pipe waited for.
_ENDS = """\
cd -- "$1/tasks" || exit 1
plain() { [ -f "$1" ] && [ ! -h "$1" ]; }
some() { dd if="$1" bs="$2" count=1 iflag=nonblock,nofollow 2> /dev/null; }
while read -r stamp; do
    began=- code=- times= reason= wall=- limit=
    if [ -d "$stamp" ]; then
        plain "$stamp/started" && began=1
        if plain "$stamp/exit_code"; then
            code=$(some "$stamp/exit_code" 20 | { read -r code && echo "$code" || echo -; })
            case $code in *[!0-9]*) code=- ;; esac
            plain "$stamp/times" && wall=$(some "$stamp/times" 200 | head -n 1)
        fi
        plain "$stamp/times" && times=$(some "$stamp/times" 200 | tail -n 1)
        plain "$stamp/limit" && limit=$(some "$stamp/limit" 20 | head -n 1)
        plain "$stamp/reason" && reason=$(some "$stamp/reason" 1000 | head -n 1)
    else
        began=gone
    fi
    printf '%s|%s|%s|%s|%s|%s|%s\\n' "$stamp" "$began" "$code" "$wall" "$times" "$limit" "$reason"
done
"""
# The payload has ended, and what it left may be a link to anywhere: only what really lies in work/ is packed, and
# nothing is written by a name that it may have made a link.
_PACK = f"""\
{OUTPUTS}
cd -- "$1/tasks/$2" || exit 1
[ ! -h work ] || rm -f -- work
scratch=$(mktemp -d -- "$1/incoming/fetch.XXXXXXXXXX") || exit 1
trap 'rm -rf -- "$scratch"' EXIT
half=$(($3 / 2)); shift 3
top=$(pwd -P)
for name in stdout stderr "$@"; do
    inside "$top" "$name" || continue
    [ -f "$name" ] && [ ! -h "$name" ] && [ "$(stat -c %s -- "$name")" -gt $((2 * half)) ] || continue
    {{ head -c "$half" -- "$name"; printf '\\n[gridpilot: the middle of this output was cut out]\\n'
      tail -c "$half" -- "$name"; }} > "$scratch/capped" && mv -fT -- "$scratch/capped" "$name"
done
[ -e work ] || [ -h work ] || mkdir work || exit 1
outputs "$scratch" > "$scratch/list"
for name in stdout stderr; do [ -e "$name" ] || [ -h "$name" ] || : > "$name"; done
tar -cf - --hard-dereference --null --verbatim-files-from --files-from="$scratch/list" stdout stderr
"""
_TAIL = f"""\
{INSIDE}
cd -- "$1/tasks/$2" && [ -f "$3" ] && [ ! -h "$3" ] || exit
case $3 in */*) below=$(pwd -P)/work ;; *) below=$(pwd -P) ;; esac
inside "$below" "$3" || exit
size=$(stat -c %s -- "$3")
skip=$((size > $4 ? size - $4 : 0))
dd if="$3" bs="$4" skip="$skip" count="$((size - skip))" iflag=nonblock,nofollow,skip_bytes,count_bytes,fullblock
"""
_RENEW = """\
cd -- "$1" && [ ! -h "tasks/$2" ] && umask 077 && new=$(mktemp -- incoming/credential.XXXXXXXXXX) || exit 1
cat > "$new" && mv -fT -- "$new" "tasks/$2/credential" || { rm -f -- "$new"; exit 1; }
"""
_REMOVE = """\
cd -- "$1" || exit 1
while read -r path; do
    [ -e "$path" ] || continue
    chmod -R u+rwX -- "$path" 2> /dev/null
    rm -rf -- "$path" || exit 1
done
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What a task's directory says.

    Attributes:
        exists: there is one.
        has_started: the run that counts has begun.
        exit_code: what the script returned, None until it has ended.
        reason: one line the payload may have left.
        limit: which limit its script ended it for.
        usage: of an ended one.
    """

    exists: bool
    has_started: bool
    exit_code: int | None
    reason: str
    limit: Limit | None
    usage: Usage


class Spool:
    """The task directories of one batch CE.

    Args:
        transport: to the submit host.
        root: a directory there, absolute or below the home of the user there; made when missing.
        scratch: a directory here for archives on their way; made when missing.
        cap: how much is brought back of the log output.
        launcher: starts tasks in the images that they ask for.
    """

    unkept: Mapping[str, str] = {}
    """See Admits."""

    renews_before_start_only: bool = False
    """A task's credential can be replaced as long as it waits."""

    def __init__(
        self, transport: Transport, root: str, scratch: Path, *, cap: Cap, launcher: ImageLauncher = NO_LAUNCHER
    ) -> None:
        self._transport = transport
        self._given_root = root
        self._root = ""
        self._scratch = scratch
        self._cap = cap
        self._launcher = launcher
        self._shared = SharedFiles(self._sh, functools.partial(transport.put, timeout_s=MOVE_S))

    def problem(self, task: TaskSpec) -> str:
        """Return why this task can never be laid out, empty if it may."""
        return self._launcher.problem(task.image)

    @property
    def root(self) -> str:
        """The directory there, absolute.

        Raises:
            CEUnavailable: it cannot be made.
        """
        if not self._root:
            done = self._sh(_MAKE, self._given_root)
            if done.exit_code != 0:
                raise CEUnavailable(f"directory {self._given_root} on {self._transport.where}: {done.sentence}")
            self._root = done.stdout.rstrip("\n").rpartition("\n")[2]
            self._scratch.mkdir(parents=True, exist_ok=True)
        return self._root

    def fetched(self, tasks: Sequence[TaskSpec]) -> Sequence[str]:  # noqa: ARG002
        """Return what comes to the node beside the files of these tasks; see BatchJob.

        Raises:
            CEError: a file cannot be read.
            CEUnavailable: it could not be brought to where it is fetched.
        """
        return ()

    def lay_out(self, job: BatchJob, tasks: Sequence[TaskSpec], index: Sequence[str], passed: Sequence[str]) -> None:
        """Bring a job's script and all of its tasks' directories there, in one archive.

        Raises:
            CEError: an input cannot be read, or a variable not passed on.
            CEUnavailable: it could not be brought.
        """
        there = self._shared.brought(self.root, tasks)
        try:
            with self._brought(job.name) as archive:
                _add_job(archive, job, tasks, self.root, index)
                for task in tasks:
                    place = f"tasks/{task.stamp}"
                    add_task(archive, task, place, Path(self.root) / place, passed, self._launcher, there)
        except CEUnavailable:
            if there:
                self._shared.doubt()
            raise
        if there:
            self._shared.held()

    @contextmanager
    def _brought(self, name: str) -> Iterator[tarfile.TarFile]:
        """Bring there what is put into the archive meanwhile."""
        root = self.root
        with tempfile.NamedTemporaryFile(dir=self._scratch, suffix=".tar") as file:
            with new_archive(file) as archive:
                yield archive
            file.flush()
            self._transport.put(Path(file.name), f"{root}/incoming/{name}.tar", timeout_s=MOVE_S)
        done = self._sh(_UNPACK, root, f"{name}.tar", timeout_s=MOVE_S)
        if done.exit_code != 0:
            raise CEUnavailable(f"tasks could not be laid out in {root} on {self._transport.where}: {done.sentence}")

    def job_script(self, name: str) -> str:
        """Return where the script of a batch job lies.

        Raises:
            CEUnavailable: there is no directory for it.
        """
        return f"{self.root}/jobs/{name}"

    def ends(self, stamps: Collection[str]) -> dict[str, End]:
        """Look at all of these tasks at once.

        Raises:
            CEError: that was not possible.
        """
        if not stamps:
            return {}
        done = sure(self._sh(_ENDS, self.root, lines=stamps), "the ends of tasks cannot be read")
        if not done.stdout.endswith("\n"):
            raise CEError(f"the ends of tasks are cut, {done.stdout[-80:]!r}")
        ends = dict(_parse_end(line) for line in done.stdout.split("\n") if line.count("|") >= 6)
        return {stamp: ends[stamp] for stamp in stamps if stamp in ends}

    def fetch(self, stamp: str, outputs: Sequence[str], capped: Sequence[str], into: Path) -> list[str]:
        """Bring stdout, stderr and what the patterns match into a directory.

        Returns:
            A sentence for each output that was skipped.

        Raises:
            CEError: it cannot be brought or written.
        """
        root, argument = self.root, [f"work/{name}" for name in capped]
        try:
            with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
                archive, unpacked = Path(folder) / "archive.tar", Path(folder) / "unpacked"
                arguments = (root, stamp, str(self._cap.limit_bytes), *argument)
                done = self._sh(_PACK, *arguments, lines=outputs, timeout_s=MOVE_S, into=archive)
                sure(done, f"task {stamp} cannot be fetched")
                skipped = [*lines_of(done.stderr), *unpack(archive, unpacked)]
                into.mkdir(parents=True, exist_ok=True)
                copy_outputs(unpacked, OF_THE_TASK, into)
                if (unpacked / "work").is_dir():
                    shutil.copytree(unpacked / "work", into / "outputs", symlinks=True, dirs_exist_ok=True)
                return skipped
        except OSError as error:
            raise CEError(f"task {stamp} cannot be fetched into {into}: {error}") from error

    def peek(self, stamp: str, path: str, max_bytes: int) -> bytes:
        """Return the last bytes of a file in a task's directory; empty if there is none or no answer.

        No more than these many, whatever the other machine sends. No link leads to a file elsewhere.
        """
        root = self.root
        with tempfile.NamedTemporaryFile(dir=self._scratch) as file:
            self._sh(_TAIL, root, stamp, path, str(max_bytes), into=Path(file.name))
            return file.read(max_bytes)

    def renew_credential(self, stamp: str, credential: Path) -> None:
        """Replace a task's credential in one step.

        Raises:
            CEError: it could not be.
        """
        with credential.open("rb") as file:
            argv = ["/bin/sh", "-c", _RENEW, "sh", self.root, stamp]
            sure(self._transport.run(argv, timeout_s=LOOK_S, stdin=file), f"the credential of task {stamp}")

    def remove(self, stamps: Collection[str], jobs: Collection[str]) -> None:
        """Remove the directories of these tasks and all of these batch jobs.

        Raises:
            CEError: something is left.
        """
        paths = [f"tasks/{stamp}" for stamp in stamps]
        paths += [f"jobs/{name}{suffix}" for name in jobs for suffix in ("", ".tasks", ".log")]
        if paths:
            sure(self._sh(_REMOVE, self.root, lines=paths, timeout_s=MOVE_S), "task directories cannot be removed")

    def _sh(
        self,
        script: str,
        *arguments: str,
        lines: Collection[str] = (),
        timeout_s: float = LOOK_S,
        into: Path | None = None,
    ) -> Done:
        stdin = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
        argv = ["/bin/sh", "-c", script, "sh", *arguments]
        return self._transport.run(argv, timeout_s=timeout_s, stdin=stdin, into=into)


def _add_job(
    archive: tarfile.TarFile, job: BatchJob, tasks: Sequence[TaskSpec], root: str, index: Sequence[str]
) -> None:
    """Add what a node runs: the task's own script, found in the list of the array's tasks by number."""
    start = f"exec /bin/sh {quote(root)}/tasks/"
    if job.size == 1:
        lines = [*index, f"{start}{tasks[0].stamp}/node_script"]
    else:
        listed = quote(f"{job.script}.tasks")
        lines = [
            *index,
            f'read -r stamp <<E\n$(sed -n "${{gridpilot_index}}p" {listed})\nE',
            f'{start}"$stamp"/node_script',
        ]
        add_file(archive, f"jobs/{job.name}.tasks", "".join(f"{task.stamp}\n" for task in tasks).encode(), 0o600)
    add_file(archive, f"jobs/{job.name}", "\n".join(["#!/bin/sh", *lines, ""]).encode(), 0o700)


def _parse_end(line: str) -> tuple[str, End]:
    stamp, began, code, wall, times, limit, reason = line.split("|", 6)
    seconds = [float(word) for word in wall.split() if _SECONDS.fullmatch(word)]
    usage = Usage(wall_s=seconds[1] - seconds[0] if len(seconds) == 2 else None, cpu_s=parse_cpu_s(times))
    return stamp, End(
        exists=began != "gone",
        has_started=began == "1",
        exit_code=int(code) if _EXIT_CODE.fullmatch(code) and int(code) <= WORST_EXIT_CODE else None,
        reason=printable(reason, MAX_REASON),
        limit=Limit(limit) if limit in list(Limit) else None,
        usage=usage,
    )
