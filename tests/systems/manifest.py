"""Which systems `make systems` and `make systems-canary` run, in which configurations and versions.

[docs/systems.md](../../docs/systems.md) is written from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

DEBIAN = {"bullseye": "11", "bookworm": "12", "trixie": "13"}


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One system in one version and configuration.

    Attributes:
        system: its folder in tests/clusters.
        title: its name.
        version: how its version begins, by the system's own word.
        last: the whole version with which the suite was run last.
        suite: of Debian that has it; sid's moves, so the canary takes its newest.
        configuration: what is special.
        variables: for its scripts.
        slow: for the canary only.
    """

    system: str
    title: str
    version: str
    last: str
    suite: str
    configuration: str
    variables: Mapping[str, str] = field(default_factory=dict)
    slow: bool = False

    @property
    def name(self) -> str:
        """Return version and configuration, the name of its tests."""
        return f"{self.version}, {self.configuration}"

    @property
    def newest(self) -> bool:
        """Return whether a newer one may be there tomorrow."""
        return self.suite == "sid"


def _slurm(version: str, last: str, suite: str, *, accounting: bool = True, own: bool = False) -> Generation:
    variables = ({} if own else {"SLURM_VERSION": version}) | ({} if accounting else {"SLURM_ACCOUNTING": "0"})
    what = "accounting" if accounting else "no accounting"
    return Generation(
        system="slurm", title="Slurm", version=version, last=last, suite=suite, configuration=what, variables=variables
    )


def _arc(version: str, last: str, suite: str, configuration: str, *, slow: bool = False, **more: str) -> Generation:
    return Generation(
        system="arc",
        title="ARC",
        version=version,
        last=last,
        suite=suite,
        configuration=configuration,
        variables=more,
        slow=slow,
    )


def _htcondor(version: str, last: str, suite: str, *, slow: bool = False, **variables: str) -> Generation:
    return Generation(
        system="htcondor",
        title="HTCondor",
        version=version,
        last=last,
        suite=suite,
        configuration="the schedd of this machine, and a remote one by token",
        variables=variables,
        slow=slow,
    )


MANIFEST = (
    _slurm("22.05", "22.05.8", "bookworm", own=True),
    _slurm("22.05", "22.05.8", "bookworm", accounting=False, own=True),
    _slurm("20.11", "20.11.4", "bullseye"),
    _slurm("24.11", "24.11.5", "trixie", accounting=False),
    _slurm("26.05", "26.05.5", "sid"),
    _arc("6.17", "6.17.0", "bookworm", "fork"),
    _arc("6.17", "6.17.0", "bookworm", "before Slurm 22.05", GRIDPILOT_ARC_LRMS="slurm"),
    _arc("7.0", "7.0.0", "trixie", "fork", GRIDPILOT_ARC_VERSION="7.0"),
    _arc("7.2", "7.2.0", "sid", "fork", slow=True, GRIDPILOT_ARC_VERSION="7.2"),
    _htcondor("23.9", "23.9.6", "trixie"),
    _htcondor("25", "25.14.1", "sid", slow=True, GRIDPILOT_HTCONDOR_VERSION="25"),
    Generation(
        system="grid_engine",
        title="Son of Grid Engine",
        version="8.1.9",
        last="8.1.9",
        suite="bookworm",
        configuration="one node, queues with limits",
    ),
    Generation(
        system="oar",
        title="OAR",
        version="2.5",
        last="2.5.9",
        suite="bookworm",
        configuration="PostgreSQL, no cpusets",
    ),
)


def generations(system: str, configuration: str = "") -> list[object]:
    """Return a system's rows as parameters of a fixture; those of one configuration, if one is given."""
    rows = [row for row in MANIFEST if row.system == system and configuration in ("", row.configuration)]
    return [pytest.param(row, id=row.name, marks=_marks(row)) for row in rows]


def _marks(row: Generation) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow] * row.slow + [pytest.mark.newest] * row.newest
