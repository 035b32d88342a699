"""`--need NAME`, and the real systems as fixtures.

A system that cannot be had on this machine is skipped with its reason; with `--need NAME`, or `--need all`, that is a
failure, so that a skip cannot look like a pass where it counts.
"""

import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.orphans import orphans_are_inits
from tests.systems import daemon_logs
from tests.systems.listening import beyond_loopback
from tests.systems.manifest import Generation
from tests.systems.real_system import ROOT, CannotBeHad, RealSystem, bring_up

__all__ = ["orphans_are_inits"]  # for all modules of this folder

Have = Callable[..., RealSystem]
LOGS = ROOT / ".logs"
_running: list[RealSystem] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--need", action="append", default=[], metavar="NAME", help="a system that must run; all for all")
    parser.addoption("--keep-systems", action="store_true", help="leave the systems running at the end")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "newest: a version that moves; `make systems-canary` takes its newest")
    config.addinivalue_line("markers", "slow: too slow for `make systems`; in `make systems-canary`")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Name, in a failure, the folders in which the logs of all that runs are kept."""
    report = yield
    if report.failed:
        report.sections += [("logs of the daemons", str(daemon_logs.keep(up.folder, LOGS))) for up in _running]
    return report


@pytest.fixture(scope="module")
def have(request: pytest.FixtureRequest) -> Iterator[Have]:
    """Return a function that brings a system up: have("slurm"), have("arc", GRIDPILOT_ARC_LRMS="slurm").

    Once for the tests of a file, at whose end all go: ARC alone keeps half a processor busy.
    """
    needed: list[str] = request.config.getoption("--need")
    up: dict[tuple[object, ...], RealSystem | CannotBeHad] = {}

    def bring(name: str, **variables: str) -> RealSystem:
        key = (name, *sorted(variables.items()))
        if key not in up:
            try:
                up[key] = started = bring_up(name, variables)
                _running.append(started)
            except CannotBeHad as reason:
                up[key] = reason
        system = up[key]
        if isinstance(system, CannotBeHad):
            if name in needed or "all" in needed:
                pytest.fail(f"{name} is needed and was not run: {system}")
            pytest.skip(f"{name} was not run: {system}")
        assert (far := beyond_loopback(system.mark)) == [], f"{name} can be reached from other machines at {far}"
        return system

    yield bring
    if not request.config.getoption("--keep-systems"):
        for system in reversed(up.values()):
            if isinstance(system, RealSystem):
                system.down()
    _running.clear()


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle of this tree; made once, for it takes a while."""
    into = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "tools.bundle", "--into", str(into)], cwd=ROOT, check=True)
    return into / "gridpilot.pyz"


def of(row: Generation, have: Have) -> RealSystem:
    """Bring up what a row of the manifest says; it is of that version."""
    system = have(row.system, **row.variables)
    is_it = f"{system.version}.".startswith(f"{row.version}.")
    assert is_it, f"this is {row.title} {system.version}; the manifest says {row.version}"
    return system
