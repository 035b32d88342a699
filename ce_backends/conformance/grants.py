"""What every backend must do with what a task is granted: credential, processors, GPUs, limits."""

import hashlib
import os
import time

from ce_backends.base import Accepted, Limit, Queues, Rejected, TaskState, TaskStatus
from ce_backends.conformance.subject import Subject, Trial, lines, offers, task, write
from ce_backends.task.script import CREDENTIAL, quote
from ce_backends.task.secret_files import SECRETS

STAND_STILL_S = 0.3
CPU_LIMIT_S = 2
DISK_LIMIT_MB = 20
BURN = "while :; do :; done\n"
NOBODYS_IMAGE = "/gridpilot/image/that/nobody/has"
SLACK_S = 5.0  # between what we see and what a CE has measured


def credential_is_delivered(subject: Subject) -> None:
    """The whole file, where GRIDPILOT_CREDENTIAL says, for its owner alone; it does not come back with the outputs."""
    text = "-----BEGIN A CREDENTIAL-----\n" + hashlib.sha256(b"gridpilot").hexdigest() * 50 + "\n"
    given = write(subject.scratch / "credential", text)
    given.chmod(0o600)
    script = f'cat "${CREDENTIAL}"; stat -L -c %a "${CREDENTIAL}" >&2\n'
    with subject.ce() as trial:
        task_id, status = trial.ran(script, credential=given, outputs=("*",))
        folder = trial.fetched(task_id)
        seen, mode = (folder / "stdout").read_text(), (folder / "stderr").read_text().strip()
        brought = [path for path in (folder / "outputs").rglob("*") if path.is_file()]

    assert status.exit_code == 0, f"a task that reads its credential is {status}"
    assert seen == text, f"a credential of {len(text)} bytes arrived as {len(seen)}"
    assert mode in ("600", "400"), f"the credential has the mode {mode}: others may read it"
    assert not brought, f"with the outputs came {brought[0].name}"


def secrets_are_delivered_and_stay(subject: Subject) -> None:
    """Each under its name where GRIDPILOT_SECRETS says, for its owner alone; in no variable, and in no output."""
    words = "a-password-of-nobody"
    contents = {"token": f"{words}\n".encode(), "key with a space": bytes(range(256)) * 40}
    given = [subject.scratch / "given" / name for name in contents]
    for path in given:
        write(path, "").write_bytes(contents[path.name])
    look = f'cd "${SECRETS}" && stat -c "%a" -- . * && sha256sum -- *; env | grep -c {words[:4]}"{words[4:]}" >&2\n'
    with subject.ce() as trial:
        task_id, _ = trial.ran(look, secrets=given, outputs=("*", "*/*"))
        folder = trial.fetched(task_id)
        seen, shown = (folder / "stdout").read_text().splitlines(), (folder / "stderr").read_text().strip()
        brought = [path for path in (folder / "outputs").rglob("*") if path.is_file()]

    expected = [f"{hashlib.sha256(contents[name]).hexdigest()}  {name}" for name in sorted(contents)]
    assert seen[3:] == expected, f"of {len(contents)} secrets arrived {seen[3:] or shown or 'none'}"
    assert set(seen[:3]) <= {"700", "600", "500", "400"}, f"secrets have the modes {seen[:3]}: others may read them"
    assert shown == "0", f"in the variables of a task its secret is found: {shown}"
    assert not brought, f"with the outputs came {brought[0].name}"


def processor_ids_are_kept(subject: Subject) -> None:
    """A task that is granted certain processors runs on these; of tasks in a queue the batch system chooses."""
    with subject.ce() as trial:
        if offers(trial.ce, Queues):
            return
        wanted = max(os.sched_getaffinity(0))
        task_id, _ = trial.ran("grep Cpus_allowed_list /proc/self/status\n", processor_ids=(wanted,))
        seen = (trial.fetched(task_id) / "stdout").read_text().split()[-1:]

    assert seen == [str(wanted)], f"a task that was granted processor {wanted} may run on {seen}"


def gpus_are_the_tasks_alone(subject: Subject) -> None:
    """What the task is told of its GPUs arrives; a queue that has none refuses a task that needs one."""
    one = task("echo =$CUDA_VISIBLE_DEVICES=\n", gpus=("1",), environment={"CUDA_VISIBLE_DEVICES": "1"})
    with subject.ce() as trial:
        if offers(trial.ce, Queues):
            _refuses_gpus(trial)
            return
        task_ids = [trial.submit(one)]
        trial.ended(task_ids[0])
        task_ids.append(trial.ran("echo =$CUDA_VISIBLE_DEVICES=\n", environment={"CUDA_VISIBLE_DEVICES": ""})[0])
        seen = [(trial.fetched(task_id) / "stdout").read_text().strip() for task_id in task_ids]

    assert seen == ["=1=", "=="], f"a task with GPU 1 and one with none see {seen}"


def _refuses_gpus(trial: Trial) -> None:
    places = trial.ce.places  # type: ignore[attr-defined]
    if places.gpus:
        return
    needs = task(":\n", gpus=("0",))
    answer = trial.ce.submit([needs])[needs.stamp]
    assert isinstance(answer, Rejected), f"a CE with no GPU answered a task that needs one by {answer}"


def image_is_used_or_refused(subject: Subject) -> None:
    """A task whose image cannot be had is Rejected with its name, or fails; the script runs in no other place."""
    ran = subject.scratch / "ran"
    asks = task(f"echo outside >> {quote(str(ran))}\n", image=NOBODYS_IMAGE)
    with subject.ce() as trial:
        answer = trial.ce.submit([asks])[asks.stamp]
        known = trial.ce.find([asks.stamp])
        if isinstance(answer, Accepted):
            status = trial.ended(trial.adopt(answer.task_id))
            assert status.exit_code != 0, f"a task in an image that is not there is {status}"
        else:
            assert isinstance(answer, Rejected), f"a task that asks for an image was answered by {answer}"
            assert NOBODYS_IMAGE in answer.reason, f"refused is the image {NOBODYS_IMAGE} with {answer.reason!r}"
            assert known == {}, f"a task that was refused is known: {known}"

    assert not ran.exists(), f"the script of a task that asks for the image {NOBODYS_IMAGE} has run outside of it"


def wall_limit_ends_a_task(subject: Subject) -> None:
    """It is ended with all it has started, soon after its limit, with the reason."""
    beat = subject.scratch / "beat"
    with subject.ce() as trial:
        _, status = trial.ran(f"while :; do echo x >> {quote(str(beat))}; sleep 0.05; done\n", wall_s=2)
        before = len(lines(beat))
        time.sleep(STAND_STILL_S)
        after = len(lines(beat))

    assert (status.state, status.limit) == (TaskState.FAILED, Limit.WALL), f"a task beyond its wall limit is {status}"
    assert before == after, "a task that was said to have ended at its wall limit still runs"


def memory_limit_ends_a_task(subject: Subject) -> None:
    """It is ended, with the reason, and only it."""
    with subject.ce() as trial:
        hold = "{ head -c 600000000 /dev/zero; sleep 5; } | tail -c 550000000 > /dev/null || exit 9\n"
        _, status = trial.ran(hold, memory_mb=150)

    _require_limit(status, Limit.MEMORY, "that needs four times its memory limit")


def cpu_limit_ends_a_task(subject: Subject) -> None:
    """CPU time of all its processes together."""
    with subject.ce() as trial:
        _, status = trial.ran(BURN, cpu_s=CPU_LIMIT_S)

    _require_limit(status, Limit.CPU, "beyond its limit of CPU time")


def disk_limit_ends_a_task(subject: Subject) -> None:
    """What lies in its directory counts."""
    with subject.ce() as trial:
        _, status = trial.ran(f"head -c {4 * DISK_LIMIT_MB}000000 /dev/zero > big; sleep 1000\n", disk_mb=DISK_LIMIT_MB)

    _require_limit(status, Limit.DISK, "with four times its limit of disk space")


def _require_limit(status: TaskStatus, limit: Limit, what: str) -> None:
    assert (status.state, status.limit) == (TaskState.FAILED, limit), f"a task {what} is {status}"


def usage_is_true(subject: Subject) -> None:
    """What a CE tells of an ended task's use of the node is neither too little nor too much; None is allowed."""
    # a fixed amount of work: on a busy node a task may get little of the processor in a second
    script = "i=0; while [ $i -lt 1000000 ]; do i=$((i + 1)); done; sleep 1\n"
    began_s = time.monotonic()
    with subject.ce() as trial:
        _, status = trial.ran(script)
        most_s = time.monotonic() - began_s + SLACK_S

    use = status.usage
    assert use.wall_s is None or 0.5 <= use.wall_s <= most_s, f"a task that ran for 1 s at least used {use.wall_s} s"
    assert use.cpu_s is None or 0.1 <= use.cpu_s <= most_s, (
        f"a task that counted to a million at least used {use.cpu_s} s of CPU"
    )
    memory_mb = use.memory_peak_mb
    assert memory_mb is None or 0 < memory_mb < 1000, f"a shell that computes used {memory_mb} MB of memory"
