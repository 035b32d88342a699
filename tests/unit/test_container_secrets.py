"""Secrets of the pilot and of its node, looked for by payloads in a real bubblewrap: hidden by what they are.

Each has a control: the same payload as a plain process reads the secret. Where the pilot is root, payloads are another
user's processes; where it is not, they are its own, and only the view keeps them from its files. So that the view is
tried by root too, the secrets here may be read by everybody.
"""

import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

import pytest

from ce_backends.conformance.subject import Subject, task
from ce_backends.containers.payload_user import payload_user
from ce_backends.containers.secret_places import Mount, places_of, read_mounts
from ce_backends.errors import CEUnavailable
from ce_backends.options import OptionValue
from ce_backends.registry import create
from tests.open_folders import open_way

SECRET, NEWER = "PILOTS-SECRET", "PILOTS-NEWER-SECRET"
USUAL: Mapping[str, OptionValue] = {"NumberOfProcessors": 1, "KillGraceTime": 0.1}
CLOSED = ("/etc/shadow", "/etc/gshadow", "/etc/ssh/ssh_host_rsa_key", "/root/.bashrc")
needs_bubblewrap = pytest.mark.skipif(not shutil.which("bwrap"), reason="bwrap is not here")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="for pilots that are root")


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Return a directory that payloads are shown, which all may go into."""
    open_way(tmp_path)
    (tmp_path / "node/keys").mkdir(parents=True)
    return tmp_path / "node"


def nothing() -> None:
    """Do nothing while a payload runs."""


def said(
    script: str, top: Path, ce_type: str = "Pool/Bubblewrap", during: Callable[[], None] = nothing, **options: str
) -> str:
    """Run a payload, and something while it runs; return what it wrote."""
    subject = Subject(lambda: create(ce_type, {**USUAL, **options}, top / "pool"), top, 30)
    with subject.ce() as trial:
        running = trial.submit(task(f"echo ready; {script}"))
        subject.until(lambda: b"ready" in trial.ce.peek(running, "stdout", 9999), "its start")  # type: ignore[attr-defined]
        during()
        trial.ended(running)
        return (trial.fetched(running) / "stdout").read_text(errors="replace")


def by_name(node: Path) -> Path:
    proxy = node / "keys/proxy"
    proxy.write_text(SECRET)
    return proxy


def by_a_link(node: Path) -> Path:
    (node / "pki").mkdir()
    (node / "pki/real").write_text(SECRET)
    (node / "keys/proxy").symlink_to("../pki/real")
    return node / "keys/proxy"


def by_a_linked_directory(node: Path) -> Path:
    (node / "linked").symlink_to("keys")
    return node / "linked" / by_name(node).name


def as_kubernetes_mounts_it(node: Path) -> Path:
    (node / "keys/..1").mkdir()
    (node / "keys/..1/token").write_text(SECRET)
    (node / "keys/..data").symlink_to("..1")
    (node / "keys/token").symlink_to("..data/token")
    return node / "keys/token"


ARRANGED = (by_name, by_a_link, by_a_linked_directory, as_kubernetes_mounts_it)


def _renew(secret: Path) -> None:
    """Put another one in its place, as programs that renew credentials do."""
    aside = secret.with_name("renewed")
    aside.write_text(NEWER)
    aside.replace(secret)


def _readable(node: Path) -> str:
    return f"sleep 0.3; find -L {shlex.quote(str(node))} -type f -exec cat {{}} +"


@needs_bubblewrap
@pytest.mark.parametrize("arrange", ARRANGED)
def test_credential_is_not_found_under_any_name_also_when_it_is_renewed(
    arrange: Callable[[Path], Path], node: Path, tmp_path: Path
) -> None:
    secret = arrange(node)
    (node / "software").write_text("software")

    seen = said(
        _readable(node), tmp_path, during=lambda: _renew(secret), ContainerBind=str(node), HiddenPaths=str(secret)
    )
    control = said(_readable(node), tmp_path, "Pool")

    assert seen == "ready\nsoftware"
    assert NEWER in control


@needs_bubblewrap
def test_credential_that_is_away_while_a_payload_starts_stays_hidden(node: Path, tmp_path: Path) -> None:
    secret = by_name(node)
    (node / "software").write_text("software")
    options = {"ContainerBind": str(node), "HiddenPaths": str(secret)}
    subject = Subject(lambda: create("Pool/Bubblewrap", {**USUAL, **options}, tmp_path / "pool"), tmp_path, 30)
    with subject.ce() as trial:
        trial.ended(trial.submit(task(":")))
        secret.unlink()
        running = trial.submit(task(f"echo ready; {_readable(node)}"))
        subject.until(lambda: b"ready" in trial.ce.peek(running, "stdout", 9999), "its start")  # type: ignore[attr-defined]
        secret.write_text(NEWER)
        trial.ended(running)
        seen = (trial.fetched(running) / "stdout").read_text()
    control = said(_readable(node), tmp_path, "Pool")

    assert seen == "ready\nsoftware"
    assert NEWER in control


@needs_bubblewrap
@needs_root
def test_credential_is_not_found_where_its_directory_is_mounted_besides(node: Path, tmp_path: Path) -> None:
    secret = by_name(node)
    (node / "deep/other").mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(node / "keys"), str(node / "deep/other")], check=True)
    try:
        seen = said(_readable(node), tmp_path, ContainerBind=str(node), HiddenPaths=str(secret))
        control = said(_readable(node), tmp_path, "Pool")
    finally:
        subprocess.run(["umount", "-l", str(node / "deep/other")], check=True)

    assert (seen, control.count(SECRET)) == ("ready\n", 2)


@needs_bubblewrap
@pytest.mark.parametrize("shown", ["keys", "keys/proxy"])
def test_no_payload_is_started_where_what_it_is_shown_is_the_credential(shown: str, node: Path, tmp_path: Path) -> None:
    secret = by_name(node)

    with pytest.raises(CEUnavailable, match=f"payloads would see {secret}, .*: move it into a directory of its own"):
        said(":", tmp_path, ContainerBind=str(node / shown), HiddenPaths=str(secret))


@needs_bubblewrap
def test_hard_link_to_a_credential_opens_it_to_nobody(node: Path, tmp_path: Path) -> None:
    secret = by_name(node)
    secret.chmod(0o600)
    os.link(secret, node / "other")
    control = said(_readable(node), tmp_path, "Pool")
    # a pilot that is not root cannot keep its payload from it, and starts none
    refused = nullcontext() if payload_user() else pytest.raises(CEUnavailable, match="has hard links")

    seen = ""
    with refused:
        seen = said(_readable(node), tmp_path, ContainerBind=str(node), HiddenPaths=str(secret))

    assert SECRET not in seen
    assert SECRET in control


@needs_bubblewrap
@needs_root
def test_files_that_only_root_may_read_are_closed_to_payloads_of_root(node: Path, tmp_path: Path) -> None:
    key = node / "munge.key"
    key.write_text(SECRET)
    key.chmod(0o400)
    words = shlex.join([str(key), *CLOSED])
    script = f"for file in {words}; do head -c 1 $file > it 2>&1 && [ -s it ] && echo $file; done; id -u"

    seen = said(script, tmp_path, ContainerBind=f"{node},/root")
    control = said(script, tmp_path, "Pool")

    assert seen.split() == ["ready", str(getattr(payload_user(), "uid", 0))]
    assert {str(key), "/etc/shadow", "/root/.bashrc"} <= set(control.split())


@needs_bubblewrap
@needs_root
def test_payload_of_root_can_change_nothing_of_root_in_what_it_may_write(node: Path, tmp_path: Path) -> None:
    (node / "own").write_text("before")
    (node / "own").chmod(0o644)
    script = f"echo after > {node}/own; echo x > {node}/new; echo core > /proc/sys/kernel/core_pattern; echo done"

    said(script, tmp_path, ContainerBind=str(node))

    assert (node / "own").read_text() == "before"
    assert not (node / "new").exists()


@needs_bubblewrap
def test_renewed_credential_of_a_task_can_be_read_by_its_payload(node: Path, tmp_path: Path) -> None:
    source = node / "payloads"
    source.write_text("older\n")
    subject = Subject(lambda: create("Pool/Bubblewrap", USUAL, tmp_path / "pool"), tmp_path, 30)
    script = "cat $GRIDPILOT_CREDENTIAL; until grep -q newer $GRIDPILOT_CREDENTIAL; do sleep 0.05; done"
    with subject.ce() as trial:
        running = trial.submit(task(script, credential=source))
        subject.until(lambda: trial.ce.peek(running, "stdout", 9) == b"older\n", "its start")  # type: ignore[attr-defined]
        source.write_text("newer\n")
        trial.ce.renew_credential(running, source)  # type: ignore[attr-defined]
        status = trial.ended(running)

    assert status.exit_code == 0


def test_directory_that_is_secret_is_hidden_where_parts_of_it_are_mounted(tmp_path: Path) -> None:
    work, shown = tmp_path / "work", tmp_path / "opt/jobs"
    (work / "jobs").mkdir(parents=True)
    shown.mkdir(parents=True)
    mounts = [Mount("8:1", Path("/"), Path("/")), Mount("8:1", work / "jobs", shown)]

    assert places_of(work, mounts) == [work, shown]


def test_mounts_of_this_node_are_read() -> None:
    assert any(mount.place == Path("/") for mount in read_mounts())


@needs_bubblewrap
def test_payload_leaves_files_only_in_its_own_directory(node: Path, tmp_path: Path) -> None:
    name = f"gridpilot-left-{os.getpid()}"
    places = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/opt", "/etc", "/mnt")
    script = f"for place in {' '.join(places)}; do echo x > $place/{name}; done 2> /dev/null; echo done"

    seen = said(script, tmp_path)
    left = [place for place in places if Path(place, name).exists()]
    said(script, tmp_path, "Pool")
    control = [Path(place, name) for place in places if Path(place, name).exists()]
    for file in control:
        file.unlink()

    assert seen.endswith("done\n")
    assert left == []
    assert control != []


@needs_bubblewrap
def test_payload_in_a_container_can_start_one_itself(tmp_path: Path) -> None:
    seen = said("bwrap --unshare-user --unshare-pid --ro-bind / / --proc /proc echo nested", tmp_path)

    assert seen == "ready\nnested\n"


@needs_bubblewrap
@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="no Python of the node")
def test_payload_reaches_services_of_the_node_on_loopback_as_the_page_says(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        name = f"gridpilot-test-{os.getpid()}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        code = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1]))); "
        code += "socket.socket(socket.AF_UNIX).connect(chr(0) + sys.argv[2]); print('reached')"
        words = shlex.join(["/usr/bin/python3", "-c", code, str(server.getsockname()[1]), name])

        seen = said(words, tmp_path)

    assert seen == "ready\nreached\n"
