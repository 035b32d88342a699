"""What can be set for a CE type: one table per backend gives parsing, units, defaults and error texts."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ce_backends.errors import CEMisconfigured

OptionValue = int | float | str

NICKNAMES: Mapping[str, tuple[str, ...]] = {
    "slurm": ("SLURM", "Local with BatchSystem = SLURM"),
    **dict.fromkeys(
        ("sge", "uge", "oge", "gridengine", "univa", "son of grid engine"), ("GE", "Local with BatchSystem = GE")
    ),
    **dict.fromkeys(("ge",), ("GE", "Local with BatchSystem = GE")),
    **dict.fromkeys(("pbs", "openpbs", "pbspro", "pbs pro", "altair"), ("Torque", "Local with BatchSystem = Torque")),
    **dict.fromkeys(("htcondor", "condor"), ("Condor", "HTCondorCE, or Local with BatchSystem = Condor")),
    **dict.fromkeys(("torque", "maui", "moab"), ("Torque", "Local with BatchSystem = Torque")),
    **dict.fromkeys(("spectrum lsf", "openlava", "lsf"), ("LSF", "Local with BatchSystem = LSF")),
    "oar": ("OAR", "Local with BatchSystem = OAR"),
    **dict.fromkeys(("arc", "arc-ce", "arcce", "nordugrid"), ("AREX",)),
    **dict.fromkeys(("apptainer", "singularity"), ("Singularity",)),
    **dict.fromkeys(("pool/apptainer",), ("Pool/Singularity",)),
    **dict.fromkeys(("docker", "pool/docker"), ("Pool/Podman",)),
    **dict.fromkeys(("bwrap", "pool/bwrap"), ("Pool/Bubblewrap",)),
}
"""What people call batch systems and CE types, with the names that are meant: of a batch system, of a CE type."""
_KINDS = {bool: "yes or no", int: "a whole number", float: "a number", str: "a text"}
_YES = ("yes", "true", "y", "1", "on")
_NO = ("no", "false", "n", "0", "off", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a CE type.

    Attributes:
        name: in DIRAC's spelling.
        kind: bool, int, float or str.
        default: its value when it is not set; None where the backend finds it out, as `doc` tells.
        doc: one sentence.
        unit: `s`, `MB`; empty for none.
        minimum: the least value of a number.
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
    choices: Sequence[str] = ()
    example: str = ""
    is_quoted: bool = False

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
        try:
            parsed = _truth(value) if self.kind is bool else self.kind(value)
        except (ValueError, OverflowError):
            parsed = None
        if parsed is None or not self._allows(parsed):
            near = nearest(str(value), self.choices)
            hint = f"; did you mean {near}?" if near else ""
            raise CEMisconfigured(
                f"option {self.name} of CE type {ce_type} is {value!r}: expected {self.expected}{hint}"
            )
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
        return self.minimum is None or value >= self.minimum  # false for a float that is no number


def _truth(value: OptionValue) -> bool:
    word = str(value).strip().lower()
    if word not in (*_YES, *_NO):
        raise ValueError(word)
    return word in _YES


def parse_options(
    table: Sequence[Option], given: Mapping[str, OptionValue], ce_type: str
) -> dict[str, OptionValue | None]:
    """Return a value for every option of the table.

    Raises:
        CEMisconfigured: an option is unknown or its value wrong.
    """
    known = {option.name: option for option in table}
    for name in given:
        if name not in known:
            raise CEMisconfigured(f"unknown option {name} of CE type {ce_type}{did_you_mean(name, known)}")
    return {
        name: option.parse(given[name], ce_type) if name in given else option.default for name, option in known.items()
    }


def nearest(name: str, known: Collection[str]) -> str:
    """Return the right name that is probably meant: what people call it, or the nearest in spelling; "" for none."""
    meant = {folded: right for folded, rights in NICKNAMES.items() for right in rights if _first_word(right) in known}
    meant |= {candidate.casefold(): candidate for candidate in known}
    folded = name.strip().casefold()
    near = [folded] if folded in meant else difflib.get_close_matches(folded, meant, n=1)
    return meant[near[0]] if near else ""


def _first_word(right: str) -> str:
    return right.replace(",", " ").split()[0]


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return the end of a sentence that rejects a name: the nearest right one, or all there are."""
    if near := nearest(name, known):
        return f"; did you mean {near}?"
    return f"; there are {', '.join(sorted(known))}" if known else "; it has none"
