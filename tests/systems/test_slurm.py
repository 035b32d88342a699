"""The conformance suite, and what is Slurm's own, on a real Slurm."""

import pytest

from ce_backends.conformance import CHECKS
from tests.systems.conftest import Have
from tests.systems.real_system import RealSystem

WORDS = [check.__name__.replace("_", " ") for check in CHECKS]


@pytest.fixture(scope="module")
def slurm(have: Have) -> RealSystem:
    return have("slurm")


def options(system: RealSystem, **more: object) -> dict[str, object]:
    usual = {"BatchSystem": "SLURM", "StatusInterval": 0.3, "SharedArea": f"{system.home}/area", "MaxTotalJobs": 4}
    return {**usual, **more}


@pytest.fixture(scope="module")
def verdicts(slurm: RealSystem) -> dict[str, str]:
    return slurm.verdicts("Local", options(slurm))


@pytest.mark.parametrize("check", WORDS)
def test_slurm_conforms(check: str, verdicts: dict[str, str]) -> None:
    assert verdicts[check] == ""
