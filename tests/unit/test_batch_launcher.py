"""The launcher and its archives, run here as a node would."""

import hashlib
import signal
import subprocess
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ce_backends.base import TaskSpec
from ce_backends.batch.launcher import RENEWED, RESULT, TASK, launcher, write_renewed, write_task
from ce_backends.conformance.subject import task
from ce_backends.task.script import COOKIE
from tests.waiting import until

MINIMAL = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


@pytest.fixture
def node(tmp_path: Path) -> Path:
    directory = tmp_path / "scratch"
    directory.mkdir()
    return directory


def arrive(node: Path, spec: TaskSpec) -> list[str]:
    write_task(node / TASK, spec, ())
    (node / "launcher").write_bytes(launcher())
    return ["/bin/sh", "launcher", spec.stamp]


def run(node: Path, spec: TaskSpec) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arrive(node, spec), cwd=node, env=MINIMAL, check=False, capture_output=True, text=True)


def came_back(node: Path) -> dict[str, bytes]:
    with tarfile.open(node / RESULT) as archive:
        return {entry.name: _content(archive, entry) for entry in archive}


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(entry) if entry.isreg() else None
    return file.read() if file else b""


def test_output_and_exit_code_travel_back(node: Path) -> None:
    done = run(node, task("echo out; echo err >&2; exit 7\n"))
    files = came_back(node)

    assert (files["stdout"], files["stderr"], files["exit_code"]) == (b"out\n", b"err\n", b"7\n")
    assert list(files)[-1] == "exit_code"
    assert done.stderr == ""


def test_task_runs_in_a_directory_of_its_own(node: Path) -> None:
    spec = task('echo "$HOME $(readlink -f "$TMPDIR") $PWD $ODD"\n', environment={"ODD": "it's"})
    run(node, spec)
    directory = node / f"task.{spec.stamp}"

    assert came_back(node)["stdout"].decode().split() == [
        f"{directory}/work",
        f"{directory}/tmp",
        f"{directory}/work",
        "it's",
    ]


def test_second_start_runs_nothing(node: Path) -> None:
    spec = task("echo x >> ../../runs\n")
    run(node, spec)
    (node / RESULT).unlink()
    second = run(node, spec)

    assert (node / "runs").read_text() == "x\n"
    assert second.returncode == 125
    assert "a second start runs nothing" in second.stderr
    assert not (node / RESULT).exists()


def test_outputs_travel_by_pattern_and_links_as_links(node: Path) -> None:
    script = "mkdir d; echo 1 > d/a; echo 2 > no; ln -s d/a link; ln -s /etc/passwd out; ln -s /etc far\n"
    run(node, task(script, outputs=("d/*", "link", "out", "far/passwd")))
    files = came_back(node)

    assert files["work/d/a"] == b"1\n"
    assert {"work/link", "work/out"} <= set(files)
    assert not {"work/no", "work/far/passwd"} & set(files)
    assert b"root:" not in b"".join(files.values())


def test_directory_with_odd_characters_is_refused_in_a_sentence(tmp_path: Path) -> None:
    node = tmp_path / "it's odd"
    node.mkdir()
    done = run(node, task(":\n"))

    assert (done.returncode, "cannot run in a directory called" in done.stderr) == (125, True)


def test_sigterm_reaches_the_payload_and_ends_its_daemons(node: Path) -> None:
    beat = node / "beat"
    daemon = f"(setsid sh -c 'while :; do echo x >> {beat}; sleep 0.05; done' &)\n"
    script = f"{daemon}trap 'echo bye > {node}/bye; exit' TERM\nwhile :; do sleep 0.05; done\n"
    spec = task(script)
    with subprocess.Popen(arrive(node, spec), cwd=node, env=MINIMAL) as process:
        while not beat.exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        code = process.wait()
    size = beat.stat().st_size
    time.sleep(0.2)

    assert code == 143
    assert (node / "bye").exists()
    assert beat.stat().st_size == size


def test_daemon_that_shows_no_variable_while_it_becomes_another_program_is_ended_too(node: Path) -> None:
    pid = node / "pid"
    # a long moment, so that it is met
    late = f"echo $$ > {pid}; sleep 0.25; exec env {COOKIE}=$0 sleep 1000"
    begun = f"until [ -s {pid} ]; do sleep 0.01; done"
    spec = task(f"setsid env -i /bin/sh -c '{late}' ${COOKIE} &\n{begun}\n")

    run(node, spec)

    assert not Path("/proc", pid.read_text().strip(), "exe").exists()


def test_payload_does_not_ignore_an_interrupt(node: Path) -> None:
    run(node, task("grep SigIgn /proc/self/status\n"))
    ignored = int(came_back(node)["stdout"].split()[1], 16)

    assert not ignored & (1 << (signal.SIGINT - 1) | 1 << (signal.SIGQUIT - 1))


def test_credential_is_for_the_payload_only(node: Path, tmp_path: Path) -> None:
    credential = tmp_path / "proxy"
    credential.write_text("secret")
    run(node, task('cat "$GRIDPILOT_CREDENTIAL"; stat -c %a "$GRIDPILOT_CREDENTIAL"\n', credential=credential))

    assert came_back(node)["stdout"] == b"secret600\n"
    assert not any(name.endswith("credential") for name in came_back(node))
    assert (node / RESULT).stat().st_mode & 0o077 == 0


def test_secrets_are_for_the_payload_only(node: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    script = 'cat "$GRIDPILOT_SECRETS/key"; stat -c %a "$GRIDPILOT_SECRETS/key"\n'
    run(node, task(script, secrets=(tmp_path / "key",), outputs=("../secrets/*", "*/key")))

    assert came_back(node)["stdout"] == b"secret600\n"
    assert not any("key" in name for name in came_back(node))


def test_task_ends_when_what_started_its_launcher_has_been_killed(node: Path) -> None:
    beat = node / "beat"
    spec = task(f"while :; do echo x >> {beat}; sleep 0.05; done\n")
    starter = ["/bin/sh", "-c", '"$@" & wait', "sh", *arrive(node, spec)]
    with subprocess.Popen(starter, cwd=node, env=MINIMAL) as process:
        while not beat.exists():
            time.sleep(0.02)
        process.kill()

    assert beat.exists()
    until(lambda: not _carriers(spec.stamp), "the payload has ended")


def _carriers(stamp: str) -> list[str]:
    """Return the processes that carry a task's cookie."""
    environments = [f"/proc/{path.name}/environ" for path in Path("/proc").iterdir() if path.name.isdecimal()]
    command = ["grep", "-ls", stamp, *environments]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize(("size", "seen"), [(10_000, b"new"), (700, b"old"), (0, b"old")])
def test_a_newer_credential_that_came_meanwhile_is_taken_if_it_came_as_a_whole(
    node: Path, size: int, seen: bytes
) -> None:
    (node / "old").write_text("old")
    (node / "new").write_text("new")
    spec = replace(task('cat "$GRIDPILOT_CREDENTIAL"'), credential=node / "old")
    argv = arrive(node, spec)
    write_renewed(node / RENEWED, node / "new")
    (node / RENEWED).write_bytes((node / RENEWED).read_bytes()[:size])

    subprocess.run(argv, cwd=node, env=MINIMAL, check=True)

    assert came_back(node)["stdout"] == seen
    assert not (node / RENEWED).exists()


@pytest.mark.parametrize("content", [b"as sent", b"other", None])
def test_what_comes_beside_a_task_is_taken_if_it_is_what_was_sent(node: Path, content: bytes | None) -> None:
    name, sha256 = "it's a file", hashlib.sha256(b"as sent").hexdigest()
    (node / name).write_bytes(b"as sent")
    spec = replace(task(f'cat "{name}"'), shared=[node / name])
    write_task(node / TASK, spec, (), beside={node / name: sha256})
    (node / "launcher").write_bytes(launcher())
    if content is not None:
        (node / "cache").write_bytes(content)
        (node / sha256).symlink_to("cache")  # as A-REX gives what it has
    done = subprocess.run(
        ["/bin/sh", "launcher", spec.stamp], cwd=node, env=MINIMAL, check=False, capture_output=True, text=True
    )

    if content == b"as sent":
        assert came_back(node)["stdout"] == b"as sent"
    else:
        assert (done.returncode, f"input {name} has not come, or is not what was sent" in done.stderr) == (125, True)
        assert not (node / RESULT).exists()
