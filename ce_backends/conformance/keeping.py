"""What every backend must keep: files whole, tasks known until they are cleaned, itself when there is no room."""

import hashlib
import os
import resource
import shutil
import signal
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ce_backends.base import Accepted, Peeks, Rejected, TaskState
from ce_backends.conformance.subject import Subject, Trial, offers, task, write
from ce_backends.errors import CEError
from ce_backends.task.script import CREDENTIAL, quote

BYTES_PER_MB = 1_000_000
FILE_MB = 3
FULL_AT_BYTES = 64 * 1024
MARKER = "9c1185a5c5e9fc54612808977ee8f548"  # in whatever is the task's


def files_come_back_whole(subject: Subject) -> None:
    """Every byte of an output file, and of standard output below any limit that a CE may set it."""
    script = f"head -c {FILE_MB * BYTES_PER_MB} /dev/urandom > big; cat big; sha256sum big >&2\n"
    with subject.ce() as trial:
        task_id, _ = trial.ran(script, outputs=("big",))
        folder = trial.fetched(task_id)
        right = (folder / "stderr").read_text().split()[0]
        seen = {name: _digest(folder / name) for name in ("stdout", "outputs/big")}

    wrong = [name for name, digest in seen.items() if digest != right]
    assert not wrong, f"{wrong[0]} with {FILE_MB} MB came back changed"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "nothing"


def executable_files_stay_executable(subject: Subject) -> None:
    """Inputs can be started, also below a directory; outputs come back as they were."""
    tool = write(subject.scratch / "tool", "#!/bin/sh\necho ran $1\n")
    deep = write(subject.scratch / "folder/deep/tool", "#!/bin/sh\necho ran $1\n")
    for file in (tool, deep):
        file.chmod(0o755)
    script = "./tool 1; ./folder/deep/tool 2; cp tool made; chmod 755 made; echo > plain; chmod 644 plain\n"
    with subject.ce() as trial:
        task_id, _ = trial.ran(script, inputs=(tool, deep.parent.parent), outputs=("made", "plain"))
        folder = trial.fetched(task_id)
        said = (folder / "stdout").read_text()
        modes = {name: _is_executable(folder / "outputs" / name) for name in ("made", "plain")}

    assert said == "ran 1\nran 2\n", f"two inputs that were executable did, when started: {said!r}"
    assert modes == {"made": True, "plain": False}, f"of two outputs the first is executable; they came back as {modes}"


def _is_executable(path: Path) -> bool:
    return path.exists() and bool(path.stat().st_mode & stat.S_IXUSR)


def one_bad_task_spares_the_others(subject: Subject) -> None:
    """Of several tasks in one call the one that can never run is Rejected, and the others run."""
    good, bad, also_good = task("exit 3\n"), task(":\n", environment={"a b;c": "1"}), task("exit 4\n")
    with subject.ce() as trial:
        answers = trial.ce.submit([good, bad, also_good])
        for said in answers.values():
            if isinstance(said, Accepted):
                trial.adopt(said.task_id)
        first = answers.get(good.stamp)
        assert set(answers) == {good.stamp, bad.stamp, also_good.stamp}, f"three tasks were answered by {answers}"
        assert isinstance(answers[bad.stamp], Rejected), f"the bad one of three was answered by {answers[bad.stamp]}"
        assert isinstance(first, Accepted), f"with a bad task in the same call a good one was answered by {first}"
        code = trial.ended(first.task_id).exit_code
        third = answers[also_good.stamp]
        last = trial.ended(third.task_id if isinstance(third, Accepted) else trial.submit(also_good)).exit_code

    assert (code, last) == (3, 4), (
        f"with a bad task in the same call two that end with 3 and 4 ended with {code}, {last}"
    )


def calls_return_while_a_task_runs(subject: Subject) -> None:
    """No call waits for a payload: this one ends only when they have returned."""
    go_on = subject.scratch / "go-on"
    with subject.ce() as trial:
        task_id = trial.submit(task(f"until [ -e {quote(str(go_on))} ]; do sleep 0.05; done; exit 6\n"))
        states = {trial.status(task_id).state}
        found, slots = trial.ce.find([task_id]), trial.ce.slots()
        subject.until(lambda: trial.status(task_id).state is TaskState.RUNNING, "the task runs")
        write(go_on, "")
        status = trial.ended(task_id)

    assert states <= {TaskState.WAITING, TaskState.RUNNING, TaskState.UNKNOWN}, f"a task that runs is {states}"
    assert slots.running + slots.waiting >= 1, f"with a task there, slots told {slots} (find: {found})"
    assert status.exit_code == 6, f"its end is {status}"


def ended_tasks_are_found_until_cleaned(subject: Subject) -> None:
    """By the same object and by a new one; fetching twice gives the same."""
    spec = task("echo out\n", outputs=("none",))
    with subject.ce() as trial:
        task_id = trial.submit(spec)
        trial.ended(task_id)
        here = trial.ce.find([spec.stamp])
        first = (trial.fetched(task_id) / "stdout").read_text()
        trial.forget()
    with subject.ce() as trial:
        there = trial.ce.find([spec.stamp])
        trial.adopt(task_id)
        status = trial.ended(task_id)
        shutil.rmtree(subject.scratch / f"fetched-{task_id[:32]}", ignore_errors=True)
        again = (trial.fetched(task_id) / "stdout").read_text()

    assert here == there == {spec.stamp: task_id}, f"an ended task is found as {here}, by a new object as {there}"
    assert status.state is TaskState.DONE, f"to a new object it is {status}"
    assert first == again == "out\n", f"fetched twice its output is {first!r} and {again!r}"


def running_task_shows_its_output(subject: Subject) -> None:
    """The last bytes of what it has written so far, no more than were asked for, also in its own files; see Peeks."""
    with subject.ce() as trial:
        if offers(trial.ce, Peeks):
            seen = _seen_of(trial, subject, "echo 0123456789; echo abcdef > own\n", ("stdout", "own"))
            assert seen == [b"6789\n", b"cdef\n"], f"the last five bytes of standard output and of a file are {seen}"


def look_leads_out_of_no_work_directory(subject: Subject) -> None:
    """Neither by a name nor by a link; what is not there is empty."""
    with subject.ce() as trial:
        if offers(trial.ce, Peeks):
            script = f'ln -s "${CREDENTIAL}" link; ln -s .. up; echo out\n'
            names = ("stdout", "none", "link", "up/credential", "../credential", "../../x")
            seen = _seen_of(trial, subject, script, names)
            assert not any(seen[1:]), f"of what is no file in the work directory is shown {seen[1:]}"


def _seen_of(trial: Trial, subject: Subject, script: str, names: Sequence[str]) -> list[bytes]:
    """Return the last five bytes of a running task's files; the first name is one of which something must be seen."""
    go_on, credential = subject.scratch / "go-on", write(subject.scratch / "credential", MARKER)
    wait = f"until [ -e {quote(str(go_on))} ]; do sleep 0.05; done\n"
    peek = trial.ce.peek  # type: ignore[attr-defined]
    task_id = trial.submit(task(script + wait, credential=credential))
    subject.until(lambda: peek(task_id, names[0], 5) != b"", f"something to see of {names[0]}")
    subject.until(lambda: trial.status(task_id).state is TaskState.RUNNING, "the task runs")
    seen = [peek(task_id, name, 5) for name in names]
    write(go_on, "")
    trial.ended(task_id)
    return seen


def fetch_gives_the_same_again(subject: Subject) -> None:
    """Every byte and bit, by the same object and by a new one; what could not be brought is told again, not twice."""
    script = (
        "echo out; echo err >&2; mkdir d; echo a > d/a; head -c 9999 /dev/zero > b; chmod +x b; ln -s /etc/hosts c\n"
    )
    folders = [subject.scratch / name for name in ("first", "second", "third")]
    with subject.ce() as trial:
        task_id, _ = trial.ran(f"{script}exit 3\n", outputs=("d/*", "b", "c"))
        for folder in folders[:2]:
            trial.ce.fetch(task_id, folder)
        trial.forget()
    with subject.ce() as trial:
        trial.adopt(task_id)
        trial.ended(task_id)
        trial.ce.fetch(task_id, folders[2])
    first, second, third = map(_files_of, folders)

    assert set(first) >= {"stdout", "stderr", "exit_code", "outputs/d/a", "outputs/b"}, f"fetched were {sorted(first)}"
    assert second == first, f"fetched again, not the same are {_unlike(first, second)}"
    assert third == first, f"fetched by a new object, not the same are {_unlike(first, third)}"


def _files_of(folder: Path) -> dict[str, tuple[bool, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (os.access(path, os.X_OK), path.read_bytes()) for path in files}


def _unlike(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def clean_leaves_no_files(subject: Subject) -> None:
    """Nothing of a cleaned task lies in the CE's own directory: no script, input, output, log."""
    file = write(subject.scratch / "input", f"{MARKER}\n")
    own = subject.scratch / "own-state"
    with subject.ce_at(own) as trial:
        script = f"cat input; echo {MARKER} > made; mkdir -p a/b; echo {MARKER} > a/b/c; chmod 000 a\n"
        task_id, _ = trial.ran(script, inputs=(file,), outputs=("made",))
        trial.fetched(task_id)
        before = list(_with_marker(own))
        trial.ce.clean([task_id])
        subject.until(lambda: not any(_with_marker(own)), "nothing of a cleaned task is left")

    assert before is not None


def _with_marker(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        for path in (Path(root) / name for name in names):
            with suppress(OSError):
                if path.is_file() and not path.is_symlink() and MARKER.encode() in path.read_bytes():
                    yield path


def work_directory_that_cannot_be_made_is_told(subject: Subject) -> None:
    """A CEError or a refusal in a sentence, never another exception, and never Accepted."""
    spec, inside_a_file = task(":\n"), write(subject.scratch / "file", "") / "state"
    try:
        with subject.ce_at(inside_a_file) as trial:
            answer: object = trial.ce.submit([spec])[spec.stamp]
    except CEError as error:
        answer = error

    assert not isinstance(answer, Accepted), "a task was accepted by a CE whose work directory cannot be made"
    assert str(answer), "the error says nothing"


def full_work_directory_harms_no_other_task(subject: Subject) -> None:
    """A task whose files find no room is refused or put off in a sentence; when there is room the next one runs."""
    file = write(subject.scratch / "large", "x" * 4 * FULL_AT_BYTES)
    spec, answer, said = task("wc -c < large\n", inputs=(file,)), None, "answered"
    with subject.ce() as trial:
        trial.ran(":\n")
        with _no_room():
            try:
                answer = trial.ce.submit([spec])[spec.stamp]
            except CEError as error:
                said = str(error)
        assert said, "the error says nothing"
        if isinstance(answer, Accepted):
            trial.adopt(answer.task_id)
            status = trial.ended(answer.task_id)
            if status.state is TaskState.DONE:
                size = (trial.fetched(answer.task_id) / "stdout").read_text().strip()
                assert size == str(4 * FULL_AT_BYTES), (
                    f"a task ran with {size or 'no'} bytes of its input for want of room"
                )
        _, after = trial.ran("exit 5\n")

    assert after.exit_code == 5, f"when there is room again the next task is {after}"


@contextmanager
def _no_room() -> Iterator[None]:
    """Let nobody here write a file of more than `FULL_AT_BYTES`: a full disk that needs no root."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_AT_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def two_objects_keep_apart(subject: Subject) -> None:
    """Two agents use the same CE, each with a directory of its own: the end of one touches no task of the other."""
    go_on = subject.scratch / "go-on"
    with subject.ce() as trial:
        task_id = trial.submit(task(f"until [ -e {quote(str(go_on))} ]; do sleep 0.05; done; exit 6\n"))
        subject.until(lambda: trial.status(task_id).state is TaskState.RUNNING, "the task runs")
        with subject.ce_at(subject.scratch / "another-state") as other:
            if other.ce.slots().free_processors > 0:
                other.ran("exit 7\n")
        between = trial.status(task_id)
        write(go_on, "")
        status = trial.ended(task_id)

    assert between.state is TaskState.RUNNING, f"when another object has come and gone, a running task is {between}"
    assert (status.state, status.exit_code) == (TaskState.DONE, 6), f"its end is {status}"
