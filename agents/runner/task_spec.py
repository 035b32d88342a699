"""What a job's JDL says, and what the CE is given for the job."""

from collections.abc import Sequence
from pathlib import Path

from agents.errors import Blame, FailJob, HandBack
from agents.jobs import needs, payload, payload_cfg
from agents.jobs.jdl import JdlError, JobDescription, describe
from agents.jobs.job import Grant, Job, Minor
from agents.runner.context import JobContext
from agents.runner.workflows import own_files
from agents.slot.allocation import Slot
from agents.slot.gpus import visibility
from ce_backends.base import TaskSpec


def task_of(
    job: Job,
    description: JobDescription,
    around: JobContext,
    *,
    credential: Path | None,
    is_pinned: bool,
) -> TaskSpec:
    """Return a granted job's task; the same for the same job, so that it may be submitted twice.

    Args:
        job: has its grant.
        description: its JDL.
        around: what every job meets.
        credential: the payload's own.
        is_pinned: the task is bound to the processors of its grant.
    """
    grant = job.grant
    assert grant is not None, "a job is granted before it is submitted"
    base = {} if around.is_remote else around.environ
    variables = payload.environment(description, grant, site=around.site, base=base)
    if not around.is_remote:
        variables |= visibility(grant.gpu_ids, around.gpus)
    own = payload_cfg.write_payload_cfg(around.directory(job), around.cfg, job.job_id, grant, around.power.hs06)
    task = TaskSpec(
        stamp=job.stamp,
        script=payload.script(description, job.runner, around.workflows.clients),
        inputs=_inputs(around.inputs(job), [*own, *own_files(job, around.directory(job))]),
        outputs=payload.outputs(description),
        environment=variables,
        processors=grant.processors,
        processor_ids=grant.processor_ids if is_pinned else (),
        memory_mb=grant.memory_mb,
        gpus=grant.gpu_ids,
        credential=credential,
        capped=description.log_files,
        owner=_owner(job),
        given=_given(around.data(job) / "data"),
    )
    return around.watchdog.limited(task, description.cpu_time_s, is_remote=around.is_remote)


def _owner(job: Job) -> str:
    """Return whose it is, empty if the Matcher has not said so: the same name in another group is somebody else."""
    name, group = job.matched.owner, job.matched.group
    return f"{name}/{group}" if name and group else ""


def description_of(job: Job) -> JobDescription:
    """Return what a job's JDL says.

    Raises:
        FailJob: it is no JDL, or names no Executable.
        HandBack: it is another job's.
    """
    try:
        description = describe(job.matched.jdl)
    except JdlError as error:
        raise FailJob(Minor.BAD_JDL, str(error), blame=Blame.USER) from error
    if description.job_id != job.job_id:
        detail = f"the Matcher says job {job.job_id}, its JDL says {description.job_id}"
        raise HandBack(Minor.BAD_JDL, detail, blame=Blame.SERVER)
    if description.executable is None:
        raise FailJob(Minor.APPLICATION_NOT_FOUND, "the JDL names no Executable", blame=Blame.USER)
    return description


def granted(slot: Slot, description: JobDescription, around: JobContext) -> Grant:
    """Take from the slot what a job asks for.

    Raises:
        HandBack: it needs what this agent cannot do, or there is not as much.
    """
    needs.check(description, moves_data=around.moves_data())
    request = description.request
    grant = slot.take(request)
    if grant is None:
        wanted = "the whole node" if request.whole_node else request.min_processors
        detail = f"wants {wanted}, {slot.free_processors} processors are free"
        raise HandBack("Not enough processors for the job", detail, blame=Blame.SERVER)
    return grant


def _given(data: Path) -> Sequence[Path]:
    """Return the input data that lie here; parts of files that a former agent has left are none."""
    return sorted(path for path in data.iterdir() if not path.name.startswith(".")) if data.is_dir() else ()


def _inputs(downloaded: Path, own: Sequence[Path]) -> Sequence[Path]:
    """Return the files of the job, and those of ours that it has not brought itself."""
    theirs = sorted(downloaded.iterdir()) if downloaded.is_dir() else []
    names = {path.name for path in theirs}
    return (*theirs, *(path for path in own if path.name not in names))
