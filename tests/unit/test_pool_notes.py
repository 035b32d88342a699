"""What a pool has written down of its tasks, when a payload has written it: what is not so is not believed."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ce_backends.base import Accepted, TaskState
from ce_backends.conformance.subject import task
from ce_backends.containment.cell import Level
from ce_backends.containment.cookies import named_tasks
from ce_backends.errors import CEError
from ce_backends.linux.cgroup import hierarchies
from ce_backends.linux.processes import boot_id, stat_line
from ce_backends.pool.ce import Pool
from ce_backends.task.directory import TaskDir
from ce_backends.task.record import parse_record, parse_status
from tests.waiting import until

STAMP = uuid.uuid4().hex  # a test of another process must not have the same
RECORD = {
    "processors": 1,
    "outputs": ["x"],
    "memory_mb": 0,
    "wall_s": 0,
    "capped": [],
    "disk_mb": 0,
    "cpu_s": 0,
    "is_enclosed": False,
}
USAGE = {"wall_s": 1.5, "cpu_s": 1, "memory_peak_mb": None}
END = {
    "state": "Done",
    "native": "",
    "reason": "",
    "exit_code": 0,
    "usage": USAGE,
    "limit": None,
    "activity": None,
    "is_stuck": False,
}
DEEP, HUGE = "[" * 200_000, "9" * 5_000
NO_RECORDS = [
    *(
        json.dumps({**RECORD, name: value})
        for name, value in (
            *(("processors", value) for value in (-100, 0, 1.5, True, "1", None, [], {}, 1 << 40)),
            *((name, value) for name in ("memory_mb", "wall_s", "disk_mb", "cpu_s") for value in (-1, "x", 1.5, None)),
            *((name, value) for name in ("outputs", "capped") for value in ("*", 5, None, {}, [5], [[]], [None])),
            *(("outputs", [value]) for value in ("/etc/passwd", "../task", "a/../../b", "", "a\0b")),
            ("outputs", ["x"] * 20_000),
            ("is_enclosed", 0),
        )
    ),
    *(json.dumps({name: value for name, value in RECORD.items() if name != missing}) for missing in RECORD),
    *(
        "",
        "{",
        "[]",
        "null",
        "5",
        '"x"',
        "NaN",
        DEEP,
        '{"a":' * 200_000,
        f'{{"processors": {HUGE}}}',
        "\0",
        "x" * 3_000_000,
    ),
    json.dumps(RECORD).replace('"memory_mb": 0', '"memory_mb": NaN'),
    json.dumps(RECORD).replace('"memory_mb": 0', f'"memory_mb": {HUGE}'),
]
NO_ENDS = [
    *(
        json.dumps({**END, name: value})
        for name, value in (
            *(("state", value) for value in ("Running", "Unknown", "done", 1, None, ["Done"])),
            *(("reason", value) for value in (["x"], 1, None)),
            *(("exit_code", value) for value in ("0", -1, 256, 1.0, True, [0])),
            *(("usage", value) for value in (None, [], {}, {**USAGE, "more": 1} | {"wall_s": "x"})),
            *(("usage", {**USAGE, name: value}) for name in USAGE for value in ("1", -1, 1e300, True, [])),
            *(("limit", value) for value in ("lunch", 1, [])),
            *(("activity", value) for value in (3, {}, [])),
            *(("is_stuck", value) for value in (0, 1, None, "no")),
        )
    ),
    *("", "{", "[]", "null", DEEP, json.dumps(END).replace("1.5", "NaN"), json.dumps(END).replace("1.5", "1e999")),
]
every_level = pytest.mark.parametrize("level", [Level.V2, Level.SESSION], ids=["best", "session"])


def short(text: str) -> str:
    return text[:60]


@pytest.mark.parametrize("line", NO_RECORDS, ids=short)
def test_record_that_is_wrong_anywhere_is_not_there(line: str) -> None:
    assert parse_record(json.dumps(RECORD)) is not None
    assert parse_record(line) is None


@pytest.mark.parametrize("line", NO_ENDS, ids=short)
def test_end_that_is_wrong_anywhere_is_not_there(line: str) -> None:
    assert parse_status(json.dumps(END)) is not None
    assert parse_status(line) is None


def test_reason_of_an_end_is_fit_for_a_terminal() -> None:
    end = parse_status(json.dumps({**END, "reason": "\x1b]0;owned\x07\x1b[2Jx\r\u202eforged\u2028next"}))

    assert end is not None
    assert end.reason == "xforgednext"


@pytest.fixture
def make_pool(tmp_path: Path) -> Iterator[Callable[[Level], Pool]]:
    made: list[Pool] = []

    def make(level: Level) -> Pool:
        made.append(Pool(tmp_path / "pool", processors=4, grace_s=0.1, best_containment=level))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


def of_task() -> list[int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if STAMP in named_tasks(pid)]


def began(
    directory: TaskDir, level: Level, processor_ids: tuple[int, ...] = (), script: str = "exec sleep 1000\n"
) -> None:
    """Begin a task that runs for long, and leave it alone."""
    pool = Pool(directory.path.parent, processors=4, best_containment=level)
    spec = replace(task(script, processors=2, processor_ids=processor_ids), stamp=STAMP)
    assert isinstance(pool.submit([spec])[STAMP], Accepted)
    until(lambda: directory.has_pid and bool(of_task()))
    pool.close()


def end(pool: Pool) -> None:
    pool.kill([STAMP])
    until(lambda: pool.poll([STAMP])[STAMP].state.is_final)


FORGED = json.dumps(RECORD) + "\n" + json.dumps(END) + "\n"
SPOILED = {
    "processors": json.dumps({**RECORD, "processors": -100}) + "\n",
    "type": json.dumps({**RECORD, "wall_s": "x"}) + "\n",
    "deep": DEEP + "\n",
    "empty": "",
    "end": FORGED,
    "exit code and end": json.dumps(RECORD) + "\n0\n" + json.dumps(END) + "\n",
    "stuck": FORGED.replace('"is_stuck": false', '"is_stuck": true'),
}


@every_level
@pytest.mark.parametrize("text", SPOILED.values(), ids=SPOILED)
def test_task_that_runs_is_held_and_ended_whatever_is_written_of_it(
    tmp_path: Path, make_pool: Callable[[Level], Pool], level: Level, text: str
) -> None:
    directory = TaskDir.in_pool(tmp_path / "pool", STAMP)
    began(directory, level)
    Path(directory.note("task")).write_text(text)

    pool = make_pool(level)
    told, lives, slots = pool.poll([STAMP])[STAMP].state, of_task(), pool.slots()
    end(pool)

    assert told is TaskState.RUNNING or not lives
    assert slots.free_processors < 4 or not lives
    assert of_task() == []
    assert pool.slots().free_processors == 4


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may enter the groups above its own")
@pytest.mark.parametrize("text", [SPOILED["end"], SPOILED["exit code and end"]], ids=["end", "exit code and end"])
def test_task_that_has_left_its_group_and_forged_its_end_is_ended_all_the_same(
    tmp_path: Path, make_pool: Callable[[Level], Pool], text: str
) -> None:
    found = hierarchies(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
    leave = "".join(f"echo 0 > {hierarchy.mount}/cgroup.procs\n" for hierarchy in found)
    directory = TaskDir.in_pool(tmp_path / "pool", STAMP)
    began(directory, Level.V2, script=f"{leave}cat /proc/self/cgroup\nexec sleep 1000\n")
    Path(directory.note("task")).write_text(text)

    pool = make_pool(Level.V2)
    told, lives = pool.poll([STAMP])[STAMP].state, of_task()
    end(pool)

    assert "gridpilot" not in (directory.path / "stdout").read_text(), "it has not left"
    assert told is TaskState.RUNNING or not lives
    assert of_task() == []


@every_level
def test_task_of_a_spoiled_record_holds_the_processors_that_it_is_bound_to(
    tmp_path: Path, make_pool: Callable[[Level], Pool], level: Level
) -> None:
    directory = TaskDir.in_pool(tmp_path / "pool", STAMP)
    began(directory, level, (min(os.sched_getaffinity(0)),))
    Path(directory.note("task")).write_text("spoiled\n")

    pool = make_pool(level)
    free = pool.slots().free_processors
    end(pool)

    assert free == 3


@every_level
@pytest.mark.parametrize("name", ["task", "started"])
def test_task_that_runs_is_never_taken_for_one_that_did_not_begin(
    tmp_path: Path, make_pool: Callable[[Level], Pool], level: Level, name: str
) -> None:
    directory = TaskDir.in_pool(tmp_path / "pool", STAMP)
    began(directory, level)
    Path(directory.note(name)).unlink()

    pool = make_pool(level)

    assert pool.find([STAMP]) == {STAMP: STAMP}
    end(pool)
    assert of_task() == []


def test_claim_in_the_name_of_a_stranger_ends_nobody(tmp_path: Path, make_pool: Callable[[Level], Pool]) -> None:
    directory = TaskDir.in_pool(tmp_path / "pool", STAMP)
    directory.work.mkdir(parents=True)
    Path(directory.note("started")).parent.mkdir()
    me = os.getpid()
    Path(directory.note("started")).write_text(f"{me} {boot_id()} {stat_line(me)}\n")

    pool = make_pool(Level.SESSION)
    end(pool)

    assert pool.poll([STAMP])[STAMP].state.is_final


@pytest.mark.parametrize("line", NO_RECORDS, ids=short)
def test_spoiled_record_stops_no_pool_and_fetch_raises_nothing_but_ce_errors(
    tmp_path: Path, make_pool: Callable[[Level], Pool], line: str
) -> None:
    directory = TaskDir.in_pool(tmp_path / "pool", STAMP)
    directory.work.mkdir(parents=True)
    Path(directory.note("started")).parent.mkdir()
    Path(directory.note("started")).write_text("1\n")
    Path(directory.note("task")).write_text(f"{line}\n{json.dumps(END)}\n")

    pool = make_pool(Level.SESSION)
    until(lambda: pool.poll([STAMP])[STAMP].state.is_final)
    try:
        pool.fetch(STAMP, tmp_path / "into")
    except CEError:
        fetched = False
    else:
        fetched = (tmp_path / "into").is_dir()

    assert fetched
    assert not list((tmp_path / "into").rglob("passwd"))
