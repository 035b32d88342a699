"""The conformance suite on a real ARC CE before a real Slurm."""

import pytest

from tests.systems.conftest import Have, of
from tests.systems.manifest import generations
from tests.systems.test_arc import WORDS, verdicts


@pytest.fixture(scope="module", params=generations("arc", "before Slurm 22.05"))
def of_slurm(request: pytest.FixtureRequest, have: Have) -> dict[str, str]:
    have("slurm")
    return verdicts(of(request.param, have))


@pytest.mark.parametrize("check", WORDS)
def test_arc_with_slurm_conforms(check: str, of_slurm: dict[str, str]) -> None:
    assert of_slurm[check] == ""
