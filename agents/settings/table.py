"""Settings of any agent out of its table: a frozen dataclass, each field of which is an `option`."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import partial
from typing import Any, ClassVar, Protocol, TypeVar, get_type_hints

from agents.errors import ConfigurationError
from ce_backends.cfg import Section, Value
from ce_backends.readers import TooMuch, comma_list, nearest, number, whole_number, yes_no

Reader = tuple[Callable[[str], object], str]
"""Reads a text, or raises ValueError; and what is expected, in words."""


class Described(Protocol):
    """A frozen dataclass, each field of which is an `option`."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Settings = TypeVar("Settings", bound=Described)


@dataclass(frozen=True, slots=True)
class Explained:
    """One setting as `--explain` and the documentation show it."""

    name: str
    path: str
    shown: str
    origin: str
    unit: str
    doc: str


_SHOWN = 100  # characters of a wrong value
_READERS: Mapping[object, Reader] = {
    str: (str, "a text"),
    int: (partial(whole_number, least=0), "a whole number, 0 or more"),
    float: (partial(number, least=0), "a number, 0 or more"),
    bool: (yes_no, "yes or no"),
    tuple[str, ...]: (lambda text: tuple(dict.fromkeys(comma_list(text))), "a list, comma separated"),
}


def load(cfg: Section, settings: type[Settings], readers: Mapping[object, Reader] = {}) -> Settings:
    """Read the settings out of the merged configuration.

    Args:
        cfg: the configuration.
        settings: the table.
        readers: by type, of types that only this table has.

    Raises:
        ConfigurationError: an option is missing or of the wrong type.
    """
    values: dict[str, Any] = {}
    types = get_type_hints(settings)
    for declared in fields(settings):
        found = _find(cfg, declared)
        if found is not None:
            reader = {**_READERS, **readers}[types[declared.name]]
            values[declared.name] = _read(reader, *found, most=declared.metadata["most"])
        elif declared.default is MISSING:
            raise ConfigurationError(
                f"{declared.metadata['paths'][0]} is not set; expected: {declared.metadata['doc']}"
            )
    return settings(**values)


def _find(cfg: Section, declared: "Field[Any]") -> tuple[str, Value] | None:
    for path in declared.metadata["paths"]:
        value = cfg.value(path)
        if value is not None and value.text:
            return path, value
    return None


def _read(reader: Reader, path: str, value: Value, *, most: int) -> object:
    read, expected = reader
    try:
        given = read(value.text)
        if isinstance(given, int) and given > most:
            raise TooMuch(most)  # noqa: TRY301 - as readers do
    except TooMuch as error:
        raise _wrong(path, value, str(error)) from None
    except ValueError:
        raise _wrong(path, value, expected) from None
    return given


def _wrong(path: str, value: Value, expected: str) -> ConfigurationError:
    shown = value.text if len(value.text) <= _SHOWN else f"{value.text[:_SHOWN]} …"
    return ConfigurationError(f"{value.origin}: {path} = {shown}: expected {expected}")


def check_names(cfg: Section, settings: type[Described], section: str, without_effect: Mapping[str, str]) -> None:
    """Go on only if every option of a section that is an agent's own is one of its table.

    Raises:
        ConfigurationError: there is another one; the sentence names the nearest right one.
    """
    known = known_names(settings, section)
    for name, value in cfg.section(section).options():
        if name not in known and name not in without_effect:
            near = nearest(name, known)
            hint = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
            raise ConfigurationError(f"{value.origin}: unknown option {section}/{name}; {hint}")


def known_names(settings: type[Described], section: str) -> list[str]:
    """Return the names of a table's options in a section."""
    paths = [path for declared in fields(settings) for path in declared.metadata["paths"]]
    return sorted(path.rpartition("/")[2] for path in paths if path.rpartition("/")[0] == section)


def explain(cfg: Section, settings: type[Described]) -> list[Explained]:
    """Return every setting with its value and where it came from."""
    rows = []
    for declared in fields(settings):
        found = _find(cfg, declared)
        path, value = found if found else (declared.metadata["paths"][0], Value(_default(declared), "default"))
        rows.append(
            Explained(
                declared.name, path, value.text, value.origin, declared.metadata["unit"], declared.metadata["doc"]
            )
        )
    return rows


def _default(declared: "Field[Any]") -> str:
    if declared.default is MISSING:
        return "(required)"
    return ", ".join(declared.default) if isinstance(declared.default, tuple) else str(declared.default)
