"""What Grid Engine's commands print: qstat's XML, qstat -j, qacct. Recorded on Son of Grid Engine 8.1.9."""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ce_backends.base import Limit, TaskState, TaskStatus, Usage
from ce_backends.errors import CEError

_JOB = re.compile(r"<job_list[^>]*>(.*?)</job_list>", re.DOTALL)
_FIELD = re.compile(r"<(JB_job_number|JB_name|state|tasks)>([^<]*)<")
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?", re.ASCII)
_MOST_ELEMENTS = 75_000  # sge_conf(5): max_aj_tasks
_LIMIT = re.compile(r"\b([hs]_(?:rt|cpu|vmem))=([^,\s]+)")
_ERROR = re.compile(r"^error reason\s+(\d+):\s+(.*)$", re.MULTILINE)
_NUMBER = re.compile(r"([\d.]{1,40})\s*([KMGT]?)", re.ASCII)
_BYTES_PER_UNIT = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

_KNOWN = frozenset("EhrRsStTdqw")  # letters of a state, qstat(1)
_ON_A_NODE = frozenset("rtsST")
_REMARKS = {"h": "held", "s": "suspended", "S": "queue suspended", "T": "over a load threshold", "d": "being deleted"}

_ALL_OF_AN_END = {"failed", "exit_status", "ru_wallclock", "cpu", "maxvmem"}  # the last one is near a record's end
_PASSED_ON = (24, 25)  # migrating, rescheduling: not an end
_ENFORCED = 37  # h_rt, h_cpu or h_vmem of the job or its queue
_BY_SIGNAL = 128
_SOFT = {138: Limit.WALL, 152: Limit.CPU}  # SIGUSR1 for s_rt, SIGXCPU for s_cpu
_HARD = (("h_rt", Limit.WALL), ("h_cpu", Limit.CPU), ("h_vmem", Limit.MEMORY))


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A task that qstat knows.

    Attributes:
        task_id: `12`, or `12.3` of an array.
        name: of its job.
        state: its letters.
    """

    task_id: str
    name: str
    state: str


def queued(text: str) -> Iterator[Queued]:
    """Yield what `qstat -xml -g d` lists. Not read as XML: it is none where a job's name has an odd byte in it.

    Raises:
        CEError: the answer is no such list, or not a whole one.
    """
    if not text.rstrip().endswith("</job_info>"):
        raise CEError(f"qstat -xml: expected a list of jobs to its end, not {text[-200:]!r}")
    for body in _JOB.findall(text):
        fields = dict(_FIELD.findall(body))
        number, state = fields.get("JB_job_number", ""), fields.get("state", "")
        if number.isdecimal():
            name = html.unescape(fields.get("JB_name", ""))
            for element in _elements(fields.get("tasks", "")):
                yield Queued(task_id=number + element, name=name, state=state)


def _elements(text: str) -> Iterator[str]:
    """Yield `.3`, `.4` for `3-4:1`, and nothing but an empty text for no array."""
    for part in text.split(","):
        if found := _RANGE.fullmatch(part):
            first, last, step = (int(number) if number else None for number in found.groups())
            numbers = range(first or 0, (first or 0 if last is None else last) + 1, step or 1)
            yield from (f".{number}" for number in numbers[:_MOST_ELEMENTS])
        else:
            yield ""


def status_of(state: str) -> TaskStatus | None:
    """Return what a state's letters mean, None if one is not known; Failed for an error, whose reason is yet to ask."""
    letters = set(state)
    if not letters or letters - _KNOWN:
        return None
    remark = ", ".join(words for letter, words in _REMARKS.items() if letter in letters)
    if "E" in letters:
        return TaskStatus(state=TaskState.FAILED, native=state, reason="Grid Engine could not start it")
    if letters & _ON_A_NODE:
        return TaskStatus(state=TaskState.RUNNING, native=state, reason=remark)
    return TaskStatus(state=TaskState.WAITING, native=state, reason=remark)


def error_reasons(text: str) -> dict[str, str]:
    """Return the reason of each task in error, from `qstat -j`, by both `12` and `12.1`."""
    reasons: dict[str, str] = {}
    for block in re.split(r"^=+$", text, flags=re.MULTILINE):
        job = re.search(r"^job_number:\s+(\d+)$", block, re.MULTILINE)
        if job is None:
            continue
        for number, reason in _ERROR.findall(block):
            sentence = reason.partition("]: ")[2] or reason  # after the time and [uid:pid]
            reasons[f"{job[1]}.{number}"] = sentence.removeprefix("error: ")
            reasons.setdefault(job[1], sentence.removeprefix("error: "))
    return reasons


def accounts(text: str) -> Iterator[tuple[str, str, TaskStatus]]:
    """Yield task id, job name and how it ended for each record of `qacct -j`, in the order of the file.

    Of a rescheduled job there are several, and the last one counts; those that only tell of the rescheduling are left
    out, and so is one that has not all that an end is told by.
    """
    whole = text[: text.rfind("\n") + 1]
    for block in re.split(r"^=+$", whole, flags=re.MULTILINE):
        fields = dict(_pair(line) for line in block.split("\n") if line.strip())
        number, task = fields.get("jobnumber", ""), fields.get("taskid", "undefined")
        is_whole = number.isdecimal() and set(fields) >= _ALL_OF_AN_END
        if is_whole and int(_number(fields["failed"])) not in _PASSED_ON:
            task_id = f"{number}.{task}" if task.isdecimal() else number
            yield task_id, fields.get("jobname", ""), _ended(fields)


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(" ")
    return name, value.strip()


def _ended(fields: Mapping[str, str]) -> TaskStatus:
    """Return the end. The exit status alone lies: it is 0 where a node was lost."""
    failed, code = int(_number(fields["failed"])), int(_number(fields["exit_status"]))
    native = f"failed {failed}, exit_status {code}"
    usage = Usage(wall_s=_number(fields.get("ru_wallclock", "")), cpu_s=_number(fields.get("cpu", "")))
    if failed == 0 and code <= _BY_SIGNAL:
        return TaskStatus(state=TaskState.DONE, native=native, usage=usage)
    said = fields.get("failed", "").partition(":")[2].strip()
    killed = f"killed by signal {code - _BY_SIGNAL}" if code > _BY_SIGNAL else ""
    by_whom = f"deleted by {fields['deleted_by']}" if fields.get("deleted_by", "NONE") not in ("NONE", "") else ""
    limit = _limit(failed, code, fields)
    words = (f"ended at its limit of {limit}" if limit else "", by_whom, killed, said)
    return TaskStatus(
        state=TaskState.FAILED,
        native=native,
        reason=", ".join(word for word in words if word),
        limit=limit,
        usage=usage,
    )


def _limit(failed: int, code: int, fields: Mapping[str, str]) -> Limit | None:
    """Return the limit it was over, if it was one. The job's own are in its category; a queue's is most often h_rt."""
    if failed != _ENFORCED:
        return _SOFT.get(code)
    asked = {name: _number(value) for name, value in _LIMIT.findall(fields.get("category", ""))}
    used = {name: _number(fields.get(key, "")) for name, key in _USED.items()}
    return next((limit for name, limit in _HARD if 0 < asked.get(name, 0.0) <= used[name]), Limit.WALL)


_USED = {"h_rt": "ru_wallclock", "h_cpu": "cpu", "h_vmem": "maxvmem"}


def _number(text: str) -> float:
    """Return `3.2MB`, `4s`, `137  (Killed)` or `37  : …` as a number, of bytes if it is a size; 0 for none."""
    found = _NUMBER.match(text)
    try:
        return float(found[1]) * _BYTES_PER_UNIT[found[2]] if found else 0.0
    except ValueError:  # more than one point
        return 0.0
