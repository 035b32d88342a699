"""Payloads in real containers: the conformance suite, and a payload that looks where it must not.

As the unprivileged user without control groups, as a pilot usually is; and as root with them. Podman without root needs
control groups of version 2 alone: it runs where only those are mounted.
"""

import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ce_backends.base import CanTell
from ce_backends.conformance.subject import Subject, Trial, task
from ce_backends.conformance.suite import CHECKS, Check
from ce_backends.containers.payload_user import payload_user
from ce_backends.options import OptionValue
from ce_backends.registry import create
from tests.open_folders import open_way
from tests.systems.conftest import Have
from tests.systems.real_system import ROOT, RealSystem

WORDS = [check.__name__.replace("_", " ") for check in CHECKS]
SPY = (ROOT / "tests/faults/hostile/spy.sh").read_text(encoding="utf-8")
PURE_CGROUP2 = ("unshare", "--mount", "--propagation", "private", str(ROOT / "tests/clusters/podman/pure_cgroup2.sh"))
USUAL: Mapping[str, OptionValue] = {"NumberOfProcessors": 4, "KillGraceTime": 0.1}
DEADLINE_S = 60.0
IN_TIME = (
    "environment is exactly the tasks",
    "new object finds a running task",
    "cancel ends the whole tree",
    "cancel ends what ignores sigterm",
    "end of a task ends its daemons",
    "memory limit ends a task",
)  # where containers could differ from plain processes


@dataclass(frozen=True)
class Kind:
    """A runtime under test: its system, its CE type, and the options that name what the system has."""

    system: str
    ce_type: str
    named: Mapping[str, str]
    before: tuple[str, ...] = field(default=())

    def options(self, system: RealSystem) -> dict[str, OptionValue]:
        return {**USUAL, **{option: system.env[name] for option, name in self.named.items()}}


APPTAINER = Kind("apptainer", "Pool/Singularity", {"ContainerBin": "APPTAINER", "ContainerRoot": "IMAGE"})
BUBBLEWRAP = Kind("bubblewrap", "Pool/Bubblewrap", {})
BUBBLEWRAP_IMAGE = Kind("bubblewrap", "Pool/Bubblewrap", {"ContainerRoot": "IMAGE"})
PODMAN = Kind("podman", "Pool/Podman", {"ContainerRoot": "IMAGE"})
PODMAN_USER = Kind("podman", "Pool/Podman", {"ContainerRoot": "IMAGE"}, PURE_CGROUP2)
AS_USER = {"apptainer": APPTAINER, "bubblewrap": BUBBLEWRAP, "podman": PODMAN_USER}
AS_ROOT = {
    "apptainer": APPTAINER,
    "bubblewrap": BUBBLEWRAP,
    "an image in bubblewrap": BUBBLEWRAP_IMAGE,
    "podman": PODMAN,
}


@pytest.fixture(scope="module")
def verdicts(have: Have) -> Callable[[str], Mapping[str, str]]:
    """Return the verdicts of the suite that the unprivileged user runs, once for each runtime."""
    found: dict[str, Mapping[str, str]] = {}

    def judged(name: str) -> Mapping[str, str]:
        if name not in found:
            kind, system = AS_USER[name], have(AS_USER[name].system)
            found[name] = system.verdicts(kind.ce_type, kind.options(system), deadline_s=DEADLINE_S, before=kind.before)
        return found[name]

    return judged


@pytest.mark.parametrize("name", AS_USER)
@pytest.mark.parametrize("check", WORDS)
def test_containers_of_an_unprivileged_user_conform(
    check: str, name: str, verdicts: Callable[[str], Mapping[str, str]]
) -> None:
    assert verdicts(name)[check] == ""


@pytest.mark.parametrize("name", AS_ROOT)
@pytest.mark.parametrize(
    "check", [check for check in CHECKS if check.__name__.replace("_", " ") in IN_TIME], ids=lambda each: each.__name__
)
def test_containers_of_root_conform(check: Check, name: str, have: Have, tmp_path: Path) -> None:
    kind = AS_ROOT[name]
    _open_to_all(tmp_path)
    options = {**kind.options(have(kind.system)), "ContainerBind": str(tmp_path)}
    ce = create(kind.ce_type, options, tmp_path / "state")
    unkept = _unkept(ce)
    ce.close()
    if check.__name__ in unkept:
        pytest.skip(f"{name} does not keep it and says so: {unkept[check.__name__]}")

    check(Subject(lambda: create(kind.ce_type, options, tmp_path / "state"), tmp_path, DEADLINE_S))


def _unkept(ce: object) -> Mapping[str, str]:
    return dict(getattr(ce, "unkept", {}))


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Callable[[Kind, RealSystem], Trial]]:
    """Make CEs whose payloads see the test's directory, but for the pool's own and a credential in it."""
    _open_to_all(tmp_path)
    made: list[Trial] = []

    def make(kind: Kind, system: RealSystem) -> Trial:
        shown = {"ContainerBind": str(tmp_path), "HiddenPaths": f"{tmp_path}/keys/proxy,{tmp_path}/agent"}
        subject = Subject(
            lambda: create(kind.ce_type, {**kind.options(system), **shown}, tmp_path / "agent/tasks"),
            tmp_path,
            DEADLINE_S,
        )
        made.append(Trial(subject.create(), subject))
        return made[-1]

    yield make
    for each in made:
        each.finish()


@pytest.mark.parametrize("name", AS_ROOT)
def test_spy_reaches_nothing_of_the_pilot_and_its_neighbour(
    name: str, have: Have, trial: Callable[[Kind, RealSystem], Trial], tmp_path: Path
) -> None:
    kind = AS_ROOT[name]
    proxy, ledger = tmp_path / "keys/proxy", tmp_path / "agent/ledger.sqlite"
    proxy.parent.mkdir()
    ledger.parent.mkdir()
    for secret in (proxy, ledger):
        secret.write_text("secret\n", encoding="ascii")
    ce = trial(kind, have(kind.system))
    neighbour = ce.submit(task("echo secret > secret; exec sleep 601\n"))
    sandbox = tmp_path / "agent/tasks" / neighbour / "work/secret"
    _wait_for(lambda: sandbox.exists() and bool(_sleeping()))
    words = (str(proxy), str(ledger), str(sandbox), str(_sleeping()[0]), str(os.getpid()))

    task_id, status = ce.ran(f"cat > spy.sh <<'SPY'\n{SPY}SPY\nsh spy.sh {shlex.join(words)}\n")
    found = (ce.fetched(task_id) / "stdout").read_text().split()

    assert (status.exit_code, found) == (0, ["tried"])


@pytest.mark.parametrize("name", AS_ROOT)
def test_payload_of_root_is_not_root_and_reads_nothing_that_only_root_may(
    name: str, have: Have, trial: Callable[[Kind, RealSystem], Trial], tmp_path: Path
) -> None:
    kind = AS_ROOT[name]
    for place in (tmp_path / "munge.key", tmp_path / "private/key"):
        place.parent.mkdir(exist_ok=True)
        place.write_text("secret\n", encoding="ascii")
        place.chmod(0o400)
    (tmp_path / "private").chmod(0o700)
    ce = trial(kind, have(kind.system))
    places = shlex.join([str(tmp_path / "munge.key"), str(tmp_path / "private/key"), "/etc/shadow"])

    task_id, _ = ce.ran(f"cat {places}; echo $(id -u) $(id -g) $(id -G); sed -n /CapEff/p /proc/self/status\n")
    found = (ce.fetched(task_id) / "stdout").read_text().split()

    user = payload_user()
    assert user is not None
    assert found == [str(user.uid), *[str(user.gid)] * 2, "CapEff:", "0" * 16]


def _open_to_all(folder: Path) -> None:
    """Let payloads of root, which are not root, write there."""
    open_way(folder)
    folder.chmod(0o777)


def _sleeping() -> list[int]:
    """Return the pids of the neighbour, as the node counts them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == b"sleep\x00601\x00":
                found.append(int(path.parent.name))
        except OSError:  # it has just ended
            continue
    return found


def _wait_for(holds: Callable[[], bool]) -> None:
    Subject(lambda: None, Path(), DEADLINE_S).until(holds, "the neighbour runs")  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("name", "file"), [("apptainer", "singularity"), ("bubblewrap", "bubblewrap"), ("podman", "podman")]
)
def test_ce_test_of_the_example_is_all_green(name: str, file: str, have: Have) -> None:
    kind, system = AS_USER[name], have(AS_USER[name].system)
    over = [word for option, value in kind.named.items() for word in ("-o", f"{option}={system.env[value]}")]

    done = system.ce("test", str(system.config(f"{file}.cfg")), "--quick", *over, before=kind.before)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 clauses kept" in done.stdout


def test_image_that_is_not_there_is_told_in_a_sentence(have: Have) -> None:
    system = have("apptainer")

    done = system.ce("test", str(system.config("singularity.cfg")), "-o", f"ContainerBin={system.env['APPTAINER']}")

    assert done.returncode == 3
    assert done.stderr == (
        "gridpilot ce: the CE cannot be used now: Singularity: image /cvmfs/cernvm-prod.cern.ch/cvm4 (ContainerRoot) "
        "is not there\n"
    )


@pytest.mark.parametrize("name", ["apptainer", "podman"])
def test_shell_that_cannot_run_is_told_in_a_sentence(name: str, have: Have, tmp_path: Path) -> None:
    shell = tmp_path / "image/bin/sh"
    shell.parent.mkdir(parents=True)
    shell.write_bytes(b"\x7fELF, but no more\n")
    shell.chmod(0o755)
    for place in ("dev", "etc", "proc", "sys", "tmp", "var/tmp"):
        (tmp_path / "image" / place).mkdir(parents=True)
    kind = AS_ROOT[name]
    options = {**kind.options(have(kind.system)), "ContainerRoot": str(tmp_path / "image")}
    ce = create(kind.ce_type, options, tmp_path / "state")
    assert isinstance(ce, CanTell)
    try:
        trouble = ce.trouble()
    finally:
        ce.close()  # type: ignore[attr-defined]

    assert "exec" in trouble
    assert "\n" not in trouble
