"""What can be set for a CE type: one table per backend gives parsing, units, defaults and error texts.

A backend writes its table as a frozen dataclass, a field for each option, and asks `value_of` for the values in it.
Pure functions: any thread may call them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, ClassVar, Protocol, TypeVar

from ce_backends.errors import CEMisconfigured
from ce_backends.readers import TooMuch, did_you_mean, nearest, number, whole_number, yes_no

OptionValue = int | float | str
_SHOWN = 100  # characters of a wrong value

_KINDS = {bool: "yes or no", int: "a whole number", float: "a number", str: "a text"}
_READERS: Mapping[type, Callable[[object], OptionValue]] = {
    bool: yes_no,
    int: whole_number,
    float: number,
    str: str,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a CE type.

    Attributes:
        name: in DIRAC's spelling. One that ends with `*` stands for all options that begin so, which are texts; their
            value is a mapping of what follows that beginning.
        kind: bool, int, float or str.
        default: its value when it is not set; None where the backend finds it out, as `doc` tells.
        doc: one sentence.
        unit: `s`, `MB`; empty for none.
        minimum: the least value of a number.
        maximum: the most of one that has less than all others.
        choices: the only values, if any are named.
        example: a value for a text without which there is no CE.
        is_quoted: a text in which quotes mean something; in others they would be part of the value.
    """

    name: str
    kind: type[bool] | type[int] | type[float] | type[str]
    default: OptionValue | None
    doc: str
    unit: str = ""
    minimum: int | None = None
    maximum: int | None = None
    choices: Sequence[str] = ()
    example: str = ""
    is_quoted: bool = False

    @property
    def is_family(self) -> bool:
        """It stands for all options that begin with its name."""
        return self.name.endswith("*")

    def names(self, name: str) -> bool:
        """Tell whether an option of this name is this one, or one of this family."""
        begins = self.name.removesuffix("*")
        return name == self.name or (self.is_family and name.startswith(begins) and name != begins)

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        unit = f" ({self.unit})" if self.unit else ""
        least = "" if self.minimum is None else f" of at least {self.minimum}"
        return f"{_KINDS[self.kind]}{unit}{least}"

    def parse(self, value: OptionValue, ce_type: str) -> OptionValue:
        """Return the value in its type.

        Raises:
            CEMisconfigured: it is none.
        """
        if slip := self._slip(value):
            raise CEMisconfigured(f"option {self.name} of CE type {ce_type} is {value!r}: {slip}")
        expected, parsed = self.expected, None
        try:
            parsed = _READERS[self.kind](value)
            if self.maximum is not None and not isinstance(parsed, str) and parsed > self.maximum:
                raise TooMuch(self.maximum)  # noqa: TRY301 - as readers do
        except TooMuch as error:
            expected, parsed = str(error), None
        except ValueError:
            pass
        if parsed is None or not self._allows(parsed):
            near = nearest(str(value), self.choices)
            hint = f"; did you mean {near}?" if near else ""
            shown = repr(value) if len(str(value)) <= _SHOWN else f"{str(value)[:_SHOWN]!r} …"
            raise CEMisconfigured(f"option {self.name} of CE type {ce_type} is {shown}: expected {expected}{hint}")
        return parsed

    def _slip(self, value: OptionValue) -> str:
        """Return what is probably not meant to be part of a value: CFG has no quotes, and no comments behind values."""
        if not isinstance(value, str) or self.is_quoted:
            return ""
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            return "the quotes would be part of the value, take them away"
        return "a comment needs a line of its own, here it would be part of the value" if " # " in value else ""

    def _allows(self, value: OptionValue) -> bool:
        if isinstance(value, str):
            return not self.choices or value in self.choices
        return self.minimum is None or value >= self.minimum


def parse_options(
    table: Sequence[Option], given: Mapping[str, OptionValue], ce_type: str
) -> dict[str, OptionValue | None]:
    """Return a value for every option of the table.

    Raises:
        CEMisconfigured: an option is unknown or its value wrong.
    """
    parsed: dict[str, OptionValue | None] = {o.name: o.default for o in table if not o.is_family}
    for name, value in given.items():
        option = option_of(table, name)
        if option is None:
            known = [option.name for option in table]
            raise CEMisconfigured(f"unknown option {name} of CE type {ce_type}{did_you_mean(name, known)}")
        parsed[name] = replace(option, name=name).parse(value, ce_type)
    return parsed


def option_of(table: Iterable[Option], name: str) -> Option | None:
    """Return the option of this name, or the family that it is of; None where there is none."""
    return next((option for option in table if option.names(name)), None)


class Described(Protocol):
    """A frozen dataclass, each field of which is a `setting`."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Value = TypeVar("Value", bound=Described)


def setting(option: Option) -> Any:
    """Declare a field of a backend's settings with its option; its default is the option's.

    The field's type is the option's kind, or None besides where that is the default; a mapping for a family.
    """
    if option.is_family:
        return field(default_factory=dict, metadata={"option": option})
    return field(default=option.default, metadata={"option": option})


def table_of(settings: type[Described]) -> Sequence[Option]:
    """Return the options of a backend's settings, in the order of the fields."""
    return tuple(each.metadata["option"] for each in fields(settings))


def value_of(settings: type[Value], options: Mapping[str, OptionValue | None]) -> Value:
    """Return a backend's settings as a frozen value.

    Args:
        settings: the dataclass.
        options: by DIRAC's names, in their types, as `from_options` of a backend gets them. Those that are not there
            are as their defaults; those of others are left.
    """
    described = {each.name: each.metadata["option"] for each in fields(settings)}
    return settings(**{name: _value(option, options) for name, option in described.items()})


def _value(option: Option, options: Mapping[str, OptionValue | None]) -> object:
    if option.is_family:
        begins = option.name.removesuffix("*")
        return {name.removeprefix(begins): value for name, value in options.items() if option.names(name)}
    return options.get(option.name, option.default)
