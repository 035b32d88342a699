"""The conformance suite on a CE that is broken in many ways: it sees each bug, and none ends it."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ce_backends.cli.template_ce import TemplateCE
from ce_backends.conformance.subject import Subject
from ce_backends.conformance.suite import CHECKS, Check, Result, run
from tests.unit.planted_bugs import (
    calls,
    elements,
    ends,
    files,
    grants,
    limits,
    looks,
    oddities,
    restarts,
    secrets,
    streams,
)
from tests.unit.planted_bugs.marks import ALLOWED, BUGS

# Which mark their bugs when they are imported
SUBJECTS = (streams, files, grants, secrets, limits, calls, restarts, looks, ends, elements, oddities)
DEADLINE_S = 3.0
BY_NAME = {check.__name__: check for check in CHECKS}


def result_of(kind: type[TemplateCE], check: Check, place: Path, deadline_s: float = DEADLINE_S) -> Result:
    def created(state: Path) -> TemplateCE:
        return kind(state, 4)

    (result,) = run(Subject(lambda: created(place / "state"), place, deadline_s, create_at=created), [check])
    return result


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """A bug leaves tasks running: end them."""
    yield
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("GRIDPILOT_REASON_FILE", "").startswith(f"{tmp_path}/"):
                process.kill()


@pytest.mark.parametrize(("kind", "clause"), BUGS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_planted_bug_is_caught(kind: type[TemplateCE], clause: str, tmp_path: Path) -> None:
    result = result_of(kind, BY_NAME[clause], tmp_path)

    assert not result.passed
    assert result.problem


@pytest.mark.parametrize("clause", sorted({*BUGS.values()}))
def test_clause_that_catches_bugs_is_kept_without_them(clause: str, tmp_path: Path) -> None:
    result = result_of(TemplateCE, BY_NAME[clause], tmp_path, 20)

    assert result.problem == ""


@pytest.mark.parametrize(
    ("kind", "clause"),
    [(kind, clause) for kind, clauses in ALLOWED.items() for clause in clauses],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_the_contract_allows_is_no_bug(kind: type[TemplateCE], clause: str, tmp_path: Path) -> None:
    assert result_of(kind, BY_NAME[clause], tmp_path, 20).problem == ""


def test_every_clause_has_a_planted_bug() -> None:
    assert set(BY_NAME) - set(BUGS.values()) == set()
    assert len(BUGS) >= 45
