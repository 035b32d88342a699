"""JDL on the server's side: read as the agent reads it, stored and handed out as DIRAC's server does.

Every value is a text, a list or a record: what the user wrote without quotes is stored with them.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from agents.jobs import classad
from agents.jobs.classad import JdlError

__all__ = ["JdlError", "Record", "Value", "near_misses", "parse", "show", "text_of", "texts", "whole_number"]

_PLAIN_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")  # reads back as the text it was
_WHOLE_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,18})(?:\.0*)?\s*")
_SHOWN_CHARACTERS = 60
# DIRAC's own attributes (Job API, JobManager, JobAgent, JobWrapper); others are the VO's or the user's own
_NAMES = """
Arguments BannedSites CPUTime DisableCPUCheck DisableDataScheduling Executable ExecutionEnvironment GridCE InputData
InputDataModule InputDataPolicy InputSandbox JobConfigArgs JobGroup JobName JobType LogLevel MaxNumberOfProcessors
MaxRAM MinNumberOfProcessors MinRAM NumberOfGPUs NumberOfProcessors OutputData OutputPath OutputSE OutputSandbox
ParameterFactor ParameterStart ParameterStep Parameters Platform Priority Site SoftwareDistModule StdError StdOutput
StopSigFinishSeconds StopSigNumber StopSigRegex StopSigStartSeconds Tag Tags VirtualOrganization WholeNode
"""
KNOWN = tuple(_NAMES.split())
# taken by the server, and near enough to one of the others to be mistaken for a slip
_ALSO_KNOWN = (
    "BannedSite",
    "Owner",
    "OwnerGroup",
    "OwnerDN",
    "JobID",
    "Parameter",
    "ParameterNumber",
    "JobRequirements",
)
_NEAR = 0.8


@dataclass(slots=True)
class Record:
    """Attributes; names differ by more than case."""

    attributes: dict[str, tuple[str, "Value"]] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self.attributes

    def __iter__(self) -> Iterator[tuple[str, "Value"]]:
        return iter(self.attributes.values())

    def get(self, name: str) -> "Value | None":
        """Return the value, None when there is no such attribute."""
        return self.attributes.get(name.lower(), ("", None))[1]

    def put(self, name: str, value: "Value") -> None:
        """Set an attribute; an earlier one of that name is replaced."""
        self.attributes[name.lower()] = (name, value)

    def drop(self, name: str) -> None:
        """Remove an attribute, if it is there."""
        self.attributes.pop(name.lower(), None)

    def map_text(self, change: Callable[[str], str]) -> "Record":
        """Return a copy with every text changed."""
        return Record({key: (name, _map_text(value, change)) for key, (name, value) in self.attributes.items()})


Value = str | int | Record | list["Value"]


def _map_text(value: Value, change: Callable[[str], str]) -> Value:
    match value:
        case str():
            return change(value)
        case list():
            return [_map_text(item, change) for item in value]
        case Record():
            return value.map_text(change)
    return value


def parse(text: str) -> Record:
    """Read a JDL with or without its outer brackets.

    Raises:
        JdlError: one sentence with the line and what was expected.
    """
    read = classad.parse(text)
    for problem in read.problems:
        raise problem
    if not read:
        raise JdlError("the JDL is empty: at least one attribute was expected")
    return _record(read)


def _record(read: Mapping[str, classad.Value]) -> Record:
    if comment := next((name for name in read if name.startswith("#")), None):
        raise JdlError(f"attribute {comment[:40]!r}: expected a name; at the beginning of a line # begins a comment")
    return Record({name.lower(): (name, _value(value)) for name, value in read.items()})


def _value(value: classad.Value) -> Value:
    if isinstance(value, str):
        return value
    return _record(value) if isinstance(value, classad.Record) else [_value(item) for item in value]


def near_misses(record: Record) -> list[str]:
    """Return a sentence for each attribute whose name is probably a slip of one of DIRAC's, which tells cases apart."""
    folded = {name.lower(): name for name in KNOWN}
    taken = {*folded, *map(str.lower, _ALSO_KNOWN)}
    said = []
    for name, _ in record:
        plain = name.lower().partition(".")[0]
        if plain in folded and not name.startswith(folded[plain]):
            said.append(f"JDL attribute {name} means nothing to DIRAC; did you mean {folded[plain]}?")
        elif plain not in taken and (near := difflib.get_close_matches(plain, folded, n=1, cutoff=_NEAR)):
            said.append(f"JDL attribute {name} means nothing to DIRAC; did you mean {folded[near[0]]}?")
    return said


def show(record: Record, indent: str = "") -> str:
    """Print a record as DIRAC does: sorted, one attribute a line; a list of one is its only item."""
    inner = indent + "  "
    lines = [
        f"{inner}{name} ={_gap(value, inner)}{_show(value, inner)};" for name, value in sorted(record, key=_name_of)
    ]
    return "\n".join(["[", *lines, f"{indent}]"])


def _name_of(attribute: tuple[str, Value]) -> str:
    return attribute[0]


def _gap(value: Value, indent: str) -> str:
    """Return what stands between the sign and a value: a line end before what takes several lines."""
    is_long = isinstance(value, Record) or (isinstance(value, list) and len(value) != 1)
    return f"\n{indent}" if is_long else " "


def _show(value: Value, indent: str) -> str:
    match value:
        case str():
            return value if _PLAIN_NUMBER.fullmatch(value) else _quoted(value)
        case Record():
            return show(value, indent)
        case [only]:
            return _show(only, indent)
        case list():
            items = ",\n".join(f"{indent}  {_show(item, indent + '  ')}" for item in value)
            return f"{{\n{items}\n{indent}}}"
    return str(value)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def texts(value: Value | None) -> list[str]:
    """Return a list attribute's items as text; DIRAC also writes such lists as one string with commas."""
    if value is None:
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def text_of(record: Record, name: str, default: str) -> str:
    """Return an attribute as text, the default when it is absent or empty."""
    value = record.get(name)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or default)


def whole_number(record: Record, name: str, default: int) -> int:
    """Return an integer attribute, also when it was written in quotes or as 2.0.

    Raises:
        JdlError: it is there and no whole number.
    """
    value = record.get(name)
    if value is None or isinstance(value, int):
        return default if value is None else value
    if isinstance(value, str) and (found := _WHOLE_NUMBER.fullmatch(value)):
        return int(found[1])
    shown = " ".join(_show(value, "").split())[:_SHOWN_CHARACTERS]  # one sentence, on one line
    raise JdlError(f"JDL attribute {name} is {shown}: a whole number was expected")
