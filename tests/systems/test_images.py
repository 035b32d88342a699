"""Tasks of a batch CE in the images that they ask for, started by real programs that ContainerLauncher names.

On the machine itself (`Host`), as the unprivileged user: what starts them is the same in every batch system.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from ce_backends.base import Limit, TaskState
from ce_backends.batch.ce import BatchCE, Bounds
from ce_backends.batch.options import Needs
from ce_backends.batch.spool import Spool
from ce_backends.batch.systems.host import Host
from ce_backends.batch.task_book import TaskBook
from ce_backends.conformance.grants import image_is_used_or_refused
from ce_backends.conformance.subject import Subject
from ce_backends.task.image import launcher_of
from ce_backends.task.log_limit import Cap
from tests.open_folders import open_way
from tests.systems.conftest import Have
from tests.systems.real_system import RealSystem
from tests.systems.user_transport import AsUser

LAUNCHERS = {  # as docs/ce/images.md has them; a directory is mounted by bubblewrap part by part
    "apptainer": "{APPTAINER} --silent exec --home {{directory}}/work --bind {{directory}} {{image}}",
    "bubblewrap": "{BWRAP} --ro-bind {{image}}/bin /bin --ro-bind {{image}}/etc /etc --dev /dev --proc /proc "
    "--tmpfs /tmp --bind {{directory}} {{directory}}",
}
DEADLINE_S = 60.0


@pytest.fixture(params=LAUNCHERS)
def system(request: pytest.FixtureRequest, have: Have) -> RealSystem:
    return have(request.param)


@pytest.fixture
def subject(system: RealSystem, tmp_path: Path) -> Iterator[Subject]:
    open_way(tmp_path)
    tmp_path.chmod(0o777)

    def create() -> BatchCE:
        transport = AsUser({"PATH": "/usr/bin:/bin", "HOME": str(system.home)})
        text = LAUNCHERS[system.name].format(**system.env)
        launcher = launcher_of(text, shlex.split(text))
        area, scratch = f"{system.home}/{tmp_path.name}", tmp_path / "moving"
        spool = Spool(transport, area, scratch, cap=Cap(1_000_000), launcher=launcher)
        book = TaskBook(tmp_path / "tasks.sqlite")
        return BatchCE("Host", Host(transport, Needs()), transport, spool, book, Bounds(interval_s=0.2))

    return Subject(create, tmp_path, DEADLINE_S)


def test_a_task_runs_in_the_image_that_it_asks_for_with_its_variables_and_outputs(
    subject: Subject, system: RealSystem
) -> None:
    look = 'readlink /bin/sh; echo "$ODD|$HOME|$PWD"; echo kept > "$TMPDIR/x" && cp "$TMPDIR/x" out; exit 7\n'
    odd = "it's $so {image}"
    with subject.ce() as trial:
        task_id, status = trial.ran(look, image=system.env["IMAGE"], outputs=("out",), environment={"ODD": odd})
        folder = trial.fetched(task_id)
        shell, said = (folder / "stdout").read_text().splitlines()

    told, home, place = said.split("|")
    assert (status.state, status.exit_code) == (TaskState.DONE, 7)
    assert (shell, told, home) == ("busybox", odd, place)
    assert (folder / "outputs/out").read_text() == "kept\n"


def test_what_a_task_leaves_running_in_its_image_ends_with_it(subject: Subject, system: RealSystem) -> None:
    beat = "while :; do echo x >> beat; sleep 0.05; done"
    with subject.ce() as trial:
        task_id, status = trial.ran(
            f"(setsid sh -c '{beat}' &) ; trap '' TERM; while :; do sleep 1; done\n",
            image=system.env["IMAGE"],
            wall_s=2,
            outputs=("beat",),
        )
        sizes = [_size(trial.fetched(task_id)) for _ in range(2)]

    assert (status.state, status.limit) == (TaskState.FAILED, Limit.WALL)
    assert sizes[0] == sizes[1] > 0


def _size(folder: Path) -> int:
    return (folder / "outputs/beat").stat().st_size


def test_an_image_that_is_not_there_runs_nothing(subject: Subject) -> None:
    image_is_used_or_refused(subject)
