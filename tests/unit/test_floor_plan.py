"""The floor plan: every room stands on a floor, and imports run down only."""

import pytest

from tools import floor_plan

PACKAGES = [*floor_plan.FLOORS]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_stands_on_one_floor(package: str) -> None:
    listed = [room for rooms in floor_plan.FLOORS[package] for room in rooms]

    assert len(listed) == len(set(listed))
    assert set(listed) - set(floor_plan.FORESEEN.get(package, ())) <= floor_plan.rooms_of(package) <= set(listed)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_room_imports_one_above_or_beside_it(package: str) -> None:
    assert floor_plan.arrows(package)
    assert floor_plan.upwards(package) == []
