"""ExtraSubmitString: what a site adds to an HTCondor submit file, which may not undo what lets a job start once only.

Of two lines condor_submit takes the last, and says nothing. Conditions are joined with ours; what else is ours is
refused.
"""

import re
from collections.abc import Mapping, Sequence

from ce_backends.batch.submit_options import FILES, ONCE, PROCESSORS, WALL
from ce_backends.errors import CEMisconfigured

_JOINED = {"requirements": "&&", "periodic_remove": "||", "periodic_hold": "||"}
_SPELLED = {"periodicremove": "periodic_remove", "periodichold": "periodic_hold"}  # as attributes of the job
_OURS: Mapping[str, str] = {
    **dict.fromkeys(("request_cpus", "requestcpus"), PROCESSORS),
    **dict.fromkeys(("request_memory", "requestmemory"), "the memory limit is each task's own"),
    **dict.fromkeys(("request_gpus", "requestgpus"), "use NumberOfGPUs"),
    **dict.fromkeys(("allowed_execute_duration", "allowed_job_duration"), WALL),
    **dict.fromkeys(("max_retries", "retry_until", "on_exit_remove", "onexitremove", "periodic_release"), ONCE),
    **dict.fromkeys(("universe", "executable", "arguments", "initialdir", "leave_in_queue", "leavejobinqueue"), FILES),
    **dict.fromkeys(("should_transfer_files", "when_to_transfer_output", "transfer_input_files"), FILES),
    **dict.fromkeys(("transfer_output_files", "output", "error", "log", "gridpilotname"), FILES),
}
_STATEMENTS = ("queue", "include")
_LINE = re.compile(r"\s*(?:\+|my\.)?([a-z_][a-z0-9_.]*)\s*=(.*)", re.IGNORECASE | re.ASCII | re.DOTALL)
_CONTINUED = re.compile(r"\\[ \t]*\n")  # a backslash at the end of a line


def read(text: str) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return the lines that stand for themselves, and the conditions to be joined with ours, by name.

    Raises:
        CEMisconfigured: a line would override what is gridpilot's.
    """
    lines: list[str] = []
    conditions: dict[str, str] = {}
    for line in _CONTINUED.sub(" ", text).split("\n"):
        found = _LINE.fullmatch(line)
        name = found[1].lower() if found else (line.lower().split() or [""])[0]
        name = _SPELLED.get(name, name)
        if found and name in _JOINED:
            conditions[name] = joined(name, conditions.get(name, ""), found[2].strip())
        elif name in _OURS or name in _STATEMENTS:
            why = _OURS.get(name, FILES)
            raise CEMisconfigured(f"option ExtraSubmitString has {line.strip()!r}: {name} is set by gridpilot; {why}")
        elif line.strip():
            lines.append(line)
    return lines, conditions


def joined(name: str, ours: str, theirs: str) -> str:
    """Return two conditions as one: both must hold for a start, one is enough for an end."""
    return f"({ours}) {_JOINED[name]} ({theirs})" if ours and theirs else ours or theirs
