"""Pools that look at their tasks all the time, and files that take room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ce_backends.containment.cell import Level
from ce_backends.pool.ce import Pool
from ce_backends.pool.monitor import Bounds
from ce_backends.task.log_limit import Cap
from tests.unit.pool_scene import MakePool
from tests.waiting import until

MB = 10**6
OFTEN = Bounds(output=Cap(MB), round_s=0.05, processes_s=0.05, disk_s=0.05)


@pytest.fixture
def make_pool(tmp_path: Path) -> Iterator[MakePool]:
    """Make pools that look at their tasks all the time; at the end everything they run is ended."""
    made: list[Pool] = []

    def make(bounds: Bounds = OFTEN, level: Level = Level.V2) -> Pool:
        made.append(Pool(tmp_path / "pool", processors=4, grace_s=0.2, bounds=bounds, best_containment=level))
        return made[-1]

    yield make
    for pool in made:
        pool.slots()
        pool.kill([path.name for path in (tmp_path / "pool").iterdir()])
        until(lambda pool=pool: pool.slots().running == 0)
        pool.close()


def blocks(path: Path) -> int:
    return path.stat().st_blocks * 512


def written(path: Path, size: int) -> Path:
    """Write a file of whole numbers, each of eight digits, without a line end."""
    path.write_bytes(b"".join(b"%08d" % number for number in range(size // 8)))
    return path
