"""`gridpilot ce new`: a distribution with a CE type of one's own that passes the conformance suite, to begin with."""

import argparse
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from ce_backends.errors import CEMisconfigured

_NAME = re.compile(r"[A-Z][A-Za-z0-9]{0,30}", re.ASCII)
_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "0.1"
requires-python = ">=3.11"
dependencies = ["gridpilot"]

[project.optional-dependencies]
test = ["pytest>=8"]

[project.entry-points."gridpilot.ce_backends"]
{name} = "{module}:{name}CE"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
"""
_TEST = """\
\"\"\"The conformance suite of gridpilot on {name}: a test for each clause of the contract.\"\"\"

from pathlib import Path

import pytest

from ce_backends.conformance.suite import CHECKS, Check, run
from ce_backends.registry import create
from ce_backends.conformance.subject import Subject

OPTIONS = {{"MaxTotalJobs": 4}}


@pytest.mark.parametrize("clause", CHECKS, ids=lambda clause: clause.__name__)
def test_contract(clause: Check, tmp_path: Path) -> None:
    def created(state: Path) -> object:
        return create("{name}", OPTIONS, state)

    subject = Subject(lambda: created(tmp_path / "state"), tmp_path, deadline_s=60, create_at=created)
    (result,) = run(subject, [clause])
    if result.unkept:
        pytest.skip(result.unkept)
    assert result.passed, result.problem
"""
_CI = """\
# Runs the conformance suite on each push; the results are shown with the run.
name: conformance
on: [push, pull_request]
jobs:
  conformance:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install '.[test]'
      - run: pytest --junitxml=conformance.xml
      - run: gridpilot ce test {name} -o MaxTotalJobs=4
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: conformance
          path: conformance.xml
"""
_README = """\
# {name}

A CE type for gridpilot. `pip install '.[test]'` beside gridpilot, then:

    gridpilot ce list                            # names {name}
    gridpilot ce test {name} -o MaxTotalJobs=4   # a verdict for every clause of the contract
    pytest                                       # the same, a test each

The CE is `{module}.py`. Put your own system in the place of what it starts, and take out of `unkept` what it keeps.
"""


def new(arguments: argparse.Namespace) -> int:
    """Write the distribution into a new directory; nothing that is there is touched.

    Raises:
        CEMisconfigured: the name is none for a CE type, or the directory is there or cannot be made.
    """
    into = arguments.into or Path(distribution_of(arguments.name))
    contents = distribution(arguments.name)
    try:
        into.mkdir(parents=True)
        for name, text in contents.items():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            (into / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CEMisconfigured(f"{into} cannot be made: {error.strerror}; choose another place with --into") from error
    print(f"{into}: {', '.join(contents)}\nNext: cd {into} && pip install '.[test]' && pytest")
    return 0


def distribution_of(name: str) -> str:
    """Return what the distribution of a CE type is called."""
    return f"{_snake(name).replace('_', '-')}-ce"


def distribution(name: str) -> Mapping[str, str]:
    """Return the files of a distribution with one CE type, by their relative names.

    Raises:
        CEMisconfigured: the name is none for a CE type.
    """
    if not _NAME.fullmatch(name):
        raise CEMisconfigured(f"{name!r} is no name for a CE type: expected letters and digits, a capital first")
    words = {"name": name, "module": f"{_snake(name)}_ce", "distribution": distribution_of(name)}
    return {
        "pyproject.toml": _PYPROJECT.format(**words),
        f"{words['module']}.py": _template().replace("TemplateCE", f"{name}CE"),
        "tests/test_conformance.py": _TEST.format(**words),
        ".github/workflows/conformance.yml": _CI.format(**words),
        "README.md": _README.format(**words),
    }


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _template() -> str:
    try:
        return files("ce_backends.cli").joinpath("template_ce.py").read_text(encoding="utf-8")
    except OSError as error:
        raise CEMisconfigured("this gridpilot is the one file, which has no template: pip install gridpilot") from error
