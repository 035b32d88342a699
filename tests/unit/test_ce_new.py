"""What CI gets of the conformance suite: a distribution to begin with, chosen clauses, JUnit's XML, versions."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import ce_backends
from ce_backends import base
from ce_backends.__main__ import main
from ce_backends.cli.new import distribution
from ce_backends.conformance import suite as conformance
from ce_backends.conformance.junit import junit
from ce_backends.conformance.suite import Result
from ce_backends.errors import CEMisconfigured

ROOT = Path(__file__).parents[2]
POOL = ["test", "InProcess", "-o", "KillGraceTime=0.1"]


def installed(name: str, tmp_path: Path) -> Path:
    """Make the distribution of a new CE type, and return a folder where it is installed."""
    assert main(["new", name, "--into", str(tmp_path / "new")]) == 0
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=tmp_path / "new", check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    return tmp_path / "site"


def test_new_ce_passes_the_suite_by_its_own_tests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = installed("SlowQueue", tmp_path)
    only = "output_and_exit_code or cancel_ends_the_whole or credential or wall_limit"

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", only, "-p", "no:cacheprovider", "-rs"],
        cwd=tmp_path / "new",
        env={**os.environ, "PYTHONPATH": f"{site}:{ROOT}"},
        check=False,
        text=True,
        capture_output=True,
    )

    assert "pip install" in capsys.readouterr().out
    assert "3 passed, 1 skipped" in done.stdout, done.stdout + done.stderr


def test_new_ce_touches_nothing_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "Mine", "--into", str(tmp_path)]) == 2

    assert "choose another place with --into" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "slow", "My-CE", "Ünï", "A" * 40, "X; rm"])
def test_name_that_is_none_for_a_ce_type_is_told(name: str) -> None:
    with pytest.raises(CEMisconfigured, match="is no name for a CE type"):
        distribution(name)


def test_only_the_named_clauses_are_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*POOL, "--clause", "inputs_arrive", "--clause", "output may hold any byte"]) == 0

    said = capsys.readouterr().out
    assert "2 of 2 clauses kept, 0 broken" in said
    assert re.search(r"ok .* inputs arrive", said)


def test_misspelt_clause_gets_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*POOL, "--clause", "inputs_arive"]) == 2

    assert "there is no clause inputs_arive; did you mean inputs_arrive?" in capsys.readouterr().err


def test_json_tells_the_versions_of_contract_and_suite(capsys: pytest.CaptureFixture[str]) -> None:
    main([*POOL, "--clause", "inputs_arrive", "--json"])

    told = json.loads(capsys.readouterr().out)
    assert (told["contract"], told["suite"]) == (conformance.CONTRACT_VERSION, conformance.SUITE_VERSION)
    assert [result["check"] for result in told["results"]] == ["inputs arrive"]


def test_verdicts_are_written_as_junit(tmp_path: Path) -> None:
    main([*POOL, "--clause", "inputs_arrive", "--json", "--junit", str(tmp_path / "j.xml")])

    suite = ET.fromstring((tmp_path / "j.xml").read_bytes())
    assert (suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuite", "1", "0")
    assert [case.get("name") for case in suite] == ["inputs arrive"]


def test_words_of_a_ce_cannot_spoil_the_xml() -> None:
    words = 'a "quote" <tag> \x00\x1b[2J \ud800'
    results = [
        Result(check="a", passed=False, problem=words, unkept="", wall_s=1.0),
        Result(check="b", passed=True, problem="", unkept=words, wall_s=0.0),
    ]

    failed, skipped = ET.fromstring(junit("X\x07", results))

    assert [child.tag for child in (*failed, *skipped)] == ["failure", "skipped"]
    assert (failed[0].get("message") or "").startswith('a "quote" <tag> ')


def test_what_the_package_hands_on_is_the_contract() -> None:
    of_base = {name for name, value in vars(base).items() if getattr(value, "__module__", "") == base.__name__}
    of_errors = {"CEError", "CEMisconfigured", "CEUnavailable"}

    of_options = {"Option", "OptionValue", "setting", "table_of", "value_of"}

    assert set(ce_backends.__all__) == of_base | of_errors | of_options | {"Submission"}
    assert all(hasattr(ce_backends, name) for name in ce_backends.__all__)


@pytest.mark.parametrize("package", ["pilot", "agents", "ce_backends"])
def test_types_of_the_packages_may_be_used_by_others(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()
