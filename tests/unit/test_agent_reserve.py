"""Space on the disk for a bad moment."""

from pathlib import Path

from agents.jobs.disk_reserve import DiskReserve


def test_reserve_is_held_in_real_blocks_until_it_is_released(tmp_path: Path) -> None:
    reserve = DiskReserve(tmp_path / "reserve", size_bytes=8192)

    assert reserve.hold()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= 8192
    assert reserve.release()
    assert not (tmp_path / "reserve").exists()
    assert not reserve.release()


def test_reserve_that_cannot_be_held_leaves_nothing(tmp_path: Path) -> None:
    reserve = DiskReserve(tmp_path / "missing" / "reserve", size_bytes=8192)

    assert not reserve.hold()
    assert list(tmp_path.iterdir()) == []
