"""`status` and `explain`: what the slot holds, and what became of a job, from the ledger alone.

They work beside a running agent and after it died.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from agents.errors import ConfigurationError
from agents.jobs.job import Job, JobStatus, Phase
from agents.jobs.ledger import Report, ReportKind
from agents.jobs.ledger_stories import Story, stories
from agents.jobs.report import DATA_OPERATION, RUNNER_PARAMETER
from agents.jobs.ways import ways
from agents.redaction import redacted, without_secrets
from ce_backends import screen
from ce_backends.counted import counted
from ce_backends.untrusted.text import visible

_COLUMNS = ("job", "attempt", "phase", "status", "minor status", "processors", "wall s", "exit", "to send", "fault of")


def status(work_dir: Path, *, as_json: bool) -> str:
    """Return the jobs of this work directory, those in hand first.

    Raises:
        ConfigurationError: no agent has worked here.
    """
    found = stories(work_dir / "ledger.sqlite")
    found.sort(key=lambda story: story.job.phase is Phase.CLOSED)
    if as_json:
        return json.dumps(without_secrets([_facts(story) for story in found]), indent=1)
    in_hand = [story for story in found if story.job.phase is not Phase.CLOSED]
    held = sum(story.job.grant.processors for story in in_hand if story.job.grant and story.job.phase in _HOLDING)
    closed = len(found) - len(in_hand)
    heading = f"{counted(len(in_hand), 'job')} in hand, holding {counted(held, 'processor')}; {closed} closed"
    return visible(redacted("\n".join([heading, *screen.table([_COLUMNS, *(_row(story) for story in found)])])))


_HOLDING = (Phase.STAGING, Phase.SUBMITTING, Phase.RUNNING)


def explain(work_dir: Path, job_id: int, *, as_json: bool) -> str:
    """Return what a job got, what it is doing or why it ended, and who has to act.

    Raises:
        ConfigurationError: no agent has worked here, or the job was never here.
    """
    found = stories(work_dir / "ledger.sqlite", job_id)
    if not found:
        raise ConfigurationError(f"{work_dir}: job {job_id} was never here, or a thousand jobs ago")
    if as_json:
        told = [_facts(story) | {"told": [asdict(r) for r in story.reports]} for story in found]
        return json.dumps(without_secrets(told), indent=1)
    went = ways(work_dir / "ledger.sqlite")
    last = ["\n".join(f"{name}: {how}" for name, how in went.items())] if went else []
    return screen.wrapped(visible(redacted("\n\n".join([*map(_told, found), *last]))))


def of_jobs(work_dir: Path, most: int) -> dict[str, str]:
    """Return what `explain` says of jobs, by `JOB/ATTEMPT`: of those that did not end well, then the newest others.

    Args:
        work_dir: of an agent.
        most: jobs of which it is told.

    Raises:
        ConfigurationError: no agent has worked here.
    """
    found = stories(work_dir / "ledger.sqlite")[::-1]
    found.sort(key=lambda story: story.job.end is not None and story.job.end.status is JobStatus.DONE)
    return {f"{s.job.job_id}/{s.job.attempt}": visible(redacted(_told(s))) for s in found[:most]}


def _facts(story: Story) -> dict[str, object]:
    job = story.job
    return {
        "job_id": job.job_id,
        "attempt": job.attempt,
        "owner": job.matched.owner,
        "group": job.matched.group,
        "phase": job.phase,
        "status": job.status,
        "minor_status": job.minor_status,
        "processor_ids": job.grant.processor_ids if job.grant else (),
        "memory_mb": job.grant.memory_mb if job.grant else 0,
        "started_at": _written(job.started_at),
        "wall_s": job.wall_s,
        "energy": asdict(job.energy) if job.energy else None,
        "exit_code": job.exit_code,
        "workflow_runner": _runner(story),
        "end": asdict(job.end) if job.end else None,
        "unsent_reports": story.unsent,
    }


def _row(story: Story) -> tuple[str, ...]:
    job = story.job
    cells = (
        job.job_id,
        job.attempt,
        job.phase,
        job.status,
        job.minor_status,
        job.grant.processors if job.grant else None,
        None if job.wall_s is None else f"{job.wall_s:.1f}",
        job.exit_code,
        story.unsent,
        job.end.blame if job.end else None,
    )
    return tuple("" if cell is None else str(cell) for cell in cells)


def _told(story: Story) -> str:
    job = story.job
    lines = [f"job {job.job_id}, attempt {job.attempt}, of {job.matched.owner} ({job.matched.group})"]
    if job.grant:
        ids = ", ".join(map(str, job.grant.processor_ids))
        whole = ", the whole node" if job.grant.whole_node else ""
        lines.append(
            f"  it got: {counted(job.grant.processors, 'processor')} ({ids}){whole}, {job.grant.memory_mb or 'any'} MB"
        )
    if runner := _runner(story):
        lines.append(f"  its workflow is run by: {runner}")
    lines.append(f"  it is:  {_present(job)}")
    if job.energy:
        lines.append(f"  it used: {job.energy}")
    if story.unsent:
        lines.append(f"  the WMS has not accepted {story.unsent} of {len(story.reports)} reports yet")
    lines += [f"  {report.moment}  {_said(report)}" for report in story.reports]
    return "\n".join(lines)


def _runner(story: Story) -> str:
    """Return what runs the workflow of a job of DIRAC's Job API, empty for other jobs, and before that is known."""
    return next((report.body[RUNNER_PARAMETER] for report in story.reports if RUNNER_PARAMETER in report.body), "")


def _present(job: Job) -> str:
    """Return in one sentence where a job stands, or why it ended and who has to act."""
    if job.end is None:
        since = f" since {_written(job.started_at)}" if job.started_at else ""
        return f"{job.phase}{since}"
    code = "" if job.exit_code is None else f", exit code {job.exit_code}"
    why = f": {job.end.application_status}" if job.end.application_status else ""
    act = f"; {job.end.blame} has to act" if job.end.blame else ""
    return f"{job.end.status}, {job.end.minor_status}{code}{why}{act} ({job.phase})"


def _said(report: Report) -> str:
    if report.kind is ReportKind.STATUS:
        words = [report.body.get(name, "") for name in ("Status", "MinorStatus", "ApplicationStatus")]
        return " / ".join(word for word in words if word) + f"  [{report.body.get('Source', '')}]"
    if report.kind is ReportKind.PARAMETERS:
        return "parameters " + ", ".join(f"{name}={value}" for name, value in report.body.items())
    if report.body.get("type") == DATA_OPERATION:
        return _moved(report.body)
    return str(report.kind)


def _moved(body: Mapping[str, str]) -> str:
    """Return what was moved, from where to where, by what, and how fast."""
    files, size, seconds = (float(body.get(name, "0")) for name in ("TransferTotal", "TransferSize", "TransferTime"))
    verb = "uploaded" if body.get("OperationType") == "se.putFile" else "downloaded"
    way = f"{body.get('Source')} -> {body.get('Destination')} by {body.get('Protocol')}"
    if body.get("FinalStatus") != "Successful":
        return f"not {verb}: {counted(int(files), 'file')}, {way}, after {seconds:.1f} s"
    speed = f" ({size / 1e6 / seconds:.1f} MB/s)" if seconds else ""
    return f"{verb}: {counted(int(files), 'file')}, {size / 1e6:.1f} MB, {way}, in {seconds:.1f} s{speed}"


def _written(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
