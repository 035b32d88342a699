"""The thread of one queue: it alone calls the CE, one call after the other, and nobody waits for it.

What it is asked to do are frozen orders, what came of them goes back as an event. Whatever a CE does, refuse, fail or
lie, is an event too: no exception crosses, and a call that hangs keeps this thread and nothing else.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from agents.jobs.unforeseen import words
from agents.log import EventLog
from agents.site_director import outputs
from ce_backends.base import (
    Accepted,
    ComputingElement,
    Rejected,
    RenewsCredentials,
    Submission,
    TaskSpec,
    TaskStatus,
    TellsAge,
    Uncertain,
)
from ce_backends.errors import CEError, CEMisconfigured, CEUnavailable
from ce_backends.linux.loop import Loop

log = EventLog("site_director")


@dataclass(frozen=True, slots=True)
class Submit:
    """Hand over these pilots."""

    tasks: Sequence[TaskSpec]


@dataclass(frozen=True, slots=True)
class Find:
    """Look for what may have been handed over."""

    stamps: Sequence[str]


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask how these stand."""

    task_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Cancel:
    """End these."""

    task_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Bring:
    """Bring the output of an ended pilot into a folder, and have the CE forget it."""

    stamp: str
    task_id: str
    into: Path


@dataclass(frozen=True, slots=True)
class Renew:
    """Give these, which wait, this credential; it ends at `ends_s`, seconds since 1970."""

    task_ids: Sequence[str]
    credential: Path
    ends_s: float


Order = Submit | Find | Poll | Cancel | Bring | Renew


@dataclass(frozen=True, slots=True)
class Submitted:
    """The CE has answered, by stamp."""

    queue: str
    order: Submit
    answers: Mapping[str, Submission]


@dataclass(frozen=True, slots=True)
class Found:
    """Task ids of the stamps that the CE knows."""

    queue: str
    order: Find
    task_ids: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Polled:
    """How they stand, and how old that is."""

    queue: str
    order: Poll
    statuses: Mapping[str, TaskStatus]
    age_s: float


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The CE was told."""

    queue: str
    order: Cancel


@dataclass(frozen=True, slots=True)
class Brought:
    """The output is there."""

    queue: str
    order: Bring


@dataclass(frozen=True, slots=True)
class Renewed:
    """They have it, but for those of which it says why not."""

    queue: str
    order: Renew
    troubles: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Failed:
    """The CE did not do it. Of what it was asked all may have been done, unless it `is_sure` that nothing was."""

    queue: str
    order: Order
    why: str
    is_sure: bool = False


Event = Submitted | Found | Polled | Cancelled | Brought | Renewed | Failed


class CeWorker:
    """See the module. `order`, `hangs_s` and `leave` may be called from any thread.

    Args:
        queue: its name.
        make: makes the CE, in the thread, before the first call and after one that nobody foresaw.
        put: takes events, from the thread.
        now: the monotonic clock.
    """

    def __init__(
        self,
        queue: str,
        make: Callable[[], ComputingElement],
        put: Callable[[Event], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._make = make
        self._put = put
        self._now = now
        self._ce: ComputingElement | None = None
        self._orders: deque[Order] = deque()
        self._began_s: float | None = None
        self._is_left = False
        self._loop = Loop(self._turn, f"ce-{queue}")
        self._loop.start()

    @property
    def hangs_s(self) -> float:
        """How long the call that goes on has been going on, 0 for none."""
        began_s = self._began_s
        return 0.0 if began_s is None else self._now() - began_s

    @property
    def is_idle(self) -> bool:
        """Tell whether there is nothing to do."""
        return not self._orders and self._began_s is None

    def order(self, order: Order) -> None:
        """Have something done, after what was ordered before."""
        self._orders.append(order)
        self._loop.wake()

    def leave(self, within_s: float = 0.0) -> bool:
        """End the thread; one that hangs in a call is left alone, and nothing is heard of it any more.

        Returns:
            True when it has ended.
        """
        self._is_left = True
        has_ended = self._loop.close(within_s)
        if has_ended:
            self._close()
        return has_ended

    def _turn(self) -> float | None:
        while self._orders and not self._loop.is_closing:
            self._began_s = self._now()
            event = self._done(self._orders[0])
            self._orders.popleft()
            self._began_s = None
            if self._is_left:  # it was given up while it hung
                self._close()
            else:
                self._put(event)
        return None

    def _done(self, order: Order) -> Event:
        try:
            if self._ce is None:
                self._ce = self._make()
            return carried_out(self._queue, self._ce, order)
        except (CEUnavailable, CEMisconfigured) as error:
            return Failed(self._queue, order, str(error), is_sure=True)
        except Exception as error:  # noqa: BLE001 - a CE type may be anybody's
            self._close()
            return Failed(self._queue, order, str(error) if isinstance(error, CEError) else words(error))

    def _close(self) -> None:
        ce, self._ce = self._ce, None
        try:
            if ce is not None:
                ce.close()
        except Exception as error:  # noqa: BLE001 - a CE type may be anybody's; nobody needs this one any more
            log.warning("ce.not_closed", queue=self._queue, cause=error)


def carried_out(queue: str, ce: ComputingElement, order: Order) -> Event:
    """Call the CE; of what it answers, only what the contract has is believed."""
    match order:
        case Submit():
            answers = ce.submit(order.tasks)
            asked = [task.stamp for task in order.tasks]
            unclear = Uncertain("the CE gave no answer about it")
            return Submitted(queue, order, {stamp: _submission(answers.get(stamp), unclear) for stamp in asked})
        case Find():
            found = ce.find(order.stamps)
            return Found(
                queue, order, {s: found[s] for s in order.stamps if isinstance(found.get(s), str) and found[s]}
            )
        case Poll():
            statuses = ce.poll(order.task_ids)
            believed = {t: s for t in order.task_ids if isinstance(s := statuses.get(t), TaskStatus)}
            return Polled(queue, order, believed, ce.view_age_s if isinstance(ce, TellsAge) else 0.0)
        case Cancel():
            ce.cancel(order.task_ids)
            return Cancelled(queue, order)
        case Bring():
            ce.fetch(order.task_id, order.into)
            outputs.shorten(order.into)
            ce.clean([order.task_id])
            return Brought(queue, order)
        case Renew():
            return Renewed(queue, order, _troubles(ce, order))


def _troubles(ce: ComputingElement, order: Renew) -> dict[str, str]:
    """Renew credentials; return why not, by task id."""
    if not isinstance(ce, RenewsCredentials):
        return dict.fromkeys(order.task_ids, "this CE type renews none")
    troubles = {}
    for task_id in order.task_ids:
        try:
            ce.renew_credential(task_id, order.credential)
        except CEError as error:
            troubles[task_id] = str(error)
    return troubles


def _submission(answer: object, unclear: Uncertain) -> Submission:
    is_one = isinstance(answer, Rejected | Uncertain) or (isinstance(answer, Accepted) and bool(answer.task_id))
    return cast("Submission", answer) if is_one else unclear
