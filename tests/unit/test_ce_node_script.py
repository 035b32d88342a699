"""The node script under every shell there is."""

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ce_backends.base import TaskSpec
from ce_backends.errors import CEError
from ce_backends.pool.layout import lay_out
from ce_backends.task.directory import TaskDir
from ce_backends.task.script import COOKIE, environment_of, quote, render
from tests.unit.payload_signals import HEARD
from tests.waiting import PATIENCE_S, until

STAMP = uuid.uuid4().hex  # a test of another process must not have the same
SHELLS = [
    [found, *applet]
    for name, applet in (("dash", []), ("bash", []), ("bash", ["--posix"]), ("busybox", ["sh"]))
    if (found := shutil.which(name))
]
every_shell = pytest.mark.parametrize("shell", SHELLS, ids=lambda argv: " ".join(Path(word).name for word in argv))


def laid_out(parent: Path, script: str, **fields: object) -> tuple[TaskSpec, TaskDir]:
    spec = TaskSpec(stamp=STAMP, script=script, **fields)  # type: ignore[arg-type]
    directory = TaskDir(parent / STAMP)
    lay_out(spec, directory)
    (directory.path / "node_script").write_bytes(render(spec, directory.path))
    return spec, directory


def start(shell: list[str], directory: TaskDir, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    argv = [*shell, str(directory.path / "node_script")]
    return subprocess.Popen(argv, env=dict(environment), preexec_fn=_heed_interrupts)  # noqa: PLW1509 - no threads here


def _heed_interrupts() -> None:
    """Undo what a shell does to what it runs in the background: these tests may run there."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def run(shell: list[str], parent: Path, script: str, **fields: object) -> TaskDir:
    """Run as the pool does: the environment is given by the starter."""
    spec, directory = laid_out(parent, script, **fields)
    environment = {"PATH": os.environ["PATH"], **environment_of(spec, directory.path)}
    assert start(shell, directory, environment).wait(PATIENCE_S) == 0
    return directory


def until_exists(path: Path) -> None:
    until(path.exists, f"{path} is made")


@every_shell
def test_streams_and_exit_code_are_in_their_files(shell: list[str], tmp_path: Path) -> None:
    directory = run(shell, tmp_path, "echo out; echo err >&2; exit 42\n")

    assert (directory.path / "stdout").read_text() == "out\n"
    assert (directory.path / "stderr").read_text() == "err\n"
    assert directory.exit_code() == 42


@every_shell
def test_the_cpu_time_is_known(shell: list[str], tmp_path: Path) -> None:
    directory = run(shell, tmp_path, "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done\n")

    assert (directory.cpu_s() or 0) > 0


@every_shell
def test_second_start_runs_nothing(shell: list[str], tmp_path: Path) -> None:
    directory = run(shell, tmp_path, f"echo ran >> {quote(str(tmp_path))}/ledger\n")

    again = start(shell, directory, {COOKIE: STAMP}).wait(PATIENCE_S)

    assert again == 0
    assert (tmp_path / "ledger").read_text() == "ran\n"


@every_shell
def test_many_starts_at_once_run_one(shell: list[str], tmp_path: Path) -> None:
    _, directory = laid_out(tmp_path, f"echo ran >> {quote(str(tmp_path))}/ledger\n")

    started = [start(shell, directory, {COOKIE: STAMP, "PATH": "/usr/bin:/bin"}) for _ in range(8)]

    assert [process.wait(PATIENCE_S) for process in started] == [0] * 8
    assert (tmp_path / "ledger").read_text() == "ran\n"


@every_shell
def test_script_outlives_its_signals_and_tells_the_result(shell: list[str], tmp_path: Path) -> None:
    spec, directory = laid_out(tmp_path, ": > ready; until [ -e go ]; do sleep 0.02; done; exit 9\n")
    process = start(shell, directory, {"PATH": "/usr/bin:/bin", **environment_of(spec, directory.path)})
    until_exists(directory.work / "ready")

    for number in HEARD:
        process.send_signal(number)
    (directory.work / "go").touch()

    assert process.wait(PATIENCE_S) == 0
    assert directory.exit_code() == 9


OF_THE_C_LIBRARY = 1 << 31 | 1 << 32  # signals 32 and 33: no program can set them, and make passes them on ignored


@every_shell
def test_payload_ignores_and_catches_no_signal(shell: list[str], tmp_path: Path) -> None:
    directory = run(shell, tmp_path, "grep -E 'SigIgn|SigBlk' /proc/self/status\n")

    masks = [int(line.split()[1], 16) for line in (directory.path / "stdout").read_text().splitlines()]

    assert [mask & ~OF_THE_C_LIBRARY for mask in masks] == [0, 0]


@every_shell
def test_killed_payload_has_the_exit_code_of_its_signal(shell: list[str], tmp_path: Path) -> None:
    assert run(shell, tmp_path, "kill -9 $$\n").exit_code() == 128 + signal.SIGKILL


@every_shell
def test_syntax_error_in_the_payload_is_its_own_failure(shell: list[str], tmp_path: Path) -> None:
    directory = run(shell, tmp_path, "if then fi (\n")

    assert directory.exit_code() not in (None, 0)
    assert (directory.path / "stderr").read_text()


@every_shell
def test_environment_value_may_hold_every_byte_but_nul(shell: list[str], tmp_path: Path) -> None:
    value = bytes(range(1, 256)).decode("utf-8", "surrogateescape")

    directory = run(shell, tmp_path, "cat /proc/$$/environ\n", environment={"ALL": value})

    assert b"ALL=" + bytes(range(1, 256)) in (directory.path / "stdout").read_bytes().split(b"\0")


@every_shell
def test_started_by_a_batch_system_it_clears_the_environment_first(shell: list[str], tmp_path: Path) -> None:
    value = bytes(range(1, 256)).decode("utf-8", "surrogateescape")
    _, directory = laid_out(tmp_path, "cat /proc/$$/environ\n", environment={"ALL": value})

    start(shell, directory, {"PATH": "/usr/bin:/bin", "SLURM_CPUS_ON_NODE": "64"}).wait(PATIENCE_S)

    seen = (directory.path / "stdout").read_bytes()
    assert b"ALL=" + bytes(range(1, 256)) in seen.split(b"\0")
    assert b"PATH=/usr/bin:/bin" in seen.split(b"\0")
    assert b"SLURM" not in seen


@every_shell
@pytest.mark.parametrize("name", ["with space", "it's", "two\nlines", "Ω☃", "$(so)", "-n"])
def test_task_directory_may_have_any_name(shell: list[str], tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()

    directory = run(shell, tmp_path / name, "pwd -P > here; exit 3\n")

    assert directory.exit_code() == 3
    assert (directory.work / "here").exists()


@every_shell
def test_files_are_made_with_umask_022(shell: list[str], tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        directory = run(shell, tmp_path, "umask\n")
    finally:
        os.umask(before)

    assert int((directory.path / "stdout").read_text(), 8) == 0o022


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "Ä", "A\n", "BASH_FUNC_x%%"])
def test_variable_name_that_no_shell_knows_is_refused_with_its_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(CEError, match="environment variable") as refused:
        render(TaskSpec(stamp=STAMP, script=":\n", environment={name: "1"}), tmp_path)

    assert repr(name) in str(refused.value)


def test_variable_value_with_nul_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(CEError, match="environment variable A: its value holds a NUL"):
        render(TaskSpec(stamp=STAMP, script=":\n", environment={"A": "1\0002"}), tmp_path)


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40))
def test_quoted_text_is_one_word_with_the_same_text(text: str) -> None:
    done = subprocess.run(["/bin/sh", "-c", f"printf %s {quote(text)}"], capture_output=True, check=True)

    assert done.stdout.decode() == text


def test_quoting_a_nul_is_refused() -> None:
    with pytest.raises(CEError, match="NUL"):
        quote("a\0b")


@every_shell
def test_alone_below_a_long_directory_tmpdir_has_a_short_name_until_the_end(shell: list[str], tmp_path: Path) -> None:
    parent = tmp_path / "var/lib/condor/execute/dir_1234567/DIRAC_a1b2c3d4pilot"
    parent.mkdir(parents=True)
    spec = TaskSpec(stamp=STAMP, script='echo kept > "$TMPDIR/file"; echo "$TMPDIR"; [ ${#TMPDIR} -le 60 ]\n')
    directory = TaskDir(parent / STAMP)
    lay_out(spec, directory)
    (directory.path / "node_script").write_bytes(render(spec, directory.path, is_alone=True))

    start(shell, directory, {}).wait(PATIENCE_S)

    told = Path((directory.path / "stdout").read_text().strip())
    assert (directory.path / "exit_code").read_text() == "0\n"
    assert (directory.path / "tmp/file").read_text() == "kept\n"
    assert not told.exists()
    assert not told.parent.exists()
