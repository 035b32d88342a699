"""DIRAC's job states and which may follow which (WorkloadManagementSystem/Client/JobStatus, 9.x)."""

from enum import StrEnum


class JobStatus(StrEnum):
    """The major status, DIRAC's words."""

    SUBMITTING = "Submitting"
    RECEIVED = "Received"
    CHECKING = "Checking"
    STAGING = "Staging"
    SCOUTING = "Scouting"
    WAITING = "Waiting"
    MATCHED = "Matched"
    RESCHEDULED = "Rescheduled"
    RUNNING = "Running"
    STALLED = "Stalled"
    COMPLETING = "Completing"
    DONE = "Done"
    COMPLETED = "Completed"
    FAILED = "Failed"
    DELETED = "Deleted"
    KILLED = "Killed"


S = JobStatus
FINAL = frozenset({S.DONE, S.COMPLETED, S.FAILED, S.KILLED})
NEXT: dict[str, frozenset[str]] = {
    S.SUBMITTING: frozenset({S.RECEIVED, S.CHECKING, S.DELETED, S.KILLED}),
    S.RECEIVED: frozenset({S.SCOUTING, S.CHECKING, S.WAITING, S.FAILED, S.DELETED, S.KILLED}),
    S.CHECKING: frozenset({S.SCOUTING, S.STAGING, S.WAITING, S.RESCHEDULED, S.FAILED, S.DELETED, S.KILLED}),
    S.SCOUTING: frozenset({S.CHECKING, S.FAILED, S.STALLED, S.KILLED}),
    S.STAGING: frozenset({S.CHECKING, S.WAITING, S.FAILED, S.KILLED}),
    S.WAITING: frozenset({S.MATCHED, S.RESCHEDULED, S.DELETED, S.KILLED}),
    S.MATCHED: frozenset({S.RUNNING, S.FAILED, S.RESCHEDULED, S.KILLED}),
    S.RESCHEDULED: frozenset({S.WAITING, S.RECEIVED, S.DELETED, S.FAILED, S.KILLED}),
    S.RUNNING: frozenset({S.STALLED, S.DONE, S.FAILED, S.RESCHEDULED, S.COMPLETING, S.KILLED, S.RECEIVED}),
    S.STALLED: frozenset({S.RUNNING, S.FAILED, S.KILLED}),
    S.COMPLETING: frozenset({S.DONE, S.FAILED, S.COMPLETED, S.STALLED, S.KILLED}),
    S.COMPLETED: frozenset({S.DONE, S.FAILED}),
    S.DONE: frozenset({S.DELETED}),
    S.FAILED: frozenset({S.RESCHEDULED, S.DELETED}),
    S.KILLED: frozenset({S.DELETED}),
    S.DELETED: frozenset(),
}


def following(current: str, wanted: str) -> str:
    """Return the status after asking for `wanted`: that one, or `current` when the move is not allowed.

    DIRAC refuses silently, the caller of the service sees no difference.
    """
    return wanted if wanted in NEXT[current] else current
