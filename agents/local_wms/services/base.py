"""What every service is made of: callers, answers, refusals, and methods marked as callable from outside."""

import inspect
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from agents.local_wms.registry import GENERIC_PILOT, JOB_ADMINISTRATOR

# rights that are no property (DIRAC's AuthManager knows them under these names)
ALL = "all"
AUTHENTICATED = "authenticated"

Exported = TypeVar("Exported", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, as the certificate proves it; `username` is empty for a stranger with a valid certificate."""

    dn: str
    username: str = ""
    group: str = ""
    vo: str = ""
    properties: frozenset[str] = frozenset()
    is_proxy: bool = False
    is_limited: bool = False

    def may_change(self, owner: str) -> bool:
        """True for the owner of a job, pilots and job administrators."""
        return self.username == owner or not self.properties.isdisjoint({GENERIC_PILOT, JOB_ADMINISTRATOR})

    def may_end(self, owner: str) -> bool:
        """True for the owner of a job and job administrators."""
        return self.username == owner or JOB_ADMINISTRATOR in self.properties


@dataclass(frozen=True, slots=True)
class Answer:
    """A value with further keys beside it on the wire."""

    value: Any
    further: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RawContent:
    """Bytes that go out as they are, when the client asked for `rawContent`."""

    content: bytes


class Refusal(Exception):
    """DIRAC's S_ERROR: an answer like any other for HTTP."""

    def __init__(self, message: str, errno: int = 0, further: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.errno = errno
        self.further = dict(further or {})

    @property
    def text(self) -> str:
        """The message as DIRAC composes it from the number and the words."""
        return f"{ERRORS[self.errno]} ( {self.errno} : {self})" if self.errno else str(self)


# DIRAC's own texts (Core/Utilities/DErrno)
INVALID_JDL, NOT_SUBMITTED, NO_MATCH, NO_PILOT = 1501, 1503, 1510, 1550
ERRORS = {
    INVALID_JDL: "Invalid job description",
    NOT_SUBMITTED: "Job submission error",
    NO_MATCH: "No match found",
    NO_PILOT: "No pilots found",
}


@dataclass(frozen=True, slots=True)
class Method:
    """What can be called under one name, and who may."""

    function: Callable[..., Any]
    rights: frozenset[str]
    signature: inspect.Signature

    def permits(self, caller: Caller) -> bool:
        """True when the caller has one of the rights."""
        if ALL in self.rights:
            return True
        known = bool(caller.username and caller.group)
        return known and (AUTHENTICATED in self.rights or not self.rights.isdisjoint(caller.properties))

    def __call__(self, caller: Caller, arguments: list[Any]) -> Any:
        """Call it.

        Raises:
            TypeError: too few or too many arguments.
        """
        self.signature.bind(caller, *arguments)
        return self.function(caller, *arguments)


def exported(name: str, *rights: str) -> Callable[[Exported], Exported]:
    """Mark a method of a service as callable under DIRAC's name by those with one of the rights (default: known)."""

    def mark(function: Exported) -> Exported:
        function.__dict__["exported"] = (name, frozenset(rights or {AUTHENTICATED}))
        return function

    return mark


class Service:
    """A named set of exported methods; every service has these three."""

    name = ""

    def methods(self) -> dict[str, Method]:
        """Return what is exported, under DIRAC's names."""
        table = {}
        for _, function in inspect.getmembers(self, inspect.ismethod):
            if mark := getattr(function, "exported", None):
                table[mark[0]] = Method(function, mark[1], inspect.signature(function))
        return table

    @exported("ping", ALL)
    def ping(self, _caller: Caller) -> dict[str, Any]:
        """Tell that the service lives."""
        return {"name": self.name, "version": "gridpilot local WMS", "host": platform.node()}

    @exported("echo", ALL)
    def echo(self, _caller: Caller, value: Any) -> Any:
        """Return what was sent, to try out encodings."""
        return value

    @exported("whoami")
    def whoami(self, caller: Caller) -> dict[str, Any]:
        """Tell how the service sees the caller."""
        return {
            "DN": caller.dn,
            "username": caller.username,
            "group": caller.group,
            "VO": caller.vo,
            "properties": sorted(caller.properties),
            "isProxy": caller.is_proxy,
            "isLimitedProxy": caller.is_limited,
            "validDN": True,
            "validGroup": True,
        }


def job_ids_of(given: Any) -> list[int]:
    """Return job ids given as a number, a text or a list of these.

    Raises:
        Refusal: none of these, in DIRAC's words.
    """
    try:
        ids = [int(item) for item in (given if isinstance(given, list) else [given])]
    except (TypeError, ValueError) as error:
        raise Refusal(f"Invalid job specification: {given}") from error
    if not ids:
        raise Refusal(f"Invalid job specification: {given}")
    return ids
