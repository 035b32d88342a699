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


CODE = [*PACKAGES, "jobexec", "tools", "docs", "bench"]


@pytest.mark.parametrize("folder", CODE)
def test_no_function_has_more_than_60_lines_and_no_file_more_than_400(folder: str) -> None:
    functions, files = floor_plan.lengths(folder)

    assert files
    assert {name: lines for name, lines in functions.items() if lines > 60} == {}
    assert {name: lines for name, lines in files.items() if lines > 400} == {}
