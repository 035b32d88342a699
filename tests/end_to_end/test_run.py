"""`gridpilot run` as it is typed: a WMS and a pilot of its own, the job's output and exit code, and nothing left."""

import argparse
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from agents.local_wms.run import _kept
from agents.local_wms.testing import REPOSITORY
from agents.slot.benchmark import Benchmark, this_machine
from tests.waiting import PATIENCE_S, until

HS06 = 10.0  # remembered, so that no pilot measures it for seconds beside its job
RUN = [sys.executable, "-m", "gridpilot", "run"]


@contextmanager
def started(folder: Path, *words: str, cwd: Path | None = None) -> Iterator["subprocess.Popen[str]"]:
    aside = folder / "aside"
    (aside / "tmp").mkdir(parents=True, exist_ok=True)
    Benchmark(this_machine(Path("/"), len(os.sched_getaffinity(0))), aside / "node")._remember(HS06)
    places = {"TMPDIR": str(aside / "tmp"), "GRIDPILOT_CACHE": str(aside / "node")}
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **places}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*RUN, *words], cwd=cwd or folder, env=environment, text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def run(folder: Path, *words: str) -> tuple[int, str, str]:
    with started(folder, *words) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, err


def test_a_command_is_a_job_and_its_exit_code_is_ours(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("words")
    (tmp_path / "count.sh").write_text(
        '#!/bin/sh\nwc -c < "$1" > result.txt\nprintf \'it is %s\\n\' "$2"; echo oh >&2; exit 3'
    )
    (tmp_path / "count.sh").chmod(0o755)

    code, out, err = run(tmp_path, "-i", "data.txt", "-o", "res*", "--", "./count.sh", "data.txt", "a 'b\" \\c $d")

    assert (code, out) == (3, "it is a 'b\" \\c $d\n"), err
    assert "\noh\n" in err
    assert "count.sh: Failed (Application Finished With Errors), exit code 3" in err
    assert (tmp_path / "result.txt").read_text().strip() == "5"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aside", "count.sh", "data.txt", "result.txt"]
    assert list((tmp_path / "aside/tmp").iterdir()) == []


def test_jdl_files_their_outputs_and_what_programs_read(tmp_path: Path) -> None:
    (tmp_path / "good.jdl").write_text(
        'Executable = "echo"; Arguments = "hello"; StdOutput = "o"; OutputSandbox = {"o"};'
    )
    (tmp_path / "big.jdl").write_text('Executable = "echo"; MinNumberOfProcessors = 1000;')

    code, out, err = run(tmp_path, "--json", "good.jdl", "big.jdl")

    good, big = json.loads(out)
    assert (good["status"], good["exit_code"], good["files"]) == ("Done", 0, ["good-output/o"]), err
    assert (tmp_path / "good-output" / "o").read_text() == "hello\n"
    assert (big["status"], code) == ("Waiting", 1)
    assert "it needs 1000 processors" in big["why_waiting"]


def test_ctrl_c_ends_the_job_the_pilot_and_the_wms(tmp_path: Path) -> None:
    with started(tmp_path, "--", "sh", "-c", "echo $$; echo on; sleep 1000") as process:
        assert process.stdout is not None
        payload = int(process.stdout.readline())
        assert process.stdout.readline() == "on\n"
        below = [psutil.Process(payload), *psutil.Process(process.pid).children(recursive=True)]
        assert len(below) > 2

        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130
    assert "interrupted; its jobs, pilot and WMS are ended" in err
    until(lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in below))
    assert list((tmp_path / "aside/tmp").iterdir()) == []


def test_kill_9_leaves_no_process(tmp_path: Path) -> None:
    with started(tmp_path, "--", "sh", "-c", "echo $$; sleep 1000") as process:
        assert process.stdout is not None
        payload = int(process.stdout.readline())
        below = [psutil.Process(payload), *psutil.Process(process.pid).children(recursive=True)]

        process.kill()
        until(lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in below))


def test_what_is_wrong_is_said_before_anything_is_started(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words, sentence in (
        (["nothing.jdl"], "nothing.jdl: there is no such file; a command goes after --"),
        (["-i", "no.txt", "--", "true"], "--input no.txt: there is no such file"),
        (["--"], "expected either JDL files or -- COMMAND"),
        (["a.jdl", "--", "true"], "expected either JDL files or -- COMMAND"),
        (["--into", "file/x", "--", "true"], "--into file/x: the directory cannot be made"),
        (["--into", "file", "--", "true"], "--into file: there is a file of that name; expected a directory"),
        (["--into", "/proc", "--", "true"], "--into /proc: no file can be made in this directory"),
        (["-P", "0", "--", "true"], "'0': expected a whole number, 1 to 100000"),
        (["--deadline", "nan", "--", "true"], "'nan': expected seconds"),
    ):
        code, out, err = run(tmp_path, *words)

        assert code != 0
        assert (sentence in err, out, "starting" in err) == (True, "", False)


def test_what_cannot_be_put_here_is_kept_elsewhere(tmp_path: Path) -> None:
    with started(tmp_path, "-o", "result", "--", "/bin/sh", "-c", "echo 5 > result", cwd=Path("/proc")) as process:
        _, err = process.communicate(timeout=PATIENCE_S)

    kept = list((tmp_path / "aside/tmp").glob("*/result"))
    assert [path.read_text() for path in kept] == ["5\n"]
    assert ("no file can be made in this directory" in err, str(kept[0]) in err) == (True, True)


def test_what_has_no_room_here_is_kept_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "came").write_text("5")
    into, elsewhere = tmp_path / "into", tmp_path / "elsewhere"
    elsewhere.mkdir()
    move = shutil.move

    def full(path: Path, place: Path) -> None:
        if place.parent == into:
            place.write_text("")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        move(path, place)

    monkeypatch.setattr(shutil, "move", full)
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))

    (kept,) = _kept([tmp_path / "came"], argparse.Namespace(jobs=["a.jdl"], json=False, into=into), "a-output")

    assert (Path(kept).read_text(), Path(kept).parents[1], list(into.iterdir())) == ("5", elsewhere, [])
