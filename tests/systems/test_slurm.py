"""The conformance suite, and what is Slurm's own, on a real Slurm."""

import pytest

from ce_backends.conformance.suite import CHECKS
from tests.systems.conftest import Have, of
from tests.systems.manifest import generations
from tests.systems.real_system import RealSystem

CLAUSES_AT_ONCE = 4
WORDS = [check.__name__.replace("_", " ") for check in CHECKS]


@pytest.fixture(scope="module")
def slurm(have: Have) -> RealSystem:
    return have("slurm")


def options(system: RealSystem, **more: object) -> dict[str, object]:
    usual = {"BatchSystem": "SLURM", "StatusInterval": 0.3, "SharedArea": f"{system.home}/area", "MaxTotalJobs": 4}
    return {**usual, **more}


@pytest.fixture(scope="module", params=generations("slurm"))
def generation(request: pytest.FixtureRequest, have: Have) -> RealSystem:
    return of(request.param, have)


@pytest.fixture(scope="module")
def verdicts(generation: RealSystem) -> dict[str, str]:
    return generation.verdicts("Local", options(generation), at_once=CLAUSES_AT_ONCE)


@pytest.mark.parametrize("check", WORDS)
def test_slurm_conforms(check: str, verdicts: dict[str, str]) -> None:
    assert verdicts[check] == ""


def test_ce_test_of_the_example_is_all_green(slurm: RealSystem) -> None:
    done = slurm.ce("test", str(slurm.config("slurm.cfg")), "--quick")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 clauses kept, 0 broken" in done.stdout


def test_wrong_queue_is_told_in_a_sentence(slurm: RealSystem) -> None:
    done = slurm.ce("test", str(slurm.config("slurm.cfg")), "-o", "Queue=nowhere")

    assert done.returncode == 1
    assert "the CE refuses a small task: sbatch: " in done.stderr
    assert "invalid partition specified: nowhere" in done.stderr
