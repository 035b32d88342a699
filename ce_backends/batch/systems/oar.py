"""OAR (2.5): oarsub, oarstat, oardel. Source: their manuals, and what 2.5.9 was seen to do."""

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ce_backends.base import Limit, Rejected, Submission, TaskState, TaskStatus, Usage
from ce_backends.batch.commands import Commands, Words, parsed_json
from ce_backends.batch.options import NONE, Needs, Options
from ce_backends.batch.submit_options import COUNTED, FILES, NAMED, ONCE, PROCESSORS, WAITS, Ours
from ce_backends.batch.system import BatchJob
from ce_backends.batch.transport import Transport
from ce_backends.errors import CEError, CEMisconfigured
from ce_backends.options import Option, setting, table_of, value_of
from ce_backends.task.script import quote

_MOST_RESUBMISSIONS = 5  # of one job that are followed at one look
_JOB_ID = re.compile(r"^OAR_JOB_ID=(\d+)\n", re.MULTILINE)
_SAYS = Words(
    name="OAR",
    # oarsub adds "Job is killed", which it does not do: the job stays queued
    queued=("Cannot connect to executor",),
    not_now=("DBI connect", "Cannot connect to the database", "Couldn't connect to the database", "too many clients"),
    gone=("already killed", "You are not the right user", "Could not connect to the socket"),
    unconfigured=("Configuration file not found", "Open configuration file"),
    configure="have a readable /etc/oar/oar.conf there",
)
_OURS = Ours(
    long={
        "--array": COUNTED,
        "--array-param-file": COUNTED,
        "--name": NAMED,
        "--resource": PROCESSORS,
        "--directory": FILES,
        "--stdout": FILES,
        "--stderr": FILES,
        "--interactive": WAITS,
        "--connect": WAITS,
        "--resubmit": ONCE,
        "--scanscript": FILES,
    },
    short={"-n": NAMED, "-l": PROCESSORS, "-d": FILES, "-O": FILES, "-E": FILES, "-I": WAITS, "-C": WAITS, "-S": FILES},
)
_AGAIN = "idempotent"  # a type of job: submitted again for an exit code of 99
_NUMBER = re.compile(r"[0-9]{1,18}")
_BY_SIGNAL = 0x7F  # of a wait status, wait(2)

_STATES: Mapping[str, TaskState] = {
    **dict.fromkeys(("Waiting", "Hold", "toAckReservation", "toLaunch", "Launching"), TaskState.WAITING),
    **dict.fromkeys(("Running", "Suspended", "Resuming", "Finishing", "toError"), TaskState.RUNNING),
    "Terminated": TaskState.DONE,
    "Error": TaskState.FAILED,
}
_REMARKS = {"Hold": "held", "Suspended": "suspended"}
_NO_REASONS = ("SWITCH_INTO_", "SEND_KILL_JOB", "FRAG_JOB_REQUEST", "WALLTIME")  # events that explain nothing further

_Job = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OarSettings:
    """What can be set for OAR alone."""

    processor_property: str = setting(
        Option(
            name="ProcessorProperty",
            kind=str,
            default="core",
            doc="OAR: the property of a resource that counts processors: core, cpu or resource_id.",
        )
    )


class Oar:
    """See BatchSystem.

    Args:
        transport: to a host with OAR's commands.
        needs: queue, project and what else all jobs have in common.
        timeout_s: for a command; without its database oarsub waits for ever.
        options: of those below.
    """

    OPTIONS: ClassVar[Sequence[Option]] = table_of(OarSettings)
    COMMAND: ClassVar[str] = "oarsub"

    array_limit: int = 1000
    index: Sequence[str] = ("gridpilot_index=${OAR_ARRAY_INDEX:-1}",)
    passed: Sequence[str] = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
    unkept: Mapping[str, str] = {
        "memory_limit_ends_a_task": "OAR has no request for memory",
        "cancel_ends_the_whole_tree": "without cpusets OAR ends what descends from the task, not what has left it",
    }

    def __init__(self, transport: Transport, needs: Needs, *, timeout_s: float = 60.0, options: Options = NONE) -> None:
        self._commands = Commands(transport, _SAYS, timeout_s=timeout_s)
        self._needs = needs
        self._property = value_of(OarSettings, options).processor_property
        _OURS.check(needs.submit_options)
        if any(_AGAIN in word for word in needs.submit_options):
            raise CEMisconfigured(f"option SubmitOptions has {_AGAIN}: {ONCE}")

    def submit(self, job: BatchJob) -> Submission:
        """See BatchSystem. An array's id is the ids of its jobs, in order: each of them is a job of its own."""
        if job.gpus or self._needs.gpus:
            return Rejected("OAR: GPUs are not asked for, because sites name them differently; use SubmitOptions")
        done = self._commands.run("oarsub", *self._oarsub(job))
        return self._commands.submitted(done, "oarsub", job.size, lambda printed: _job_ids(printed, job.size))

    def _oarsub(self, job: BatchJob) -> Iterator[str]:
        """Yield the arguments; the last one goes to a shell on the node."""
        walltime = f",walltime={_clock(job.queue_wall_s)}" if job.wall_s else ""
        processors = "" if self._needs.whole_node else f"/{self._property}={job.processors}"
        yield from ("-n", job.name, "-d", posixpath.dirname(job.script), "-O", job.log, "-E", job.log)
        yield from ("-l", f"/nodes=1{processors}{walltime}")
        if job.size > 1:
            yield from ("--array", str(job.size))
        if self._needs.queue:
            yield from ("-q", self._needs.queue)
        if self._needs.account:
            yield from ("--project", self._needs.account)
        yield from (*self._needs.submit_options, quote(job.script))

    def element(self, job_id: str, number: int, size: int) -> str:  # noqa: ARG002 # every element is a job of its own
        """See BatchSystem."""
        return job_id.split(",")[number - 1]

    def states(self, task_ids: Collection[str]) -> Mapping[str, TaskStatus]:
        """See BatchSystem. A job that OAR has submitted again under another number is what became of that one."""
        jobs: dict[str, _Job] = {}
        for some in self._commands.chunks(sorted(task_ids, key=int)):
            jobs |= self._jobs(f"job_id IN ({','.join(some)})")
        for _ in range(_MOST_RESUBMISSIONS):
            again = {number: task_id for task_id, job in jobs.items() if (number := _resubmitted(job))}
            if not again:
                break
            later = self._jobs(f"job_id IN ({','.join(sorted(again, key=int))})")
            jobs |= {again[number]: job for number, job in later.items() if number in again}
            if not set(again) & set(later):
                break
        return {task_id: self._status(job) for task_id, job in jobs.items() if not _resubmitted(job)}

    def _status(self, job: _Job) -> TaskStatus:
        word = str(job.get("state", ""))
        state = _STATES.get(word)
        if state is None:
            return self._commands.unknown(word)
        if state is TaskState.FAILED:
            return _failed(job)
        if state is TaskState.DONE:
            return _ended(job)
        return TaskStatus(state=state, native=word, reason=_REMARKS.get(word, ""))

    def cancel(self, task_ids: Collection[str]) -> None:
        """See BatchSystem. A number that is not there is answered as one of another user."""
        for some in self._commands.chunks(sorted(task_ids, key=int)):
            again = self._jobs(f"resubmit_job_id IN ({','.join(some)})")
            self._commands.cancel("oardel", [*some, *sorted(again, key=int)])

    def find(self, names: Collection[str]) -> Mapping[str, str]:
        """See BatchSystem. Of a name that was submitted twice, the later one counts."""
        found: dict[str, dict[int, dict[int, str]]] = {}
        for some in self._commands.chunks(sorted(names)):
            quoted = ",".join(f"'{name}'" for name in some)
            for number, job in self._jobs(f"job_name IN ({quoted})").items():
                if not job.get("resubmit_job_id"):
                    array, index = job.get("array_id"), job.get("array_index")
                    if not isinstance(array, int) or not isinstance(index, int):
                        raise CEError(f"oarstat -J: job {number} has array_id {array!r}, array_index {index!r}")
                    found.setdefault(str(job.get("name")), {}).setdefault(array, {})[index] = number
        latest = {name: arrays[max(arrays)] for name, arrays in found.items()}
        return {name: ",".join(members[at] for at in sorted(members)) for name, members in latest.items()}

    def _jobs(self, where: str) -> dict[str, _Job]:
        """Return the jobs for which an SQL condition holds, by number; its values are numbers and stamps only.

        Raises:
            CEError: OAR gave no answer. Its exit code is 0 where its database has refused to answer.
        """
        done = self._commands.run("oarstat", "-J", "-f", "--sql", where)
        if done.exit_code != 0 or (not done.stdout.strip() and _is_error(done.stderr)):
            raise CEError(f"oarstat: {done.sentence}")
        jobs = parsed_json(done.stdout, "oarstat -J") if done.stdout.strip() else {}
        if not isinstance(jobs, dict):
            raise CEError(f"oarstat -J: expected jobs by number, not {done.stdout[-200:]!r}")
        return {number: job for number, job in jobs.items() if isinstance(job, dict) and _NUMBER.fullmatch(number)}


def _job_ids(printed: str, size: int) -> str:
    numbers = [number for number in _JOB_ID.findall(printed) if int(number)]
    return ",".join(numbers) if len(numbers) == size else ""


def _is_error(said: str) -> bool:
    """Tell words about a question that failed from a warning beside one that has found nothing."""
    lines = [line for line in said.split("\n") if line.strip()]
    return any("warning" not in line.lower() for line in lines)


def _clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60}:{seconds % 60}"


def _events(job: _Job) -> list[_Job]:
    events = job.get("events")
    return [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []


def _resubmitted(job: _Job) -> str:
    """Return the number under which OAR has submitted a job again, because its node did not answer; else nothing."""
    for event in _events(job):
        if event.get("type") == "RESUBMIT_JOB_AUTOMATICALLY":
            found = re.search(r"=> ([0-9]{1,18})", str(event.get("description")))
            return found[1] if found else ""
    return ""


def _usage(job: _Job) -> Usage:
    began, ended = job.get("startTime"), job.get("stopTime")
    return Usage(wall_s=float(ended - began) if isinstance(began, int) and isinstance(ended, int) and began else None)


def _ended(job: _Job) -> TaskStatus:
    """Return the status of a terminated job: its exit code is a wait status."""
    code = job.get("exit_code")
    native, usage = f"Terminated, exit_code {code}", _usage(job)
    if isinstance(code, int) and code & _BY_SIGNAL:
        reason = f"killed by signal {code & _BY_SIGNAL}"
        return TaskStatus(state=TaskState.FAILED, native=native, reason=reason, usage=usage)
    return TaskStatus(state=TaskState.DONE, native=native, usage=usage)


def _failed(job: _Job) -> TaskStatus:
    events = _events(job)
    types = {str(event.get("type")) for event in events}
    limit = Limit.WALL if "WALLTIME" in types else None
    reasons = [f"ended at its limit of {limit}"] if limit else _deleters(events)
    reasons += [
        str(event.get("description")).strip()
        for event in events
        if not str(event.get("type")).startswith(_NO_REASONS) and event.get("description")
    ]
    reason = "; ".join(reasons) or str(job.get("message") or "")
    return TaskStatus(state=TaskState.FAILED, native="Error", reason=reason, limit=limit, usage=_usage(job))


def _deleters(events: Sequence[_Job]) -> list[str]:
    found = (re.match(r"User (\S+) requested", str(event.get("description"))) for event in events)
    return [f"deleted by {user[1]}" for user in found if user]
