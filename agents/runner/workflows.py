"""How a job of DIRAC's Job API is run: by a runner of our own, or with the DIRAC client of its node.

Known when its inputs are there, and decided before it runs: `jobDescription.xml` lies in its input sandbox.
"""

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from agents.errors import Blame, HandBack, JobError
from agents.jobs import client
from agents.jobs.jdl import JobDescription
from agents.jobs.job import Job, Minor, Runner
from agents.jobs.job_info import write_job_info
from agents.jobs.jobexec import NAME, NO_CLIENT, PLACE, Needs, needs_of, write_runner
from agents.process.events import Staged
from agents.runner.context import JobContext
from agents.runner.staging import Staging


def staged(job: Job, description: JobDescription, staging: Staging, around: JobContext) -> Staged:
    """Bring a job's inputs, and choose what runs its workflow. Runs in a worker thread; every error is in the event."""
    event = staging.download(job, description, around.inputs(job), around.data(job))
    if event.error or not description.is_workflow:
        return event
    try:
        return _chosen(event, job, description, around)
    except JobError as error:
        return replace(event, error=error)
    except OSError as error:
        return replace(event, error=HandBack(Minor.NODE_FAILED, str(error), blame=Blame.SITE))


def _chosen(event: Staged, job: Job, description: JobDescription, around: JobContext) -> Staged:
    python = "" if around.is_remote else sys.executable
    folder = write_runner(around.directory(job), python=python, goes_on=around.workflows.go_on)
    needs = needs_of(description.arguments, around.inputs(job), folder)
    if on_path := _on_path(description, around):
        return replace(event, runner=Runner.OWN, told=f"DIRAC client on the PATH, {on_path}")
    lacking = [*needs.modules, *needs.commands]
    here = "" if around.is_remote or not (lacking or needs.mentions) else client.find(around.workflows.clients)
    if here:
        return replace(event, runner=Runner.CLIENT, told=f"DIRAC client, {here}")
    if lacking and around.is_remote:  # its node looks
        return replace(event, runner=Runner.CLIENT, told="DIRAC client of its node")
    if lacking:
        raise HandBack(Minor.UNMET, _none(needs, around), blame=Blame.SITE)
    return replace(event, runner=Runner.OWN, told="gridpilot's own, for there is no DIRAC client on the PATH")


def _on_path(description: JobDescription, around: JobContext) -> str:
    """Return where the payload would find DIRAC's own program, empty where it would not, or runs on another node."""
    if around.is_remote:
        return ""
    path = description.execution_environment.get("PATH", around.environ.get("PATH", os.defpath))
    return shutil.which(NAME, path=path) or ""


def _none(needs: Needs, around: JobContext) -> str:
    wanted = "; ".join([*needs.modules, *needs.commands])
    looked = ", ".join(around.workflows.clients)
    return f"{NO_CLIENT} here, which the job needs for {wanted} (looked for {NAME} on the PATH, {looked})"


def own_files(job: Job, directory: Path) -> list[Path]:
    """Return what goes with a job's task because of its workflow."""
    if job.runner is Runner.ITSELF:
        return []
    return write_job_info(directory, job.matched.jdl) + ([directory / PLACE] if job.runner is Runner.OWN else [])
