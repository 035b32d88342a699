"""Jobs of DIRAC's Job API from the pilot to Done: in a container, and on another node than the agent's."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.local_wms.client import Client, connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from tests.end_to_end.push import PushPilot
from tests.end_to_end.test_main_job import Pilot, output, status, submit
from tests.field.workflows import workflow

JDL = """
    Executable = "dirac-jobexec"; Arguments = "jobDescription.xml -o LogLevel=INFO";
    InputSandbox = {"jobDescription.xml"};
    StdOutput = "std.out"; StdError = "std.err"; OutputSandbox = {"std.out", "std.err", "Script1.log"};
"""
OF_A_VO = workflow({"_module": "Own"}, modules={"Own": "from LHCbDIRAC.Workflow.Modules.Own import Own"})
CLIENT = 'export PATH="%s:$PATH"\n'


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running(tmp_path_factory.mktemp("wms")) as started:
        yield started


@pytest.fixture
def client(endpoint: Endpoint) -> Client:
    return connect(endpoint)


def submitted(client: Client, folder: Path, xml: str) -> int:
    (folder / "jobDescription.xml").write_text(xml, encoding="utf-8")
    return submit(client, folder, JDL)


def has_bubblewrap() -> bool:
    program = shutil.which("bwrap")
    return bool(program) and not subprocess.run([str(program), "--ro-bind", "/", "/", "true"], check=False).returncode


@pytest.mark.skipif(not has_bubblewrap(), reason="bubblewrap does not work here (Debian: apt-get install bubblewrap)")
def test_a_workflow_runs_in_a_container(endpoint: Endpoint, client: Client, tmp_path: Path) -> None:
    script = "echo $PPID; ls -a .gridpilot; ls / > seen; exit 4"
    job_id = submitted(client, tmp_path, workflow({"executable": "/bin/sh", "arguments": f"-c '{script}'"}))

    with Pilot(endpoint, tmp_path, "-y", "Pool/Bubblewrap", "-P", "1") as pilot:
        assert pilot.ended() == 0, pilot.written()

    said = status(client, job_id)
    assert (said["Status"], said["ApplicationStatus"]) == ("Failed", "sh Exited With Status 4"), pilot.written()
    assert (said["ExitCode"], said["WorkflowRunner"].split(",")[0]) == ("4", "gridpilot's own")
    assert "dirac-jobexec" in output(client, job_id, tmp_path)["Script1.log"]


def test_a_node_that_can_run_none_of_them_ends_before_all_are_put_back(
    endpoint: Endpoint, client: Client, tmp_path: Path
) -> None:
    jobs = [submitted(client, tmp_path, OF_A_VO) for _ in range(5)]

    with Pilot(endpoint, tmp_path, "-y", "Pool", "-P", "1") as pilot:
        code = pilot.ended()
    client.call("JobManager", "killJob", jobs)

    assert code == 6, pilot.written()
    ends = (  # as the WMS deals them out: others, or the same one again
        "ran 3 jobs (3 handed back); 3 jobs in a row were handed back for the node's fault",
        "handed back); Job {} was handed back twice in a row for the node's fault",
    )
    assert any(end.format(job) in pilot.written() for job in jobs for end in ends), pilot.written()
    assert "No DIRAC client here, which the job needs for from LHCbDIRAC." in pilot.written()


def push(tmp_path: Path) -> dict[str, object]:
    return {"BatchSystem": "Host", "SharedArea": tmp_path / "area", "MaxTotalJobs": 4, "StatusInterval": 0.2}


def test_a_workflow_is_pushed_to_another_node_with_its_runner(
    endpoint: Endpoint, client: Client, tmp_path: Path
) -> None:
    job_id = submitted(client, tmp_path, workflow({"executable": "/bin/echo", "arguments": "pushed"}))

    with PushPilot(endpoint, tmp_path, push(tmp_path)) as pilot:
        assert pilot.ended() == 0, pilot.written()

    said = status(client, job_id)
    assert (said["Status"], said["ApplicationStatus"]) == ("Done", "echo successful"), pilot.written()
    assert "\npushed\n" in output(client, job_id, tmp_path)["Script1.log"]


def test_the_other_node_s_client_runs_what_needs_one(endpoint: Endpoint, client: Client, tmp_path: Path) -> None:
    program = tmp_path / "client/bin/dirac-jobexec"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "a client: $*"\n')
    program.chmod(0o755)
    (tmp_path / "client/diracosrc").write_text(CLIENT % program.parent)
    job_id = submitted(client, tmp_path, OF_A_VO)
    options = push(tmp_path)

    with PushPilot(endpoint, tmp_path, options, "--preinstalledEnv", str(tmp_path / "client")) as pilot:
        assert pilot.ended() == 0, pilot.written()

    said = status(client, job_id)
    assert (said["Status"], said["WorkflowRunner"]) == ("Done", "DIRAC client of its node"), pilot.written()
    found = output(client, job_id, tmp_path)
    assert found["std.out"] == "a client: jobDescription.xml -o LogLevel=INFO\n"


def test_another_node_without_a_client_gives_the_job_back(endpoint: Endpoint, client: Client, tmp_path: Path) -> None:
    job_id = submitted(client, tmp_path, OF_A_VO)

    with PushPilot(endpoint, tmp_path, push(tmp_path)) as pilot:
        assert pilot.ended() == 0, pilot.written()

    told = [tuple(row[:3]) for row in client.call("JobMonitoring", "getJobLoggingInfo", job_id)]
    (words,) = {row[2] for row in told if row[1] == "Job needs what this agent cannot do"}
    assert words.startswith("No DIRAC client on this node (looked for /cvmfs/")
