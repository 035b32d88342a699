"""`--need NAME`, and the real systems as fixtures.

A system that cannot be had on this machine is skipped with its reason; with `--need NAME`, or `--need all`, that is a
failure, so that a skip cannot look like a pass where it counts.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.systems.real_system import CannotBeHad, RealSystem, bring_up

Have = Callable[..., RealSystem]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--need", action="append", default=[], metavar="NAME", help="a system that must run; all for all")
    parser.addoption("--keep-systems", action="store_true", help="leave the systems running at the end")


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
                up[key] = bring_up(name, variables)
            except CannotBeHad as reason:
                up[key] = reason
        system = up[key]
        if isinstance(system, CannotBeHad):
            if name in needed or "all" in needed:
                pytest.fail(f"{name} is needed and was not run: {system}")
            pytest.skip(f"{name} was not run: {system}")
        return system

    yield bring
    if not request.config.getoption("--keep-systems"):
        for system in reversed(up.values()):
            if isinstance(system, RealSystem):
                system.down()
