"""No batch system at all: tasks are started on the host itself, detached, as many as its processors allow.

DIRAC's BatchSystem `Host`. Through ssh this makes a computing element of any machine with a shell. There is no queue:
a task for which no processor is free is refused for now. Each task's node script keeps its wall limit and ends what is
left of it; other limits are not kept here (the inner CE `Pool` does).
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from ce_backends.base import Accepted, Submission, TaskState, TaskStatus, Uncertain
from ce_backends.batch.commands import last_line, settled
from ce_backends.batch.options import NONE, Needs, Options
from ce_backends.batch.system import BatchJob
from ce_backends.batch.transport import Done, Transport
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.options import Option
from ce_backends.task.script import COOKIE

# A task's id is STAMP.PID.START.BOOT: the script's pid, its start in clock ticks after the boot (proc(5), field 22),
# and the boot. Nothing keeps ssh waiting: it returns when all have closed its pipes.
_START = """\
command -v setsid > /dev/null || { echo "there is no setsid" >&2; exit 3; }
setsid /bin/sh "$1" < /dev/null > "$2" 2>&1 &
pid=$!
read -r stat < "/proc/$pid/stat"
read -r boot < /proc/sys/kernel/random/boot_id
set -- ${stat##*)}
echo "$pid.${20}.$boot"
"""
# Of the ids in the lines, those that still run. Whose start had no answer has no pid: it is found by its cookie.
_ALIVE = """\
read -r here < /proc/sys/kernel/random/boot_id
while IFS=. read -r stamp pid began boot; do
    if [ "$pid" ]; then
        [ "$boot" = "$here" ] && { read -r stat < "/proc/$pid/stat"; } 2> /dev/null || continue
        set -- "$1" ${stat##*)}
        [ "${21}" = "$began" ] && [ "$2" != Z ] && echo "$stamp.$pid.$began.$boot"
    else
        /usr/bin/env -i PATH=/usr/bin:/bin timeout 20 grep -qs "$1=$stamp" /proc/[0-9]*/environ && echo "$stamp..."
    fi
done
echo "that is all"
"""
_ALL = "that is all"  # what an answer that is not cut ends with: who is not in it has ended
_END = """\
pids_of() {
    for file in $(/usr/bin/env -i PATH=/usr/bin:/bin timeout 20 grep -ls "$1" /proc/[0-9]*/environ); do
        file=${file#/proc/}
        echo "${file%/environ}"
    done
}
send() { for pid in $(pids_of "$2"); do kill "-$1" "$pid" 2> /dev/null; done; }
cookie=$1 grace=$2
while read -r stamp; do
    send TERM "$cookie=$stamp"
    (sleep "$grace"; send KILL "$cookie=$stamp"; send KILL "$cookie=$stamp") < /dev/null > /dev/null 2>&1 &
done
"""
_PROCESS = re.compile(r"\d+\.\d+\.[0-9a-f-]+", re.ASCII)
GRACE_S = 5
_RUNNING = TaskStatus(state=TaskState.RUNNING, native="running")
_GONE = TaskStatus(state=TaskState.DONE, native="gone")


class Host:
    """See BatchSystem.

    Args:
        transport: to the host.
        needs: queue and account have no meaning here.
        timeout_s: for a command.
        options: there are none of its own.
    """

    COMMAND: ClassVar[str] = ""
    OPTIONS: ClassVar[Sequence[Option]] = ()

    unkept: Mapping[str, str] = {"memory_limit_ends_a_task": "nobody watches the memory of a task on a plain host"}
    array_limit: int = 1
    index: Sequence[str] = ()
    passed: Sequence[str] = ()

    def __init__(self, transport: Transport, needs: Needs, *, timeout_s: float = 60.0, options: Options = NONE) -> None:  # noqa: ARG002
        self._transport = transport
        self._timeout_s = timeout_s

    def submit(self, job: BatchJob) -> Submission:
        """See BatchSystem."""
        done = self._sh(_START, job.script, job.log)
        if done.exit_code is None:
            return Uncertain(f"start of {job.name}: {done.sentence}")
        if done.exit_code != 0:
            raise CEUnavailable(f"start of {job.name}: {done.sentence}")
        process = last_line(done.stdout)
        if not _PROCESS.fullmatch(process):
            return Uncertain(f"start of {job.name} answered {done.stdout[-200:]!r}")
        return Accepted(f"{job.name}.{process}")

    def element(self, job_id: str, number: int, size: int) -> str:  # noqa: ARG002 # there are no arrays
        """See BatchSystem."""
        return job_id

    def states(self, task_ids: Collection[str]) -> Mapping[str, TaskStatus]:
        """See BatchSystem. What is not seen has ended: its exit code, in its directory, tells how."""
        done = self._sh(_ALIVE, COOKIE, stdin=_lines(task_ids))
        if done.exit_code != 0 or last_line(done.stdout) != _ALL:
            raise CEError(f"the processes of {self._transport.where} cannot be seen: {done.sentence}")
        alive = set(done.stdout.split())
        return {task_id: _RUNNING if task_id in alive else _GONE for task_id in task_ids}

    def cancel(self, task_ids: Collection[str]) -> None:
        """See BatchSystem. SIGTERM now, SIGKILL for what is left after a grace; nobody waits for that."""
        stamps = [task_id.partition(".")[0] for task_id in task_ids]
        done = self._sh(_END, COOKIE, str(GRACE_S), stdin=_lines(stamps))
        if done.exit_code != 0:
            raise CEError(f"processes cannot be ended on {self._transport.where}: {done.sentence}")

    def find(self, names: Collection[str]) -> Mapping[str, str]:
        """See BatchSystem. A start that may not have happened is one that did: its script runs once at most."""
        return {name: f"{name}..." for name in names}

    def _sh(self, script: str, *arguments: str, stdin: bytes = b"") -> Done:
        argv = ["/bin/sh", "-c", script, "sh", *arguments]
        return settled(self._transport.run(argv, timeout_s=self._timeout_s, stdin=stdin))


def _lines(words: Collection[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()
