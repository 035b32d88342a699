"""The commands as people use them, on one server for all tests."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import pytest
import requests

from agents.local_wms.__main__ import _killed, main
from agents.local_wms.browser import Door
from agents.local_wms.client import Client, connect, unpack
from agents.local_wms.home import Endpoint, LocalWmsError
from agents.local_wms.testing import REPOSITORY, running
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("wms")
    with running(home):
        yield home


@pytest.fixture
def client(home: Path) -> Iterator[Client]:
    endpoint = Endpoint(**json.loads((home / "endpoint.json").read_text()))
    with connect(endpoint) as client:
        yield client


def run(home: Path, command: str, *arguments: object) -> int:
    return main([command, "--home", str(home), *map(str, arguments)])


def submitted(home: Path, folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> int:
    jdl = folder / "job.jdl"
    jdl.write_text(text)
    assert run(home, "submit", jdl) == 0
    return int(capsys.readouterr().out.split()[-1])


def test_submit_packs_the_input_files_that_lie_beside_the_jdl(
    home: Path, tmp_path: Path, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.sh").write_text("echo hello\n")

    job_id = submitted(home, tmp_path, 'Executable = "run.sh"; InputSandbox = {"run.sh", "LFN:/x"};', capsys)

    assigned = client.call("SandboxStore", "getSandboxesAssignedToEntity", f"Job:{job_id}")
    jdl = client.call("JobMonitoring", "getJobJDL", job_id, False)
    assert f'InputSandbox =\n  {{\n    "{assigned["Input"][0]}",\n    "LFN:/x"\n  }};' in jdl


def test_submit_warns_of_a_slip_in_a_name(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "job.jdl").write_text('Executable = "x"; Argumets = "1";')

    assert run(home, "submit", tmp_path / "job.jdl") == 0

    said = "JDL attribute Argumets means nothing to DIRAC; did you mean Arguments?"
    assert capsys.readouterr().err == f"local WMS: warning: {tmp_path}/job.jdl: {said}\n"


def test_submit_makes_every_job_of_a_sweep_wait(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job_id = submitted(home, tmp_path, 'Executable = "x"; JobName = "n%n"; Parameters = 3;', capsys)

    assert run(home, "status", "--json", job_id) == 0

    row = json.loads(capsys.readouterr().out)[0]
    assert (row["name"], row["status"], row["why waiting"]) == ("n2", "Waiting", "no pilot has asked for work yet")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('Executable = "x"; InputSandbox = {"missing.sh"};', "missing.sh, which does not exist"),
        ('Executable = "x', "JDL line 1"),
        (
            'Executable = "x"; CPUTime = "long"',
            "JobManager.submitJob: Invalid job description ( 1501 : JDL attribute CPUTime",
        ),
    ],
)
def test_submit_refuses_with_one_sentence(
    home: Path, tmp_path: Path, text: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.jdl").write_text(text)

    assert run(home, "submit", tmp_path / "job.jdl") == 1

    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_status_is_a_table_and_names_jobs_that_do_not_exist(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = submitted(home, tmp_path, 'Executable = "x"; JobName = "mine";', capsys)

    assert run(home, "status", job_id, 9999) == 1

    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].split()[:3] == [str(job_id), "mine", "Waiting"]
    assert "no such job: 9999" in shown.err


def test_kill_ends_a_waiting_job(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job_id = submitted(home, tmp_path, 'Executable = "x";', capsys)

    assert run(home, "kill", job_id) == 0

    run(home, "status", job_id, "--json")
    assert json.loads(capsys.readouterr().out.partition("\n")[2])[0]["status"] == "Killed"


def test_kill_says_of_each_job_what_was_done_and_why_nothing_was(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = submitted(home, tmp_path, 'Executable = "x";', capsys)
    run(home, "kill", job_id)
    first = capsys.readouterr().out

    assert run(home, "kill", job_id, 9999) == 1

    again = capsys.readouterr()
    assert first == f"{job_id}: killed, it was Waiting\n"
    assert again.out == f"{job_id}: not killed, it is Killed already\n"
    assert "no such job: 9999" in again.err


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("Running", "Killed", "killed, it was Running"),
        ("Done", "Done", "not killed, it is Done already"),
        ("Running", "Failed", "not killed, it is Failed already"),
    ],
)
def test_only_a_job_that_was_ended_is_called_killed(before: str, after: str, said: str) -> None:
    assert _killed(before, after) == said


def test_output_brings_back_what_was_uploaded(
    home: Path, tmp_path: Path, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "std.out").write_text("hello")
    job_id = submitted(home, tmp_path, 'Executable = "x"; InputSandbox = "std.out";', capsys)
    sandbox = client.call("SandboxStore", "getSandboxesAssignedToEntity", f"Job:{job_id}")["Input"][0]
    client.call("SandboxStore", "assignSandboxesToEntities", {f"Job:{job_id}": [(sandbox, "Output")]})

    assert run(home, "output", job_id, "--into", tmp_path / "back") == 0

    assert (tmp_path / "back" / "std.out").read_text() == "hello"


def test_output_of_a_job_without_any_is_one_sentence(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = submitted(home, tmp_path, 'Executable = "x";', capsys)

    assert run(home, "output", job_id) == 1

    assert f"job {job_id} has no output sandbox" in capsys.readouterr().err


def test_a_second_server_in_the_same_home_stops_with_a_sentence(home: Path) -> None:
    argv = [sys.executable, "-m", "agents.local_wms", "serve", "--home", str(home)]

    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    assert (done.returncode, done.stderr) == (1, f"local WMS: a local WMS runs in {home} already\n")


def test_without_a_server_the_commands_say_how_to_start_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "status") == 1

    assert "start one with `gridpilot wms serve`" in capsys.readouterr().err


def test_a_server_that_has_ended_leaves_no_endpoint(tmp_path: Path) -> None:
    with running(tmp_path):
        assert (tmp_path / "endpoint.json").exists()

    assert not (tmp_path / "endpoint.json").exists()
    assert f"  gridpilot wms --home {tmp_path} pilot\n" in (tmp_path / "serve.out").read_text()


def test_jobs_are_still_there_after_a_restart(tmp_path: Path) -> None:
    with running(tmp_path) as endpoint, connect(endpoint) as client:
        job_id = client.call("JobManager", "submitJob", 'Executable = "x"')

    with running(tmp_path) as endpoint, connect(endpoint) as client:
        assert client.call("JobMonitoring", "getJobsStatus", job_id) == {str(job_id): {"Status": "Waiting"}}


def test_a_sandbox_that_would_leave_its_directory_is_refused(tmp_path: Path) -> None:
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../outside"))

    with pytest.raises(LocalWmsError, match="could not be unpacked"):
        unpack(evil.getvalue(), tmp_path / "inside")

    assert not (tmp_path / "outside").exists()


def test_home_may_stand_before_the_word_and_after_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--home", str(home), "status", "--json"]) == 0
    before = json.loads(capsys.readouterr().out)

    assert main(["status", "--json", "--home", str(home)]) == 0
    assert json.loads(capsys.readouterr().out) == before


def test_wait_ends_with_the_jobs(
    home: Path, tmp_path: Path, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = submitted(home, tmp_path, 'Executable = "x";', capsys)
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(run, home, "wait", job_id)
        client.call("JobManager", "killJob", job_id)
        assert waiting.result(PATIENCE_S) == 1

    assert capsys.readouterr().err.splitlines()[-1] == "1 Killed"
    assert run(home, "wait", 9999) == 1
    assert "no such job: 9999" in capsys.readouterr().err


def test_wait_has_a_deadline(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job_id = submitted(home, tmp_path, 'Executable = "x";', capsys)

    assert run(home, "wait", job_id, "--deadline", "0.1") == 1
    assert "not ended within 0 s: 1 Waiting" in capsys.readouterr().err


def test_what_programs_read(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "job.jdl").write_text('Executable = "x";')

    assert run(home, "submit", "--json", tmp_path / "job.jdl") == 0
    [[job_id]] = json.loads(capsys.readouterr().out).values()
    assert run(home, "kill", "--json", job_id) == 0
    assert json.loads(capsys.readouterr().out) == {str(job_id): "killed, it was Waiting"}
    assert run(home, "status", "--json", "--last", 1) == 0
    assert [row["job"] for row in json.loads(capsys.readouterr().out)] == [job_id]


def test_a_browser_sees_the_page_by_a_path_that_cannot_be_guessed(home: Path) -> None:
    door = Door(Endpoint(**json.loads((home / "endpoint.json").read_text())), 0)
    thread = Thread(target=door.serve_forever, args=(0.01,))
    thread.start()
    try:
        page = requests.get(door.url, timeout=PATIENCE_S)
        told = requests.get(f"{door.url}jobs.json?by=job", timeout=PATIENCE_S)
        tag = {"If-None-Match": told.headers["Etag"]}
        again = requests.get(f"{door.url}jobs.json?by=job", headers=tag, timeout=PATIENCE_S)
        inside = requests.get(f"{door.url}WorkloadManagement/JobMonitoring", timeout=PATIENCE_S)
        strange = requests.get(door.url.rpartition("/")[0][:-1] + "/", timeout=PATIENCE_S)
    finally:
        door.shutdown()
        door.server_close()
        thread.join()

    assert (page.status_code, "Local WMS" in page.text) == (200, True)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert (told.status_code, told.headers["X-Content-Type-Options"]) == (200, "nosniff")
    assert (again.status_code, again.content) == (304, b"")
    assert (strange.status_code, inside.status_code) == (404, 404)
    assert door.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("program", "why"),
    [("raise SystemExit(3)", "it could write nothing to "), ("print('no room'); raise SystemExit(3)", "no room")],
)
def test_a_server_that_ends_before_it_is_up_is_told_so_at_once(tmp_path: Path, program: str, why: str) -> None:
    with (
        pytest.raises(RuntimeError, match=f"ended with exit code 3 before it was up: {why}"),
        running(tmp_path, program=("-c", program)),
    ):
        pass
