"""What a job's JDL asks of the agent: DIRAC's attributes, with DIRAC's meanings, as one frozen value."""

import os
import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NoReturn
from urllib.parse import unquote

from agents.jobs.classad import JdlError, Record, Value, parse
from ce_backends.untrusted.pattern import MOST_CHARACTERS, is_expression
from ce_backends.untrusted.text import printable

__all__ = ["JdlError", "JobDescription", "Request", "StopSignal", "describe"]

WORKFLOW_RUNNER = "dirac-jobexec"
NO_JOB_TYPE = "Unknown"  # DIRAC's word when the JDL has no JobType
_TRUE_WORDS = ("1", "yes", "true", "y")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][-+]?[0-9]{1,3})?")
_STOP_LEAD_S = 1800  # DIRAC's StopSigFinishSeconds where the JDL names none
_MOST_STOP_LEAD_S = 86_400  # more than a day before its end says nothing about the end
_MOST = 10**10  # of anything that is counted: MB, seconds, processors; what follows from it still fits the kernel
_MOST_JOB_ID = 10**18
_EXACT_FLOAT = 2.0**53  # above it neighbouring whole numbers are one float
_SHOWN_CHARACTERS = 80
_LFN = "LFN:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the job needs of a slot.

    Attributes:
        min_processors: without these it cannot run; at least 1.
        max_processors: it can use these; never below min_processors, and the same where the JDL names no maximum.
        whole_node: it wants to be alone, with all processors of the slot.
        min_memory_mb: without this it cannot run (MinRAM), 0 when not said.
        memory_mb: the most it uses (MaxRAM, else MinRAM), 0 when not said.
        gpus: devices it needs.
        tags: JDL Tags and Tag together.
    """

    min_processors: int = 1
    max_processors: int = 1
    whole_node: bool = False
    min_memory_mb: int = 0
    memory_mb: int = 0
    gpus: int = 0
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSignal:
    """How a payload wants to hear that its slot ends, so that it can end well.

    Attributes:
        regex: is found in the command line of those of its processes that get the signal.
        number: of the signal; SIGINT unless the JDL says otherwise.
        lead_s: how long before the end it wants it, a day at most.
    """

    regex: str
    number: int = signal.SIGINT
    lead_s: int = _STOP_LEAD_S


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDescription:
    """One job as its JDL describes it. File names of outputs stay below the job's directory.

    Attributes:
        executable: None when the JDL names none.
        arguments: one string as the shell will see it.
        input_sandbox: `SB:<storage>|<path>` and `LFN:<path>`; and the submitter's own names of files, which DIRAC's
            client leaves beside the reference of the sandbox that it packed them into: they mean nothing here.
        input_data: names of files in the catalogue, with `LFN:` or without.
        input_data_policy: how the payload gets them, DIRAC's modules by their paths; none for the VO's own policy.
        input_data_module: DIRAC's module that goes by the policy, empty for its own.
        output_data: names and patterns of files, and `LFN:` names, which go to storage elements.
        output_elements: where to, in this order; none for the VO's own choice.
        output_path: below the owner's directory, or `LFN:/…`; empty for one named by the job.
        execution_environment: variables for the payload, values unquoted.
        cpu_time_s: CPU time the job asks for; None when not said.
        log_level: None when not said.
        disables_cpu_check: the payload may be idle for long.
        stop_signal: None when the payload wants none.
    """

    job_id: int
    job_name: str = ""
    job_type: str = NO_JOB_TYPE
    job_group: str = ""
    owner: str = ""
    owner_group: str = ""
    executable: str | None = None
    arguments: str = ""
    std_output: str | None = None
    std_error: str | None = None
    input_sandbox: tuple[str, ...] = ()
    output_sandbox: tuple[str, ...] = ()
    input_data: tuple[str, ...] = ()
    input_data_policy: tuple[str, ...] = ()
    input_data_module: str = ""
    output_data: tuple[str, ...] = ()
    output_elements: tuple[str, ...] = ()
    output_path: str = ""
    execution_environment: Mapping[str, str]
    cpu_time_s: int | None = None
    log_level: str | None = None
    disables_cpu_check: bool = False
    stop_signal: StopSignal | None = None
    request: Request

    @property
    def shown_name(self) -> str:
        """The job's name as people may read it, on one line."""
        return printable(self.job_name, _SHOWN_CHARACTERS)

    @property
    def is_workflow(self) -> bool:
        """True for a job of DIRAC's Job API, of this or an older release, which brings no such program of its own."""
        name = self.executable or ""
        is_called = name == WORKFLOW_RUNNER or (name.startswith("$") and name.endswith(f"/{WORKFLOW_RUNNER}"))
        return is_called and WORKFLOW_RUNNER not in self.input_sandbox

    @property
    def sandbox_lfns(self) -> tuple[str, ...]:
        """Files of the catalogue in the input sandbox."""
        return tuple(name for name in self.input_sandbox if name.upper().startswith(_LFN))

    @property
    def brings_data(self) -> bool:
        """True where files of the catalogue have to be brought before it can run."""
        return bool(self.sandbox_lfns or self.input_data)

    @property
    def log_files(self) -> tuple[str, ...]:
        """The files that the payload's output is written to, none when the JDL names none."""
        return tuple(dict.fromkeys(name for name in (self.std_output, self.std_error) if name))


def describe(jdl_text: str) -> JobDescription:
    """Read the JDL that came with a matched job.

    Raises:
        JdlError: the text is no JDL, or an attribute's value makes no sense; one sentence with the value.
    """
    record = parse(jdl_text)
    return JobDescription(
        job_id=_job_id(record),
        job_name=", ".join(_told(record, "JobName")),
        job_type=", ".join(_told(record, "JobType")) or NO_JOB_TYPE,
        job_group=", ".join(_told(record, "JobGroup")),
        owner=", ".join(_told(record, "Owner")),
        owner_group=", ".join(_told(record, "OwnerGroup")),
        executable=_text(record, "Executable") or None,
        arguments=" ".join(_texts(record, "Arguments")),
        std_output=_file(record, "StdOutput"),
        std_error=_file(record, "StdError"),
        input_sandbox=_texts(record, "InputSandbox"),
        output_sandbox=tuple(_below(name, "OutputSandbox") for name in _texts(record, "OutputSandbox")),
        input_data=_lfns(record, "InputData"),
        input_data_policy=tuple(_split(_texts(record, "InputDataPolicy"))),
        input_data_module=_text(record, "InputDataModule"),
        output_data=_output_data(record),
        output_elements=tuple(_split(_texts(record, "OutputSE"))),
        output_path=_text(record, "OutputPath"),
        execution_environment=_environment(record),
        cpu_time_s=_number(record, "CPUTime"),
        log_level=", ".join(_told(record, "LogLevel")) or None,
        disables_cpu_check=_is_true(record, "DisableCPUCheck"),
        stop_signal=_stop_signal(record),
        request=_request(record),
    )


def _job_id(record: Record) -> int:
    job_id = _number(record, "JobID", at_least=1, at_most=_MOST_JOB_ID)
    if job_id is None:
        for problem in record.problems:  # behind it the name may stand
            raise problem
        raise JdlError("the JDL has no JobID, expected the number the WMS gave to the job")
    return job_id


def _stop_signal(record: Record) -> StopSignal | None:
    """Read DIRAC's StopSig attributes; without StopSigRegex the others mean nothing."""
    regex = _text(record, "StopSigRegex")
    if not regex:
        return None
    if not is_expression(regex):
        _refuse("StopSigRegex", regex, f"a regular expression of at most {MOST_CHARACTERS} characters")
    number, lead_s = _number(record, "StopSigNumber"), _number(record, "StopSigFinishSeconds")
    if number is not None and number not in signal.valid_signals():
        _refuse("StopSigNumber", number, "the number of a signal")
    return StopSignal(
        regex=regex,
        number=signal.SIGINT if number is None else number,
        lead_s=_STOP_LEAD_S if lead_s is None else min(lead_s, _MOST_STOP_LEAD_S),
    )


def _request(record: Record) -> Request:
    least, most = _processors(record)
    min_memory_mb = _number(record, "MinRAM") or 0
    memory_mb = _number(record, "MaxRAM") or min_memory_mb
    if memory_mb < min_memory_mb:
        _refuse("MaxRAM", memory_mb, f"no less than MinRAM, which is {min_memory_mb}")
    return Request(
        min_processors=least,
        max_processors=most,
        whole_node=_is_true(record, "WholeNode"),
        min_memory_mb=min_memory_mb,
        memory_mb=memory_mb,
        gpus=_number(record, "NumberOfGPUs") or 0,
        tags=_words(record, "Tags") | _words(record, "Tag"),
    )


def _processors(record: Record) -> tuple[int, int]:
    """Return the fewest and the most processors; NumberOfProcessors alone decides when it is there."""
    exactly = _number(record, "NumberOfProcessors", at_least=1)
    if exactly is not None:
        return exactly, exactly
    least = _number(record, "MinNumberOfProcessors", at_least=1) or 1
    most = _number(record, "MaxNumberOfProcessors") or least  # DIRAC writes 0 for "no maximum named"
    if most < least:
        _refuse("MaxNumberOfProcessors", most, f"no less than MinNumberOfProcessors, which is {least}")
    return least, most


def _environment(record: Record) -> dict[str, str]:
    """Read `NAME=value` pairs from a list, or from one string with semicolons between them."""
    value = record.get("ExecutionEnvironment", "")
    pairs = value.split(";") if isinstance(value, str) else _texts(record, "ExecutionEnvironment")
    return dict(_variable(pair.strip()) for pair in pairs if pair.strip())


def _variable(pair: str) -> tuple[str, str]:
    variable, equals, quoted = pair.partition("=")
    if not (equals and _VARIABLE.fullmatch(variable.strip())):
        _refuse("ExecutionEnvironment", pair, "NAME=value with a name of letters, digits and underscores")
    try:
        value = unquote(quoted, errors="strict")
    except UnicodeDecodeError:
        _refuse("ExecutionEnvironment", pair, "a value whose %XX escapes form UTF-8")
    if "\0" in value:
        _refuse("ExecutionEnvironment", pair, "a value without %00")
    return variable.strip(), value


def _split(texts: tuple[str, ...]) -> Iterator[str]:
    """Yield the words of a list, or of one string with commas between them: the WMS writes both."""
    yield from (word.strip() for text in texts for word in text.split(",") if word.strip())


def _lfns(record: Record, name: str) -> tuple[str, ...]:
    """Read names of files, each once; where several stand in one text, every one of them says that it is one."""
    found: list[str] = []
    for text in _texts(record, name):
        parts = [part.strip() for part in text.split(",")]
        found += parts if all(part.startswith("/") or part.upper().startswith(_LFN) for part in parts) else [text]
    return tuple(dict.fromkeys(found))


def _output_data(record: Record) -> tuple[str, ...]:
    """Read what is to be uploaded; what names no LFN stays below the job's directory."""
    names = _lfns(record, "OutputData")
    return tuple(name if name.upper().startswith(_LFN) else _below(name, "OutputData") for name in names)


def _file(record: Record, name: str) -> str | None:
    path = _text(record, name)
    return None if path in ("", os.devnull) else _below(path, name)


def _below(path: str, name: str) -> str:
    """Return the path if it cannot lead out of the job's directory."""
    parsed = PurePosixPath(path)
    if parsed.is_absolute() or ".." in parsed.parts or not parsed.name:
        _refuse(name, path, "the name of a file below the job's directory")
    return path


def _words(record: Record, name: str) -> frozenset[str]:
    """Read a list, or one string with commas: the WMS writes tags in both ways."""
    words = (word.strip() for text in _texts(record, name) for word in text.split(","))
    return frozenset(word for word in words if word)


def _is_true(record: Record, name: str) -> bool:
    return _text(record, name).strip().lower() in _TRUE_WORDS


def _number(record: Record, name: str, at_least: int = 0, at_most: int = _MOST) -> int | None:
    """Read a whole number, in quotes or not; None when the attribute is absent or empty."""
    value = record.get(name, "")
    if isinstance(value, str) and not value.strip():
        return None
    number = _whole(value.strip()) if isinstance(value, str) else None
    if number is None or number < at_least:
        _refuse(name, value, f"a whole number of at least {at_least}")
    if number > at_most:
        _refuse(name, value, f"a whole number of at most {at_most}")
    return number


def _whole(text: str) -> int | None:
    if not _NUMBER.fullmatch(text):
        return None
    if text.lstrip("+-").isdigit():
        return int(text)
    number = float(text)
    return int(number) if number.is_integer() and abs(number) <= _EXACT_FLOAT else None


def _text(record: Record, name: str) -> str:
    """Read one text, empty when the attribute is absent; the WMS makes a list of a text with commas."""
    return ", ".join(_texts(record, name))


def _texts(record: Record, name: str) -> tuple[str, ...]:
    """Read a list of texts without its empty ones; the WMS writes a list of one as a plain string."""
    return tuple(text for text in _flat(record.get(name, ()), name) if text)


def _told(record: Record, name: str) -> tuple[str, ...]:
    """Read what is only passed on: nothing in it is a reason to fail a job."""
    try:
        return _texts(record, name)
    except JdlError:
        return ()


def _flat(value: Value, name: str) -> Iterator[str]:
    if isinstance(value, Record):
        _refuse(name, value, "text")
    if isinstance(value, str):
        yield value
    else:
        for item in value:
            yield from _flat(item, name)


def _refuse(name: str, value: Value | int, expected: str) -> NoReturn:
    raise JdlError(f"JDL attribute {name} is {_shown(value)}, expected {expected}")


def _shown(value: Value | int) -> str:
    if isinstance(value, Record):
        return "a record"
    if isinstance(value, tuple):
        return "a list"
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARACTERS else shown[:_SHOWN_CHARACTERS] + "…"
