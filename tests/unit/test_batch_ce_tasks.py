"""The way of a task through a batch CE whose batch system runs it at once: asked, ended, brought, cleaned."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ce_backends.base import Accepted, Places, SlotCount, TaskState, TaskStatus
from ce_backends.batch.ce import BatchCE
from ce_backends.batch.transport import Local
from ce_backends.errors import CEError
from tests.unit.batch_ce_scene import AtOnce, ce, system
from tests.unit.test_batch_ce import CANCELLED, DONE, RUNNING, look, submitted, task

__all__ = ["ce", "system"]

WAITING = TaskStatus(state=TaskState.WAITING, native="Q")


def ended(ce: BatchCE, system: AtOnce, script: str = "echo out; echo err >&2; exit 3\n") -> str:
    spec = replace(task(), script=script, outputs=("*.txt",))
    answer = ce.submit([spec])[spec.stamp]
    assert isinstance(answer, Accepted)
    system.answer = DONE
    assert look(ce, answer.task_id).state is TaskState.DONE
    return answer.task_id


def test_outputs_and_exit_code_of_an_ended_task_are_brought(ce: BatchCE, system: AtOnce, tmp_path: Path) -> None:
    task_id = ended(ce, system, "echo out; echo err >&2; echo x > a.txt; exit 3\n")
    status = ce.poll([task_id])[task_id]

    ce.fetch(task_id, tmp_path / "here")

    assert status.exit_code == 3
    assert (tmp_path / "here/stdout").read_text() == "out\n"
    assert (tmp_path / "here/stderr").read_text() == "err\n"
    assert (tmp_path / "here/exit_code").read_text() == "3\n"
    assert (tmp_path / "here/outputs/a.txt").read_text() == "x\n"


def test_an_output_that_is_left_out_is_named_at_the_end_of_stderr(ce: BatchCE, system: AtOnce, tmp_path: Path) -> None:
    task_id = ended(ce, system, "echo err >&2; ln -s /etc/passwd link.txt\n")

    ce.fetch(task_id, tmp_path / "here")

    first, second, *more = (tmp_path / "here/stderr").read_text().splitlines()
    assert (first, more) == ("err", [])
    assert second.startswith("gridpilot: ")
    assert "link.txt" in second


def test_only_an_ended_task_is_brought(ce: BatchCE, system: AtOnce, tmp_path: Path) -> None:
    task_id = submitted(ce)

    with pytest.raises(CEError, match="task 99 is not known: only an ended task can be fetched"):
        ce.fetch("99", tmp_path / "here")
    with pytest.raises(CEError, match=f"task {task_id} has not ended: only an ended task can be fetched"):
        ce.fetch(task_id, tmp_path / "here")


def test_a_task_can_be_looked_into(ce: BatchCE, system: AtOnce) -> None:
    task_id = ended(ce, system, "echo out; echo err >&2; echo inside > file\n")

    assert ce.peek(task_id, "stdout", 100) == b"out\n"
    assert ce.peek(task_id, "stdout", 2) == b"t\n"
    assert ce.peek(task_id, "stderr", 100) == b"err\n"
    assert ce.peek(task_id, "file", 100) == b"inside\n"
    assert ce.peek("99", "stdout", 100) == b""


def test_an_ended_task_is_forgotten_with_its_files(ce: BatchCE, system: AtOnce, tmp_path: Path) -> None:
    task_id = ended(ce, system)
    stamp = system.jobs[0].name

    ce.clean([task_id])

    assert ce.poll([task_id])[task_id].state is TaskState.UNKNOWN
    assert ce.find([stamp]) == {}
    assert not list((tmp_path / "area/tasks").iterdir())
    assert not list((tmp_path / "area/jobs").iterdir())


def test_a_task_that_has_not_ended_is_not_cleaned(ce: BatchCE) -> None:
    task_id = submitted(ce)

    with pytest.raises(CEError, match=f"task {task_id} has not ended: cancel it"):
        ce.clean([task_id])

    assert ce.poll([task_id])[task_id].state is TaskState.WAITING


def test_a_job_of_several_tasks_goes_when_the_last_of_them_is_cleaned(
    ce: BatchCE, system: AtOnce, tmp_path: Path
) -> None:
    system.array_limit, system.runs = 2, False
    answers = ce.submit([task(), task()])
    first, second = (answer.task_id for answer in answers.values() if isinstance(answer, Accepted))
    ce.cancel([first, second])
    system.answer = CANCELLED
    ce.look()

    ce.clean([first])
    halfway = sorted(path.suffix for path in (tmp_path / "area/jobs").iterdir())
    ce.clean([second])

    assert (first, second) == ("1[1]", "1[2]")
    assert halfway == ["", ".tasks"]
    assert not list((tmp_path / "area/jobs").iterdir())


def test_cancelling_asks_the_batch_system_for_what_has_not_ended(ce: BatchCE, system: AtOnce) -> None:
    over = ended(ce, system)
    going = submitted(ce)

    ce.cancel([over])
    ce.cancel([over, going, "99"])
    system.answer = CANCELLED

    assert system.cancelled == [[going]]
    assert look(ce, going).state is TaskState.ABORTED
    assert look(ce, over).state is TaskState.DONE


def test_slots_count_what_waits_and_runs(ce: BatchCE, system: AtOnce) -> None:
    empty = ce.slots()
    system.runs = False
    first = submitted(ce)
    one_waits = ce.slots()
    submitted(ce)
    two_wait = ce.slots()
    system.answer = RUNNING
    look(ce, first)
    two_run = ce.slots()
    look(ce, submitted(ce))
    three_run = ce.slots()
    for _ in range(3):
        submitted(ce)
    more_than_may = ce.slots()

    assert empty == SlotCount(running=0, waiting=0, free_processors=4)
    assert one_waits == SlotCount(running=0, waiting=1, free_processors=2)
    assert two_wait == SlotCount(running=0, waiting=2, free_processors=0)
    assert two_run == SlotCount(running=2, waiting=0, free_processors=4)
    assert three_run == SlotCount(running=3, waiting=0, free_processors=2)
    assert more_than_may == SlotCount(running=3, waiting=3, free_processors=0)
    assert ce.places == Places(tasks=4, processors=2, gpus=1)


def test_a_task_is_waiting_as_soon_as_it_is_submitted_and_unknown_to_who_did_not(ce: BatchCE) -> None:
    task_id = submitted(ce)

    states = ce.poll([task_id, "99"])

    assert (states[task_id].state, states[task_id].reason) == (TaskState.WAITING, "just submitted")
    assert states["99"].state is TaskState.UNKNOWN
    assert ce.find([]) == {}


def test_a_look_tells_whether_a_task_has_ended(ce: BatchCE, system: AtOnce) -> None:
    nothing_there = ce.look()
    system.answer = WAITING
    task_id = submitted(ce)
    none_ended = ce.look()
    system.answer = DONE
    one_ended = ce.look()
    system.answer = CEError("on fire")
    submitted(ce)
    no_answer = ce.look()

    assert (nothing_there, none_ended, one_ended, no_answer) == (False, False, True, False)
    assert ce.poll([task_id])[task_id].state is TaskState.DONE


def test_who_wants_to_know_is_told_of_an_end_by_the_thread_that_looks(ce: BatchCE, system: AtOnce) -> None:
    told = threading.Event()
    names: list[str] = []

    def changed() -> None:
        names.append(threading.current_thread().name)
        told.set()

    system.runs = True
    system.answer = DONE
    spec = task()
    ce.submit([spec])
    del vars(ce._loop)["start"]
    ce.notify(changed)

    assert told.wait(10)
    assert names == ["gridpilot-Fake"]


def test_one_thread_looks_whoever_asks(ce: BatchCE) -> None:
    del vars(ce._loop)["start"]
    for _ in range(3):
        ce.poll([])

    assert [thread.name for thread in threading.enumerate()].count("gridpilot-Fake") == 1


def test_the_way_to_the_host_is_closed_with_the_ce(ce: BatchCE) -> None:
    closed: list[bool] = []
    vars(ce._transport)["close"] = lambda: closed.append(True)

    ce.close()

    assert closed


def test_no_thread_begins_after_the_end(ce: BatchCE) -> None:
    del vars(ce._loop)["start"]
    ce.close()

    ce.poll([])

    assert "gridpilot-Fake" not in {thread.name for thread in threading.enumerate()}


def test_a_new_credential_lies_in_the_place_of_the_old_one(ce: BatchCE, system: AtOnce, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    new.write_text("new")
    system.runs = False
    spec = replace(task(), credential=old)
    answer = ce.submit([spec])[spec.stamp]
    assert isinstance(answer, Accepted)

    ce.renew_credential(answer.task_id, new)
    ce.renew_credential("99", new)

    assert "new" in [path.read_text() for path in (tmp_path / "area/tasks" / spec.stamp).rglob("*") if path.is_file()]


def test_what_a_batch_ce_does_not_keep_is_named_with_its_dialects(ce: BatchCE) -> None:
    assert set(ce.unkept) == {"cpu_limit_ends_a_task", "disk_limit_ends_a_task", "memory_limit_ends_a_task"}


def test_nobody_looks_into_the_directory_of_a_task_that_runs(
    ce: BatchCE, system: AtOnce, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(ce)
    commands: list[object] = []
    real = Local.run
    monkeypatch.setattr(Local, "run", lambda *given, **named: commands.append(given) or real(*given, **named))

    ce.look()
    while_it_runs = len(commands)
    system.answer = DONE
    ce.look()

    assert (while_it_runs, len(commands)) == (0, 1)
