"""The conformance suite as pytest runs it: `pytest --pyargs ce_backends.conformance.test_suite --ce FILE|TYPE`."""

import pytest

from ce_backends.conformance.subject import Subject
from ce_backends.conformance.suite import CHECKS, Check, run


@pytest.mark.parametrize("clause", CHECKS, ids=lambda check: check.__name__)
def test_ce(clause: Check, ce_subject: Subject) -> None:
    """One clause of the contract."""
    (result,) = run(ce_subject, [clause])

    if result.unkept:
        pytest.skip(f"not kept here: {result.unkept}")
    if result.problem:
        pytest.fail(result.problem, pytrace=False)
