"""The conformance suite on a real ARC CE before a real Slurm."""

import pytest

from tests.systems.conftest import Have, of
from tests.systems.manifest import generations
from tests.systems.renewing import renewal
from tests.systems.test_arc import WORDS, options, verdicts


@pytest.fixture(scope="module", params=generations("arc", "before Slurm 22.05"))
def of_slurm(request: pytest.FixtureRequest, have: Have) -> dict[str, str]:
    have("slurm")
    return verdicts(of(request.param, have))


@pytest.mark.parametrize("check", WORDS)
def test_arc_with_slurm_conforms(check: str, of_slurm: dict[str, str]) -> None:
    assert of_slurm[check] == ""


@pytest.mark.slow
def test_a_credential_is_renewed_in_the_queue(have: Have) -> None:
    """All nodes are drained until it has been, so that the task waits in Slurm with its old one."""
    slurm = have("slurm")
    arc = have("arc", GRIDPILOT_ARC_LRMS="slurm")
    nodes = ",".join(sorted(set(slurm.run(["sinfo", "-h", "-N", "-o", "%N"]).stdout.split())))

    def set_to(*words: str) -> None:
        slurm.admin(["scontrol", "update", f"nodename={nodes}", *words])

    set_to("state=drain", "reason=test")
    try:
        came = renewal(arc, "AREX", options(arc), lambda _: set_to("state=resume"))
    except BaseException:
        set_to("state=resume")
        raise

    assert (came.waiting, came.seen) == ("", ["second", "second"])
    assert "has begun" in came.running
