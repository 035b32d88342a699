"""HTCondor (9 and later): condor_submit, condor_q, condor_history, condor_rm, condor_transfer_data.

Source: its manual, and what 23.9 was seen to do. A job is started once only: one that waits again after a shadow was
started for it (its node was lost) is removed, since nobody knows what it has done; unless the node refused it, for then
it surely has not begun. Held jobs are failures with a reason, and are removed too. Ended ones stay in the queue until
they have been seen, ten days at most.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ce_backends.base import Limit, Submission, TaskState, TaskStatus, Usage
from ce_backends.batch.commands import Commands, Words, decimal, last_line, parsed_json
from ce_backends.batch.launcher import RESULT, TASK
from ce_backends.batch.options import NONE, Needs, Options
from ce_backends.batch.submit_options import ASKED, FILES, NOTHING, Ours
from ce_backends.batch.system import BatchJob
from ce_backends.batch.systems.htcondor_extra import joined, read
from ce_backends.batch.systems.htcondor_schedd import LOCAL, Schedd
from ce_backends.batch.transport import Transport
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.linux.pipes import MOST_FILE_BYTES
from ce_backends.options import Option, setting, table_of, value_of

_KEEP_S = 10 * 86400
_BYTES_PER_KIB = 1024
_BYTES_PER_MIB = 1 << 20
_MEMORY_SUBCODE = 4711  # of our own hold for memory
_NAME = "GridpilotName"
_APPENDS = Ours(
    short={
        **dict.fromkeys(("-a", "-append"), "use ExtraSubmitString"),
        **dict.fromkeys(("-dry-run", "-dump"), NOTHING),
        "-queue": FILES,
        **dict.fromkeys(("-name", "-pool", "-remote", "-r", "-spool", "-s"), ASKED),
        "-verbose": "it tells the job's number",
    },
    is_joined=False,
)
_ATTRIBUTES = (
    "ClusterId,ProcId,JobStatus,HoldReason,HoldReasonCode,HoldReasonSubCode,LastHoldReason,LastHoldReasonCode,"
    "LastHoldReasonSubCode,RemoveReason,ExitBySignal,ExitSignal,JobDisconnectedDate,ResidentSetSize,RemoteWallClockTime"
)

# job statuses and hold codes: the manual's appendix on job ClassAd attributes
_IDLE, _RUNNING, _REMOVED, _COMPLETED, _HELD, _TRANSFERRING, _SUSPENDED = range(1, 8)
_WORDS = {
    _IDLE: "idle",
    _RUNNING: "running",
    _REMOVED: "removed",
    _COMPLETED: "completed",
    _HELD: "held",
    _TRANSFERRING: "transferring output",
    _SUSPENDED: "suspended",
}
_BY_POLICY, _SPOOLING = 3, 16
_REFUSED = 1006  # vacate code: the shadow could not activate its claim; forgotten when the next shadow starts
_HAS_NOT_BEGUN = f"NumShadowStarts =?= undefined || NumShadowStarts == 0 || VacateReasonCode =?= {_REFUSED}"
_LIMITS = {34: Limit.MEMORY, 46: Limit.WALL, 47: Limit.WALL}

_SAYS = Words(
    name="HTCondor",
    not_now=(
        "Failed to connect",
        "Failed to authenticate",
        "AUTHENTICATE:",
        "Can't find address",
        "Can't resolve",
        "unknown host",
        "MAX_JOBS_",
        "Unable to locate",
        "has no record",
        "Collector",
    ),
    no_answer=("Failed to commit", "spoolJobFiles", "Failed to spool", "Failed to end transaction"),
    for_good=("ubmit requirement", "SUBMIT_REQUIREMENT", "has no units"),  # the schedd's own rules about jobs
    too_long=("MAX_JOBS_PER_SUBMISSION",),
    gone=("Couldn't find/remove", "not found", "already marked for removal"),
    unconfigured=("contain a condor_config source", "File specified in CONDOR_CONFIG"),
    configure="have /etc/condor/condor_config there, or set CONDOR_CONFIG",
    at_once=500,
    clean=lambda said: said.partition("Extra Info:")[0].replace("(null)", "no answer from the schedd"),
)
_NO_HISTORY = ("No history file is defined",)  # condor_history, where HISTORY is not set


@dataclass(frozen=True, slots=True, kw_only=True)
class CondorSettings:
    """What can be set for HTCondor alone."""

    extra_submit_string: str = setting(
        Option(
            name="ExtraSubmitString",
            kind=str,
            default="",
            doc=r"HTCondor: more lines of the submit file, \n between them.",
        )
    )


class Condor:
    """See BatchSystem.

    Args:
        transport: to a host with HTCondor's tools.
        needs: accounting group and what else all jobs have in common.
        timeout_s: for a command.
        options: of those below.
        schedd: which one.
    """

    COMMAND: ClassVar[str] = "condor_submit"
    OPTIONS: ClassVar[Sequence[Option]] = table_of(CondorSettings)

    array_limit: int = 1000
    index: Sequence[str] = (
        # HTCondor sets them also where a job has no GPU, to a number that none has
        (
            'case ${_CONDOR_AssignedGPUs-} in "" | 10000) '
            "unset CUDA_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES GPU_DEVICE_ORDINAL ;; esac"
        ),
    )
    unkept: Mapping[str, str] = {}
    passed: Sequence[str] = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")

    def __init__(
        self,
        transport: Transport,
        needs: Needs,
        *,
        timeout_s: float = 60.0,
        options: Options = NONE,
        schedd: Schedd = LOCAL,
    ) -> None:
        self._commands = Commands(transport, _SAYS, timeout_s=timeout_s, start=schedd.start)
        self._needs = needs
        self._schedd = schedd
        extra = value_of(CondorSettings, options).extra_submit_string
        self._extra, self._added = read(extra.replace("\\n", "\n"))
        _APPENDS.check(needs.submit_options)

    # ---- submission ----

    def submit(self, job: BatchJob) -> Submission:
        """See BatchSystem."""
        spool = ["-spool"] if self._schedd.is_remote else []
        description = "".join(f"{line}\n" for line in self._description(job)).encode()
        arguments = ("-terse", *spool, *self._needs.submit_options, "-")
        done = self._commands.run("condor_submit", *arguments, stdin=description)
        try:
            return self._commands.submitted(done, "condor_submit", job.size, _job_id)
        except CEUnavailable as error:
            raise CEUnavailable(f"{error}{self._schedd.asked}") from error

    def _description(self, job: BatchJob) -> Iterator[str]:
        tasks = job.script.removesuffix(f"/jobs/{job.name}") + "/tasks"
        yield from ("universe = vanilla", f"executable = {job.script}", "arguments = $(gridpilot_stamp)")
        yield f"initialdir = {tasks}/$(gridpilot_stamp)"
        yield from ("should_transfer_files = YES", "when_to_transfer_output = ON_EXIT", "notification = Never")
        yield from (f"transfer_input_files = {', '.join([TASK, *job.fetched])}", f"transfer_output_files = {RESULT}")
        yield from ("output = launcher.out", "error = launcher.err", f'My.{_NAME} = "{job.name}"')
        if not self._schedd.is_remote:
            yield f"log = {job.log}"
        if self._schedd.job_proxy:
            yield f"x509userproxy = {self._schedd.job_proxy}"
        yield self._with_added("requirements", _HAS_NOT_BEGUN)
        yield self._with_added("periodic_remove", f"JobStatus == {_IDLE} && !({_HAS_NOT_BEGUN})")
        yield f"leave_in_queue = JobStatus == 4 && time() - EnteredCurrentStatus < {_KEEP_S}"
        yield f"max_transfer_output_mb = {MOST_FILE_BYTES // _BYTES_PER_MIB}"
        yield from self._limits(job)
        if self._needs.account:
            yield f"accounting_group = {self._needs.account}"
        if self._needs.whole_node:
            yield "My.WantWholeNode = True"
        yield from (*self._extra, f"queue gridpilot_stamp from {job.script}.tasks")

    def _with_added(self, name: str, ours: str) -> str:
        """Return a line with what the site has to add to it."""
        return f"{name} = {joined(name, ours, self._added.get(name, ''))}"

    def _limits(self, job: BatchJob) -> Iterator[str]:
        yield f"request_cpus = {job.processors}"
        if gpus := job.gpus or self._needs.gpus:
            yield f"request_gpus = {gpus}"
        if job.memory_mb:
            yield f"request_memory = {math.ceil(job.memory_mb * 1_000_000 / _BYTES_PER_MIB)}M"
            too_much = math.ceil(job.memory_mb * 1_000_000 / _BYTES_PER_KIB)
            over = f"JobStatus == 2 && ResidentSetSize =!= undefined && ResidentSetSize > {too_much}"
            yield self._with_added("periodic_hold", over)
            yield f'periodic_hold_reason = "more memory than {job.memory_mb} MB"'
            yield f"periodic_hold_subcode = {_MEMORY_SUBCODE}"
        elif "periodic_hold" in self._added:
            yield self._with_added("periodic_hold", "")
        if job.wall_s:
            yield f"allowed_execute_duration = {job.queue_wall_s}"

    def element(self, job_id: str, number: int, size: int) -> str:  # noqa: ARG002
        """See BatchSystem."""
        return f"{job_id}.{number - 1}"

    # ---- looking ----

    def states(self, task_ids: Collection[str]) -> Mapping[str, TaskStatus]:
        """See BatchSystem. What has ended is taken out of the queue once its files are here."""
        wanted = set(task_ids)
        queued = {task_id: ad for task_id, ad in self._ads("condor_q", wanted).items() if task_id in wanted}
        found = {task_id: _leaving(ad) or self._status(ad) for task_id, ad in queued.items()}
        ended = sorted(task_id for task_id, status in found.items() if status.state.is_final)
        if self._schedd.is_remote:
            found |= self._bring([task_id for task_id in ended if found[task_id].state is TaskState.DONE])
            ended = [task_id for task_id in ended if found[task_id].state.is_final]
        self.cancel(ended)
        past = self._ads("condor_history", wanted - set(found))
        return found | {task_id: self._status(ad) for task_id, ad in past.items() if task_id in wanted}

    def _bring(self, task_ids: Sequence[str]) -> dict[str, TaskStatus]:
        """Fetch the files of completed jobs; return what to think of those for which that did not work."""
        failed: dict[str, TaskStatus] = {}
        for some in self._commands.chunks(task_ids):
            if self._commands.run("condor_transfer_data", *some).exit_code == 0:
                continue
            for task_id in some:  # one of them is at fault
                done = self._commands.run("condor_transfer_data", task_id)
                if done.exit_code != 0:
                    reason = f"its files cannot be brought yet: {done.sentence}"
                    failed[task_id] = TaskStatus(state=TaskState.RUNNING, native=_WORDS[_COMPLETED], reason=reason)
        return failed

    def _ads(self, command: str, task_ids: Collection[str]) -> dict[str, Mapping[str, Any]]:
        """Return what HTCondor knows of these jobs' clusters, by id."""
        found: dict[str, Mapping[str, Any]] = {}
        clusters = sorted({task_id.partition(".")[0] for task_id in task_ids})
        for some in self._commands.chunks(clusters):
            # a history is long, and read from its end: it need not be read on when all have been found
            most = [] if command == "condor_q" else ["-limit", str(len(task_ids))]
            ads = self._asked(command, _ATTRIBUTES, *most, *some)
            found |= {f"{ad['ClusterId']}.{ad['ProcId']}": ad for ad in ads}
        return found

    def _status(self, ad: Mapping[str, Any]) -> TaskStatus:
        """Return the status for a job's ad."""
        number = ad.get("JobStatus")
        word = _WORDS.get(number, "") if isinstance(number, int) else ""
        if not word:
            return self._commands.unknown(str(number))
        if number in (_RUNNING, _TRANSFERRING, _SUSPENDED):
            reason = "its node is out of reach" if number == _RUNNING and ad.get("JobDisconnectedDate") else ""
            return TaskStatus(state=TaskState.RUNNING, native=word, reason=reason)
        if number == _IDLE or (number == _HELD and ad.get("HoldReasonCode") == _SPOOLING):
            return TaskStatus(state=TaskState.WAITING, native=word)
        if number == _HELD:
            return _failed(word, ad, "HoldReason")
        if number == _REMOVED:
            return _failed(word, ad, "LastHoldReason") if _was_held(ad) else _removed(word, ad)
        if ad.get("ExitBySignal"):
            reason = f"killed by signal {ad.get('ExitSignal')}"
            return TaskStatus(state=TaskState.FAILED, native=word, reason=reason, usage=_usage(ad))
        return TaskStatus(state=TaskState.DONE, native=word, usage=_usage(ad))

    # ---- ending, finding ----

    def cancel(self, task_ids: Collection[str]) -> None:
        """See BatchSystem."""
        self._commands.cancel("condor_rm", sorted(task_ids))

    def find(self, names: Collection[str]) -> Mapping[str, str]:
        """See BatchSystem. Jobs whose files never reached a remote schedd are removed, and not found."""
        found: dict[str, str] = {}
        halves: list[str] = []
        for some in self._commands.chunks(sorted(names)):
            named = ("-constraint", f'stringListMember({_NAME}, "{",".join(some)}")')
            for command in ("condor_history", "condor_q"):
                for ad in self._asked(command, f"{_ATTRIBUTES},{_NAME}", *named):
                    is_half = ad.get("JobStatus") == _HELD and ad.get("HoldReasonCode") == _SPOOLING
                    if is_half:
                        halves.append(f"{ad['ClusterId']}.{ad['ProcId']}")
                    elif _NAME in ad:
                        found[str(ad[_NAME])] = str(ad["ClusterId"])
                    else:
                        raise CEError(f"{command}: asked for jobs by {_NAME}, it shows one without: {ad}")
        self.cancel(halves)
        return found

    def _asked(self, command: str, attributes: str, *which: str) -> Sequence[Mapping[str, Any]]:
        """Return the ads that a tool prints; nothing at all is what condor_q prints for no job.

        Where a schedd keeps no history, what has left its queue is known by what it left behind only.

        Raises:
            CEError: it gave no answer, or one that cannot be understood.
        """
        printed = self._commands.ask(command, "-json", "-attributes", attributes, *which, nothing=_NO_HISTORY)
        if not printed.strip():
            return []
        ads = parsed_json(printed, command)
        if not isinstance(ads, list) or not all(map(_is_ad, ads)):
            raise CEError(f"{command}: expected a list of jobs, not {printed[:200]!r}")
        return ads


def _job_id(printed: str) -> str:
    """Return the cluster of `42.0 - 42.9`, which -terse has printed."""
    return decimal(last_line(printed).partition(".")[0])


def _is_ad(ad: object) -> bool:
    return isinstance(ad, dict) and all(isinstance(ad.get(name), int) for name in ("ClusterId", "ProcId"))


def _leaving(ad: Mapping[str, Any]) -> TaskStatus | None:
    """Return the status of a job that is removed and still in the queue: its processes may run; else None."""
    if ad.get("JobStatus") != _REMOVED:
        return None
    return TaskStatus(state=TaskState.RUNNING, native=_WORDS[_REMOVED], reason="it is being removed")


def _was_held(ad: Mapping[str, Any]) -> bool:
    return bool(ad.get("LastHoldReason")) and ad.get("LastHoldReasonCode") != _SPOOLING


def _failed(word: str, ad: Mapping[str, Any], of: str) -> TaskStatus:
    """Return the status of a job that was held: HTCondor holds what it cannot start or must stop."""
    code, reason = ad.get(f"{of}Code"), str(ad.get(of) or "no reason given")
    limit = _LIMITS.get(code) if isinstance(code, int) else None
    if code == _BY_POLICY and ad.get(f"{of}SubCode") == _MEMORY_SUBCODE:
        limit = Limit.MEMORY
    return TaskStatus(state=TaskState.FAILED, native=word, reason=f"held: {reason}", limit=limit, usage=_usage(ad))


def _removed(word: str, ad: Mapping[str, Any]) -> TaskStatus:
    reason = str(ad.get("RemoveReason") or "no reason given")
    if "NumShadowStarts" in reason:
        reason = "its node was lost after it may have begun; it was not started again"
    return TaskStatus(state=TaskState.FAILED, native=word, reason=f"removed: {reason}", usage=_usage(ad))


def _usage(ad: Mapping[str, Any]) -> Usage:
    wall, peak = ad.get("RemoteWallClockTime"), ad.get("ResidentSetSize")
    return Usage(
        wall_s=float(wall) if isinstance(wall, int | float) and wall > 0 else None,
        memory_peak_mb=peak * _BYTES_PER_KIB / 1_000_000 if isinstance(peak, int) and peak > 0 else None,
    )
