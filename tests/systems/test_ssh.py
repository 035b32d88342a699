"""The CE type SSH on real SSH servers: conformance, and servers that refuse, are noisy, narrow, full, away or cut."""

import os
import re
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from ce_backends.base import Accepted, ComputingElement, TaskSpec, TaskStatus
from ce_backends.batch.ssh import Login, Ssh
from ce_backends.conformance.suite import CHECKS
from ce_backends.errors import CEUnavailable
from ce_backends.registry import create
from tests.systems.conftest import Have
from tests.systems.cut_connections import Cut
from tests.systems.real_system import RealSystem
from tests.systems.slurm_scene import until as until_status

CLAUSES_AT_ONCE = 4
WORDS = [check.__name__.replace("_", " ") for check in CHECKS]
UNAVAILABLE = 3  # the exit code of gridpilot ce
MAX_STARTUPS = 2  # of the narrow server
MB = 1_000_000


@pytest.fixture(scope="module")
def ssh(have: Have) -> RealSystem:
    return have("ssh")


def options(system: RealSystem, server: str = "open", **more: object) -> dict[str, object]:
    usual = {
        "BatchSystem": "Host",
        "SSHHost": f"gridpilot-{server}",
        "SSHOptions": f"-F {system.env['SSH_CONFIG']}",
        "StatusInterval": 0.3,
        "SharedArea": f"{system.home}/area",
        "MaxTotalJobs": 4,
        "NumberOfProcessors": 4,
    }
    return {**usual, **more}


def words(chosen: Mapping[str, object]) -> list[str]:
    return [word for name, value in chosen.items() for word in ("-o", f"{name}={value}")]


@contextmanager
def element(system: RealSystem, scratch: Path, **more: object) -> Iterator[ComputingElement]:
    ce = create("SSH", options(system, **more), scratch / "state")
    try:
        yield ce
    finally:
        ce.close()


# ---- the contract ----


@pytest.fixture(scope="module")
def host_verdicts(ssh: RealSystem) -> dict[str, str]:
    return ssh.verdicts("SSH", options(ssh), at_once=CLAUSES_AT_ONCE)


@pytest.fixture(scope="module")
def slurm_verdicts(have: Have) -> dict[str, str]:
    have("slurm")
    system = have("ssh", SSH_BATCH="slurm")
    chosen = options(system, BatchSystem="SLURM", NumberOfProcessors=1)
    return system.verdicts("SSH", chosen, at_once=CLAUSES_AT_ONCE)


@pytest.mark.parametrize("check", WORDS)
def test_host_behind_ssh_conforms(check: str, host_verdicts: dict[str, str]) -> None:
    assert host_verdicts[check] == ""


@pytest.mark.parametrize("check", WORDS)
def test_slurm_behind_ssh_conforms(check: str, slurm_verdicts: dict[str, str]) -> None:
    assert slurm_verdicts[check] == ""


@pytest.mark.parametrize("server", ["behind", "narrow", "noisy", "csh"])
def test_jump_host_one_session_noise_and_csh_are_borne(ssh: RealSystem, server: str) -> None:
    done = ssh.ce("test", "SSH", *words(options(ssh, server)), "--quick")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 clauses kept, 0 broken" in done.stdout


def test_ce_test_of_the_example_is_all_green(have: Have) -> None:
    have("slurm")
    system = have("ssh", SSH_BATCH="slurm")
    env = system.env
    here = {
        "SSHHost": env["SSH_HOST"],
        "SSHPort": env["SSH_PORT"],
        "SSHUser": env["SSH_USER"],
        "SSHKey": env["SSH_KEY"],
    }
    known = f"-o UserKnownHostsFile={env['SSH_KNOWN_HOSTS']}"

    done = system.ce("test", str(system.config("ssh.cfg")), *words({**here, "SSHOptions": known}), "--quick")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 clauses kept, 0 broken" in done.stdout


# ---- who is refused, and what is away ----


def refused(system: RealSystem, server: str = "open", **more: object) -> str:
    """Return what `ce test` says of a login that cannot be: one sentence."""
    done = system.ce("test", "SSH", *words(options(system, server, **more)), "--quick")
    assert done.returncode == UNAVAILABLE, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_changed_host_key_is_refused(ssh: RealSystem) -> None:
    assert "its host key is not the one in known_hosts" in refused(ssh, "changed")


def test_unknown_host_key_is_refused(ssh: RealSystem) -> None:
    nobody = f"-F {ssh.env['SSH_CONFIG']} -o UserKnownHostsFile=/dev/null"

    assert "its host key is not in known_hosts" in refused(ssh, SSHOptions=nobody)


def test_user_who_may_not_log_in_is_told(ssh: RealSystem) -> None:
    assert "the user or the key is not accepted there" in refused(ssh, SSHUser="nobody")


def test_host_that_only_forwards_is_told_with_its_words(ssh: RealSystem) -> None:
    assert "gridpilot-jump cannot be reached by ssh: this host only forwards" in refused(ssh, "jump")


def test_name_of_no_host_is_told(ssh: RealSystem) -> None:
    assert "Could not resolve hostname nowhere.invalid" in refused(ssh, SSHHost="nowhere.invalid")


def test_server_away_and_back_changes_nothing(ssh: RealSystem, tmp_path: Path) -> None:
    with element(ssh, tmp_path) as ce:
        task = TaskSpec(stamp=uuid.uuid4().hex, script=f"echo >> {ssh.home}/ledger-away; sleep 5; exit 3")
        (task_id,) = accepted(ce, task)
        with server_away(ssh):
            told = refused(ssh)
            away = until(ce, task_id, lambda status: "no answer" in status.reason)
            with pytest.raises(CEUnavailable):
                ce.submit([TaskSpec(stamp=uuid.uuid4().hex, script="true")])
        end = until(ce, task_id, lambda status: status.state.is_final)

    assert re.search(r"connect to host 127\.0\.0\.1 port \d+: Connection refused", told)
    assert not away.state.is_final
    assert (end.exit_code, (ssh.home / "ledger-away").read_text()) == (3, "\n")


# ---- files, and the limits of servers ----


def test_upload_that_is_cut_in_the_middle_goes_on_and_arrives_whole(ssh: RealSystem, tmp_path: Path) -> None:
    source, target = tmp_path / "source", ssh.home / "uploaded"
    source.write_bytes(os.urandom(20 * MB))

    with Cut(int(ssh.env["SSH_PORT"]), after_bytes=8 * MB, times=2).serving() as cut, through(ssh, cut.port) as there:
        there.put(source, str(target), timeout_s=60)

    assert cut.is_spent
    assert target.read_bytes() == source.read_bytes()
    assert cut.sent_bytes < 30 * MB  # what was there already was not sent again, but for what was on its way


def test_server_with_too_many_logins_is_unavailable_and_then_goes_on(ssh: RealSystem) -> None:
    port = port_of(ssh, "narrow")
    with ExitStack() as strangers:
        for _ in range(MAX_STARTUPS):
            stranger = strangers.enter_context(socket.create_connection(("127.0.0.1", port)))
            assert stranger.recv(4) == b"SSH-"
        told = refused(ssh, "narrow")
    done = ssh.ce("test", "SSH", *words(options(ssh, "narrow")), "--quick")

    assert re.search(r"gridpilot-narrow cannot be reached by ssh: .*Connection (reset|closed) by ", told)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("size", [5 * MB, 3 * MB // 2], ids=["to be brought", "to be unpacked"])
def test_full_disk_there_refuses_no_task_and_keeps_nothing(ssh: RealSystem, tmp_path: Path, size: int) -> None:
    big = tmp_path / "input"
    big.write_bytes(bytes(size))
    with small_disk(ssh) as disk, element(ssh, tmp_path, SharedArea=disk) as ce:
        task = TaskSpec(stamp=uuid.uuid4().hex, script="exit 3", inputs=[big])

        with pytest.raises(CEUnavailable, match="No space left on device"):
            ce.submit([task])
        left = [path for path in disk.rglob("*") if not path.is_dir()]
        big.write_bytes(b"small")
        (task_id,) = accepted(ce, task)
        end = until(ce, task_id, lambda status: status.state.is_final)

    assert left == []
    assert end.exit_code == 3


# ---- what these tests need ----


def accepted(ce: ComputingElement, *tasks: TaskSpec) -> list[str]:
    answers = ce.submit(tasks)
    ids = [answer.task_id for answer in answers.values() if isinstance(answer, Accepted)]
    assert len(ids) == len(tasks), answers
    return ids


def until(ce: ComputingElement, task_id: str, holds: Callable[[TaskStatus], bool], seconds: float = 60) -> TaskStatus:
    return until_status(lambda: ce.poll([task_id])[task_id], holds, seconds)


def port_of(system: RealSystem, server: str) -> int:
    text = (system.folder / "etc" / server).read_text()
    return int(text.partition("Port ")[2].split()[0])


@contextmanager
def through(system: RealSystem, port: int) -> Iterator[Ssh]:
    """Yield the open server, seen through another port."""
    alias = f"HostKeyAlias=[127.0.0.1]:{system.env['SSH_PORT']}"
    there = Ssh(Login(host="gridpilot-open", port=port, options=["-F", system.env["SSH_CONFIG"], "-o", alias]))
    try:
        yield there
    finally:
        there.close()


@contextmanager
def server_away(system: RealSystem) -> Iterator[None]:
    """Stop the open server and all of its connections meanwhile."""
    server = psutil.Process(system.pid_of("open"))
    for process in [server, *server.children(recursive=True)]:
        if process.name() == "sshd":
            process.kill()
    try:
        yield
    finally:
        system.script("up")


@contextmanager
def small_disk(system: RealSystem) -> Iterator[Path]:
    """Yield a disk of 2 MB, which is the user's own."""
    place = system.home / "disk"
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], check=True)
    try:
        system.own(place)
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
