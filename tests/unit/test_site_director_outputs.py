"""Outputs of ended pilots: short, few, and gone after a while."""

import os
from pathlib import Path

import pytest

from agents.site_director import outputs

NOW, DAY_S = 1_000_000.0, 86_400.0


def kept(folder: Path, number: int, age_s: float) -> Path:
    made = folder / f"{number:032x}"
    made.mkdir(parents=True)
    (made / "stdout").write_text(f"x pilot.ended why='it is {number}' y\n")
    os.utime(made, (NOW - age_s, NOW - age_s))
    return made


@pytest.mark.parametrize(
    ("number", "age_s", "stay"), [(10, 9 * DAY_S, {0, 1, 2}), (2, 9 * DAY_S, {0, 1}), (10, DAY_S, {0})]
)
def test_so_many_stay_as_are_wanted_and_no_longer(tmp_path: Path, number: int, age_s: float, stay: set[int]) -> None:
    made = [kept(tmp_path, each, each * DAY_S * 1.5) for each in range(3)]
    (tmp_path / "mine").mkdir()
    outputs.prune(tmp_path, number, age_s, NOW)
    outputs.prune(tmp_path / "none", number, age_s, NOW)

    assert {each for each in range(3) if made[each].exists()} == stay
    assert (tmp_path / "mine").exists()


def test_what_is_long_loses_its_middle_and_says_why_all_the_same(tmp_path: Path) -> None:
    folder = kept(tmp_path, 7, 0)
    said = (folder / "stdout").read_bytes()
    (folder / "stdout").write_bytes(b"begin " + b"." * 5_000_000 + b" " + said)
    (folder / "stderr").write_bytes(b"short")
    outputs.shorten(folder)
    text = (folder / "stdout").read_bytes()

    assert len(text) == 1_000_000
    assert text.startswith(b"begin ")
    assert text.endswith(said)
    assert b"the middle of this output was cut out" in text
    assert (folder / "stderr").read_bytes() == b"short"
    assert outputs.why(folder) == "it is 7"
    assert sorted(path.name for path in folder.iterdir()) == ["stderr", "stdout"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    folder, other = kept(tmp_path, 7, 0), tmp_path / "other"
    other.write_bytes(b"." * 2_000_000)
    (folder / "stdout").unlink()
    (folder / "stdout").symlink_to(other)
    outputs.shorten(folder)

    assert other.stat().st_size == 2_000_000
    assert outputs.tail(folder) == ""
