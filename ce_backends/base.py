"""The contract between the agent and every computing element.

A backend is any object with these methods; there is no base class. It knows nothing of DIRAC's services.
Methods are synchronous and return at once; none waits for a payload.

Who calls what, and from where:

- one thread, always the same, one call at a time: `submit`, `cancel`, `clean`, `close`, and of what a backend may offer
  more `kill`, `renew_credential`, `notify`, `ask_before_start`; nothing is called after `close`
- any thread, several at a time, also during those: `slots`, `poll`, `find`, `fetch` (no two of the same task), and of
  what it may offer more `trouble`, `remark`, `peek`, `signal`, `stacks`, `has_file`, `places`, `unkept`

So a task may end, and another thread may ask for it, between any two steps of a call.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable


class TaskState(StrEnum):
    """Where a task stands. Absence from a batch system's answer is Unknown, never an end."""

    WAITING = "Waiting"
    RUNNING = "Running"
    DONE = "Done"  # the script ended and its exit code is known, whatever that code is
    FAILED = "Failed"  # the task ended without an exit code of its own: killed, lost node, time limit
    ABORTED = "Aborted"  # ended on our own request or before it began
    UNKNOWN = "Unknown"  # no answer about this task: ask again

    @property
    def is_final(self) -> bool:
        """True when the task will not change any more."""
        return self in (TaskState.DONE, TaskState.FAILED, TaskState.ABORTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """What the agent gives a CE for one job.

    Attributes:
        stamp: 32 hexadecimal digits chosen and journalled before submission; the task is found again by it.
        script: POSIX sh text, run in the task's own empty work directory after `inputs` were put there.
        inputs: local files and directories, put into the work directory under their own names.
        outputs: glob patterns, relative to the work directory, of what `fetch` brings back; a wildcard stays within one
            part of a name, and goes into no link.
        environment: exactly these variables are given to the script, beside PATH, HOME, TMPDIR when absent here.
        processors: how many processors the task holds.
        processor_ids: which ones, as the kernel numbers them; empty where the batch system chooses.
        memory_mb: limit in MB (10^6 bytes), 0 for none.
        gpus: device ids the task holds.
        wall_s: limit in seconds, 0 for none.
        credential: the payload's own proxy or token file, never the pilot's.
        capped: files in the work directory that are log output, as `stdout` and `stderr` are: of what is too much,
            head and tail are kept.
        disk_mb: limit of what lies in the task's directory, 0 for none.
        cpu_s: limit of CPU time of all its processes together, 0 for none.
        secrets: local files that arrive under their own names in the directory that GRIDPILOT_SECRETS names, for the
            task's user alone; outside of the work directory, so that no pattern brings one back. 100 files and 10^6
            bytes together at most; none is ever in the text of a script, a variable or a log.
        given: local files and directories that arrive as inputs do, and that nobody else needs any more: where they can
            be, they are linked and not copied, so that what the payload writes into them is written into these.
        shared: local files that arrive as inputs do, and that many tasks have alike: where they can be, they are
            brought there once for all of them and linked, so nobody may change them.
        image: container image that the script runs in, as the CE's own runtime or launcher names it; empty for none.
            Where there is no such image, or the CE can start none, the task is Rejected or its script does not run:
            never outside of it.
        owner: whose it is, in words that are the same for all tasks of one owner; empty for unknown. What served one
            owner's task serves nobody else's.
    """

    stamp: str
    script: str
    inputs: Sequence[Path] = ()
    outputs: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    processors: int = 1
    processor_ids: Sequence[int] = ()
    memory_mb: int = 0
    gpus: Sequence[str] = ()
    wall_s: int = 0
    credential: Path | None = None
    capped: Sequence[str] = ()
    disk_mb: int = 0
    cpu_s: int = 0
    owner: str = ""
    secrets: Sequence[Path] = ()
    image: str = ""
    given: Sequence[Path] = ()
    shared: Sequence[Path] = ()


class Limit(StrEnum):
    """A limit that ended a task: its own, but for the last."""

    MEMORY = "memory"
    WALL = "wall"
    CPU = "cpu"
    DISK = "disk"
    OUTPUT = "output"  # log output that could not be kept small
    PROCESSES = "processes"
    FAULT = "a fault of ours"  # it could not be looked at, in a way that nobody foresaw: what it does is unknown
    NODE_DISK = "disk of the node"  # too little is left for everybody, and this task used the most


@dataclass(frozen=True, slots=True)
class Accepted:
    """The CE has the task and will run it."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The CE will never run this task; others may be accepted."""

    reason: str


@dataclass(frozen=True, slots=True)
class Uncertain:
    """No answer: the task may be queued. Call `find` before anything else."""

    reason: str


Submission = Accepted | Rejected | Uncertain


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an ended task used; None where the backend cannot tell."""

    wall_s: float | None = None
    cpu_s: float | None = None
    memory_peak_mb: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What a running task was last seen to do; None where nobody can tell.

    Attributes:
        at_s: when it was looked at, by the monotonic clock.
        cpu_s: CPU time so far.
        memory_mb: resident memory of its processes, in MB (10^6 bytes).
        virtual_mb: their address space.
        io_bytes: read and written so far, by any means that the kernel counts (proc(5), rchar and wchar).
        disk_mb: what lies in its directory; of a very large one, at least this.
        file_changes: how many looks at its directory found something changed there.
        is_suspended: all of its processes are stopped by a signal.
    """

    at_s: float
    cpu_s: float | None = None
    memory_mb: float | None = None
    virtual_mb: float | None = None
    io_bytes: int | None = None
    disk_mb: float | None = None
    file_changes: int = 0
    is_suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStatus:
    """The CE's word on one task.

    Attributes:
        state: where it stands.
        native: the batch system's own word, for logs.
        reason: one sentence when there is more to say (hold reason, limit hit, signal).
        exit_code: what the script's last command returned, as the script itself wrote it down; None if unknown.
        usage: known once the task has ended.
        limit: which limit ended it; None for a task that Failed for another reason, a lost node perhaps.
        activity: of a running task, some seconds old; None where the backend does not look.
        is_stuck: something of the ended task cannot be killed: what it held must not be given to others.
    """

    state: TaskState
    native: str = ""
    reason: str = ""
    exit_code: int | None = None
    usage: Usage = field(default_factory=Usage)
    limit: Limit | None = None
    activity: Activity | None = None
    is_stuck: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotCount:
    """What the CE holds and offers now."""

    running: int
    waiting: int
    free_processors: int


class ComputingElement(Protocol):
    """An entrance to processors. The module tells which thread calls what."""

    def slots(self) -> SlotCount:
        """Count what runs, waits and is free."""

    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        """Hand over tasks; the answer has exactly their stamps as keys.

        Submitting a stamp twice runs its script once, and gives the same id, also at the instant of its end.

        Raises:
            CEUnavailable: surely nothing was submitted, not one of these tasks; with one that may have been, all are
                answered, and those that were not are Uncertain.
        """

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        """Answer for exactly the ids asked, in bulk. What the CE does not know is Unknown.

        Raises:
            CEBroken: a thread of this object has ended by an error: a new one finds every task again.
        """

    def cancel(self, task_ids: Collection[str]) -> None:
        """End these tasks and everything they started; no error if they are gone already."""

    def fetch(self, task_id: str, into: Path) -> None:
        """Copy an ended task's `stdout`, `stderr`, `exit_code` and, under `outputs/`, its declared outputs.

        Until the task is cleaned it may be repeated, by a new object too, into another directory, and gives the same.
        """

    def find(self, stamps: Collection[str]) -> dict[str, str]:
        """Tell the task id of each stamp this CE knows; after Uncertain and after a restart."""

    def clean(self, task_ids: Collection[str]) -> None:
        """Forget ended tasks and remove all that the CE keeps of them; no error if they are gone already."""

    def close(self) -> None:
        """Release threads and handles. Running tasks go on and are found again by a new object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where tasks may go that are not of this node.

    Attributes:
        tasks: handed over and not ended, at most.
        processors: of one task, at most.
        gpus: of one task, at most.
    """

    tasks: int
    processors: int
    gpus: int = 0


@runtime_checkable
class Queues(Protocol):
    """A backend whose tasks wait in somebody's queue and run on other nodes, whether we are there or not."""

    @property
    def places(self) -> Places:
        """How many tasks there may be, and how large."""


@runtime_checkable
class TellsAge(Protocol):
    """A backend that answers from memory, and tells how old that is. May be called from any thread."""

    @property
    def view_age_s(self) -> float:
        """Seconds since somebody else's word on our tasks was last heard; near 0 while there are none."""


@runtime_checkable
class Notifies(Protocol):
    """A backend that can tell when something has changed, so that nobody has to wait for the next poll."""

    def notify(self, changed: Callable[[], None]) -> None:
        """Call `changed` from any thread as soon as a task may have ended. A hint only: `poll` decides."""


@runtime_checkable
class Holds(Protocol):
    """A backend that asks whether a task may begin when all else is done for it: what is asked had this time."""

    def ask_before_start(self, may_begin: Callable[[], bool]) -> None:
        """From now on call `may_begin` in `submit`, once for each task that begins there.

        All of the task is laid out then, and nothing of it runs: neither its script nor a program that its owner chose.
        When the answer is no, or an error, it never does: CEUnavailable, or the error.
        """


@runtime_checkable
class CanTell(Protocol):
    """A backend that knows before a job is asked for whether it could run one."""

    def trouble(self) -> str:
        """Return in a sentence why no task can run here now, empty if one can. Called from any thread; may be slow."""

    def remark(self) -> str:
        """Return what keeps tasks apart here, what this node lacks for it, and why; empty where nothing is told."""


@runtime_checkable
class Peeks(Protocol):
    """A backend that can show what a running task has written so far."""

    def peek(self, task_id: str, name: str, max_bytes: int) -> bytes:
        """Return the last bytes of a file in the task's work directory; empty if there is none yet."""


@runtime_checkable
class Kills(Protocol):
    """A backend that can end tasks without the grace that `cancel` gives."""

    def kill(self, task_ids: Collection[str]) -> None:
        """End these tasks and everything they started at once; no error if they are gone already."""


@runtime_checkable
class Forgets(Protocol):
    """A backend that one agent has for itself, and whose tasks may come back: what was removed before a power cut."""

    def forget_others(self, stamps: Collection[str]) -> None:
        """Remove all that is kept of ended tasks that have none of these stamps; what cannot be removed stays."""


@runtime_checkable
class Signals(Protocol):
    """A backend that can send a signal to the payload of a running task."""

    def signal(self, task_id: str, number: int, matching: str) -> int:
        """Send a signal to the task's processes whose command line a regular expression finds; return how many.

        It may take some seconds: the expression is the job owner's, and is tried within a limit of time; of one that
        is over it, or no expression, nothing is found.
        """


@runtime_checkable
class Examines(Protocol):
    """A backend that can look into a running task, for the one who wants to know why it does nothing."""

    def stacks(self, task_id: str) -> str:
        """Return what each process of the task does, and where in the kernel it waits, as text for people."""

    def has_file(self, task_id: str, name: str) -> bool:
        """Tell whether there is such a file in the task's work directory."""


@runtime_checkable
class Admits(Protocol):
    """A backend that does not keep every clause of the contract, and says so."""

    @property
    def unkept(self) -> Mapping[str, str]:
        """Why not, by the name of the conformance check."""


@runtime_checkable
class RenewsCredentials(Protocol):
    """A backend that can give a running task a newer credential, for a job that outlives its first one."""

    def renew_credential(self, task_id: str, credential: Path) -> None:
        """Replace the task's credential in one step, so that the payload always finds a whole one.

        Raises:
            CEError: it could not be replaced; the task still has its old one.
        """
