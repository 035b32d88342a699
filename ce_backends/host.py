"""No batch system at all: tasks are started on the host itself, detached, as many as its processors allow.

DIRAC's BatchSystem `Host`. Through ssh this makes a computing element of any machine with a shell. There is no queue:
a task for which no processor is free is refused for now. Each task's node script keeps its wall limit and ends what is
left of it; other limits are not kept here (the inner CE `Pool` does).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from ce_backends.base import Accepted, Submission, TaskState, TaskStatus, Uncertain
from ce_backends.batch_options import NONE, Needs, Options
from ce_backends.batch_system import BatchJob
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.node_script import COOKIE
from ce_backends.options import Option
from ce_backends.transport import Done, Transport

# The job's id is its name. Nothing keeps ssh waiting: it returns when all have closed its pipes.
_START = """\
command -v setsid > /dev/null || { echo "there is no setsid" >&2; exit 3; }
setsid /bin/sh "$1" < /dev/null > "$2" 2>&1 &
"""
# One look at all processes: who carries which task's cookie.
_ALIVE = """\
for file in $(/usr/bin/env -i PATH=/usr/bin:/bin grep -ls "$1=" /proc/[0-9]*/environ); do
    tr '\\0' '\\n' < "$file" 2> /dev/null | grep "^$1="
done
"""
_END = """\
pids_of() {
    for file in $(/usr/bin/env -i PATH=/usr/bin:/bin grep -ls "$1" /proc/[0-9]*/environ); do
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
        return Accepted(job.name)

    def element(self, job_id: str, number: int, size: int) -> str:  # noqa: ARG002 # there are no arrays
        """See BatchSystem."""
        return job_id

    def states(self, task_ids: Collection[str]) -> Mapping[str, TaskStatus]:
        """See BatchSystem. What is not seen has ended: its exit code, in its directory, tells how."""
        done = self._sh(_ALIVE, COOKIE)
        if done.exit_code is None:
            raise CEError(f"the processes of {self._transport.where} cannot be seen: {done.sentence}")
        alive = {line.partition("=")[2].strip() for line in done.stdout.splitlines()}
        return {task_id: _RUNNING if task_id in alive else _GONE for task_id in task_ids}

    def cancel(self, task_ids: Collection[str]) -> None:
        """See BatchSystem. SIGTERM now, SIGKILL for what is left after a grace; nobody waits for that."""
        lines = "".join(f"{task_id}\n" for task_id in task_ids).encode()
        done = self._sh(_END, COOKIE, str(GRACE_S), stdin=lines)
        if done.exit_code != 0:
            raise CEError(f"processes cannot be ended on {self._transport.where}: {done.sentence}")

    def find(self, names: Collection[str]) -> Mapping[str, str]:
        """See BatchSystem. A start that may not have happened is one that did: its script runs once at most."""
        return {name: name for name in names}

    def _sh(self, script: str, *arguments: str, stdin: bytes = b"") -> Done:
        return self._transport.run(["/bin/sh", "-c", script, "sh", *arguments], timeout_s=self._timeout_s, stdin=stdin)
