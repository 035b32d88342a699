"""What can end a pilot, by what the site must look at next, and the exit code of each.

0   ended normally: no work left, drained, or the slot's time is over
2   usage: an option, pilot.json or the configuration is wrong
3   credential: missing, unreadable, expired, or readable by others
4   a service could not be reached or did not answer sensibly
5   a service refused this pilot: not authorised, or the wrong version
6   the worker node is unfit: too little disk, no suitable Python
70  internal error; the traceback is in pilot.log

A pilot that a signal ended before its agent could answer returns 128 + the signal's number, as a shell does.
The agent uses the same codes; see `agents/errors.py`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

ENDED, USAGE, CREDENTIAL, UNREACHABLE, REFUSED, UNFIT, INTERNAL = 0, 2, 3, 4, 5, 6, 70

EXIT_CODES = {
    ENDED: "ended normally: no work left, drained, or the slot's time is over",
    USAGE: "an option, pilot.json or the configuration is wrong",
    CREDENTIAL: "the credential is missing, unreadable, expired, or readable by others",
    UNREACHABLE: "a service could not be reached or did not answer sensibly",
    REFUSED: "a service refused this pilot",
    UNFIT: "the worker node is unfit: too little disk, or no suitable Python",
    INTERNAL: "internal error; the traceback is in pilot.log",
}


class PilotError(Exception):
    """Anything that ends the pilot with one sentence and an exit code."""

    exit_code = INTERNAL


class UsageError(PilotError):
    """Whoever started the pilot must correct an option, a file or the configuration."""

    exit_code = USAGE


class CredentialError(PilotError):
    """The submitter must send a usable proxy, or the site install a usable host certificate and CAs."""

    exit_code = CREDENTIAL


class ServiceUnreachable(PilotError):
    """Trying again later, or another server, may help."""

    exit_code = UNREACHABLE


class ServiceRefused(PilotError):
    """The service answered, and the answer is no.

    Attributes:
        errno: DIRAC's error number, 0 when it gave none.
    """

    exit_code = REFUSED

    def __init__(self, message: str, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


class NodeUnfit(PilotError):
    """The site must look at this worker node."""

    exit_code = UNFIT


class Stopped(PilotError):
    """A signal arrived before there was an agent to pass it on to."""

    def __init__(self, signum: int, name: str) -> None:
        super().__init__(f"stopped by {name} before the agent was started")
        self.exit_code = 128 + signum


# What a node lacks that runs out of something, or refuses it: descriptors, processes, memory, disk, rights.
LACKS = {
    errno.EMFILE: "this process may open no more files",
    errno.ENFILE: "the node may open no more files",
    errno.EAGAIN: "no more processes or threads may be started",
    errno.ENOMEM: "there is no memory left",
    errno.ENOSPC: "there is no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EIO: "the disk fails",
    errno.EACCES: "the node does not allow it",
    errno.EPERM: "the node does not allow it",
}
_NO_THREAD = "can't start new thread"  # RuntimeError of CPython, which drops the errno
_NOT_LOADED = ("Cannot allocate memory", "failed to map segment")  # ImportError with a word of ld.so


def lack(error: BaseException) -> str:
    """Return what the node lacks, in a sentence, as this error or one that led to it says; else an empty text."""
    for one in _causes(error):
        if isinstance(one, OSError) and one.errno in LACKS:
            where = f"{one.filename}: " if one.filename else ""
            return f"{where}{LACKS[one.errno]} ({one.strerror})"
        if isinstance(one, MemoryError):
            return LACKS[errno.ENOMEM]
        if isinstance(one, RuntimeError) and _NO_THREAD in str(one):
            return f"{LACKS[errno.EAGAIN]} ({one})"
        if isinstance(one, ImportError) and any(word in str(one) for word in _NOT_LOADED):
            return f"{LACKS[errno.ENOMEM]} ({one})"
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
