"""Marks, the shared WMS, a scene for each test, and the page of results.

`--faults-page FILE` writes the page. `--need all` (or GRIDPILOT_NEED) turns a missing facility (root, loop devices,
libfaketime, …) from a skip into a failure; it also takes a comma list of facilities.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from tests.faults.fault_proxy import FaultProxy, before
from tests.faults.results import Result, page
from tests.faults.scene import Scene
from tests.kept_keys import kept_keys

__all__ = ["kept_keys"]

NEED = "GRIDPILOT_NEED"
RESULTS = pytest.StashKey[list[Result]]()
PROPERTY = "fault"  # how a result gets from the process that has it to the one that writes the page


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-page", default="", help="write the results of the fault matrix to this file")
    parser.addoption("--need", default=os.environ.get(NEED, ""), help="facilities whose absence is a failure, or all")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "scenario(number, done): a row of the fault matrix and what is done in it")
    config.addinivalue_line("markers", "quick: belongs to the subset that every `make test` runs")
    config.addinivalue_line("markers", "long: takes longer than most; begins first")
    config.stash[RESULTS] = []
    config.pluginmanager.register(Collector(config.stash[RESULTS]), "gridpilot-faults")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long ones first, so that none of them is what everybody waits for in the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


class Collector:
    """Gathers results from the test processes."""

    def __init__(self, results: list[Result]) -> None:
        self._results = results

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._results += [Result(**value) for name, value in report.user_properties if name == PROPERTY]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    mark = item.get_closest_marker("scenario")
    if mark and (report.when == "call" or report.outcome != "passed"):
        number, done = mark.args
        held = getattr(item, "originalname", item.name).removeprefix("test_").replace("_", " ")
        verdict, reason = _verdict(report)
        result = Result(number, done, held, verdict, reason)
        report.user_properties.append((PROPERTY, dataclasses.asdict(result)))
    return report


def _verdict(report: pytest.TestReport) -> tuple[str, str]:
    """Return the page's word for an outcome, and the reason where one is given."""
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        return "skipped", reason.removeprefix("Skipped: ")
    return ("held" if report.passed else "FAILED"), ""


def pytest_sessionfinish(session: pytest.Session) -> None:
    path, results = session.config.getoption("--faults-page"), session.config.stash[RESULTS]
    if path and results and not hasattr(session.config, "workerinput"):
        Path(path).write_text(page(results), encoding="utf-8")


@pytest.fixture
def need(request: pytest.FixtureRequest) -> Callable[[str, bool, str], None]:
    """Skip a test whose facility this machine lacks; fail it where the facility is needed by order."""
    ordered = {word.strip() for word in request.config.getoption("--need").split(",")}

    def check(facility: str, is_there: bool, why: str) -> None:
        if is_there:
            return
        if ordered & {"all", facility}:
            pytest.fail(f"--need {facility}: {why}")
        pytest.skip(f"needs {facility}: {why}")

    return check


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """One local WMS for all scenes; a tag keeps their jobs apart."""
    with running(tmp_path_factory.mktemp("wms")) as started:
        yield started


@pytest.fixture
def scene(endpoint: Endpoint, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A stage that is gone afterwards; a test that passed must have checked the invariants."""
    stage = Scene(endpoint, tmp_path)
    try:
        yield stage
    finally:
        stage.close()


@pytest.fixture
def proxy(endpoint: Endpoint) -> Iterator[FaultProxy]:
    """A fault proxy before the WMS."""
    with before(endpoint) as started:
        yield started
