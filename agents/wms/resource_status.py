"""ResourceStatus: which storage elements may be read and written now."""

from collections.abc import Mapping
from dataclasses import dataclass

from agents.errors import BadAnswer
from agents.wms import answers
from agents.wms.service import Service

_COLUMNS = ("Name", "ElementType", "StatusType", "Status", "VO")
_USABLE = ("Active", "Degraded")
_EVERY_VO = "all"


@dataclass(frozen=True, slots=True)
class Usability:
    """What may be done with an element now.

    Attributes:
        is_readable: it may be read.
        is_writable: it may be written.
    """

    is_readable: bool
    is_writable: bool


class ResourceStatus:
    """Asks for the states of all elements, in one call."""

    def __init__(self, service: Service, vo: str) -> None:
        self._service = service
        self._vo = vo

    def elements(self) -> dict[str, Usability]:
        """Return what may be done with each storage element; a state of our VO counts before that of all.

        Raises:
            ServiceError: it cannot be had, or is not understood.
        """
        wanted = {"Meta": {"columns": list(_COLUMNS)}, "VO": [_EVERY_VO, self._vo]}
        call = "ResourceStatus.select"
        rows = answers.sequence(self._service.call("select", "ResourceStatus", wanted), call, "rows")
        states: dict[tuple[str, str], tuple[bool, bool]] = {}  # (element, kind) -> (is ours, is usable)
        for row in rows:
            name, kind, access, status, vo = _texts(answers.sequence(row, call, "a row"), call)
            is_ours = vo == self._vo
            if kind == "StorageElement" and (is_ours or (name, access) not in states):
                states[name, access] = (is_ours, status in _USABLE)
        return _by_name(states)


def _texts(row: object, call: str) -> tuple[str, str, str, str, str]:
    if not isinstance(row, list | tuple) or len(row) != len(_COLUMNS):
        raise BadAnswer(f"{call}: expected rows of {', '.join(_COLUMNS)}")
    name, kind, access, status, vo = (answers.text(value, call, "a text") for value in row)
    return name, kind, access, status, vo


def _by_name(states: Mapping[tuple[str, str], tuple[bool, bool]]) -> dict[str, Usability]:
    def usable(name: str, access: str) -> bool:
        return states.get((name, access), (False, True))[1]

    names = {name for name, _ in states}
    return {name: Usability(usable(name, "ReadAccess"), usable(name, "WriteAccess")) for name in sorted(names)}
