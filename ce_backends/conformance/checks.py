"""What every backend must do, one sentence per check. Each raises AssertionError with what was seen instead."""

import subprocess
import time
from pathlib import Path

from ce_backends.base import Rejected, TaskState
from ce_backends.conformance.subject import PAUSE_S, Subject, lines, task, write
from ce_backends.task.script import COOKIE, CREDENTIAL, REASON_FILE, quote
from ce_backends.task.secret_files import SECRETS

TOGETHER_S = 10.0  # for tasks to run at the same time, where their batch system starts them at once
STAND_STILL_S = 0.25  # a process that writes every 50 ms would have written five times
MAY_BE_ADDED = {"PATH", "HOME", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_", COOKIE, REASON_FILE, CREDENTIAL, SECRETS}
ODD_VALUES = {
    "SPACES": "  two  words ",
    "QUOTES": 'it\'s "so" `so` $(so) ${so} \\so\\',
    "LINES": "first\nsecond\n",
    "STARS": "* ? [a] ~ # ! & ; | < > ( ) { }",
    "UNICODE": "Ωmega ☃ 𝄞",
    "EMPTY": "",
    "EQUALS": "a=b=c",
    "DASH": "-n",
}


def output_and_exit_code_come_back(subject: Subject) -> None:
    """Both streams and the exit code."""
    with subject.ce() as trial:
        task_id, status = trial.ran("echo out; echo err >&2; exit 7\n")
        folder = trial.fetched(task_id)

    assert (status.state, status.exit_code) == (TaskState.DONE, 7), f"a script that ends with 7 is {status}"
    seen = ((folder / "stdout").read_text(), (folder / "stderr").read_text())
    assert seen == ("out\n", "err\n"), f"stdout and stderr are {seen}"


def missing_command_is_exit_code_127(subject: Subject) -> None:
    """A result of the payload, not an error of the CE."""
    with subject.ce() as trial:
        _, status = trial.ran("no-such-command-anywhere\n")

    assert (status.state, status.exit_code) == (TaskState.DONE, 127), f"a missing command gives {status}"


def output_may_hold_any_byte(subject: Subject) -> None:
    """Nothing is decoded on the way."""
    every = bytes(range(256))
    octal = "".join(f"\\{byte:03o}" for byte in every)
    with subject.ce() as trial:
        task_id, _ = trial.ran(f"printf '{octal}'\n")
        seen = (trial.fetched(task_id) / "stdout").read_bytes()

    assert seen == every, f"256 different bytes came back as {len(seen)}: {seen[:40]!r}…"


def inputs_arrive(subject: Subject) -> None:
    """Files and directories, under their own names, in the directory where the script runs."""
    file = write(subject.scratch / "a file", "one")
    write(subject.scratch / "folder/deep/file", "two")
    with subject.ce() as trial:
        script, inputs = "cat 'a file' folder/deep/file shared\n", (file, subject.scratch / "folder")
        shared = write(subject.scratch / "shared", "three")
        seen = []
        for _ in range(2):  # a shared file is there for the next task too
            task_id, _ = trial.ran(script, inputs=inputs, shared=(shared,))
            seen.append((trial.fetched(task_id) / "stdout").read_text())

    assert seen == ["onetwothree"] * 2, f"the inputs read 'onetwothree', the tasks saw {seen!r}"


def outputs_come_back_by_pattern(subject: Subject) -> None:
    """What matches, under the same relative names, and nothing else."""
    script = "mkdir -p d/e; echo 1 > a.txt; echo 2 > d/b.txt; echo 3 > d/e/c.txt; echo 4 > not.me\n"
    with subject.ce() as trial:
        task_id, _ = trial.ran(script, outputs=("*.txt", "d"))
        folder = trial.fetched(task_id) / "outputs"
        seen = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    assert seen == ["a.txt", "d/b.txt", "d/e/c.txt"], f"the outputs are {seen}"


def outputs_never_lead_out_of_the_work_directory(subject: Subject) -> None:
    """A link to a stranger's file brings nothing, and says so."""
    secret = write(subject.scratch / "secret", "not yours")
    with subject.ce() as trial:
        link = f"ln -s {quote(str(secret))} link; ln -s {quote(str(subject.scratch))} folder; echo mine > own\n"
        task_id, _ = trial.ran(link, outputs=("*", "folder/secret"))
        folder = trial.fetched(task_id)
        refused = trial.ce.submit([outside := task(":\n", outputs=("../*",))])

    brought = [path for path in (folder / "outputs").rglob("*") if path.is_file() and path.read_text() == "not yours"]
    assert not brought, f"a file outside the work directory was brought as {brought}"
    assert (folder / "outputs/own").exists(), "the file beside the link did not come back"
    assert "link" in (folder / "stderr").read_text(), "nothing tells that the link was skipped"
    assert isinstance(refused[outside.stamp], Rejected), f"the pattern ../* was answered by {refused[outside.stamp]}"


def fetch_gives_the_same_names_everywhere(subject: Subject) -> None:
    """The names are the contract's."""
    with subject.ce() as trial:
        task_id, _ = trial.ran("echo x > out; exit 3\n", outputs=("out",))
        folder = trial.fetched(task_id)
        seen = sorted(path.name for path in folder.iterdir())
        exit_code = (folder / "exit_code").read_text()

    assert seen == ["exit_code", "outputs", "stderr", "stdout"], f"fetch made {seen}"
    assert exit_code == "3\n", f"the file exit_code holds {exit_code!r}"


def _environment(subject: Subject, **variables: str) -> dict[str, str]:
    """Return the environment that a task with these variables really starts with."""
    with subject.ce() as trial:
        task_id, _ = trial.ran("cat /proc/$$/environ\n", environment=variables)
        text = (trial.fetched(task_id) / "stdout").read_bytes().decode("utf-8", "surrogateescape")
    return dict(item.split("=", 1) for item in text.split("\0") if item)


def environment_is_exactly_the_tasks(subject: Subject) -> None:
    """Nothing of the agent's environment, nor of the batch system's, leaks into the payload."""
    seen = _environment(subject, MINE="1", PATH="/usr/bin:/bin:/mine")
    extra = set(seen) - MAY_BE_ADDED - {"MINE"}

    assert not extra, f"variables that nobody asked for: {sorted(extra)}"
    assert (seen["MINE"], seen["PATH"]) == ("1", "/usr/bin:/bin:/mine"), f"MINE and PATH are {seen}"
    assert {"HOME", "TMPDIR"} <= set(seen), f"HOME and TMPDIR are missing from {sorted(seen)}"


def environment_values_survive_quoting(subject: Subject) -> None:
    """Whatever a user writes into a value arrives as it is."""
    seen = _environment(subject, **ODD_VALUES)

    for name, value in ODD_VALUES.items():
        assert seen.get(name) == value, f"{name}={value!r} arrived as {seen.get(name)!r}"


def bad_variable_name_is_refused_in_a_sentence(subject: Subject) -> None:
    """One task is refused, with the name in the reason; the CE goes on."""
    bad = task(":\n", environment={"a b;c": "1"})
    with subject.ce() as trial:
        answer = trial.ce.submit([bad])[bad.stamp]
        _, after = trial.ran(":\n")

    assert isinstance(answer, Rejected), f"a variable called 'a b;c' was answered by {answer}"
    assert "a b;c" in answer.reason, f"the reason does not name the variable: {answer.reason}"
    assert after.exit_code == 0, f"the next task is {after}"


def several_tasks_keep_apart(subject: Subject) -> None:
    """As many at once as there is room for (four at most), each with its own directory and output."""
    begun, go_on = subject.scratch / "begun", subject.scratch / "go-on"
    script = (
        f"echo {{0}} > same; echo {{0}} >> {quote(str(begun))}; until [ -e {quote(str(go_on))} ]; do sleep 0.02; done"
    )
    script += "; cat same; ls | wc -l\n"
    with subject.ce() as trial:
        task_ids = [trial.submit(task(script.format(0)))]
        while len(task_ids) < 4 and trial.ce.slots().free_processors > 0:
            task_ids.append(trial.submit(task(script.format(len(task_ids)))))
        give_up_at = time.monotonic() + TOGETHER_S
        while len(lines(begun)) < len(task_ids) and time.monotonic() < give_up_at:
            time.sleep(PAUSE_S)
        write(go_on, "")
        for task_id in task_ids:
            trial.ended(task_id)
        seen = [(trial.fetched(task_id) / "stdout").read_text().split() for task_id in task_ids]

    expected = [[str(number), "1"] for number in range(len(task_ids))]
    assert seen == expected, f"{len(task_ids)} tasks at once wrote {seen}"


def poll_answers_exactly_what_was_asked(subject: Subject) -> None:
    """No task more, none less; a stranger is Unknown, which is not an end."""
    stranger = task(":\n").stamp
    with subject.ce() as trial:
        task_id, _ = trial.ran(":\n")
        nothing, answers = trial.ce.poll([]), trial.ce.poll([stranger, task_id])
        alone = trial.ce.poll([task_id])

    assert nothing == {}, f"poll of nothing answered {nothing}"
    assert set(answers) == {stranger, task_id}, f"poll of two ids answered for {sorted(answers)}"
    assert answers[stranger].state is TaskState.UNKNOWN, f"an unknown task is {answers[stranger]}"
    assert set(alone) == {task_id}, f"poll of one id answered for {sorted(alone)}"


def same_stamp_runs_once(subject: Subject) -> None:
    """Submitting again, before and after the end, gives the same task and does not start it again."""
    ledger = subject.scratch / "ledger"
    once = task(f"echo started >> {quote(str(ledger))}\n")
    with subject.ce() as trial:
        task_ids = [trial.submit(once), trial.submit(once)]
        trial.ended(task_ids[0])
        task_ids.append(trial.submit(once))
        trial.ended(task_ids[0])

    assert len(set(task_ids)) == 1, f"one stamp has the task ids {task_ids}"
    assert lines(ledger) == ["started"], f"one stamp, submitted three times, ran {len(lines(ledger))} times"


def new_object_finds_a_running_task(subject: Subject) -> None:
    """The agent may be restarted while payloads run."""
    ledger, go_on = subject.scratch / "ledger", subject.scratch / "go-on"
    shared = task(
        f"echo started >> {quote(str(ledger))}; until [ -e {quote(str(go_on))} ]; do sleep 0.02; done; exit 5\n"
    )
    stranger = task(":\n").stamp
    with subject.ce() as trial:
        trial.submit(shared)
        subject.until(lambda: bool(lines(ledger)), "start of the task")
        trial.forget()
    with subject.ce() as trial:
        found = trial.ce.find([shared.stamp, stranger])
        task_id = trial.submit(shared)
        subject.until(lambda: trial.status(task_id).state is TaskState.RUNNING, "a new object sees it running")
        write(go_on, "")
        status = trial.ended(task_id)

    assert found == {shared.stamp: task_id}, f"a new object found {found}, asked for {shared.stamp} and a stranger"
    assert (status.state, status.exit_code) == (TaskState.DONE, 5), f"its end is {status}"
    assert lines(ledger) == ["started"], f"it ran {len(lines(ledger))} times"


def new_object_tells_an_ended_task(subject: Subject) -> None:
    """What ended while nobody looked is told with its exit code and output."""
    done = subject.scratch / "done"
    unseen = task(f"echo out; sleep 0.2; : > {quote(str(done))}; exit 6\n")
    with subject.ce() as trial:
        task_id = trial.submit(unseen)
        trial.forget()
    subject.until(done.exists, "the task's last step")
    with subject.ce() as trial:
        status = trial.ended(trial.adopt(task_id))
        output = (trial.fetched(task_id) / "stdout").read_text()

    assert (status.state, status.exit_code, output) == (TaskState.DONE, 6, "out\n"), f"its end is {status}, {output!r}"


def _heartbeat(beat: Path) -> str:
    return f"while :; do echo x >> {quote(str(beat))}; sleep 0.05; done"


def _stand_still(*beats: Path) -> bool:
    before = [len(lines(beat)) for beat in beats]
    time.sleep(STAND_STILL_S)
    return [len(lines(beat)) for beat in beats] == before


def _daemon(beat: Path) -> str:
    """Return a command that leaves a process behind in a session of its own, with another parent."""
    return f"(setsid /bin/sh -c {quote(_heartbeat(beat))} > /dev/null 2>&1 < /dev/null &)\n"


def cancel_ends_the_whole_tree(subject: Subject) -> None:
    """Children, grandchildren, and daemons in sessions of their own."""
    beats = [subject.scratch / name for name in ("child", "daemon")]
    with subject.ce() as trial:
        task_id = trial.submit(task(f"{_daemon(beats[1])}({_heartbeat(beats[0])})\n"))
        subject.until(lambda: all(beat.exists() for beat in beats), "start of the task's processes")
        trial.ce.cancel([task_id])
        status = trial.ended(task_id)
        still = _stand_still(*beats)

    assert status.state is TaskState.ABORTED, f"a cancelled task is {status}"
    assert still, "its child or its daemon still runs"


def cancel_ends_what_ignores_sigterm(subject: Subject) -> None:
    """SIGKILL follows after the CE's grace."""
    beat = subject.scratch / "beat"
    with subject.ce() as trial:
        task_id = trial.submit(task(f"trap '' TERM INT HUP; {_heartbeat(beat)}\n"))
        subject.until(beat.exists, "start of the task")
        trial.ce.cancel([task_id])
        status = trial.ended(task_id)
        still = _stand_still(beat)

    assert status.state is TaskState.ABORTED, f"a cancelled task is {status}"
    assert still, "it still runs"


def cancel_of_an_ended_or_unknown_task_is_no_error(subject: Subject) -> None:
    """The end may have come first; then it stays what it was."""
    stranger = task(":\n").stamp
    with subject.ce() as trial:
        task_id, before = trial.ran("exit 4\n")
        trial.ce.cancel([task_id, stranger])
        after = trial.status(task_id)

    assert after == before, f"cancelling made {after} of {before}"


def end_of_a_task_ends_its_daemons(subject: Subject) -> None:
    """When a task is final, nothing it started runs any more."""
    beat = subject.scratch / "beat"
    with subject.ce() as trial:
        script = f"{_daemon(beat)}until [ -e {quote(str(beat))} ]; do sleep 0.02; done; exit 2\n"
        _, status = trial.ran(script)
        still = _stand_still(beat)

    assert (status.state, status.exit_code) == (TaskState.DONE, 2), f"its end is {status}"
    assert still, "the daemon it left behind still runs"


def others_processes_are_never_touched(subject: Subject) -> None:
    """A process of the same user that no task started survives the end and the cancelling of tasks."""
    with subprocess.Popen(["/bin/sleep", str(10 + 10 * subject.deadline_s)], start_new_session=True) as canary:
        try:
            with subject.ce() as trial:
                trial.ran(_daemon(subject.scratch / "beat"))
                trial.ce.cancel([trial.submit(task("sleep 1000\n"))])
            died = canary.poll()
        finally:
            canary.kill()

    assert died is None, f"a stranger's process was ended ({died})"


def clean_forgets_the_task(subject: Subject) -> None:
    """Nothing can be asked of it any more; cleaning twice is no error."""
    with subject.ce() as trial:
        task_id, _ = trial.ran("mkdir -p a/b; : > a/b/c; chmod 000 a\n")
        trial.ce.clean([task_id])
        trial.ce.clean([task_id])
        state, found = trial.status(task_id).state, trial.ce.find([task_id])

    assert state is TaskState.UNKNOWN, f"a cleaned task is {state}"
    assert found == {}, f"a cleaned task is found as {found}"
