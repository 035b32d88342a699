"""Orphans of servers that tests start are init's: a pool in the tests' own process would leave them to it, as zombies.

A zombie counts as alive for whoever asks by its pid: a Grid Engine never notices that a lost task's shepherd has ended,
and Apache does not start again.
"""

import ctypes

import pytest

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@pytest.fixture(scope="module", autouse=True)
def orphans_are_inits() -> None:
    """Let a pool of a former module be the sub-reaper no longer; one that is made later is it again."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
