"""What there is to know at one instant, and what may go wrong."""

from collections.abc import Iterator
from enum import Enum, IntEnum
from typing import NamedTuple


class Fault(IntEnum):
    """What may happen, a given number of times."""

    CRASH = 0  # the agent dies
    DEATH = 1  # agent, wrapper and payload die
    POWER = 2  # the same; the ledger falls back to what was on the disk or later, the task's directory may be gone
    GONE = 3  # the directory of a running task is removed, when agent and wrapper are dead
    CLOCK = 4  # the next agent's clock is set back
    LOST = 5  # a call is carried out, its answer is lost
    MISREAD = 6  # a call is carried out, and answered with an error
    LATE = 7  # a call is carried out after its caller has given it up, but within the agent's patience
    KILL = 8  # the owner kills the job
    SLOT = 9  # the slot ends
    BEATS = 10  # a heartbeat is sent
    SHARED = 11  # another agent with the same pilot reference takes the job
    TAKEN = 12  # the WMS takes the job from an agent that is dead, and puts it back


class Protection(Enum):
    """What the code does against them."""

    STAMP_RUNS_ONCE = "stamp-runs-once"  # Pool.submit, claims
    VANISHED_GOES_BACK = "vanished-goes-back"  # running_task.final_status, outcome.of_task
    SUCCESS_STAYS = "success-stays"  # outcome.decided
    BEATS_END_FIRST = "beats-end-first"  # Reporter.forget_beats
    KILL_IS_OBEYED = "kill-is-obeyed"  # JobRunner.kill
    ORDER_IN_ONE_STEP = "order-in-one-step"  # Ledger.save: the phase and all reports in one transaction
    ASK_AFTER_RESTART = "ask-after-restart"  # Ownership.settle
    ASK_BEFORE_START = "ask-before-start"  # JobRunner.confirmed
    LOOK_AFTER_ANY_ERROR = "look-after-any-error"  # LostMatchFinder, LostMatches
    LOOK_WITH_PATIENCE = "look-with-patience"  # LostMatches: another agent's first report comes before
    REQUEST_IS_WRITTEN = "request-is-written"  # LostMatches.begin
    DOUBT_AFTER_ANY_ERROR = "doubt-after-any-error"  # Reporter, Ownership.about
    READ_BACK = "read-back"  # the last word, after the last call that may be on its way
    SYNC_BEFORE_START = "sync-before-start"  # JobRunner._hand_over
    SYNC_BEFORE_TELLING = "sync-before-telling"  # Reporter._send_all
    OTHER_BOOT_GOES_BACK = "other-boot-goes-back"  # JobRunner._resubmit
    UNKNOWN_IS_LOST = "unknown-is-lost"  # Tasks.poll
    MOMENTS_GO_ON = "moments-go-on"  # Moments, Ledger.last_moment


Code = frozenset[Protection]
AS_IT_IS: Code = frozenset(Protection)


class Ledger(NamedTuple):
    """What is written down: a power failure may bring an earlier version back.

    Attributes:
        phase: - none, M matched, U submitting, N running, P reporting.
        end: '' none, D done, X to be rescheduled, K killed, T taken away.
        unsent: what is to be told: m matched, r running, D X K the last words, o the order to reschedule.
        attempts: that ended here.
        has_asked: a request was written down, and what came of it was not.
    """

    phase: str = "-"
    end: str = ""
    unsent: tuple[str, ...] = ()
    attempts: int = 0
    has_asked: bool = False


class State(NamedTuple):
    """One instant.

    Attributes:
        status: at the WMS: W waiting, M matched and untouched, R told of, D done, F failed or killed, X Rescheduled.
        owner: of the job, as the WMS sees it: - nobody, me, other, twin (another agent with our pilot's reference).
        orders: how often the WMS has rescheduled it.
        has_command: an order to kill waits for the next heartbeat.
        is_killed: its owner has killed it.
        begins: of its payloads.
        successes: payloads that ended well.
        ledger: as it is; `older` are versions that a power failure may bring back.
        task: at the CE: - not known, r running, g ended well, v vanished, a aborted.
        is_alive: the agent.
        searches: the agent looks for what its request may have matched.
        ownership: the agent asks whose the job is before it says anything.
        is_unasked: the job may not begin before that.
        is_unsure: a call about the job was given up, and may come after the last word.
        is_said_again: the last word was read back once, and told again.
        has_match: the main thread has an answer in its hands that is not written down yet.
        step: '' or what the main thread does between two transactions: hand over, handed over, cleaned.
        is_disowned: nothing is said of this attempt any more.
        is_stopping: the agent takes no more jobs.
        is_rebooted: the job was handed over on another boot.
        is_behind: the agent's clock is behind what was told before.
        wrong: what was done that must not be: see `explore`.
        late: calls on their way: q requestJob, o order, h heartbeat.
        left: how many faults of each kind are left.
    """

    status: str = "W"
    owner: str = "-"
    orders: int = 0
    has_command: bool = False
    is_killed: bool = False
    begins: int = 0
    successes: int = 0
    ledger: Ledger = Ledger()
    older: frozenset[Ledger] = frozenset()
    task: str = "-"
    is_alive: bool = True
    searches: bool = False
    ownership: bool = False
    is_unasked: bool = False
    is_unsure: bool = False
    is_said_again: bool = False
    has_match: bool = False
    step: str = ""
    is_disowned: bool = False
    is_stopping: bool = False
    is_rebooted: bool = False
    is_behind: bool = False
    wrong: str = ""
    late: tuple[str, ...] = ()
    left: tuple[int, ...] = (0,) * len(Fault)

    def may(self, fault: Fault) -> bool:
        """Tell whether this may still happen."""
        return self.left[fault] > 0

    def after(self, fault: Fault) -> "State":
        """Return the state with one less of these faults to come."""
        left = tuple(count - (number == fault) for number, count in enumerate(self.left))
        return self._replace(left=left)

    def writing(self, **changes: object) -> "State":
        """Return the state after a transaction of the ledger, which is not on the disk yet."""
        older = self.older | {self.ledger} if self.may(Fault.POWER) else self.older
        return self._replace(older=older, ledger=self.ledger._replace(**changes))  # type: ignore[arg-type] # its fields

    def synced(self) -> "State":
        """Return the state when the disk has the ledger as it is."""
        return self._replace(older=frozenset())


class Move(NamedTuple):
    """One step of somebody; a fault need not happen."""

    name: str
    to: State
    is_fault: bool = False


Moves = Iterator[Move]
