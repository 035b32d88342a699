"""Jobs of DIRAC's Job API in the agent: what is to run them is known before they run; what they say is passed on."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from agents.errors import Blame, HandBack
from agents.jobs import client, outcome
from agents.jobs.jdl import JobDescription, describe
from agents.jobs.job import Job, JobStatus, MatchedJob, Minor, Outcome, Phase, Runner
from agents.jobs.job_info import write_job_info
from agents.jobs.jobexec import write_runner
from agents.jobs.ledger import ReportKind
from agents.jobs.payload import script
from agents.observability.explain import explain
from agents.process.events import Staged
from agents.runner import workflows
from agents.runner.context import JobContext, Workflows
from agents.runner.heartbeat import Heartbeats
from ce_backends.base import TaskState, TaskStatus
from tests.field.workflows import workflow
from tests.unit.runner_scene import START, Scene, scene

__all__ = ["scene"]

JDL = '[ JobID = 7; Executable = "dirac-jobexec"; Arguments = "jobDescription.xml -o LogLevel=INFO"; {} ]'
FOREIGN = "from LHCbDIRAC.Workflow.Modules.GaudiApplication import GaudiApplication"
PLAIN = workflow({"executable": "/bin/echo"})
OF_A_VO = workflow({"_module": "GaudiApplication"}, modules={"GaudiApplication": FOREIGN})
WITH_COMMAND = workflow({"executable": "dirac-dms-add-file"})
MENTIONING = workflow({"executable": "/bin/sh", "arguments": "-c 'dirac-dms-add-file x'"})


class Brings:
    """Staging that has brought a workflow."""

    def __init__(self, xml: str, error: HandBack | None = None) -> None:
        self.xml, self.error = xml, error

    def download(self, job: Job, description: object, into: Path, brought: Path) -> Staged:
        into.mkdir(parents=True)
        (into / "jobDescription.xml").write_text(self.xml)
        return Staged(job.job_id, self.error)


def context(place: Path, **more: object) -> JobContext:
    paths = Workflows(clients=("/nowhere/diracosrc", f"{place}/diracosrc"))
    return replace(JobContext(site="LAB", work_dir=place, environ={}, parameters={}, workflows=paths), **more)  # type: ignore[arg-type]


def chosen(place: Path, xml: str, attributes: str = "", **more: object) -> Staged:
    text = JDL.format(attributes)
    job = Job(matched=MatchedJob(job_id=7, jdl=text, owner="o", group="g"), stamp="a" * 32)
    return workflows.staged(job, describe(text), Brings(xml), context(place, **more))  # type: ignore[arg-type]


def test_a_workflow_of_scripts_needs_no_client(tmp_path: Path) -> None:
    event = chosen(tmp_path, PLAIN)

    assert (event.error, event.runner, event.told) == (
        None,
        Runner.OWN,
        "gridpilot's own, for there is no DIRAC client on the PATH",
    )
    (file,) = tmp_path.glob("jobs/*/.gridpilot/dirac-jobexec")
    assert os.access(file, os.X_OK)


@pytest.mark.parametrize("xml", ["no workflow at all", PLAIN.replace("</Workflow>", "")])
def test_a_workflow_that_cannot_be_read_fails_where_its_owner_sees_it(tmp_path: Path, xml: str) -> None:
    assert chosen(tmp_path, xml).runner is Runner.OWN


@pytest.mark.parametrize(
    ("xml", "wanted"), [(OF_A_VO, FOREIGN), (WITH_COMMAND, "dirac-dms-add-file")], ids=["module", "command"]
)
def test_a_workflow_that_needs_a_client_is_handed_back_where_there_is_none(
    tmp_path: Path, xml: str, wanted: str
) -> None:
    event = chosen(tmp_path, xml)

    assert isinstance(event.error, HandBack)
    assert (event.error.minor_status, event.error.blame) == (Minor.UNMET, Blame.SITE)
    assert event.error.detail == (
        f"No DIRAC client here, which the job needs for {wanted} "
        f"(looked for dirac-jobexec on the PATH, /nowhere/diracosrc, {tmp_path}/diracosrc)"
    )


@pytest.mark.parametrize("xml", [OF_A_VO, WITH_COMMAND, MENTIONING], ids=["module", "command", "mention"])
def test_the_nodes_client_runs_what_needs_it(tmp_path: Path, xml: str) -> None:
    (tmp_path / "diracosrc").touch()

    event = chosen(tmp_path, xml)

    assert (event.error, event.runner, event.told) == (None, Runner.CLIENT, f"DIRAC client, {tmp_path}/diracosrc")


def test_a_mention_is_no_need(tmp_path: Path) -> None:
    assert chosen(tmp_path, MENTIONING).runner is Runner.OWN


@pytest.mark.parametrize("xml", [PLAIN, OF_A_VO], ids=["plain", "module"])
def test_a_client_on_the_path_is_meant_wherever_it_is(tmp_path: Path, xml: str) -> None:
    program(tmp_path / "bin/dirac-jobexec", "true")

    event = chosen(tmp_path, xml, environ={"PATH": f"/usr/bin:{tmp_path}/bin"})

    assert (event.runner, event.told) == (Runner.OWN, f"DIRAC client on the PATH, {tmp_path}/bin/dirac-jobexec")


@pytest.mark.parametrize(("xml", "runner"), [(PLAIN, Runner.OWN), (OF_A_VO, Runner.CLIENT)], ids=["plain", "module"])
def test_on_other_nodes_the_node_looks(tmp_path: Path, xml: str, runner: Runner) -> None:
    program(tmp_path / "bin/dirac-jobexec", "true")

    event = chosen(tmp_path, xml, environ={"PATH": f"{tmp_path}/bin"}, is_remote=True)

    assert (event.error, event.runner) == (None, runner)


def test_inputs_that_cannot_be_had_come_first(tmp_path: Path) -> None:
    error = HandBack(Minor.FAILED_DOWNLOADING_INPUT, "no", blame=Blame.SERVER)
    job = Job(matched=MatchedJob(job_id=7, jdl="", owner="o", group="g"), stamp="a" * 32)
    around, description = context(tmp_path), describe(JDL.format(""))

    event = workflows.staged(job, description, Brings("", error), around)  # type: ignore[arg-type]

    assert event == Staged(7, error)


@pytest.mark.parametrize(
    ("attributes", "is_workflow"),
    [
        ('Executable = "dirac-jobexec";', True),
        ('Executable = "$DIRACROOT/scripts/dirac-jobexec";', True),
        ('Executable = "/opt/dirac/bin/dirac-jobexec";', False),
        ('Executable = "dirac-jobexec"; InputSandbox = {"SB:x|/y", "dirac-jobexec"};', False),
        ('Executable = "my-dirac-jobexec";', False),
        ("", False),
    ],
)
def test_jobs_of_the_job_api_are_known(attributes: str, is_workflow: bool) -> None:
    assert describe(f"[ JobID = 7; {attributes} ]").is_workflow is is_workflow


# ---- where a client is ----


def test_clients_are_looked_for_in_dirac_s_order() -> None:
    found = client.places(
        environment="/opt/env",
        prefix="/opt/dirac/",
        cvmfs=("/cvmfs/lhcb.cern.ch", "/cvmfs/dirac.egi.eu/"),
        project="LHCbDIRAC",
        version="v11.0",
        machine="x86_64",
    )

    assert found == (
        "/opt/env",
        "/opt/env/diracosrc",
        "/opt/dirac/v11.0/Linux-x86_64/diracosrc",
        "/opt/dirac/pro/Linux-x86_64/diracosrc",
        "/cvmfs/lhcb.cern.ch/lhcbdirac/v11.0/Linux-x86_64/diracosrc",
        "/cvmfs/lhcb.cern.ch/lhcbdirac/pro/Linux-x86_64/diracosrc",
        "/cvmfs/lhcb.cern.ch/dirac/v11.0/Linux-x86_64/diracosrc",
        "/cvmfs/lhcb.cern.ch/dirac/pro/Linux-x86_64/diracosrc",
        "/cvmfs/dirac.egi.eu/lhcbdirac/v11.0/Linux-x86_64/diracosrc",
        "/cvmfs/dirac.egi.eu/lhcbdirac/pro/Linux-x86_64/diracosrc",
        "/cvmfs/dirac.egi.eu/dirac/v11.0/Linux-x86_64/diracosrc",
        "/cvmfs/dirac.egi.eu/dirac/pro/Linux-x86_64/diracosrc",
    )


def test_without_a_project_and_a_version_there_is_pro() -> None:
    found = client.places(environment="", prefix="", cvmfs=("/c",), project="", version="", machine="aarch64")

    assert found == ("/c/dirac/pro/Linux-aarch64/diracosrc",)


def test_the_first_file_that_is_there_is_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b c").touch()

    assert client.find([f"{tmp_path}/{name}" for name in ("no", "a", "b c", "a/x")]) == f"{tmp_path}/b c"
    assert client.find([f"{tmp_path}/no"]) == client.find([]) == ""


# ---- the payload's script ----


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def described(arguments: str = "jobDescription.xml -p 'a=b c'") -> JobDescription:
    return describe(f'[ JobID = 7; Executable = "dirac-jobexec"; Arguments = "{arguments}"; ]')


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/jobDescription.xml").write_text(workflow({"executable": "/bin/echo", "arguments": "hello"}))
    return tmp_path / "work"


def ran(work: Path, text: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment: Mapping[str, str] = {
        "PATH": "/usr/bin:/bin",
        "GRIDPILOT_REASON_FILE": f"{work.parent}/reason",
        **variables,
    }
    return subprocess.run(
        ["/bin/sh", "-c", text], cwd=work, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def reason(work: Path) -> str:
    return (work.parent / "reason").read_text().strip()


def test_our_runner_is_the_last_on_the_payloads_path(work: Path, tmp_path: Path) -> None:
    folder = write_runner(work, python="", goes_on=False)
    (folder / "dirac-jobexec").chmod(0o644)  # as some archives bring it
    text = script(described(), Runner.OWN)

    own = ran(work, text)
    program(tmp_path / "bin/dirac-jobexec", 'echo "a client: $1 $2 $3"')
    theirs = ran(work, text, PATH=f"/usr/bin:/bin:{tmp_path}/bin")

    assert own.returncode == 0, own.stderr
    assert (work / ".gridpilot/status").read_text() == "echo successful\n"
    assert theirs.stdout == "a client: jobDescription.xml -p a=b c\n"


def test_a_client_is_read_by_the_payloads_shell_and_runs_the_workflow(work: Path, tmp_path: Path) -> None:
    program(tmp_path / "client/bin/dirac-jobexec", 'printf "%s|" "$@"; echo "$DIRACOS"; exit 5')
    rc = tmp_path / "client/diracosrc"
    rc.write_text('export DIRACOS=$(dirname "${BASH_SOURCE[0]}")\nexport PATH=$DIRACOS/bin:$PATH\n')

    done = ran(work, script(described(), Runner.CLIENT, ["/nowhere/diracosrc", str(rc)]))

    assert (done.returncode, done.stdout) == (5, f"jobDescription.xml|-p|a=b c|{tmp_path}/client\n")


def test_a_node_without_a_client_says_where_it_looked(work: Path) -> None:
    done = ran(work, script(described(), Runner.CLIENT, ["/no where/diracosrc", "/it's/diracosrc"]))

    assert done.returncode == 127
    assert reason(work) == "No DIRAC client on this node (looked for /no where/diracosrc, /it's/diracosrc)"


def test_a_client_without_the_program_is_none(work: Path, tmp_path: Path) -> None:
    (tmp_path / "diracosrc").write_text("export X=y\n")

    done = ran(work, script(described(), Runner.CLIENT, [f"{tmp_path}/diracosrc"]))

    assert (done.returncode, reason(work)) == (127, f"No DIRAC client: {tmp_path}/diracosrc brings no dirac-jobexec")


# ---- the end ----


@pytest.mark.parametrize(
    ("exit_code", "said", "end"),
    [
        (0, "job.sh successful", Outcome(JobStatus.DONE, Minor.APPLICATION_SUCCESS, "job.sh successful")),
        (0, "", Outcome(JobStatus.DONE, Minor.APPLICATION_SUCCESS)),
        (
            3,
            "first.sh Exited With Status 3",
            Outcome(JobStatus.FAILED, Minor.APPLICATION_ERRORS, "first.sh Exited With Status 3", Blame.USER),
        ),
        (5, "", Outcome(JobStatus.FAILED, Minor.APPLICATION_ERRORS, "", Blame.USER)),  # DIRAC's client has told it
        (
            127,
            "No DIRAC client on this node (looked for /x)",
            Outcome(JobStatus.RESCHEDULED, Minor.UNMET, "No DIRAC client on this node (looked for /x)", Blame.SITE),
        ),
        (
            127,
            "No Python 3.6 or later for dirac-jobexec here (looked for: python3)",
            Outcome(
                JobStatus.RESCHEDULED,
                Minor.UNMET,
                "No Python 3.6 or later for dirac-jobexec here (looked for: python3)",
                Blame.SITE,
            ),
        ),
    ],
)
def test_what_the_payload_said_of_itself_is_its_application_status(exit_code: int, said: str, end: Outcome) -> None:
    task = TaskStatus(state=TaskState.DONE, exit_code=exit_code, reason=said)

    assert outcome.decided(None, task, speaks=True) == end


def test_a_number_is_said_where_nobody_says_more() -> None:
    task = TaskStatus(state=TaskState.DONE, exit_code=5)

    assert outcome.decided(None, task).application_status == "Exit code 5"


# ---- what it may read about itself ----


def test_a_jobs_description_is_there_as_dirac_writes_it(tmp_path: Path) -> None:
    tags, requirements = 'Tags = {"a", "b"};', "JobRequirements = [ CPUTime = 5; ];"
    jdl = f'[ JobID = 7; Executable = "x"; {tags} {requirements} Arguments = "a\nb"; y = ; ]'

    (file,) = write_job_info(tmp_path, jdl)

    assert file.read_text().split("\n") == [
        "/Job/JobID = 7",
        "/Job/Executable = x",
        "/Job/Tags = a, b",
        "/Job/JobRequirements/CPUTime = 5",
        "/Job/Arguments = a b",
        "",
    ]
    assert write_job_info(tmp_path / "not there", jdl) == []


# ---- in the runner ----


def test_how_a_workflow_is_run_is_written_down_and_told_before_it_runs(scene: Scene) -> None:
    scene.match(jdl=JDL.format(""))
    (work, arguments) = scene.workers.waiting[0]
    event = work(*arguments)
    assert isinstance(event, Staged)
    scene.runner.staged(event)

    (task,) = scene.ce.tasks.values()
    assert [path.name for path in task.inputs][-2:] == ["job.info", ".gridpilot"]
    assert "its workflow is run by: gridpilot's own" in explain(scene.work_dir, 7, as_json=False)
    assert scene.job.runner is Runner.OWN is scene.ledger.open_jobs()[0].runner
    told = [one.body for one in scene.ledger.unsent() if one.kind is ReportKind.PARAMETERS]
    assert {"WorkflowRunner": event.told} in told


def test_after_a_restart_it_is_run_in_the_same_way(scene: Scene) -> None:
    scene.match(jdl=JDL.format(""))
    (work, arguments) = scene.workers.waiting[0]
    scene.runner.staged(work(*arguments))  # type: ignore[arg-type]
    (before,) = scene.ce.tasks.values()
    scene.ce.tasks.clear()
    job = replace(scene.job, phase=Phase.SUBMITTING, task_id="")
    scene.ledger.save(job, [])
    scene.restart()
    scene.runner.recover()
    scene.runner.confirmed()
    scene.runner.poll()

    (again,) = scene.ce.tasks.values()
    assert (again.script, again.inputs) == (before.script, before.inputs)


def test_a_job_that_cannot_run_here_is_handed_back_before_it_runs(scene: Scene) -> None:
    scene.match(jdl=JDL.format(""))
    error = HandBack(Minor.UNMET, "No DIRAC client here", blame=Blame.SITE)
    scene.runner.staged(Staged(7, error))

    assert scene.said() == [*START[:3], "JobWrapper: Rescheduled / Job needs what this agent cannot do"]
    assert (scene.ce.tasks, scene.orders(), scene.slot.is_all_free) == ({}, [7], True)
    assert scene.runner.tally.host_failures_in_a_row == 1


class Seen:
    """A computing element that shows what a test has put there."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def peek(self, task_id: str, name: str, max_bytes: int) -> bytes:
        return self.files.get(name, b"")[-max_bytes:]


def test_the_status_of_a_workflow_is_told_when_it_changes(scene: Scene) -> None:
    scene.match(jdl=JDL.format(""))
    (work, arguments) = scene.workers.waiting[0]
    scene.runner.staged(work(*arguments))  # type: ignore[arg-type]
    seen, beats = Seen(), []
    voice = type("Voice", (), {"beat": lambda _, beat: beats.append(beat)})()
    hearts = Heartbeats(scene.runner, voice, seen, 20)  # type: ignore[arg-type]
    for text in (b"", b"Executing RunScriptStep1\n", b"Executing RunScriptStep1\n", b"\x1b[2Jevil\r\nsecond " * 99):
        seen.files[".gridpilot/status"] = text
        hearts.send()

    said = [one.body["ApplicationStatus"] for one in scene.ledger.unsent() if "ApplicationStatus" in one.body]
    assert (len(beats), len(said)) == (4, 2)
    assert said[0] == "Executing RunScriptStep1"
    assert said[1].startswith("evilsecond evilsecond ")
    assert len(said[1]) <= 255
