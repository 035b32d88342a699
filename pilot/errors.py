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
