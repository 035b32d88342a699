"""ARC (A-REX 6, REST 1.0): activity descriptions in bulk, uploads, statuses, kills. Files wait in a staged spool here.

Source: ARC 6.17's interface, and what it was seen to do. The states that it shows may be a minute old. FINISHED says
only that the batch system is done with a job: what our script wrote tells how it ended.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from ce_backends.arc.delegation import Delegation
from ce_backends.arc.rest import Rest, jobs, texts
from ce_backends.base import Accepted, Limit, Rejected, Submission, TaskState, TaskStatus, Uncertain
from ce_backends.batch.launcher import END, RESULT, TASK
from ce_backends.batch.options import Needs
from ce_backends.batch.system import BatchJob
from ce_backends.batch.unknown_words import UnknownWords
from ce_backends.errors import CEError, CEUnavailable, plain_word

LAUNCHER = "launcher"
LAUNCHER_OUTPUT = "launcher.out"
LAUNCHER_ERRORS = "launcher.err"
ID_FILE = "arc_id"
_UPLOADS_AT_ONCE = 4
_MARGIN_S = 90  # between the task's own wall limit, which its script keeps, and the one the batch system is told
_ADL = "http://www.eu-emi.eu/es/2010/12/adl"
_NORDUGRID = "http://www.nordugrid.org/es/2011/12/nordugrid-adl"
_NEW_LINE = "\n"
_MEMORY = re.compile(r"out.of.memory|memory limit|exceed\w* \w*\s?memory|memory.*exceed", re.IGNORECASE)
_WALL = re.compile(r"time limit|wall ?time|TIMEOUT", re.IGNORECASE)
_DELEGATION = re.compile(r"delegation|credential", re.IGNORECASE)
_PASSES = re.compile(  # A-REX's own disk, its limit of jobs, its drain
    r"no space|quota exceeded|too many|limit of .*jobs|draining|not accepting|temporar|try again", re.IGNORECASE
)
_UNPAID = ("ACCEPTING", "ACCEPTED", "PREPARING")  # a job there may still wait for its input files

_STATES: Mapping[str, TaskState] = {
    **dict.fromkeys((*_UNPAID, "PREPARED", "SUBMITTING", "QUEUING", "HELD"), TaskState.WAITING),
    **dict.fromkeys(("RUNNING", "OTHER", "EXITINGLRMS", "EXECUTED", "FINISHING", "KILLING"), TaskState.RUNNING),
    "FINISHED": TaskState.DONE,
    **dict.fromkeys(("FAILED", "KILLED", "WIPED"), TaskState.FAILED),
}
_BATCH_SYSTEM = re.compile(rb'"ProductName":"(\w+)"')
_NO_MEMORY_LIMIT = {
    "fork": "the CE runs jobs as its own processes (fork), and nobody watches their memory",
    "slurm": "A-REX (seen with 6.17) passes over Slurm's state OUT_OF_MEMORY: the job's end is told when Slurm has "
    "forgotten it, minutes later and without this reason",
}


class Arc:
    """See BatchSystem. A job's id is the ids of its tasks, with commas.

    Args:
        rest: the CE.
        area: where the spool keeps the tasks.
        needs: queue and what else all jobs have in common.
        delegation: for jobs that need a proxy at the CE; None where we are let in by a token.
    """

    array_limit: int = 50
    index: Sequence[str] = ()
    passed: Sequence[str] = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")

    def __init__(self, rest: Rest, area: Path, needs: Needs, delegation: Delegation | None) -> None:
        self._rest = rest
        self._area = area
        self._needs = needs
        self._delegation = delegation
        self._unknown = UnknownWords("ARC")

    @property
    def unkept(self) -> Mapping[str, str]:
        """See BatchSystem."""
        try:
            found = _BATCH_SYSTEM.search(self._rest.call("GET", "/info").body)
        except CEError:
            return {}
        reason = _NO_MEMORY_LIMIT.get(found[1].decode("ascii").lower()) if found else None
        return {"memory_limit_ends_a_task": reason} if reason else {}

    # ---- submission ----

    def submit(self, job: BatchJob) -> Submission:
        """See BatchSystem."""
        stamps = self._stamps(job.name)
        delegation = self._delegation.current() if self._delegation else ""
        body = activities(job, stamps, self._needs, delegation)
        try:
            answer = self._rest.call("POST", "/jobs?action=new", body=body, kind="application/xml")
            if answer.is_refusal:
                return Rejected(f"ARC: {answer.sentence}")
            answered = jobs(answer)
        except CEUnavailable:
            raise
        except CEError as error:  # none, or one that is cut: the jobs may be there
            return Uncertain(str(error))
        job_ids = [str(one["id"]) for one in answered if one.get("status-code") == "201" and "id" in one]
        if len(job_ids) < len(stamps):
            try:
                self._forget(job_ids)
            except CEError as error:
                return Uncertain(f"ARC takes only some of these tasks, and does not forget them: {error}")
            reason = next((str(one.get("reason")) for one in answered if one.get("status-code") != "201"), "no reason")
            if self._delegation and _DELEGATION.search(reason):  # it has lost the one that it had
                self._delegation.forget()
                raise CEUnavailable(f"ARC: {reason}")
            if job_ids:
                raise CEError(f"ARC takes only some of these tasks: {reason}")
            if _PASSES.search(reason):
                raise CEUnavailable(f"ARC: {reason}")
            return Rejected(f"ARC: {reason}")
        try:
            self._furnish(job.name, dict(zip(job_ids, stamps, strict=True)))
        except (CEError, OSError) as error:
            return Uncertain(f"files could not be brought to ARC: {error}")
        return Accepted(",".join(job_ids))

    def _stamps(self, name: str) -> Sequence[str]:
        """Return the stamps of a job's tasks, as the spool has written them down."""
        try:
            return (self._area / "jobs" / f"{name}.tasks").read_text("ascii").split()
        except OSError as error:
            raise CEUnavailable(f"the tasks of {name} cannot be read: {plain_word(error)}") from error

    def _furnish(self, name: str, placed: Mapping[str, str]) -> None:
        """Write down each task's job id and bring its files there: it is started when it has both of them."""
        for job_id, stamp in placed.items():
            (self._area / "tasks" / stamp / ID_FILE).write_text(job_id, encoding="ascii")
        with ThreadPoolExecutor(_UPLOADS_AT_ONCE, "arc-upload") as pool:
            brought = [pool.submit(self._bring, name, job_id, stamp) for job_id, stamp in placed.items()]
            try:
                for each in brought:
                    each.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # a CE that is away is not asked fifty times

    def _bring(self, name: str, job_id: str, stamp: str) -> None:
        self._upload(job_id, LAUNCHER, self._area / "jobs" / name)
        self._upload(job_id, TASK, self._area / "tasks" / stamp / TASK)

    def _upload(self, job_id: str, name: str, source: Path) -> None:
        self._rest.upload(f"/jobs/{job_id}/session/{name}", source)

    def _forget(self, job_ids: Collection[str]) -> None:
        if job_ids:
            self._rest.act("kill", job_ids)
            self._rest.act("clean", job_ids)

    def element(self, job_id: str, number: int, size: int) -> str:  # noqa: ARG002
        """See BatchSystem."""
        return job_id.split(",")[number - 1]

    # ---- looking ----

    def states(self, task_ids: Collection[str]) -> Mapping[str, TaskStatus]:
        """See BatchSystem."""
        words = {task_id: str(job.get("state")) for task_id, job in self._rest.act("status", task_ids).items()}
        found = {task_id: self._status(word) for task_id, word in words.items()}
        failed = [task_id for task_id, status in found.items() if status.state is TaskState.FAILED]
        told = self._rest.act("info", failed) if failed else {}
        return found | {task_id: _failed(words[task_id], told.get(task_id, {})) for task_id in failed}

    def _status(self, word: str) -> TaskStatus:
        state = _STATES.get(word)
        return self._unknown.status(word) if state is None else TaskStatus(state=state, native=word)

    # ---- ending, finding ----

    def cancel(self, task_ids: Collection[str]) -> None:
        """See BatchSystem. Fork, and batch systems that do not tell a job of its end, leave it to our launcher."""
        for task_id in task_ids:
            self._rest.call("PUT", f"/jobs/{task_id}/session/{END}", kind="application/octet-stream")
        self._rest.act("kill", task_ids)

    def find(self, names: Collection[str]) -> Mapping[str, str]:
        """See BatchSystem. What was taken without its files gets them now; half of an array is ended."""
        by_name = self._by_name()
        found = {}
        for name in names:
            stamps = self._stamps(name)
            placed = {by_name[stamp]: stamp for stamp in stamps if stamp in by_name}
            if len(placed) == len(stamps):
                self._furnish_waiting(name, placed)
                found[name] = ",".join(placed)
            else:
                self._forget(placed)
        return found

    def _by_name(self) -> dict[str, str]:
        """Return the id of each job of ours by its name.

        Raises:
            CEError: the CE does not tell all of them, so that nobody knows which are not there.
        """
        everything = self._rest.call("GET", "/jobs")
        if everything.status != 200:
            raise CEError(f"ARC does not list its jobs: {everything.sentence}")
        ours = [str(job["id"]) for job in jobs(everything) if "id" in job] if everything.body.strip() else []
        told = self._rest.act("info", ours)
        activities_told = {job_id: _activity(one) for job_id, one in told.items()}
        if untold := [job_id for job_id, activity in activities_told.items() if not activity]:
            raise CEError(f"ARC does not tell yet what {len(untold)} jobs are, {untold[0]} among them")
        return {str(activity.get("Name")): job_id for job_id, activity in activities_told.items()}

    def _furnish_waiting(self, name: str, placed: Mapping[str, str]) -> None:
        states = self._rest.act("status", placed)
        self._furnish(name, {i: stamp for i, stamp in placed.items() if states.get(i, {}).get("state") in _UNPAID})


def activities(job: BatchJob, stamps: Sequence[str], needs: Needs, delegation: str) -> bytes:
    """Return the description of a job's tasks, in EMI's Activity Description Language."""
    each = "".join(_activity_description(job, stamp, needs, delegation) for stamp in stamps)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<ActivityDescriptions>\n{each}</ActivityDescriptions>\n'.encode()


def _activity_description(job: BatchJob, stamp: str, needs: Needs, delegation: str) -> str:
    return f"""\
<ActivityDescription xmlns="{_ADL}" xmlns:n="{_NORDUGRID}">
 <ActivityIdentification><Name>{stamp}</Name></ActivityIdentification>
 <Application>
  <Executable><Path>{LAUNCHER}</Path><Argument>{stamp}</Argument></Executable>
  <Output>{LAUNCHER_OUTPUT}</Output><Error>{LAUNCHER_ERRORS}</Error>
 </Application>
 <Resources>
{"".join(f"  {line}{_NEW_LINE}" for line in _resources(job, needs))} </Resources>
 <DataStaging>
{f"  <n:DelegationID>{escape(delegation)}</n:DelegationID>{_NEW_LINE}" if delegation else ""}\
  <InputFile><Name>{LAUNCHER}</Name><IsExecutable>true</IsExecutable></InputFile>
  <InputFile><Name>{TASK}</Name></InputFile>
{"".join(f"  {_source(url)}{_NEW_LINE}" for url in job.fetched)}  <OutputFile><Name>{RESULT}</Name></OutputFile>
  <OutputFile><Name>{LAUNCHER_OUTPUT}</Name></OutputFile>
  <OutputFile><Name>{LAUNCHER_ERRORS}</Name></OutputFile>
 </DataStaging>
</ActivityDescription>
"""


def _resources(job: BatchJob, needs: Needs) -> Iterable[str]:
    """Yield what a task needs; the order is the schema's."""
    exclusive = "<ExclusiveExecution>true</ExclusiveExecution>" if needs.whole_node else ""
    slots = f"<NumberOfSlots>{job.processors}</NumberOfSlots>{_per_host(job)}{exclusive}"
    yield f"<SlotRequirement>{slots}</SlotRequirement>"
    if needs.queue:
        yield f"<QueueName>{escape(needs.queue)}</QueueName>"
    if job.memory_mb:
        per_slot = math.ceil(job.memory_mb * 1_000_000 / job.processors)
        yield f"<IndividualPhysicalMemory>{per_slot}</IndividualPhysicalMemory>"
    if job.wall_s:
        yield f"<WallTime>{job.wall_s + _MARGIN_S}</WallTime>"


def _source(url: str) -> str:
    """Return a file that A-REX fetches itself, once for all jobs where it has a cache."""
    name = escape(url.rpartition("/")[2])
    return f"<InputFile><Name>{name}</Name><Source><URI>{escape(url)}</URI></Source></InputFile>"


def _per_host(job: BatchJob) -> str:
    """Return that all of a task's processors are on one node."""
    return f"<SlotsPerHost>{job.processors}</SlotsPerHost>" if job.processors > 1 else ""


def _activity(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what `info` tells of a job, empty where it tells nothing."""
    document = told.get("info_document")
    activity = document.get("ComputingActivity") if isinstance(document, dict) else None
    return activity if isinstance(activity, dict) else {}


def _failed(word: str, told: Mapping[str, Any]) -> TaskStatus:
    """Return the status of a job that did not end by itself, with what ARC says of it."""
    activity = _activity(told)
    said = "; ".join(dict.fromkeys(text.strip() for text in texts(activity.get("Error")) if text.strip()))
    limit = Limit.MEMORY if _MEMORY.search(said) else Limit.WALL if _WALL.search(said) else None
    return TaskStatus(state=TaskState.FAILED, native=word, reason=said or f"ARC says {word}", limit=limit)
