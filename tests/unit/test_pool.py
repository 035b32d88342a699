"""A pool's own behaviour, beyond what every backend does."""

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ce_backends.base import Accepted, Notifies, Peeks, Rejected, SlotCount, TaskState
from ce_backends.conformance.subject import task
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.pool.ce import InProcess, Pool
from ce_backends.pool.monitor import USUAL
from ce_backends.registry import validate
from ce_backends.task.script import quote
from tests.unit.pool_scene import MakePool, begin, ended, make_pool
from tests.waiting import PATIENCE_S, until

__all__ = ["make_pool"]


def output(pool: Pool, script: str, **fields: object) -> str:
    task_id = begin(pool, task(script, **fields))
    ended(pool, task_id)
    return pool.peek(task_id, "stdout", 100_000).decode()


def test_task_that_does_not_fit_now_is_rejected_with_both_numbers(make_pool: MakePool) -> None:
    pool = make_pool(processors=4)
    begin(pool, task("sleep 100\n", processors=3))
    big = task(":\n", processors=2)

    answers = pool.submit([big])

    assert answers == {big.stamp: Rejected("needs 2 processors, 1 are free")}
    assert pool.slots() == SlotCount(running=1, waiting=0, free_processors=1)


def test_in_process_runs_one_task_of_any_size_at_a_time(make_pool: MakePool) -> None:
    pool = make_pool(InProcess, processors=1)
    first = begin(pool, task("sleep 100\n", processors=8))
    second = task(":\n")

    refused = pool.submit([second])[second.stamp]
    busy = pool.slots()
    pool.cancel([first])
    ended(pool, first)

    assert refused == Rejected("another task runs already")
    assert busy.free_processors == 0
    assert isinstance(pool.submit([second])[second.stamp], Accepted)


def test_pool_notifies_and_peeks(make_pool: MakePool) -> None:
    pool = make_pool()

    assert isinstance(pool, Notifies)
    assert isinstance(pool, Peeks)


def test_end_of_a_task_is_told_at_once(make_pool: MakePool) -> None:
    pool, told = make_pool(), threading.Event()
    pool.notify(told.set)

    task_id = begin(pool, task("exit 3\n"))

    assert told.wait(PATIENCE_S)
    assert pool.poll([task_id])[task_id].exit_code == 3


def test_payload_runs_on_its_processors_and_the_agent_stays_on_its_own(make_pool: MakePool) -> None:
    usable = os.sched_getaffinity(0)
    one = max(usable)

    seen = output(make_pool(), "grep Cpus_allowed_list /proc/self/status\n", processor_ids=[one])

    assert seen.split() == ["Cpus_allowed_list:", str(one)]
    assert os.sched_getaffinity(0) == usable


def test_processor_that_does_not_exist_is_rejected(make_pool: MakePool) -> None:
    pool, odd = make_pool(), task(":\n", processor_ids=[1000])

    answer = pool.submit([odd])[odd.stamp]

    assert isinstance(answer, Rejected)
    assert pool.find([odd.stamp]) == {}
    assert pool.slots().free_processors == 4


def test_payload_inherits_no_ignored_and_no_blocked_signal(make_pool: MakePool) -> None:
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})
    try:
        seen = output(make_pool(), "grep -E 'SigIgn|SigBlk' /proc/self/status\n")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGUSR1, before)

    of_the_c_library = (
        1 << 31 | 1 << 32
    )  # signals 32 and 33, nptl(7): glibc's posix_spawn ignores them until a thread needs them
    assert [int(line.split()[1], 16) & ~of_the_c_library for line in seen.splitlines()] == [0, 0]


def test_payload_inherits_no_open_file(make_pool: MakePool, tmp_path: Path) -> None:
    with (tmp_path / "agents-own").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        seen = output(make_pool(), "ls -l /proc/$$/fd\n")

    assert "agents-own" not in seen


def test_wall_limit_ends_the_task_and_says_so(make_pool: MakePool) -> None:
    pool = make_pool()

    status = ended(pool, begin(pool, task("sleep 100\n", wall_s=1)))

    assert (status.state, status.reason) == (TaskState.FAILED, "wall limit of 1 s exceeded")


def test_payload_may_leave_a_reason(make_pool: MakePool) -> None:
    pool = make_pool()

    status = ended(pool, begin(pool, task('echo "no such dataset" > "$GRIDPILOT_REASON_FILE"; exit 1\n')))

    assert (status.state, status.exit_code, status.reason) == (TaskState.DONE, 1, "no such dataset")


def test_memory_limit_ends_the_task_with_limit_and_peak(make_pool: MakePool) -> None:
    pool = make_pool()
    if "memory" not in pool.containment.limits:
        pytest.skip(f"no memory limit to be had here: {pool.containment.why_not_better}")
    hog = "x=0123456789abcdef; while :; do x=$x$x; done\n"

    status = ended(pool, begin(pool, task(hog, memory_mb=40)))

    assert status.state is TaskState.FAILED
    assert status.reason.startswith("memory limit of 40 MB exceeded (peak ")
    assert 20 < (status.usage.memory_peak_mb or 0) < 60


def test_a_task_that_asks_for_no_memory_has_the_limit_of_its_vo(make_pool: MakePool) -> None:
    pool = make_pool(bounds=replace(USUAL, memory_mb=40))
    if "memory" not in pool.containment.limits:
        pytest.skip(f"no memory limit to be had here: {pool.containment.why_not_better}")
    hog = "x=0123456789abcdef; while :; do x=$x$x; done\n"

    status = ended(pool, begin(pool, task(hog)))

    assert status.reason.startswith("memory limit of 40 MB exceeded (peak ")


def test_options_of_a_vo_limit_memory_and_swap(tmp_path: Path) -> None:
    """DIRAC's MemoryLimitMB and MemoryNoSwap (8.0.68, 9.0)."""
    limited = validate("Pool", {"MemoryLimitMB": "3900", "MemoryNoSwap": "no"})

    assert (limited["MemoryLimitMB"], limited["MemoryNoSwap"]) == (3900, False)
    Pool.from_options(tmp_path, limited).close()


def test_missing_input_is_rejected_with_its_path(make_pool: MakePool, tmp_path: Path) -> None:
    pool, spec = make_pool(), task(":\n", inputs=[tmp_path / "nowhere"])

    answer = pool.submit([spec])[spec.stamp]

    assert answer == Rejected(f"input {tmp_path / 'nowhere'} cannot be copied: No such file or directory")
    assert list((tmp_path / "pool").iterdir()) == []


def test_environment_too_big_for_the_kernel_is_rejected(make_pool: MakePool) -> None:
    pool, spec = make_pool(), task(":\n", environment={"BIG": "x" * 3_000_000})

    answer = pool.submit([spec])[spec.stamp]

    assert isinstance(answer, Rejected)
    assert "Argument list too long" in answer.reason


def test_work_directory_that_cannot_be_made_means_nothing_was_submitted(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    pool = Pool(tmp_path / "file/pool", processors=1)

    with pytest.raises(CEUnavailable, match=r"work directory .* cannot be made: Not a directory"):
        pool.submit([task(":\n")])

    pool.close()


def test_credential_is_the_payloads_alone(make_pool: MakePool, tmp_path: Path) -> None:
    (tmp_path / "proxy").write_text("secret")

    seen = output(
        make_pool(), 'stat -c %a "$GRIDPILOT_CREDENTIAL"; cat "$GRIDPILOT_CREDENTIAL"\n', credential=tmp_path / "proxy"
    )

    assert seen == "600\nsecret"


def test_peek_gives_the_end_of_what_was_written(make_pool: MakePool) -> None:
    pool = make_pool()
    task_id = begin(pool, task("echo 0123456789; echo abc > own; sleep 100\n"))
    until(lambda: pool.peek(task_id, "own", 10) == b"abc\n")

    assert pool.peek(task_id, "stdout", 4) == b"789\n"


@pytest.mark.parametrize("name", ["link", "../credential", "/etc/passwd", "pipe", "loop", "nowhere"])
def test_peek_shows_nothing_outside_the_work_directory(make_pool: MakePool, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    pool = make_pool()
    script = f"ln -s {quote(str(tmp_path / 'secret'))} link; mkfifo pipe; ln -s loop loop\n"
    task_id = begin(pool, task(script, credential=tmp_path / "secret"))
    ended(pool, task_id)

    assert pool.peek(task_id, name, 100) == b""


def test_peek_at_an_unknown_task_shows_nothing(make_pool: MakePool) -> None:
    assert make_pool().peek("../../etc", "passwd", 100) == b""


@pytest.mark.parametrize("script", ["sleep 100\n", None])
def test_only_an_ended_task_can_be_fetched(make_pool: MakePool, tmp_path: Path, script: str | None) -> None:
    pool = make_pool()
    task_id = begin(pool, task(script)) if script else "0" * 32

    with pytest.raises(CEError, match=f"task {task_id} (has not ended|is not known)"):
        pool.fetch(task_id, tmp_path / "into")


def test_running_task_is_not_cleaned(make_pool: MakePool) -> None:
    pool = make_pool()
    task_id = begin(pool, task("sleep 100\n"))

    with pytest.raises(CEError, match=f"task {task_id} still runs"):
        pool.clean([task_id])
