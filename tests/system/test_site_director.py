"""The SiteDirector between the real DIRAC and a real Slurm: jobs of DIRAC's client, pilots that this client knows."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.dirac_stack import Stack
from tests.system.pilot_scene import PilotScene, Shape, gone_at_last
from tests.systems.real_system import RealSystem, bring_up

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start Slurm's daemons")
JDL = """
    JobName = "by our pilot"; Executable = "/bin/sleep"; Arguments = "1"; CPUTime = 300;
    StdOutput = "std.out"; OutputSandbox = {"std.out"};
"""
DONE_S = 240.0


@pytest.fixture(scope="module")
def slurm() -> Iterator[RealSystem]:
    system = bring_up("slurm", {"SLURM_ACCOUNTING": "0"})
    yield system
    system.down()


@pytest.fixture(scope="module")
def pilots_proxy(stack: Stack) -> None:
    """The ProxyManager has the proxy of the pilots' user, as of any user's who has once run dirac-proxy-init."""
    stack.client("pilot", "upload-proxy", str(Path(stack.endpoint["pilot_proxy"]).parent / "pilot"))


def test_jobs_of_dirac_are_done_by_pilots_that_dirac_knows_from_the_first_second(
    stack: Stack, slurm: RealSystem, pilots_proxy: None, tmp_path: Path
) -> None:
    """Two CEs fit the same jobs; the director is killed while its pilots are on their way, and begins again."""
    with gone_at_last(stack, slurm, jobs := list[int]()):
        _jobs_are_done_by_pilots(stack, slurm, tmp_path, jobs)


def _jobs_are_done_by_pilots(stack: Stack, slurm: RealSystem, tmp_path: Path, jobs: list[int]) -> None:
    scene = PilotScene(stack, slurm, tmp_path, Shape(ces=2, processors=2))
    with scene.director as director:
        scene.begun()
        jobs += stack.submit(JDL, count=3)
        jobs += stack.submit(f"{JDL} NumberOfProcessors = 2;")
        jobs += stack.submit(f"{JDL} NumberOfProcessors = 16;")
        *fitting, too_large = jobs
        director.until(lambda: scene.pilots()["Running"] > 0, "a pilot runs")
        assert director.process
        director.process.kill()
        director.process.wait()
        director.start()
        scene.begun(2)
        statuses = stack.wait(fitting, lambda status: status in ("Done", "Failed"), DONE_S)
        why_not = director.ask("why", str(too_large), *director.options)
        director.until(lambda: set(scene.pilots()) == {"Done"}, "all pilots have ended")
        director.until(lambda: all(pilot["is_told"] for pilot in scene.ledger()), "what they ran is known")
        director.until(lambda: '"unsent_reports": 0' in director.ask("status", "--json"), "all is told")
        code = director.stop()

    ledger, registered = scene.ledger(), scene.registered()
    assert (set(statuses.values()), code, scene.in_slurm()) == ({"Done"}, 0, [])
    assert "it asks for 16 processors, pilots there have 2" in why_not
    assert set(registered) == {pilot["stamp"] for pilot in ledger}
    assert {info["Status"] for info in registered.values()} == {"Done"}
    ran = Counter(job for info in registered.values() for job in info.get("Jobs", []))
    assert ran == Counter(fitting)  # each once, and DIRAC knows by which pilot
    assert sum(pilot["jobs"] for pilot in ledger) == 4  # so do we
    assert all(info["DestinationSite"].startswith("ce") and info["Queue"] == "grid" for info in registered.values())
    assert not list((slurm.home / tmp_path.name).glob("*/tasks/*"))
    written = director.written() + (director.work_dir / "site_director.log").read_text(encoding="utf-8")
    assert "PRIVATE KEY" not in written
