"""What every backend must do with many tasks, and large ones. See `checks`."""

import time
from collections.abc import Sequence

from ce_backends.base import Accepted, TaskSpec, TaskState
from ce_backends.conformance.subject import Subject, Trial, task, write
from ce_backends.errors import CEError

MANY = 1000
CODES = (0, 1, 2, 77, 126, 128, 130, 137, 143, 200, 254, 255)
LARGE_MB = 100
BYTES_PER_MB = 1_000_000
ODD_NAME = "Ωmega ☃ 𝄞 'two  words'.txt"


def _in_turns(trial: Trial, tasks: Sequence[TaskSpec]) -> list[str]:
    """Submit tasks, all that are left in one call, until each had room and has ended; return their ids."""
    taken: dict[str, str] = {}
    while rest := [task for task in tasks if task.stamp not in taken]:
        accepted = trial.submit_what_fits(rest)
        assert accepted, f"of {len(rest)} tasks none was accepted, though none runs"
        taken |= accepted
        for task_id in accepted.values():
            trial.ended(task_id)
    return [taken[task.stamp] for task in tasks]


def many_at_once_are_told_apart(subject: Subject) -> None:
    """Tasks of one call, an array perhaps: each has its own id, output and exit code."""
    tasks = [task(f"echo {number}; exit {number}\n") for number in range(8)]
    with subject.ce() as trial:
        task_ids = _in_turns(trial, tasks)
        ends = [trial.status(task_id).exit_code for task_id in task_ids]
        seen = [(trial.fetched(task_id) / "stdout").read_text().strip() for task_id in task_ids]

    assert len(set(task_ids)) == len(tasks), f"{len(tasks)} tasks have the ids {sorted(task_ids)}"
    assert ends == list(range(8)), f"exit codes 0 to 7 came back as {ends}"
    assert seen == [str(number) for number in range(8)], f"eight tasks, each its number, wrote {seen}"


def exit_codes_from_0_to_255_come_back(subject: Subject) -> None:
    """None has a meaning to the CE: a payload may return what it likes."""
    with subject.ce() as trial:
        task_ids = _in_turns(trial, [task(f"exit {code}\n") for code in CODES])
        seen = {code: trial.status(task_id) for code, task_id in zip(CODES, task_ids, strict=True)}

    wrong = {
        code: status for code, status in seen.items() if (status.state, status.exit_code) != (TaskState.DONE, code)
    }
    assert not wrong, f"these exit codes came back as something else: {wrong}"


def end_by_a_signal_is_told(subject: Subject) -> None:
    """A payload that is killed has 128 and the signal's number for its exit code, as in a shell."""
    with subject.ce() as trial:
        _, status = trial.ran("kill -KILL $$; sleep 60\n")

    assert status.exit_code == 137, f"a payload that SIGKILL ended is {status}"


def large_output_comes_back(subject: Subject) -> None:
    """Of 100 MB the CE may leave out the middle, not the head and not the tail."""
    script = f"echo first; head -c {LARGE_MB * BYTES_PER_MB} /dev/zero | tr '\\0' x; echo; echo last\n"
    with subject.ce() as trial:
        task_id, status = trial.ran(script)
        with (trial.fetched(task_id) / "stdout").open("rb") as file:
            head = file.read(6)
            file.seek(-5, 2)
            tail, size = file.read(), file.tell()

    assert status.exit_code == 0, f"a task that writes {LARGE_MB} MB is {status}"
    assert (head, tail) == (b"first\n", b"last\n"), f"the output begins with {head!r} and ends with {tail!r}"
    assert size >= BYTES_PER_MB, f"of {LARGE_MB} MB {size} bytes came back"


def names_may_hold_any_letter(subject: Subject) -> None:
    """Inputs and outputs have the names that users give them."""
    file = write(subject.scratch / ODD_NAME, "one\n")
    with subject.ce() as trial:
        task_id, _ = trial.ran(
            'for name in *; do cat "$name" > "out $name"; done\n', inputs=(file,), outputs=("out *",)
        )
        folder = trial.fetched(task_id) / "outputs"
        seen = {path.name: path.read_text() for path in folder.iterdir()} if folder.exists() else {}

    assert seen == {f"out {ODD_NAME}": "one\n"}, f"the output of {ODD_NAME!r} came back as {seen}"


def processors_are_held(subject: Subject) -> None:
    """A task finds as many as it was granted, and they are not free meanwhile."""
    with subject.ce() as trial:
        free = trial.ce.slots().free_processors
        wanted = min(2, free)
        task_id = trial.submit(task("nproc; sleep 1\n", processors=wanted))
        left = trial.ce.slots().free_processors
        trial.ended(task_id)
        seen = int((trial.fetched(task_id) / "stdout").read_text())

    assert left < free, f"{free} processors were free, and {left} while a task with {wanted} was there"
    assert seen >= wanted, f"a task with {wanted} processors finds {seen}"


def unknown_ids_are_no_error_and_no_end(subject: Subject) -> None:
    """A thousand strangers at once, in every call that takes ids."""
    strangers = [task(":\n").stamp for _ in range(MANY)]
    with subject.ce() as trial:
        task_id, _ = trial.ran(":\n")
        began_s = time.monotonic()
        answers = trial.ce.poll([*strangers, task_id])
        wall_s = time.monotonic() - began_s
        trial.ce.cancel(strangers)
        trial.ce.clean(strangers)
        found = trial.ce.find(strangers)
        refused = _is_refused(trial, strangers[0])

    states = {answers[stranger].state for stranger in strangers}
    assert set(answers) == {*strangers, task_id}, f"poll of {MANY + 1} ids answered for {len(answers)}"
    assert states == {TaskState.UNKNOWN}, f"{MANY} strangers are {states}"
    assert answers[task_id].state is TaskState.DONE, f"the ended task among them is {answers[task_id]}"
    assert wall_s < subject.deadline_s, f"poll of {MANY + 1} ids took {wall_s:.1f} s"
    assert found == {}, f"find knows strangers: {found}"
    assert refused, "fetch of a stranger is no CEError"


def _is_refused(trial: Trial, stranger: str) -> bool:
    try:
        trial.fetched(stranger)
    except CEError:
        return True
    return False


def lost_answer_is_found_by_stamp(subject: Subject) -> None:
    """Whoever has not heard the answer to a submission asks by stamp, also with another object."""
    spec = task("exit 3\n")
    with subject.ce() as trial:
        trial.ce.submit([spec])
        trial.forget()
    with subject.ce() as trial:
        found = trial.ce.find([spec.stamp])
        answer = trial.ce.submit([spec])[spec.stamp]
        status = trial.ended(trial.adopt(found.get(spec.stamp, "")))

    assert isinstance(answer, Accepted), f"submitted again it was answered by {answer}"
    assert found == {spec.stamp: answer.task_id}, f"find gave {found}, submit {answer}"
    assert status.exit_code == 3, f"its end is {status}"
