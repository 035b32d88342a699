"""A pool's own behaviour, beyond what every backend does."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ce_backends.base import Accepted, Notifies, Peeks, Rejected, SlotCount, TaskSpec, TaskState, TaskStatus
from ce_backends.conformance.subject import task
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.linux.processes import children, stat_of
from ce_backends.pool.ce import InProcess, Pool
from ce_backends.pool.monitor import USUAL
from ce_backends.registry import validate
from ce_backends.task.script import quote
from tests.waiting import PATIENCE_S, until

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


def test_killed_wrapper_is_a_failure_without_exit_code(make_pool: MakePool) -> None:
    pool = make_pool()

    status = ended(pool, begin(pool, task("kill -9 $PPID; sleep 100\n")))

    assert (status.state, status.exit_code) == (TaskState.FAILED, None)
    assert status.reason == "the payload's process vanished without an exit code"


@pytest.mark.parametrize(
    "harm",
    [
        "rm -rf ../*",
        "chmod 0 ..",
        "echo junk | tee ../task ../started ../times ../exit_code",
        "rm ../task; mkfifo ../task ../reason",
        "rm ../task; mkdir ../task ../exit_code",
        "mv .. ../../gone-$$; ln -s / ../../$GRIDPILOT_TASK",
    ],
)
def test_payload_that_harms_its_own_files_harms_no_other_task(make_pool: MakePool, tmp_path: Path, harm: str) -> None:
    pool = make_pool()
    harmed = begin(pool, task(f"{harm}\n"))

    status = ended(pool, harmed)
    pool.fetch(harmed, tmp_path / "into")
    pool.clean([harmed])
    again = make_pool()

    assert status.state.is_final
    assert ended(again, begin(again, task("exit 3\n"))).exit_code == 3


def test_stopped_wrapper_does_not_hold_up_a_cancel(make_pool: MakePool) -> None:
    pool = make_pool()
    task_id = begin(pool, task(": > ready; kill -STOP $PPID; sleep 100\n"))
    until(lambda: pool.peek(task_id, "ready", 1) == b"" and stopped(pool, task_id))

    pool.cancel([task_id])

    assert ended(pool, task_id).state is TaskState.ABORTED


def stopped(pool: Pool, task_id: str) -> bool:
    stats = [stat_of(pid) for pid in children() or []]
    return any(stat is not None and stat.state == "T" for stat in stats)


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


def test_kill_gives_a_task_that_is_being_cancelled_no_more_grace(make_pool: MakePool) -> None:
    pool = make_pool(grace_s=1000)
    task_id = begin(pool, task("trap '' TERM; echo ready; while :; do sleep 1; done\n"))
    until(lambda: pool.peek(task_id, "stdout", 100) == b"ready\n")
    pool.cancel([task_id])

    pool.kill([task_id])

    assert ended(pool, task_id).state is TaskState.ABORTED


def test_processes_started_while_being_cancelled_are_ended_too(make_pool: MakePool) -> None:
    pool = make_pool()
    forker = "trap '' TERM; : > ready; while :; do setsid sleep 1006 & sleep 0.01; done\n"
    task_id = begin(pool, task(forker))
    until(lambda: len(commands("sleep 1006")) > 3)

    pool.cancel([task_id])
    ended(pool, task_id)

    assert commands("sleep 1006") == []


def commands(wanted: str) -> list[int]:
    argv = b"\0".join(word.encode() for word in wanted.split()) + b"\0"
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == argv:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_cancel_right_after_submit_leaves_nothing(make_pool: MakePool) -> None:
    pool = make_pool()
    specs = [task("sleep 1001\n") for _ in range(4)]

    pool.submit(specs)
    pool.cancel([spec.stamp for spec in specs])
    states = [ended(pool, spec.stamp).state for spec in specs]

    assert states == [TaskState.ABORTED] * 4
    assert commands("sleep 1001") == []


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


def test_cleaning_leaves_no_file_no_process_and_no_control_group(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool()
    task_id = begin(pool, task("(setsid sleep 1002 &); mkdir -p a/b; exit 0\n"))
    ended(pool, task_id)

    pool.clean([task_id])

    left = [
        path
        for path in (tmp_path / "pool").rglob("*")
        if path.name == task_id or (path.stat().st_size and path.is_file())
    ]
    assert [path.name for path in left] == ["boot"]  # the pool's own, until it is closed
    assert commands("sleep 1002") == []
    groups = (name for _, names, _ in os.walk("/sys/fs/cgroup") for name in names)  # others' come and go
    assert not [name for name in groups if task_id in name]


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def zombies() -> set[int]:
    return {pid for pid in children() or [] if (stat := stat_of(pid)) is not None and stat.is_zombie}


def test_ended_tasks_leave_no_zombie_and_no_descriptor(make_pool: MakePool) -> None:
    pool = make_pool()
    ended(pool, begin(pool, task(":\n", owner="me")))  # its wrapper waits for the next task
    before, zombies_before = open_descriptors(), zombies()

    for _ in range(4):
        ended(pool, begin(pool, task(":\n", owner="me")))

    assert open_descriptors() == before
    assert zombies() == zombies_before


def test_tasks_end_also_where_the_kernel_has_no_pidfd(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown_call(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", unknown_call)
    pool = make_pool()

    status = ended(pool, begin(pool, task("(setsid sleep 1003 &); exit 4\n")))

    assert status.exit_code == 4
    assert commands("sleep 1003") == []


def test_stranger_survives_what_it_looks_like(make_pool: MakePool) -> None:
    with subprocess.Popen(["sleep", "1004"], start_new_session=True) as canary:
        pool = make_pool()
        ended(pool, begin(pool, task("(setsid sleep 1004 &)\n")))
        left = commands("sleep 1004")
        canary.kill()

    assert left == [canary.pid]
