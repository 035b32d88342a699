"""The connection to a login node ends in the middle of Slurm's commands: no task is lost, none runs twice."""

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ce_backends.base import Accepted, ComputingElement, TaskSpec, TaskState, TaskStatus, Uncertain
from ce_backends.errors import CEError
from ce_backends.registry import create
from tests.systems.conftest import Have
from tests.systems.real_system import RealSystem
from tests.systems.slurm_scene import COMMANDS, until
from tests.systems.user_transport import Shims

# the server's process of this session is the user's own
CONNECTION_ENDS = """\
pid=$$
until [ "$(cat /proc/$pid/comm)" = sshd ]; do pid=$(ps -o ppid= -p "$pid" | tr -d ' '); done
kill -9 "$pid"
sleep 100
"""
BEFORE = CONNECTION_ENDS
AFTER = f'"$real" "$@" > /dev/null\n{CONNECTION_ENDS}'
GATEWAY = "slurm-by-ssh"  # its clients' environment, in which Slurm's commands have faults


@dataclass
class Scene:
    """A CE in front of a login node, the faulty commands there, and the tasks' ledger."""

    ce: ComputingElement
    shims: Shims
    ledger: Path

    def task(self, script: str) -> TaskSpec:
        stamp = uuid.uuid4().hex
        return TaskSpec(stamp=stamp, script=f"echo {stamp} >> {self.ledger}; {script}\n")

    def starts(self, task: TaskSpec) -> int:
        return self.ledger.read_text().split().count(task.stamp)

    def status(self, task_id: str) -> TaskStatus:
        return self.ce.poll([task_id])[task_id]


@pytest.fixture(scope="module")
def slurm(have: Have) -> RealSystem:
    return have("slurm")


@pytest.fixture(scope="module")
def shims(slurm: RealSystem) -> Iterator[Shims]:
    """Put faulty commands before the real ones, in a system of their own that is only an environment."""
    gateway = slurm.folder.parent / GATEWAY  # the same place each time: a server that was left running knows it
    shutil.rmtree(gateway, ignore_errors=True)
    made = Shims(gateway / "shims", COMMANDS, slurm.env["PATH"])
    env = {**slurm.env, "PATH": f"{gateway}/shims:{slurm.env['PATH']}"}
    (gateway / "client.env").write_text("".join(f"{name}={value}\n" for name, value in env.items()))
    yield made
    shutil.rmtree(gateway)


@pytest.fixture
def scene(have: Have, slurm: RealSystem, shims: Shims, tmp_path: Path) -> Iterator[Scene]:
    server = have("ssh", SSH_BATCH=GATEWAY)
    options = {
        "BatchSystem": "SLURM",
        "SSHHost": "gridpilot-open",
        "SSHOptions": f"-F {server.env['SSH_CONFIG']}",
        "StatusInterval": 0.3,
        "SharedArea": f"{slurm.home}/by-ssh/{tmp_path.name}",
        "CommandTimeout": 20,
    }
    ce = create("SSH", options, tmp_path / "state")
    yield Scene(ce, shims, slurm.home / "by-ssh-ledger")
    ce.close()


@pytest.mark.parametrize(("moment", "jobs"), [(BEFORE, 0), (AFTER, 1)], ids=["before", "after"])
def test_connection_lost_in_a_submission_leaves_one_task(scene: Scene, moment: str, jobs: int) -> None:
    task = scene.task("exit 3")
    scene.shims.break_("sbatch", moment)

    lost = scene.ce.submit([task])[task.stamp]
    found = scene.ce.find([task.stamp])
    again = scene.ce.submit([task])[task.stamp]
    assert isinstance(again, Accepted)
    end = until(lambda: scene.status(again.task_id), lambda status: status.state.is_final)

    assert isinstance(lost, Uncertain)
    assert len(found) == jobs
    assert (end.state, end.exit_code, scene.starts(task)) == (TaskState.DONE, 3, 1)


@pytest.mark.parametrize("command", ["squeue", "sacct"])
def test_connection_lost_in_a_question_changes_no_state(scene: Scene, command: str) -> None:
    task = scene.task("sleep 3; exit 3")
    answer = scene.ce.submit([task])[task.stamp]
    assert isinstance(answer, Accepted)
    until(lambda: scene.status(answer.task_id), lambda status: status.state is TaskState.RUNNING)

    scene.shims.break_(command, BEFORE)
    if command == "sacct":
        scene.shims.break_("squeue", "exit 0")  # which makes the accounting be asked
    seen = set()
    while not scene.shims.is_spent(command):
        seen.add(scene.status(answer.task_id).state)
    end = until(lambda: scene.status(answer.task_id), lambda status: status.state.is_final)

    assert seen <= {TaskState.RUNNING}
    assert (end.exit_code, scene.starts(task)) == (3, 1)


def test_connection_lost_in_a_cancellation_can_be_repeated(scene: Scene) -> None:
    task = scene.task("sleep 100")
    answer = scene.ce.submit([task])[task.stamp]
    assert isinstance(answer, Accepted)
    until(lambda: scene.status(answer.task_id), lambda status: status.state is TaskState.RUNNING)
    scene.shims.break_("scancel", BEFORE)

    with pytest.raises(CEError, match="scancel: no answer"):
        scene.ce.cancel([answer.task_id])
    scene.ce.cancel([answer.task_id])

    assert until(lambda: scene.status(answer.task_id), lambda status: status.state.is_final).state is TaskState.ABORTED
