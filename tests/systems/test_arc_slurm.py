"""The conformance suite on a real ARC CE before a real Slurm."""

import pytest

from tests.systems.conftest import Have
from tests.systems.test_arc import WORDS, verdicts


@pytest.fixture(scope="module")
def of_slurm(have: Have) -> dict[str, str]:
    have("slurm")
    return verdicts(have("arc", GRIDPILOT_ARC_LRMS="slurm"))


@pytest.mark.parametrize("check", WORDS)
def test_arc_with_slurm_conforms(check: str, of_slurm: dict[str, str]) -> None:
    assert of_slurm[check] == ""
