"""Pools on one directory, and tasks in them from begin to end."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ce_backends.base import Accepted, TaskSpec, TaskStatus
from ce_backends.pool.ce import Pool
from tests.waiting import until

MakePool = Callable[..., Pool]


@pytest.fixture
def make_pool(tmp_path: Path) -> Iterator[MakePool]:
    """Make pools on one directory; at the end everything they run is ended."""
    made: list[Pool] = []

    def make(kind: type[Pool] = Pool, **options: object) -> Pool:
        made.append(kind(tmp_path / "pool", **{"processors": 4, "grace_s": 0.2, **options}))
        return made[-1]

    yield make
    for pool in made:
        pool.slots()
        running = [path.name for path in (tmp_path / "pool").iterdir() if pool.find([path.name])]
        pool.cancel(running)
        for task_id in running:
            ended(pool, task_id)
        pool.close()


def begin(pool: Pool, spec: TaskSpec) -> str:
    answer = pool.submit([spec])[spec.stamp]
    assert isinstance(answer, Accepted), answer
    return answer.task_id


def ended(pool: Pool, task_id: str) -> TaskStatus:
    until(lambda: pool.poll([task_id])[task_id].state.is_final)
    return pool.poll([task_id])[task_id]
