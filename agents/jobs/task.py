"""What the CE is given for a job."""

from collections.abc import Sequence
from pathlib import Path

from agents.jobs import limits, payload
from agents.jobs.jdl import JobDescription
from agents.jobs.job import Job
from agents.jobs.surroundings import Surroundings
from agents.slot.gpus import visibility
from ce_backends.base import TaskSpec


def task_of(
    job: Job,
    description: JobDescription,
    around: Surroundings,
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
    variables = payload.environment(description, grant, site=around.site, base=around.environ)
    own = limits.write_payload_cfg(around.directory(job), around.cfg, job.job_id, grant)
    return TaskSpec(
        stamp=job.stamp,
        script=payload.script(description),
        inputs=_inputs(around.inputs(job), own),
        outputs=payload.outputs(description),
        environment={**variables, **visibility(grant.gpu_ids, around.gpus)},
        processors=grant.processors,
        processor_ids=grant.processor_ids if is_pinned else (),
        memory_mb=grant.memory_mb,
        gpus=grant.gpu_ids,
        credential=credential,
    )


def _inputs(downloaded: Path, own: Sequence[Path]) -> Sequence[Path]:
    """Return the files of the job, and those of ours that it has not brought itself."""
    theirs = sorted(downloaded.iterdir()) if downloaded.is_dir() else []
    names = {path.name for path in theirs}
    return (*theirs, *(path for path in own if path.name not in names))
