"""A running task's credential is replaced in one step, and nobody else can ever read it."""

import threading
from pathlib import Path

import pytest

from ce_backends.base import Accepted, RenewsCredentials, TaskSpec
from ce_backends.errors import CEError
from ce_backends.pool.ce import Pool
from ce_backends.pool.layout import renew_credential
from tests.waiting import PATIENCE_S, until


def test_a_reader_sees_the_old_one_or_the_new_one_and_nothing_between(tmp_path: Path) -> None:
    source, target = tmp_path / "new", tmp_path / "credential"
    contents = {"a" * 9000, "b" * 9000}
    target.write_text("a" * 9000, encoding="ascii")
    seen: set[str] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(target.read_text(encoding="ascii"))

    reader = threading.Thread(target=read)
    reader.start()
    for text in sorted(contents) * 20:
        source.write_text(text, encoding="ascii")
        renew_credential(source, target)
    stop.set()
    reader.join(PATIENCE_S)

    assert seen <= contents
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["credential", "new"]


def test_a_credential_that_cannot_be_read_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "credential"
    target.write_text("old", encoding="ascii")

    with pytest.raises(CEError, match="none cannot be copied: No such file"):
        renew_credential(tmp_path / "none", target)

    assert target.read_text(encoding="ascii") == "old"


def test_a_payload_in_a_pool_meets_its_renewed_credential(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("first", encoding="ascii")
    second.write_text("second", encoding="ascii")
    pool = Pool(tmp_path / "pool", processors=1)
    script = 'until grep -q second "$GRIDPILOT_CREDENTIAL"; do sleep 0.1; done'
    try:
        stamp = "a" * 32
        answer = pool.submit([TaskSpec(stamp=stamp, script=script, credential=first)])[stamp]
        assert isinstance(answer, Accepted)
        assert isinstance(pool, RenewsCredentials)

        pool.renew_credential(answer.task_id, second)

        until(lambda: pool.poll([answer.task_id])[answer.task_id].state.is_final)
        assert pool.poll([answer.task_id])[answer.task_id].exit_code == 0
    finally:
        pool.cancel([answer.task_id])
        pool.clean([answer.task_id])
        pool.close()
