"""What a test asserts and the product does not do yet; the reasons are the work list."""

import pytest


def missing(reason: str) -> pytest.MarkDecorator:
    """Expect an assertion of this test to fail until the product does what the reason names."""
    return pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason)
