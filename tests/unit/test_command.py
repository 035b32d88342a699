"""One way to run a helper command: within its time and its bytes, as one group, known as a child of ours."""

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from ce_backends.linux import children
from ce_backends.linux.command import NOWHERE, Around, NotStarted, Said, run
from ce_backends.linux.processes import is_alive, stat_of
from tests.waiting import PATIENCE_S, until


def sh(script: str, around: Around = Around(), timeout_s: float = 20) -> Said:  # noqa: B008 - frozen
    return run(["/bin/sh", "-c", script], timeout_s=timeout_s, stdin=b"read\n", around=around)


def test_a_command_reads_writes_and_ends() -> None:
    assert sh("cat; echo no >&2; exit 3") == Said(exit_code=3, stdout=b"read\n", stderr=b"no\n")


def test_a_command_that_a_signal_has_ended_has_its_number() -> None:
    assert sh("kill -15 $$").exit_code == -15


def test_what_is_around_a_command_is_as_was_asked(tmp_path: Path) -> None:
    around = Around(env={"A": "b"}, cwd=tmp_path, stdout=tmp_path / "said", hears_stderr=False)

    said = sh("pwd; echo $A; echo no >&2", around)

    assert said == Said(exit_code=0, stdout=b"", stderr=b"")
    assert (tmp_path / "said").read_text() == f"{tmp_path}\nb\n"


def test_what_goes_nowhere_has_no_bounds() -> None:
    assert sh("head -c 70000000 /dev/zero", Around(stdout=NOWHERE)) == Said(exit_code=0, stdout=b"", stderr=b"")


def test_a_flood_is_ended_and_not_believed() -> None:
    said = sh("yes")

    assert said.exit_code is None
    assert (said.stdout, said.flood, said.left) == (b"", "it wrote more than 64000000 bytes", 0)


@pytest.mark.parametrize("is_session", [False, True])
def test_a_command_leads_a_group_and_a_session_where_one_was_asked_for(is_session: bool) -> None:
    said = sh("cut -d' ' -f1,5,6 /proc/$$/stat", Around(is_session=is_session))

    pid, group, session = map(int, said.stdout.split())
    assert pid == group
    assert session == (pid if is_session else os.getsid(0))


@pytest.mark.parametrize("is_session", [False, True])
def test_a_command_that_takes_too_long_is_ended_with_all_of_its_group(is_session: bool) -> None:
    began = time.monotonic()

    said = sh("sleep 600 & echo $!; wait", Around(is_session=is_session), timeout_s=2)

    assert time.monotonic() - began < PATIENCE_S
    assert (said.exit_code, said.left) == (None, 0)
    until(lambda: not (stat := stat_of(int(said.stdout))) or not is_alive(stat.process))  # a killed one needs a moment


def test_a_command_is_known_as_a_child_of_ours_as_long_as_it_runs() -> None:
    others = children.started()
    read, write = os.pipe()
    with os.fdopen(write, "wb") as writing, os.fdopen(read, "rb") as reading:
        asker = threading.Thread(target=lambda: run(["/bin/cat"], timeout_s=PATIENCE_S, stdin=reading))
        asker.start()
        while not (known := children.started() - others):
            time.sleep(0.01)
        writing.close()
        asker.join(PATIENCE_S)

    assert not known & children.started()


def test_a_command_that_is_missing_was_not_started() -> None:
    with pytest.raises(NotStarted, match="No such file") as raised:
        run(["/no/such/command"], timeout_s=1)

    assert raised.value.errno == errno.ENOENT


def test_an_error_after_the_start_does_not_pass_for_none_and_ends_the_command(tmp_path: Path) -> None:
    said = tmp_path / "said"
    began = time.monotonic()

    with pytest.raises(OSError, match="No such file") as raised:  # nobody can see how much it has written
        sh(f"rm -f {said}; sleep 600", Around(stdout=said))

    assert not isinstance(raised.value, NotStarted)
    assert time.monotonic() - began < PATIENCE_S
