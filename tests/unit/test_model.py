"""The model of a job's life holds; and each of its faults finds the bug that is planted for it.

Sets of faults that take longer are gone through by `make model`.
"""

import pytest

from tests.model.__main__ import SETS
from tests.model.explore import Explored, explore, faults_of
from tests.model.state import AS_IT_IS, Fault, Protection

# fault: a protection of the code, without which it breaks a promise; and what else has to happen
PLANTED = [
    (Fault.CRASH, Protection.STAMP_RUNS_ONCE, "", "DOUBLE"),
    (Fault.CRASH, Protection.ORDER_IN_ONE_STEP, "SLOT", "LOST"),
    (Fault.DEATH, Protection.VANISHED_GOES_BACK, "", "LOST"),
    (Fault.POWER, Protection.SYNC_BEFORE_START, "", "DOUBLE"),
    (Fault.POWER, Protection.SYNC_BEFORE_TELLING, "", "LOST"),
    (Fault.POWER, Protection.OTHER_BOOT_GOES_BACK, "", "DOUBLE"),
    (Fault.POWER, Protection.REQUEST_IS_WRITTEN, "", "LOST"),
    (Fault.GONE, Protection.UNKNOWN_IS_LOST, "DEATH", "LOST"),
    (Fault.CLOCK, Protection.MOMENTS_GO_ON, "CRASH", "LOST"),
    (Fault.LOST, Protection.LOOK_AFTER_ANY_ERROR, "", "LOST"),
    (Fault.LOST, Protection.DOUBT_AFTER_ANY_ERROR, "SLOT", "SPOILED"),
    (Fault.MISREAD, Protection.LOOK_AFTER_ANY_ERROR, "", "LOST"),
    (Fault.MISREAD, Protection.DOUBT_AFTER_ANY_ERROR, "SLOT", "SPOILED"),
    (Fault.LATE, Protection.READ_BACK, "BEATS", "LOST"),
    (Fault.KILL, Protection.KILL_IS_OBEYED, "BEATS", "KILLED"),
    (Fault.SLOT, Protection.SUCCESS_STAYS, "", "RERUN"),
    (Fault.BEATS, Protection.BEATS_END_FIRST, "", "LOST"),
    (Fault.SHARED, Protection.LOOK_WITH_PATIENCE, "CRASH", "DOUBLE"),
    (Fault.TAKEN, Protection.ASK_AFTER_RESTART, "CRASH", "FOREIGN"),
    (Fault.TAKEN, Protection.ASK_BEFORE_START, "CRASH", "FOREIGN"),
]


def kinds(explored: Explored) -> set[str]:
    return {finding.sentence.partition(":")[0] for finding in explored.findings}


@pytest.mark.parametrize("faults", SETS)
def test_no_promise_is_broken_whatever_happens_when(faults: str) -> None:
    explored = explore(faults_of(faults))

    assert explored.findings == ()
    assert explored.is_whole


@pytest.mark.parametrize(("fault", "protection", "others", "broken"), PLANTED)
def test_a_planted_bug_is_found_by_its_fault_and_only_by_it(
    fault: Fault, protection: Protection, others: str, broken: str
) -> None:
    without = AS_IT_IS - {protection}

    found = explore({**faults_of(others), fault: 1}, without)

    assert broken in kinds(found)
    assert all(finding.trace for finding in found.findings)
    assert kinds(explore(faults_of(others), without)) == set()
    assert kinds(explore({**faults_of(others), fault: 1})) == set()


def test_each_fault_and_each_protection_has_a_planted_bug() -> None:
    assert {fault for fault, *_ in PLANTED} == set(Fault)
    assert {protection for _, protection, *_ in PLANTED} == set(Protection)
