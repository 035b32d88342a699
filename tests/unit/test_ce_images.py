"""A task that asks for a container image: what a launcher makes of it, and who refuses it."""

import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from ce_backends import cfg
from ce_backends.base import Accepted, ComputingElement, Limit, Rejected, TaskSpec, TaskState, TaskStatus
from ce_backends.batch.launcher import RESULT, TASK, launcher, write_task
from ce_backends.ce_types.local_and_ssh import SYSTEMS
from ce_backends.conformance.grants import image_is_used_or_refused
from ce_backends.conformance.subject import Subject, task
from ce_backends.containers.runtime import Containers
from ce_backends.containers.singularity import Singularity
from ce_backends.errors import CEError, CEMisconfigured
from ce_backends.options import OptionValue
from ce_backends.registry import backend, create
from ce_backends.task.image import NO_LAUNCHER, ImageLauncher, launcher_of
from ce_backends.task.script import render
from tests.waiting import until

IMAGE = "docker://almalinux:9"
ENTERS = ImageLauncher(["/opt/enter", "--see", "{directory}", "{image}"])
WHERE: Mapping[str, Mapping[str, OptionValue]] = {
    **{f"Local {name}": {"BatchSystem": name} for name in SYSTEMS},
    "SSH": {"SSHHost": "nowhere.invalid"},
    "HTCondorCE": {"CEName": "nowhere.invalid"},
    "AREX": {"CEName": "nowhere.invalid"},
    "Pool": {},
    "InProcess": {},
}
# An image is a directory here, and being in it a variable. What it is started with comes behind it.
ENTER = """\
#!/bin/sh
[ -d "$1" ] || { echo "there is no image $1" >&2; exit 125; }
INSIDE=$1 DIRECTORY=$2
export INSIDE DIRECTORY
shift 2
exec "$@"
"""


@pytest.fixture
def enter(tmp_path: Path) -> Path:
    path = tmp_path / "enter it"
    path.write_text(ENTER)
    path.chmod(0o755)
    (tmp_path / "an image").mkdir()
    return path


@contextmanager
def host(tmp_path: Path, container_launcher: str) -> Iterator[ComputingElement]:
    options = {"SharedArea": f"{tmp_path}/area", "StatusInterval": 0.05, "ContainerLauncher": container_launcher}
    ce = create("Local", options, tmp_path / "state")
    try:
        yield ce
    finally:
        ce.close()


def ended(ce: ComputingElement, spec: TaskSpec) -> TaskStatus:
    answer = ce.submit([spec])[spec.stamp]
    assert isinstance(answer, Accepted), answer
    until(lambda: ce.poll([answer.task_id])[answer.task_id].state.is_final)
    ce.fetch(answer.task_id, Path(spec.environment["INTO"]))
    return ce.poll([answer.task_id])[answer.task_id]


# ---- the option ----


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["enter"], "expected {image} in it, where the image that a task asks for is put"),
        (["enter", "{imgae}"], "nothing is known that could stand for {imgae}; did you mean image?"),
        (["enter", "{image}", "{}"], "nothing is known that could stand for {}; there are directory, image"),
        (["{image}"], "expected a program of the nodes first"),
        (["-x", "{image}"], "expected a program of the nodes first"),
    ],
)
def test_a_launcher_that_cannot_enter_an_image_is_a_wrong_option(words: list[str], why: str) -> None:
    with pytest.raises(CEMisconfigured) as raised:
        launcher_of(" ".join(words), words)

    assert str(raised.value) == f"option ContainerLauncher is {' '.join(words)!r}: {why}"


@pytest.mark.parametrize("where", [where for where in WHERE if where not in ("Pool", "InProcess")])
def test_every_batch_ce_has_the_option_and_tells_a_wrong_value(where: str, tmp_path: Path) -> None:
    for value, why in (("enter", "expected {image} in it"), ('enter "{image}', "no closing quotation")):
        with pytest.raises(CEMisconfigured, match=f"option ContainerLauncher is .*: {why}"):
            create(where.split(maxsplit=1)[0], {**WHERE[where], "ContainerLauncher": value}, tmp_path / "state")


def test_image_and_directory_are_put_into_the_words_and_into_nothing_else() -> None:
    both = ImageLauncher(["/opt/enter", "--bind={directory}:{directory}", "oci:{image}"])

    assert both.argv("a {directory} b", Path("/x")) == ["/opt/enter", "--bind=/x:/x", "oci:a {directory} b"]
    assert both.argv("", Path("/x")) == []


@pytest.mark.parametrize("image", ["-B/etc", "a\nb", "a\0b"])
def test_an_image_that_could_be_something_else_is_refused(image: str) -> None:
    with pytest.raises(CEError, match="expected a name or path without line breaks that begins with no dash"):
        ENTERS.argv(image, Path("/x"))


def test_braces_in_a_configuration_file_are_part_of_the_value() -> None:
    text = "A\n{\n  ContainerLauncher = apptainer exec --bind {directory} {image}\n  B = 1\n}\n"

    assert cfg.render(cfg.parse(text, "x")) == text


# ---- refused ----


@pytest.mark.parametrize("where", WHERE)
def test_a_ce_without_a_launcher_refuses_a_task_with_an_image_at_submit(where: str, tmp_path: Path) -> None:
    spec = task("echo outside\n", image=IMAGE)
    ce = create(where.split(maxsplit=1)[0], WHERE[where], tmp_path / "state")
    try:
        answer = ce.submit([spec])[spec.stamp]
        known = ce.find([spec.stamp])
    finally:
        ce.close()

    assert isinstance(answer, Rejected)
    assert answer.reason == (
        f"needs the image '{IMAGE}', and this CE starts tasks in no image: expected a task without one, a CE type with "
        "containers that has this one as its ContainerRoot, or a batch CE with ContainerLauncher"
    )
    assert known == {}


def test_a_script_is_not_written_for_an_image_that_nothing_enters(tmp_path: Path) -> None:
    spec = task(":\n", image=IMAGE)

    with pytest.raises(CEError, match="this CE starts tasks in no image"):
        render(spec, tmp_path)
    with pytest.raises(CEError, match="this CE starts tasks in no image"):
        write_task(tmp_path / TASK, spec, ())


def test_containers_of_one_image_take_no_task_for_another() -> None:
    options = {option.name: option.default for option in backend("Pool/Singularity").OPTIONS}
    runtime = Singularity.from_options({**options, "ContainerRoot": "/cvmfs/an/image"}, {})
    containers = Containers(runtime, [], environ={})

    asked = [containers.problem(task(":\n", image=image)) for image in ("", "/cvmfs/an/image", IMAGE)]

    assert asked == [
        "",
        "",
        f"needs the image '{IMAGE}', and all tasks of this CE run in /cvmfs/an/image (ContainerRoot)",
    ]


# ---- used ----


def test_a_task_on_a_host_runs_in_its_image_and_one_without_does_not(tmp_path: Path, enter: Path) -> None:
    (tmp_path / "fetched").mkdir()
    script = 'echo "$INSIDE $DIRECTORY $PWD"; exit 3\n'
    with host(tmp_path, f"'{enter}' {{image}} {{directory}}") as ce:
        for name, image in (("in", f"{tmp_path}/an image"), ("out", "")):
            into = tmp_path / f"fetched/{name}"
            status = ended(ce, task(script, image=image, environment={"INTO": str(into)}))
            assert (status.state, status.exit_code) == (TaskState.DONE, 3)
    said_in, said_out = ((tmp_path / f"fetched/{name}/stdout").read_text() for name in ("in", "out"))

    place = said_in.removeprefix(f"{tmp_path}/an image ").split()
    assert place[1] == f"{place[0]}/work"
    assert said_out.startswith("  /")


def test_a_launcher_that_is_not_on_the_node_runs_nothing_and_says_so(tmp_path: Path) -> None:
    with host(tmp_path, "no-such-program {image}") as ce:
        status = ended(ce, task("echo outside\n", image=IMAGE, environment={"INTO": f"{tmp_path}/fetched"}))

    assert (status.state, status.exit_code) == (TaskState.DONE, 125)
    assert status.reason == (
        "there is no no-such-program on this node, which is to start the task's image (ContainerLauncher)"
    )
    assert (tmp_path / "fetched/stdout").read_text() == ""


def test_the_wall_limit_is_kept_in_an_image(tmp_path: Path, enter: Path) -> None:
    spec = task("sleep 60\n", image=f"{tmp_path}/an image", wall_s=1, environment={"INTO": f"{tmp_path}/fetched"})
    with host(tmp_path, f"'{enter}' {{image}} {{directory}}") as ce:
        status = ended(ce, spec)

    assert (status.state, status.limit) == (TaskState.FAILED, Limit.WALL)


def test_a_host_with_a_launcher_keeps_the_clause(tmp_path: Path, enter: Path) -> None:
    options: Mapping[str, OptionValue] = {
        "SharedArea": f"{tmp_path}/area",
        "StatusInterval": 0.05,
        "ContainerLauncher": f"'{enter}' {{image}} {{directory}}",
    }

    image_is_used_or_refused(Subject(lambda: create("Local", options, tmp_path / "state"), tmp_path, 20))


def test_a_launcher_that_ignores_the_image_is_seen_by_the_clause(tmp_path: Path) -> None:
    options: Mapping[str, OptionValue] = {
        "SharedArea": f"{tmp_path}/area",
        "StatusInterval": 0.05,
        "ContainerLauncher": "/usr/bin/env WISH={image}",
    }

    with pytest.raises(AssertionError, match="in an image that is not there is"):
        image_is_used_or_refused(Subject(lambda: create("Local", options, tmp_path / "state"), tmp_path, 20))


def test_a_task_that_travels_takes_its_launcher_along(tmp_path: Path, enter: Path) -> None:
    node = tmp_path / "node"
    node.mkdir()
    spec = task('echo "$INSIDE|$DIRECTORY"\n', image=f"{tmp_path}/an image")
    write_task(node / TASK, spec, (), ImageLauncher([str(enter), "{image}", "{directory}"]))
    (node / "launcher").write_bytes(launcher())

    subprocess.run(["/bin/sh", "launcher", spec.stamp], cwd=node, env={"PATH": os.environ["PATH"]}, check=True)

    with tarfile.open(node / RESULT) as archive:
        file = archive.extractfile("stdout")
        assert file is not None
        assert file.read().decode() == f"{tmp_path}/an image|{node}/task.{spec.stamp}\n"


def test_tmpdir_keeps_its_long_name_in_an_image_that_may_not_show_the_short_one(tmp_path: Path) -> None:
    script = render(task(":\n", image=IMAGE), tmp_path, is_alone=True, launcher=ENTERS).decode()

    assert "gridpilot_short" not in script
    assert f"exec '/opt/enter' '--see' '{tmp_path}' '{IMAGE}' /bin/sh '{tmp_path}/payload'" in script


def test_no_launcher_has_nothing_to_say_about_a_task_without_an_image() -> None:
    assert NO_LAUNCHER.problem("") == ""
