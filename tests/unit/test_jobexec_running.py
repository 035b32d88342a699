"""The workflow runner while it runs, where it runs, and what it says before that of a workflow's needs."""

import ast
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import jobexec.step as runner
from agents.jobs.jobexec import Needs, needs_of
from tests.field.workflows import workflow
from tests.unit.jobexec_scene import ROOT, Job, job, sh, step
from tests.waiting import ended, until

__all__ = ["job"]

MODULE = "from LHCbDIRAC.Workflow.Modules.GaudiApplication import GaudiApplication"
GOOD = workflow(step("/bin/echo"))


def test_output_is_in_the_log_and_its_end_in_ours_while_the_step_runs(job: Job) -> None:
    script = (
        'for n in $(seq 200); do echo "line $n"; done; sleep 1.5; touch waits; while [ -e waits ]; do sleep 0.1; done'
    )
    (job.work / "jobDescription.xml").write_text(workflow(sh(script), sh("echo second")))
    with (job.work / "std.out").open("wb") as out:
        process = job.started("jobDescription.xml", out=out, err=out)
    until((job.work / "waits").exists)
    until(lambda: "line 200\n" in (job.work / "std.out").read_text())

    assert "line 1\n" in (job.work / "Script1.log").read_text()
    assert "line 150\n" not in (job.work / "std.out").read_text()  # the last fifty
    assert (job.work / "status").read_text() == "Executing RunScriptStep1\n"
    (job.work / "waits").unlink()
    assert ended(process) == 0
    said = (job.work / "std.out").read_text().split("\n")
    assert said.count("line 200") == said.count("second") == 1
    assert said.index("line 200") < said.index("Application status: sh successful") < said.index("second")


def test_a_log_that_is_too_long_keeps_beginning_and_end(job: Job) -> None:
    script = "echo first; yes 0123456789012345678901234567890123456789 | head -c 60000000; echo; echo last"

    done = job.run(workflow(sh(script)))

    log = done.log("Script1.log")
    assert (done.code, len(log) < 51_100_000) == (0, True)  # DIRAC ends such a step with status 1000
    assert "\nfirst\n" in log[:100]
    assert log.endswith("\nlast\n ")
    assert "[dirac-jobexec: 90" in log[50_000_000:]
    assert len(done.stdout) < 20_000


def test_what_a_step_leaves_running_keeps_nobody_waiting(job: Job) -> None:
    done = job.run(workflow(sh("sleep 1000 & echo $!")))

    assert done.code == 0
    os.kill(int(done.log("Script1.log").split("\n")[2]), signal.SIGKILL)  # it is there


def test_a_signal_is_passed_on_and_no_further_step_begins(job: Job) -> None:
    script = 'trap "echo caught; exit 0" TERM; touch waits; while :; do sleep 0.1; done'
    (job.work / "jobDescription.xml").write_text(workflow(sh(script.replace('"', '\\"')), sh("true")))
    text = workflow({"executable": "waiting.sh"}, sh("true"))
    (job.work / "waiting.sh").write_text(f"#!/bin/sh\n{script}\n")
    (job.work / "jobDescription.xml").write_text(text)
    process = job.started("jobDescription.xml", out=subprocess.DEVNULL, err=subprocess.DEVNULL)
    until((job.work / "waits").exists)
    process.terminate()

    assert ended(process) == 256 - signal.SIGTERM
    assert "caught" in (job.work / "Script1.log").read_text()
    assert (job.work.parent / "reason").read_text() == "Ended by signal 15 before RunScriptStep2\n"


# ---- where it runs ----


def test_it_runs_in_an_environment_of_anybody(job: Job) -> None:
    (job.work / "json.py").write_text("raise SystemExit('the wrong json')\n")

    done = job.run(workflow(step("/bin/echo", "é")), PYTHONPATH=str(job.work), LC_ALL="C", LANG="C", PYTHONUTF8="0")

    assert (done.code, "\né\n" in done.log("Script1.log")) == (0, True), done.stderr


def test_without_a_python_the_sentence_says_where_one_was_looked_for(job: Job) -> None:
    done = job.run(GOOD, PATH="/nowhere")

    assert done.code == 127
    assert done.reason.startswith("No Python 3.6 or later for dirac-jobexec here (looked for: python3, ")


def test_the_agents_own_python_will_do(tmp_path: Path) -> None:
    assert Job(tmp_path, python=sys.executable).run(GOOD, PATH="/nowhere").code == 0


def test_nothing_in_it_is_newer_than_python_3_6_or_ours() -> None:
    argv = [sys.executable, "-c", "import vermin; vermin.main()", "-t=3.6-", "--no-tips", "--violations", "jobexec"]

    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    for path in (ROOT / "jobexec").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert all(name.split(".")[0] in {*sys.stdlib_module_names, "jobexec"} for name in names), path


# ---- what it needs ----


@pytest.mark.parametrize(
    ("xml", "needs"),
    [
        (GOOD, Needs()),
        ("no workflow", Needs()),
        (workflow(step("x", _module="Own"), modules={"Own": f"\n{MODULE}\n"}), Needs(modules=(MODULE,))),
        (workflow(step("dirac-dms-add-file", "/lhcb/x")), Needs(commands=("dirac-dms-add-file",))),
        (workflow(step("/bin/sh", "-c 'dirac-dms-get-file /x'")), Needs(mentions=("dirac-dms-get-file",))),
        (workflow(step("calls.sh")), Needs(mentions=("dirac-dms-add-file", "dirac-wms-job-status"))),
        (workflow(step("dirac-local-script")), Needs()),
    ],
)
def test_what_a_workflow_needs_is_known_before_it_runs(job: Job, xml: str, needs: Needs) -> None:
    (job.work / "calls.sh").write_text("dirac-wms-job-status 1; x/dirac-jobexec; /opt/bin/dirac-dms-add-file y\n")
    (job.work / "dirac-local-script").touch()
    (job.work / "jobDescription.xml").write_text(xml)

    assert needs_of("jobDescription.xml -o LogLevel=INFO", job.work, job.runner.parent) == needs


def test_nothing_is_asked_of_words_that_are_none(job: Job) -> None:
    assert needs_of("jobDescription.xml 'x", job.work, job.runner.parent) == Needs()


def test_a_workflow_with_many_needs_names_some(job: Job) -> None:
    steps = [step(f"dirac-dms-command-{chr(97 + n // 26)}{chr(97 + n % 26)}") for n in range(100)]
    (job.work / "jobDescription.xml").write_text(workflow(*steps))

    assert len(json.dumps(needs_of("jobDescription.xml", job.work, job.runner.parent).commands)) < 1000


def test_a_signal_that_comes_while_a_program_is_started_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    running, really_started = runner.Running(), runner.started

    def signalled(argv: list[str]) -> "subprocess.Popen[bytes]":
        running.send(signal.SIGTERM)
        return really_started(argv)

    monkeypatch.setattr(runner, "started", signalled)

    process = running.start(["/bin/sleep", "60"])

    assert ended(process) == -signal.SIGTERM
    process.stdout.close()
    process.stderr.close()
