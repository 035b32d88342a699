"""What can happen to the agent. Everything comes through one queue, so that one thread owns all job state."""

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from agents.errors import JobError, ServiceError, StopAgent
from agents.jobs.job import JobStatus, MatchedJob, Minor, Runner
from agents.jobs.moved import Moved
from agents.slot.ends.source import SlotEnd


@dataclass(frozen=True, slots=True)
class MatchAnswered:
    """The Matcher answered, with a job or with none; or the answer could not be had."""

    matched: MatchedJob | None = None
    error: ServiceError | StopAgent | None = None


@dataclass(frozen=True, slots=True)
class LookedForLost:
    """The WMS was asked for a job whose match has not arrived here, and has named one or none."""

    found: MatchedJob | None = None


@dataclass(frozen=True, slots=True)
class Staged:
    """A job's inputs are on the node, or cannot be had.

    Attributes:
        job_id: whose.
        error: why they cannot.
        runner: what is to run its executable.
        told: the same for people, empty where there is nothing to tell.
        facts: job parameters.
        moved: what was tried.
    """

    job_id: int
    error: JobError | None = None
    runner: Runner = Runner.ITSELF
    told: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    moved: tuple[Moved, ...] = ()


@dataclass(frozen=True, slots=True)
class StepBegun:
    """Something begins to be done for a job while nothing of it runs: the WMS is told by this minor status."""

    job_id: int
    minor_status: Minor


@dataclass(frozen=True, slots=True)
class Delivered:
    """A job's outputs are with the WMS.

    Attributes:
        job_id: whose.
        sandbox: reference of the output sandbox, empty when there was nothing to upload.
        missing: patterns of OutputSandbox that matched nothing.
        error: why the outputs could not be uploaded.
        is_lost: nobody will have them, though they were there.
    """

    job_id: int
    sandbox: str = ""
    missing: tuple[str, ...] = ()
    error: str = ""
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A job's outputs are still here, because their store is away; it may come back."""

    job_id: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDelivered:
    """A job's output data are where they belong, or never will be.

    Attributes:
        job_id: whose.
        error: why they will not.
        lfns: of what was stored.
        request: what is told of the request for what remains, empty where nothing does.
        facts: further job parameters.
        moved: what was tried.
    """

    job_id: int
    error: JobError | None = None
    lfns: tuple[str, ...] = ()
    request: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    moved: tuple[Moved, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDelayed:
    """A job's output data are still here, because something is away; it may come back.

    Attributes:
        job_id: whose.
        error: what is away.
        again_in_s: when to try again.
        moved: what was tried.
    """

    job_id: int
    error: str
    again_in_s: float
    moved: tuple[Moved, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportsAccepted:
    """The WMS took everything there was to say about a job."""

    job_id: int


@dataclass(frozen=True, slots=True)
class EndNotHeld:
    """The WMS took the last word on a job, and does not hold the job for ended: it is to be said again.

    Attributes:
        job_id: which.
        held: the status that it holds.
    """

    job_id: int
    held: JobStatus


@dataclass(frozen=True, slots=True)
class KillOrdered:
    """The WMS wants a job killed.

    Attributes:
        job_id: which.
        is_fresh: False when the order may have been meant for an earlier attempt at the job.
    """

    job_id: int
    is_fresh: bool = True


@dataclass(frozen=True, slots=True)
class JobLost:
    """The WMS holds a job for ended or gave it to somebody else: nothing more is to be said of it."""

    job_id: int


@dataclass(frozen=True, slots=True)
class JobsConfirmed:
    """The WMS was asked about the jobs that a former agent left; of those that are not ours `JobLost` came before."""


@dataclass(frozen=True, slots=True)
class ChoresDue:
    """It is time for what has to be done now and then: accounts, credentials."""


@dataclass(frozen=True, slots=True)
class ChoresDone:
    """That was done.

    Attributes:
        renewed: credential files that are new.
    """

    renewed: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskChanged:
    """A task may have ended: ask the CE."""


@dataclass(frozen=True, slots=True)
class HeartbeatDue:
    """It is time for a sign of life of every running job."""


@dataclass(frozen=True, slots=True)
class LookAround:
    """It is time to look at the drain file and at the time left."""


@dataclass(frozen=True, slots=True)
class SlotEndsDue:
    """It is time to ask again when the slot ends."""


@dataclass(frozen=True, slots=True)
class SlotEndsFound:
    """The sources that answered, and when the slot ends as each of them says."""

    told: Mapping[str, Sequence[SlotEnd]]


@dataclass(frozen=True, slots=True)
class PowerMeasured:
    """The power of one processor is known, in HS06; None when it could not be measured."""

    hs06: float | None


@dataclass(frozen=True, slots=True)
class SignalReceived:
    """The pilot, the batch system or an operator wants something."""

    name: str
    is_urgent: bool


@dataclass(frozen=True, slots=True)
class Crashed:
    """A thread met an error that nobody foresaw.

    Attributes:
        error: what it met.
        job_id: of the job that it belongs to, which it ends; None where it belongs to none, and ends the agent.
    """

    error: BaseException
    job_id: int | None = None


Found = TypeVar("Found")
OfFiles = Staged | StepBegun | Delivered | Undelivered | DataDelivered | DataDelayed
Event = (
    MatchAnswered
    | LookedForLost
    | OfFiles
    | ReportsAccepted
    | EndNotHeld
    | KillOrdered
    | JobLost
    | JobsConfirmed
    | ChoresDue
    | ChoresDone
    | TaskChanged
    | HeartbeatDue
    | LookAround
    | SlotEndsDue
    | SlotEndsFound
    | PowerMeasured
    | SignalReceived
    | Crashed
)


class Events:
    """The queue of events; `put` may be called from any thread and from a signal handler."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Event] = SimpleQueue()
        self._is_change_waiting = threading.Event()

    def put(self, event: Event) -> None:
        """Add an event."""
        self._queue.put(event)

    def task_changed(self) -> None:
        """Add a TaskChanged unless one is waiting already."""
        if not self._is_change_waiting.is_set():
            self._is_change_waiting.set()
            self._queue.put(TaskChanged())

    def crashed(self, error: BaseException) -> None:
        """Let the main thread end the agent because of an error that some thread did not expect."""
        self.put(Crashed(error))

    def next(self, timeout_s: float | None) -> Event | None:
        """Return the next event, None when none came in this time."""
        try:
            event = self._queue.get(timeout=timeout_s)
        except Empty:
            return None
        if isinstance(event, TaskChanged):
            self._is_change_waiting.clear()
        return event


class Workers:
    """Threads for what waits for the network; each piece of work ends in an event.

    They are daemons: a call that hangs keeps no agent from ending. No `Loop`: they take work from a queue as it comes,
    know no turns, and end with the process.
    """

    def __init__(self, events: Events, size: int = 4) -> None:
        self._events = events
        self._size = size
        self._idle = threading.Semaphore(0)
        self._waiting: SimpleQueue[tuple[Callable[[], Event], int | None]] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def start(self, work: Callable[..., Event], *arguments: object, of: int | None = None) -> None:
        """Do a piece of work; its event follows.

        Args:
            work: is called with the arguments.
            arguments: of it.
            of: the job that it is done for, which alone an error ends that nobody foresaw.
        """
        self._waiting.put((functools.partial(work, *arguments), of))
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._size:
            thread = threading.Thread(target=self._run, name=f"worker-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self) -> None:
        while True:
            self._events.put(_result(*self._waiting.get()))
            self._idle.release()


def by_result(kind: Callable[[Found], Event], work: Callable[[], Found]) -> Callable[[], Event]:
    """Return work for a worker whose result is what an event of this kind tells."""
    return lambda: kind(work())


def _result(work: Callable[[], Event], job_id: int | None) -> Event:
    try:
        return work()
    except BaseException as error:  # noqa: BLE001 - the main thread judges it
        return Crashed(error, job_id)
