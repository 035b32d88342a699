"""What can go wrong in the agent, by what the caller must do next, and whom it blames.

AgentError
├── StopAgent               the agent cannot go on: end with this exit code
│   ├── ConfigurationError  2   an option is wrong
│   ├── CredentialError     3   proxy, host certificate or CA cannot be used
│   ├── ServiceMissing      4   a service that is needed could not be reached at the start
│   ├── PilotRefused        5   the WMS will not give this pilot work
│   └── NodeUnfit           6   the node cannot run jobs
├── ServiceError            a call did not give what was asked
│   ├── Unreachable         surely not received: safe to repeat
│   ├── NoAnswer            may have been received: repeat only what may be repeated
│   │   └── Busy            answered "not now", which is hardly ever, but can be, a call that was carried out
│   ├── BadAnswer           answered, but not in the protocol: the call may have taken effect
│   ├── AccessDenied        not with this credential: do not repeat
│   └── Refused             the service understood and said no (DIRAC's S_ERROR)
└── JobError                this job ends here; the others go on
    ├── FailJob             Failed, with this minor status
    └── HandBack            Rescheduled, so that it runs elsewhere
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the agent's exit code tells the pilot. The same table is in `pilot/errors.py`."""

    ENDED = 0
    CONFIGURATION = 2
    CREDENTIAL = 3
    SERVICE_MISSING = 4
    PILOT_REFUSED = 5
    NODE_UNFIT = 6
    INTERNAL = 70


class Blame(StrEnum):
    """Who has to do something about an error."""

    USER = "user"
    SITE = "site"
    AGENT = "agent"
    SERVER = "server"


class AgentError(Exception):
    """Anything the agent raises."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL


class StopAgent(AgentError):
    """The agent cannot go on; its one sentence is the message."""


class ConfigurationError(StopAgent):
    """An option or a configuration file is wrong."""

    exit_code = ExitCode.CONFIGURATION


class CredentialError(StopAgent):
    """A proxy, host certificate or CA cannot be used."""

    exit_code = ExitCode.CREDENTIAL


class ServiceMissing(StopAgent):
    """A service that is needed could not be reached at the start."""

    exit_code = ExitCode.SERVICE_MISSING


class PilotRefused(StopAgent):
    """The WMS will not give this pilot work: version, authorisation."""

    exit_code = ExitCode.PILOT_REFUSED


class NodeUnfit(StopAgent):
    """The node cannot run jobs."""

    exit_code = ExitCode.NODE_UNFIT


class ServiceError(AgentError):
    """A call to a service did not give what was asked.

    Attributes:
        retry_after_s: what the server asked to wait, None when it said nothing.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unreachable(ServiceError):
    """Surely not received by the service, for no byte of the call was written: safe to repeat."""


class NoAnswer(ServiceError):
    """May have been received: repeat only what may be repeated."""


class Busy(NoAnswer):
    """The call was written, and a server or somebody before it answered "not now" (HTTP 404, 429, 503).

    Mostly nothing was done; but a proxy says so too when the service behind it took too long.
    """


class BadAnswer(ServiceError):
    """Answered, but not in the protocol; the call may have taken effect."""


class AccessDenied(ServiceError):
    """The service does not let this credential do that."""


class Refused(ServiceError):
    """The service understood and said no: DIRAC's S_ERROR.

    Attributes:
        errno: DIRAC's error number, DiracX's HTTP status, 0 when there is none.
        is_final: the same again would be refused again.
    """

    def __init__(self, message: str, *, errno: int = 0, is_final: bool = False) -> None:
        super().__init__(message)
        self.errno = errno
        self.is_final = is_final


class JobError(AgentError):
    """This job ends here; the others go on.

    Attributes:
        minor_status: what the job's owner reads, at most 128 characters (the WMS's column).
        detail: one sentence with the facts, for the application status and the log.
        blame: who has to act.
        facts: further parameters of the job, by name.
    """

    def __init__(self, minor_status: str, detail: str, *, blame: Blame) -> None:
        super().__init__(f"{minor_status}: {detail}" if detail else minor_status)
        self.minor_status = minor_status
        self.detail = detail
        self.blame = blame
        self.facts: Mapping[str, str] = {}


class FailJob(JobError):
    """The job is Failed: running it again would fail again."""


class HandBack(JobError):
    """The job is Rescheduled: nothing is wrong with it."""
