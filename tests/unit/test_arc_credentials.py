"""An ARC CE lets us in by a proxy, by a token, or by a token while jobs have the proxy."""

from pathlib import Path

import pytest

from ce_backends.ce_types.arex import AREX
from ce_backends.conformance.subject import task
from ce_backends.options import parse_options


@pytest.mark.parametrize(
    ("given", "lets_in", "is_delegated"),
    [
        ({}, "proxy /p", True),
        ({"Token": "/t"}, "the token in /t", False),
        ({"Token": "/t", "DelegateProxy": "yes"}, "the token in /t", True),
        ({"DelegateProxy": "yes"}, "proxy /p", True),
    ],
)
def test_who_lets_us_in_and_what_is_delegated(
    given: dict[str, str], lets_in: str, is_delegated: bool, tmp_path: Path
) -> None:
    usual = {"CEName": "ce", "Proxy": "/p", "CADirectory": "/c"}
    options = parse_options(AREX.OPTIONS, {**usual, **given}, "AREX")

    told = "\n".join(AREX.plan(tmp_path, options, [task(":\n")]))

    assert f"with {lets_in}\n" in told
    assert ("signed with /p" in told, "<n:DelegationID>DELEGATION</n:DelegationID>" in told) == (is_delegated,) * 2
