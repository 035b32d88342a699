"""A pool whose owner was killed: the next one finds everything, and touches nobody else's process."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ce_backends.base import TaskSpec, TaskState, TaskStatus
from ce_backends.containment.cell import Level
from ce_backends.linux.processes import boot_id, stat_of
from ce_backends.pool.ce import Pool
from ce_backends.pool.wrappers import Wrapper
from ce_backends.task.directory import TaskDir
from ce_backends.task.record import TaskRecord
from ce_backends.task.script import quote
from tests.waiting import until

STAMP = uuid.uuid4().hex  # a test of another process must not have the same
ROOT = Path(__file__).parents[2]
OWNER = """
import sys, time
from pathlib import Path
from ce_backends.base import TaskSpec
from ce_backends.containment.cell import Level
from ce_backends.pool.ce import Pool

pool = Pool(Path(sys.argv[1]), processors=2, best_containment=Level[sys.argv[4]])
print(pool.submit([TaskSpec(stamp=sys.argv[2], script=sys.argv[3], outputs=["*"])]), flush=True)
time.sleep(100)
"""
every_level = pytest.mark.parametrize("level", [Level.V2, Level.SESSION], ids=["best", "session"])


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def killed_owner(work_dir: Path, script: str, level: Level, *, ready: Callable[[], bool]) -> None:
    """Let another process own the pool and submit a task; kill it without warning when the task is ready."""
    argv = [sys.executable, "-c", OWNER, str(work_dir), STAMP, script, level.name]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert b"Accepted" in owner.stdout.readline()
        until(ready)
        owner.kill()


@pytest.fixture
def next_pool(tmp_path: Path) -> Iterator[Callable[[Level], Pool]]:
    made: list[Pool] = []

    def make(level: Level = Level.V2) -> Pool:
        made.append(Pool(tmp_path / "pool", processors=2, grace_s=0.2, best_containment=level))
        return made[-1]

    yield make
    for pool in made:
        pool.cancel([STAMP])
        if pool.find([STAMP]):
            ended(pool)
        pool.close()


def ended(pool: Pool) -> TaskStatus:
    until(lambda: pool.poll([STAMP])[STAMP].state.is_final)
    return pool.poll([STAMP])[STAMP]


@every_level
def test_running_task_is_followed_to_its_end_and_never_started_again(
    tmp_path: Path, ledger: Path, level: Level, next_pool: Callable[[Level], Pool]
) -> None:
    script = f"echo ran >> {quote(str(ledger))}; until [ -e go ]; do sleep 0.02; done; echo out; exit 8\n"
    killed_owner(tmp_path / "pool", script, level, ready=ledger.exists)
    pool = next_pool(level)

    found, before = pool.find([STAMP]), pool.poll([STAMP])[STAMP].state
    (tmp_path / "pool" / STAMP / "work/go").touch()
    status = ended(pool)

    assert found == {STAMP: STAMP}
    assert before is TaskState.RUNNING
    assert (status.state, status.exit_code) == (TaskState.DONE, 8)
    assert ledger.read_text() == "ran\n"
    assert pool.peek(STAMP, "stdout", 10) == b"out\n"


@every_level
def test_task_that_ended_meanwhile_is_told_and_its_daemon_ended(
    tmp_path: Path, ledger: Path, level: Level, next_pool: Callable[[Level], Pool]
) -> None:
    daemon = f"(setsid /bin/sh -c 'echo $$ > {ledger}; exec sleep 1000' &)\n"
    script = f"{daemon}until [ -s {ledger} -a -e go ]; do sleep 0.02; done; exit 8\n"
    killed_owner(tmp_path / "pool", script, level, ready=lambda: ledger.exists() and ledger.read_text() != "")
    (tmp_path / "pool" / STAMP / "work/go").touch()
    until(lambda: TaskDir.in_pool(tmp_path / "pool", STAMP).exit_code() == 8)

    status = ended(next_pool(level))

    assert (status.state, status.exit_code) == (TaskState.DONE, 8)
    stat = stat_of(int(ledger.read_text()))
    assert stat is None or stat.is_zombie


@every_level
def test_task_found_again_can_be_cancelled(
    tmp_path: Path, ledger: Path, level: Level, next_pool: Callable[[Level], Pool]
) -> None:
    script = f"trap '' TERM; echo $$ > {ledger}; while :; do sleep 1; done\n"
    killed_owner(tmp_path / "pool", script, level, ready=lambda: ledger.exists() and ledger.read_text() != "")
    pool = next_pool(level)

    pool.cancel([STAMP])

    assert ended(pool).state is TaskState.ABORTED
    stat = stat_of(int(ledger.read_text()))
    assert stat is None or stat.is_zombie


def test_final_status_and_its_reason_outlive_the_pool(tmp_path: Path, next_pool: Callable[[Level], Pool]) -> None:
    first = next_pool(Level.V2)
    first.submit([TaskSpec(stamp=STAMP, script="sleep 100\n")])
    first.cancel([STAMP])
    before = ended(first)

    after = next_pool(Level.V2).poll([STAMP])[STAMP]

    assert after == before
    assert after.reason == "cancelled"


def started_task(work_dir: Path, started: str) -> TaskDir:
    """Write what a task looks like whose owner and node are gone."""
    directory = TaskDir.in_pool(work_dir, STAMP)
    directory.work.mkdir(parents=True)
    directory.write_record(TaskRecord(processors=1))
    Path(directory.note("started")).write_text(started)
    return directory


@pytest.mark.parametrize("differs", ["boot", "start time"])
@every_level
def test_stranger_who_got_the_pid_of_a_task_is_not_touched(
    tmp_path: Path, differs: str, level: Level, next_pool: Callable[[Level], Pool]
) -> None:
    with subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True) as canary:
        stat = Path(f"/proc/{canary.pid}/stat").read_text().strip()
        fields = stat.split()
        if differs == "start time":
            fields[21] = str(int(fields[21]) - 1)
        boot = "another-boot" if differs == "boot" else boot_id()
        started_task(tmp_path / "pool", f"{canary.pid} {boot} {' '.join(fields)}\n")

        pool = next_pool(level)
        pool.cancel([STAMP])
        status = ended(pool)
        died = canary.poll()
        canary.kill()

    assert status.state is not TaskState.RUNNING
    assert died is None


def test_task_whose_process_is_gone_has_failed_with_the_reason(
    tmp_path: Path, next_pool: Callable[[Level], Pool]
) -> None:
    started_task(tmp_path / "pool", f"1 another-boot {Path('/proc/1/stat').read_text().strip()}\n")

    status = ended(next_pool(Level.V2))

    assert (status.state, status.exit_code) == (TaskState.FAILED, None)
    assert status.reason == "the payload's process vanished without an exit code"


def test_half_written_exit_code_is_none(tmp_path: Path, next_pool: Callable[[Level], Pool]) -> None:
    directory = started_task(tmp_path / "pool", f"1 another-boot {Path('/proc/1/stat').read_text().strip()}\n")
    with Path(directory.note("task")).open("a") as task:
        task.write("1")

    assert ended(next_pool(Level.V2)).exit_code is None


@pytest.mark.parametrize("name", ["task", "started", "exit_code", "times"])
@pytest.mark.parametrize("text", ["junk\n", "{}\n", "[]\n", "²\n", "1 2 3 4\n", "9" * 5000 + "\n"])
def test_file_overwritten_by_the_payload_stops_no_pool(
    tmp_path: Path, name: str, text: str, next_pool: Callable[[Level], Pool]
) -> None:
    directory = started_task(tmp_path / "pool", f"1 another-boot {Path('/proc/1/stat').read_text().strip()}\n")
    Path(directory.note(name)).write_text(text)
    (directory.path / name).write_text(text)

    assert ended(next_pool(Level.V2)).state.is_final


def test_task_that_was_laid_out_but_never_began_is_forgotten(
    tmp_path: Path, next_pool: Callable[[Level], Pool]
) -> None:
    Path(started_task(tmp_path / "pool", "").note("started")).unlink()

    assert next_pool(Level.V2).find([STAMP]) == {}
    assert [path for path in (tmp_path / "pool").rglob("*") if STAMP in path.name] == []


def test_what_is_not_a_task_in_the_work_directory_stays(tmp_path: Path, next_pool: Callable[[Level], Pool]) -> None:
    (tmp_path / "pool/notes").mkdir(parents=True)

    next_pool(Level.V2).slots()

    assert (tmp_path / "pool/notes").is_dir()


def test_signals_to_the_owner_do_not_reach_its_tasks(
    tmp_path: Path, ledger: Path, next_pool: Callable[[Level], Pool]
) -> None:
    script = f"echo ran >> {quote(str(ledger))}; until [ -e go ]; do sleep 0.02; done\n"
    argv = [sys.executable, "-c", OWNER, str(tmp_path / "pool"), STAMP, script, "V2"]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, process_group=0) as owner:
        until(ledger.exists)
        os.killpg(owner.pid, signal.SIGTERM)
    (tmp_path / "pool" / STAMP / "work/go").touch()

    assert ended(next_pool(Level.V2)).exit_code == 0


@every_level
def test_a_task_that_was_accepted_begins_though_its_owner_is_gone_before_it_has(
    next_pool: Callable[[Level], Pool], level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine a wrapper comes late to what it was told."""
    tell = Wrapper.tell
    held: list[int] = []

    def late(wrapper: Wrapper, text: bytes) -> None:
        if not held:
            held.append(wrapper.process.pid)
            os.kill(held[0], signal.SIGSTOP)
        tell(wrapper, text)

    monkeypatch.setattr(Wrapper, "tell", late)
    first = Pool(tmp_path / "pool", processors=2, best_containment=level)
    first.submit([TaskSpec(stamp=STAMP, script="exit 3\n")])
    first.close()
    goes_on = threading.Timer(0.5, os.kill, (held[0], signal.SIGCONT))
    goes_on.start()
    second = next_pool(level)

    assert second.find([STAMP]) == {STAMP: STAMP}
    until(lambda: second.poll([STAMP])[STAMP].state.is_final)
    assert second.poll([STAMP])[STAMP].exit_code == 3
    goes_on.join()
