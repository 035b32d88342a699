"""The conformance suite, and what is OAR's own, on a real OAR. It takes some seconds to start each job."""

import pytest

from ce_backends.conformance.suite import CHECKS
from tests.systems.conftest import Have, of
from tests.systems.manifest import generations
from tests.systems.real_system import RealSystem

WORDS = [check.__name__.replace("_", " ") for check in CHECKS]
CLAUSES_AT_ONCE = 4


@pytest.fixture(scope="module")
def oar(have: Have) -> RealSystem:
    return have("oar")


def options(system: RealSystem) -> dict[str, object]:
    return {"BatchSystem": "OAR", "StatusInterval": 0.5, "SharedArea": f"{system.home}/area", "MaxTotalJobs": 4}


@pytest.fixture(scope="module", params=generations("oar"))
def verdicts(request: pytest.FixtureRequest, have: Have) -> dict[str, str]:
    system = of(request.param, have)
    return system.verdicts("Local", options(system), at_once=CLAUSES_AT_ONCE, deadline_s=150)


@pytest.mark.parametrize("check", WORDS)
def test_oar_conforms(check: str, verdicts: dict[str, str]) -> None:
    assert verdicts[check] == ""


def test_ce_test_of_the_example_breaks_nothing_and_names_what_oar_cannot_keep(oar: RealSystem) -> None:
    done = oar.ce("test", str(oar.config("oar.cfg")), "--quick")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "not kept here: without cpusets OAR ends what descends from the task" in done.stdout
    assert "1 of 2 clauses kept, 0 broken" in done.stdout


def test_what_can_never_run_is_told_in_a_sentence(oar: RealSystem) -> None:
    done = oar.ce("test", str(oar.config("oar.cfg")), "-o", "SubmitOptions=-p core=99")

    assert done.returncode == 1
    assert "There are not enough resources for your request" in done.stderr


def test_wrong_queue_is_told_in_a_sentence(oar: RealSystem) -> None:
    done = oar.ce("test", str(oar.config("oar.cfg")), "-o", "Queue=nowhere")

    assert done.returncode == 1
    assert "the CE refuses a small task: oarsub: " in done.stderr
    assert "The queue nowhere does not exist" in done.stderr


def test_a_stopped_oar_is_told_in_a_sentence(oar: RealSystem) -> None:
    oar.script("down")
    try:
        done = oar.ce("test", str(oar.config("oar.cfg")), "--quick", "-o", "CommandTimeout=5")
    finally:
        oar.script("up")

    assert done.returncode == 3, done.stdout + done.stderr
    assert "gridpilot ce: the CE cannot be used now: oarsub: " in done.stderr
