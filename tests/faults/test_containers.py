"""Scenarios 24 and 43: a payload that looks where it must not, and containers that cannot be started."""

import shlex
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.faults import invariants
from tests.faults.scene import AGENT, Options, Scene

SPY = (Path(__file__).parent / "hostile/spy.sh").read_text(encoding="utf-8")
Need = Callable[[str, bool, str], None]
LOOKED = "the spy has looked"
EVERYTHING = {
    "read-proxy",
    "read-ledger",
    "write-ledger",
    "read-neighbour",
    "write-neighbour",
    "signal-neighbour",
    "signal-agent",
    "read-agents-environment",
    "enter-agents-files",
    "read-neighbours-environment",
    "trace-agent",
    "trace-neighbour",
}


def inside(ce_type: str, scene: Scene, **options: str) -> Options:
    """Return how to start an agent that runs payloads this way; they may write their books."""
    given = {"ContainerBind": str(scene.books.folder), **options}
    more = {f"/Resources/Computing/CEDefaults/{name}": value for name, value in given.items()}
    return Options(more={"/LocalSite/LocalCE": ce_type, f"{AGENT}/StopAfterFailedMatches": "1000", **more})


def what_a_spy_could_do(scene: Scene, options: Options) -> set[str]:
    """Run a neighbour and beside it a spy that knows all names and numbers; return what the spy could do."""
    found = scene.books.folder / "found"
    waits = f"until [ -e {shlex.quote(str(found))} ]; do sleep 0.1; done"
    scene.submit(f"echo secret >secret; sleep 600 & {waits}; kill $!", sandbox=True)
    agent = scene.agent(options)
    scene.until(lambda: any(map(_sleeps, scene.box.pids())), "the neighbour runs")
    (neighbour,) = scene.books.lines()
    pid = next(filter(_sleeps, scene.box.pids()))
    sandbox = scene.work_dir / "tasks" / neighbour.stamp / "work/secret"
    words = (scene.endpoint.pilot_proxy, str(scene.work_dir / "ledger.sqlite"), str(sandbox), str(pid), str(agent.pid))
    spy = f"cat >spy.sh <<'SPY'\n{SPY}SPY\nsh spy.sh {shlex.join(words)} >found; mv found {shlex.quote(str(found))}"
    scene.submit(spy, sandbox=True)
    scene.until(found.exists, LOOKED)
    scene.until(lambda: all(invariants.reported_ends(scene, job) for job in scene.jobs), "both have ended", 30)
    agent.signal(signal.SIGUSR1)
    assert agent.ended(30) == 0, agent.written()
    tried = set(found.read_text(encoding="ascii").split())
    assert "tried" in tried
    return tried - {"tried"}


def _sleeps(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\000600\0"
    except OSError:
        return False


@pytest.mark.scenario(24, "a payload in bubblewrap reads the proxy, the ledger, its neighbour; writes, traces, signals")
def test_payload_in_bubblewrap_reaches_nothing_of_the_pilot_and_its_neighbour(scene: Scene, need: Need) -> None:
    need("bubblewrap", shutil.which("bwrap") is not None, "bwrap is not on the PATH")

    assert what_a_spy_could_do(scene, inside("Pool/Bubblewrap", scene)) == set()

    invariants.check(scene)


@pytest.mark.scenario(24, "the same as a plain process: documented, one user's processes are not kept apart")
def test_payload_without_a_container_reaches_all_that_its_user_may(scene: Scene) -> None:
    found = what_a_spy_could_do(scene, inside("Pool", scene))

    assert found >= EVERYTHING, f"the spy no longer tries {EVERYTHING - found}: its silence proves nothing"
    invariants.check(scene)


def _image(scene: Scene, *, whole: bool) -> str:
    image = scene.folder / "image"
    (image / "bin").mkdir(parents=True)
    if whole:
        (image / "bin/sh").touch()
    return str(image)


def _runtime(scene: Scene, text: str) -> str:
    path = scene.folder / "runtime"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
    path.chmod(0o755)
    return str(path)


BROKEN: Mapping[str, tuple[Callable[[Scene], Options], str]] = {
    "the image is missing": (
        lambda scene: inside(
            "Pool/Singularity", scene, ContainerRoot="/nowhere/cvm4", ContainerBin=_runtime(scene, "exit 0")
        ),
        "Singularity: image /nowhere/cvm4 (ContainerRoot) is not there",
    ),
    "the image is damaged": (
        lambda scene: inside(
            "Pool/Singularity",
            scene,
            ContainerRoot=_image(scene, whole=False),
            ContainerBin=_runtime(scene, "exit 0"),
        ),
        "(ContainerRoot) has no /bin/sh: it is empty or damaged",
    ),
    "the runtime is missing": (
        lambda scene: inside(
            "Singularity", scene, ContainerRoot=_image(scene, whole=True), ContainerBin="/no/apptainer"
        ),
        "Singularity: /no/apptainer is not there: install Apptainer, or name the program (ContainerBin)",
    ),
    "the runtime is broken": (
        lambda scene: inside(
            "Singularity",
            scene,
            ContainerRoot=_image(scene, whole=True),
            ContainerBin=_runtime(scene, "echo 'FATAL: no session directory' >&2; exit 255"),
        ),
        "Singularity: FATAL: no session directory",
    ),
    "the runtime runs nothing": (
        lambda scene: inside(
            "Singularity", scene, ContainerRoot=_image(scene, whole=True), ContainerBin=_runtime(scene, "exit 0")
        ),
        "Singularity: its test payload ended with 0",
    ),
}


def assert_no_job_is_taken(scene: Scene, options: Options, sentence: str) -> None:
    job_id = scene.submit("echo no")
    agent = scene.agent(options)

    assert agent.ended(60) == 6, agent.written()
    assert sentence in agent.written()
    assert invariants.matches(scene, job_id) == 0
    assert scene.statuses()[job_id] == "Waiting"
    invariants.check(scene)


ONE, *OTHERS = BROKEN


@pytest.mark.scenario(43, "no container can be started: image missing or damaged, runtime missing or broken")
@pytest.mark.parametrize("broken", [pytest.param(ONE, marks=pytest.mark.quick), *OTHERS])
def test_node_that_cannot_start_containers_takes_no_job_and_says_why(scene: Scene, broken: str) -> None:
    options, sentence = BROKEN[broken]

    assert_no_job_is_taken(scene, options(scene), sentence)


NO_USER_NAMESPACES = 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"'


@pytest.mark.scenario(43, "user namespaces are off on the node, with a real bubblewrap")
def test_node_without_user_namespaces_takes_no_job_and_says_so(scene: Scene, need: Need) -> None:
    need("bubblewrap", shutil.which("bwrap") is not None, "bwrap is not on the PATH")
    usual = inside("Bubblewrap", scene)
    without = ("unshare", "--user", "--map-root-user", "sh", "-c", NO_USER_NAMESPACES, "sh")

    sentence = "user namespaces are off on this node: user.max_user_namespaces = 0"
    assert_no_job_is_taken(scene, Options(more=usual.more, before=without), sentence)
