"""A pytest plug-in: any backend runs the conformance suite with one command, and gets a verdict for each clause.

    pytest --pyargs ce_backends.conformance.test_suite --ce FILE|TYPE [--ce-option OPTION=VALUE …]

Loaded wherever gridpilot is installed; it costs two options and a fixture.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ce_backends.parser import seconds


def pytest_addoption(parser: Any) -> None:
    """Add the options that name the CE."""
    group = parser.getgroup("gridpilot", "gridpilot: conformance of a computing element")
    group.addoption("--ce", metavar="FILE|TYPE", default="", help="the CE: a configuration file, or a type")
    group.addoption("--ce-option", action="append", default=[], metavar="OPTION=VALUE", help="one option of the CE")
    group.addoption("--ce-name", default="", metavar="NAME", help="of several CEs in FILE, this one")
    group.addoption("--ce-deadline", type=seconds(), default=300.0, metavar="S", help="per step (default: 300)")


@pytest.fixture
def ce_subject(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """The CE that the command line names, with a directory of its own for each test."""
    from ce_backends import registry  # noqa: PLC0415 # not where nobody asks
    from ce_backends.cli import commands  # noqa: PLC0415 # not where nobody asks
    from ce_backends.conformance.subject import Subject  # noqa: PLC0415

    given: Sequence[str] = request.config.getoption("--ce-option")
    subject = request.config.getoption("--ce")
    if not subject:
        pytest.fail("which CE? expected --ce FILE or --ce TYPE")
    arguments = argparse.Namespace(subject=subject, options=given, ce=request.config.getoption("--ce-name"))
    definition, options, trouble = commands.chosen(arguments)
    if trouble:
        pytest.fail(f"{subject} cannot be used on this machine now: {trouble}")

    def created(state: Path) -> Any:
        return registry.create(definition.ce_type, options, state)

    deadline_s: float = request.config.getoption("--ce-deadline")
    return Subject(lambda: created(tmp_path / "state"), tmp_path, deadline_s, create_at=created)
