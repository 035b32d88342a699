"""What becomes of tasks and machines of the Cloud CE, with a fake cloud in memory."""

import hashlib
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ce_backends.base import Accepted, Rejected, TaskSpec, TaskState, Uncertain
from ce_backends.batch.ce import BatchCE, Bounds
from ce_backends.batch.conclusion import Patience
from ce_backends.batch.task_book import TaskBook
from ce_backends.cloud.context import Contextualisation, unpacked
from ce_backends.cloud.machines import Abilities, Machine, Power, Refused, name_of
from ce_backends.cloud.spool import CloudSpool, Published
from ce_backends.cloud.system import Lives, Machines
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.task.image import NO_LAUNCHER
from ce_backends.task.log_limit import Cap
from tests.unit.test_cloud import INSTALLATION, OTHERS, STAMP, result, told_by

TOLD = Contextualisation(user="gridpilot", lifetime_s=100)
AT_ONCE = Abilities(user_data_bytes=50_000, has_parcel_disk=False, tells_at_once=True, console_bytes=10_000)


@dataclass
class NoCloud:
    """A fake cloud in memory: machines are rows, and do what a test says."""

    abilities: Abilities = AT_ONCE
    there: dict[str, Machine] = field(default_factory=dict)
    consoles: dict[str, str] = field(default_factory=dict)
    told: list[bytes] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    fails: CEError | None = None
    is_lost: bool = False  # a machine is made, and no answer comes

    def create(self, name: str, user_data: bytes, parcel: Path | None) -> str:
        self.told.append(user_data)
        if self.fails and not self.is_lost:
            raise self.fails
        machine_id = f"id-{len(self.told)}"
        self.put(machine_id, name)
        if self.fails:
            raise self.fails
        return machine_id

    def put(self, machine_id: str, name: str, power: Power = Power.COMING, age_s: float = 0.0) -> None:
        self.there[machine_id] = Machine(
            machine_id=machine_id, name=name, power=power, native=power.value.upper(), age_s=age_s
        )

    def now(self, machine_id: str, power: Power, age_s: float = 0.0) -> None:
        self.put(machine_id, self.there[machine_id].name, power, age_s)

    def machines(self) -> Sequence[Machine]:
        return list(self.there.values())

    def delete(self, machine_id: str) -> None:
        self.deleted.append(machine_id)
        self.there.pop(machine_id, None)

    def console(self, machine_id: str, most_bytes: int) -> str:
        text = self.consoles.get(machine_id, "")
        if text == "fails":
            raise CEError("no console")
        return text[-most_bytes:]

    def close(self) -> None:
        pass


class Scene:
    """A CE in front of that cloud; nobody looks but the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cloud = NoCloud()
        self.ces: list[BatchCE] = []
        self.published: Published | None = None
        self.ce = self.made()

    def made(self) -> BatchCE:
        area = self.folder / "area"
        system = Machines(self.cloud, area, INSTALLATION, TOLD, Lives(boot_s=50, whole_s=700))
        spool = CloudSpool(area, self.folder / "moving", self.published, cap=Cap(10**6), launcher=NO_LAUNCHER)
        bounds = Bounds(interval_s=10**6, patience=Patience(lost_after_s=10**6, exit_code_s=0))
        book = TaskBook(self.folder / "tasks.sqlite")
        self.ces.append(BatchCE("NoCloud", system, self.cloud, spool, book, bounds))
        return self.ces[-1]

    def submitted(self, **more: object) -> TaskSpec:
        task = TaskSpec(stamp=os.urandom(16).hex(), script="true", **more)  # type: ignore[arg-type]
        self.answer = self.ce.submit([task])[task.stamp]
        return task

    def state(self, task_id: str = "id-1") -> tuple[TaskState, str]:
        self.ce.look()
        status = self.ce.poll([task_id])[task_id]
        return status.state, status.reason


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    for ce in made.ces:
        ce.close()


def test_a_task_goes_from_a_machine_that_is_created_to_one_that_is_gone(scene: Scene) -> None:
    task = scene.submitted(outputs=["o"])
    seen = [scene.state()[0]]
    scene.cloud.now("id-1", Power.ON, 10)
    seen.append(scene.state()[0])
    scene.cloud.consoles["id-1"] = f"gridpilot:{task.stamp}:began\n"
    seen.append(scene.state()[0])
    scene.cloud.consoles["id-1"] = told_by(task.stamp, result(started="1\n", stdout="out\n", exit_code="3\n"))
    scene.cloud.now("id-1", Power.OFF, 20)
    seen.append(scene.state()[0])
    scene.ce.fetch("id-1", scene.folder / "out")

    assert scene.answer == Accepted("id-1")
    assert seen == [TaskState.WAITING, TaskState.WAITING, TaskState.RUNNING, TaskState.DONE]
    assert (scene.folder / "out/stdout").read_text() == "out\n"
    assert (scene.folder / "out/exit_code").read_text() == "3\n"
    assert scene.cloud.deleted == ["id-1"]


def test_where_a_console_is_old_a_machine_that_is_on_runs_its_task(scene: Scene) -> None:
    scene.cloud.abilities = replace(AT_ONCE, tells_at_once=False)
    scene.submitted()
    scene.cloud.now("id-1", Power.ON, 60)

    assert scene.state() == (TaskState.RUNNING, "")


@pytest.mark.parametrize(
    ("power", "age_s", "console", "begins"),
    [
        (Power.ON, 51, "", "its machine has hung: after 51 s the task had not begun"),
        (Power.ON, 701, "gridpilot:{stamp}:began", "its machine has hung: it is on after 701 s"),
        (Power.COMING, 701, "", "its machine has hung"),
        (Power.BROKEN, 1, "", "the cloud says BROKEN of its machine"),
        (Power.OFF, 1, "gridpilot:{stamp}:failed:no user can be made", "no user can be made"),
        (Power.OFF, 1, "nothing of ours", "NoCloud says OFF, but the task has left no exit code"),
    ],
)
def test_a_machine_that_brings_nothing_is_told_why_and_deleted(
    scene: Scene, power: Power, age_s: float, console: str, begins: str
) -> None:
    task = scene.submitted()
    scene.cloud.consoles["id-1"] = console.format(stamp=task.stamp)
    scene.cloud.now("id-1", power, age_s)
    scene.ce.look()

    state, reason = scene.state()

    assert state is TaskState.FAILED
    assert reason.startswith(begins)
    assert scene.cloud.deleted[-1:] == ["id-1"]


def test_absence_from_the_list_and_a_console_without_an_answer_are_no_end(scene: Scene) -> None:
    scene.submitted()
    scene.submitted()
    del scene.cloud.there["id-1"]
    scene.cloud.consoles["id-2"] = "fails"
    scene.cloud.now("id-2", Power.OFF)

    assert (scene.state("id-1")[0], scene.state("id-2")[0]) == (TaskState.UNKNOWN, TaskState.UNKNOWN)
    assert scene.cloud.deleted == []


def test_a_lost_answer_is_found_by_its_name_and_no_second_machine_is_made(scene: Scene) -> None:
    scene.cloud.fails, scene.cloud.is_lost = CEError("no answer"), True
    task = scene.submitted()
    first = scene.answer
    scene.cloud.fails = None

    again = scene.ce.submit([task])[task.stamp]

    assert isinstance(first, Uncertain)
    assert again == Accepted("id-1")
    assert len(scene.cloud.told) == 1


def test_the_next_process_finds_it_too(scene: Scene) -> None:
    scene.cloud.fails, scene.cloud.is_lost = CEError("no answer"), True
    task = scene.submitted()
    scene.cloud.fails = None
    scene.ce.close()

    assert scene.made().find([task.stamp]) == {task.stamp: "id-1"}


def test_a_second_machine_of_a_task_is_deleted_and_the_first_goes_on(scene: Scene) -> None:
    """The cloud was late: the first creation became visible after the second."""
    task = scene.submitted()
    scene.cloud.put("late", name_of(INSTALLATION, task.stamp), Power.ON, age_s=30)

    scene.ce.look()

    assert scene.cloud.deleted == ["late"]
    assert "id-1" in scene.cloud.there


@pytest.mark.parametrize(
    ("name", "age_s", "is_removed"),
    [
        (name_of(INSTALLATION, STAMP), 601, True),
        (name_of(INSTALLATION, STAMP), 599, False),  # its creation may be under way
        (name_of(OTHERS, STAMP), 10**6, False),
        (f"{name_of(INSTALLATION, STAMP)}-of-somebody", 10**6, False),
        ("web-server", 10**6, False),
    ],
)
def test_only_machines_of_this_ce_that_nobody_knows_are_removed(
    scene: Scene, name: str, age_s: float, is_removed: bool
) -> None:
    scene.cloud.put("orphan", name, Power.ON, age_s)

    scene.ce.look()

    assert scene.cloud.deleted == (["orphan"] if is_removed else [])


def test_a_task_in_doubt_keeps_its_machine(scene: Scene) -> None:
    scene.cloud.fails, scene.cloud.is_lost = CEError("no answer"), True
    scene.submitted()
    scene.cloud.now("id-1", Power.ON, 10**6)

    scene.ce.look()

    assert scene.cloud.deleted == []


def test_a_cancelled_task_is_aborted_and_its_machine_deleted(scene: Scene) -> None:
    scene.submitted()
    scene.ce.cancel(["id-1"])

    assert scene.cloud.deleted == ["id-1"]
    assert scene.state()[0] is TaskState.ABORTED


@pytest.mark.parametrize(
    ("error", "expected"),
    [(Refused("no such image"), Rejected("no such image")), (CEError("gone"), Uncertain)],
)
def test_what_a_creation_answers(scene: Scene, error: CEError, expected: object) -> None:
    scene.cloud.fails = error
    scene.submitted()

    assert scene.answer == expected if isinstance(expected, Rejected) else isinstance(scene.answer, Uncertain)


def test_a_full_cloud_is_no_refusal(scene: Scene) -> None:
    scene.cloud.fails = CEUnavailable("quota")

    with pytest.raises(CEUnavailable, match="quota"):
        scene.submitted()


def test_inputs_that_are_too_large_are_refused_with_what_would_help(scene: Scene) -> None:
    large = scene.folder / "gridpilot.pyz"
    large.write_bytes(os.urandom(60_000))

    scene.submitted(inputs=[large])

    assert isinstance(scene.answer, Rejected)
    assert "Context_FilesURL" in scene.answer.reason
    assert scene.cloud.told == []


def test_a_published_input_lies_there_once_and_a_credential_never(scene: Scene) -> None:
    large, proxy = scene.folder / "gridpilot.pyz", scene.folder / "proxy"
    large.write_bytes(os.urandom(60_000))
    proxy.write_text("SECRET OF A TEST")
    (scene.folder / "web").mkdir()
    scene.published = Published(scene.folder / "web")
    scene.ce = scene.made()

    for _ in range(2):
        scene.submitted(inputs=[large], credential=proxy)

    (shown,) = (scene.folder / "web").iterdir()
    assert hashlib.sha256(shown.read_bytes()).hexdigest() == shown.stem
    assert b"SECRET OF A TEST" not in shown.read_bytes()
    assert all(shown.stem in unpacked(told) for told in scene.cloud.told)
    with tarfile.open(shown) as archive:
        assert archive.getnames() == ["./work/gridpilot.pyz"]
