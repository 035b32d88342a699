"""Which section of Operations wins, by cases; what is expected is what DIRAC's own helper says."""

from collections.abc import Mapping
from dataclasses import dataclass

from ce_backends.cfg import from_options, render

VO = "labvo"
SETUPS = {"/DIRAC/Setup": "Lab", "/DIRAC/Setups/Lab/W": "Prod"}


@dataclass(frozen=True, slots=True)
class OperationsCase:
    """Sections that have `Order/option`, and whose value is read.

    Attributes:
        name: of the case.
        said: by section, below Operations.
        expected: the value.
        has_setups: as in DIRAC 7.3 and 8.
        vo: who reads; empty for nobody in particular.
    """

    name: str
    said: Mapping[str, str]
    expected: str
    has_setups: bool = False
    vo: str = VO


_ALL = {"Defaults": "1", "Lab": "2", f"{VO}/Defaults": "3", f"{VO}/Lab": "4"}


def _without(*sections: str) -> Mapping[str, str]:
    return {section: value for section, value in _ALL.items() if section not in sections}


CASES = (
    OperationsCase("defaults", {"Defaults": "1"}, "1"),
    OperationsCase("nothing", {"another": "1"}, ""),
    OperationsCase("the VO's own", {"Defaults": "1", VO: "5"}, "5"),
    OperationsCase("only the VO's own", {VO: "5"}, "5"),
    OperationsCase("another VO's own", {"Defaults": "1", "another": "5"}, "1"),
    OperationsCase("the VO's own is empty", {"Defaults": "1", VO: ""}, ""),
    OperationsCase("no VO", {"Defaults": "1", VO: "5"}, "1", vo=""),
    OperationsCase("what is left of setups says nothing in DIRAC 9", {**_ALL, VO: "5"}, "5"),
    OperationsCase("and is not read in the place of the defaults", _ALL, "1"),
    OperationsCase("setups: all", _ALL, "4", has_setups=True),
    OperationsCase("setups: the VO's defaults", _without(f"{VO}/Lab"), "3", has_setups=True),
    OperationsCase("setups: the setup", _without(f"{VO}/Lab", f"{VO}/Defaults"), "2", has_setups=True),
    OperationsCase("setups: defaults", {"Defaults": "1"}, "1", has_setups=True),
    OperationsCase("setups: another setup", {"Defaults": "1", "Other": "2", f"{VO}/Other": "4"}, "1", has_setups=True),
    OperationsCase("setups: what DIRAC 9 will read", {"Defaults": "1", VO: "5"}, "1", has_setups=True),
    OperationsCase("setups: no VO", _ALL, "2", has_setups=True, vo=""),
)


def text_of(case: OperationsCase) -> str:
    """Return the CFG text of a case."""
    options = {f"/Operations/{section}/Order/option": value for section, value in case.said.items()}
    return render(from_options({**options, **(SETUPS if case.has_setups else {})}, case.name))
