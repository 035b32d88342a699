"""What batch systems' commands print, in all dialects: asked for states, and to find jobs by name."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

from ce_backends.batch.options import Needs
from ce_backends.batch.spool import _parse_end
from ce_backends.batch.transport import Done
from ce_backends.ce_types.local_and_ssh import dialect
from ce_backends.cloud.console import said
from ce_backends.errors import CEError
from tests.fuzz.target import Target, text
from tests.unit.captured import CAPTURES
from tests.unit.test_cloud import told_by
from tests.unit.test_lsf_as_documented import listed as lsf_listed
from tests.unit.test_pbs_as_documented import listed as pbs_listed

STAMP = "0123456789abcdef0123456789abcdef"
IDS = {
    "SLURM": ["1", "8_1", "34", "25"],
    "GE": ["1", "14.1", "30", "29"],
    "LSF": ["12", "12[3]"],
    "OAR": ["1", "5", "14"],
    "Condor": ["1.0", "4.1"],
    "Torque": ["12.server", "13[1].server"],
    "OpenPBS": ["12.server", "13[1].server"],
    "Host": [f"{STAMP}.1.2.b"],
}


class Prints:
    """A host whose every command prints this: up to a zero byte on its output, the rest beside it, failing then."""

    where = "a host"

    def __init__(self, printed: str) -> None:
        out, failed, err = printed.partition("\0")
        self._done = Done(1 if failed else 0, out, err)

    def run(
        self, argv: Sequence[str], *, timeout_s: float, stdin: IO[bytes] | bytes = b"", into: Path | None = None
    ) -> Done:
        return self._done

    def put(self, source: Path, target: str, *, timeout_s: float) -> None:
        """Nothing lies there."""

    def close(self) -> None:
        """Nothing is open."""


def _asked(name: str) -> Target:
    kind, options = ("Torque", {"PBSFlavour": "OpenPBS"}) if name == "OpenPBS" else (name, {})

    def run(data: bytes) -> None:
        system = dialect(kind)(Prints(text(data)), Needs(), timeout_s=1, options=options)
        for ask in (lambda: system.states(IDS[name]), lambda: system.find([STAMP]), lambda: system.cancel(IDS[name])):
            try:
                ask()
            except CEError:
                continue

    return Target(
        name=f"batch-{name.lower()}", run=run, errors=(CEError,), seeds=lambda: _seeds(name), words=WORDS[name]
    )


def _seeds(name: str) -> Iterable[bytes]:
    folders = {"SLURM": "slurm/*", "GE": "grid_engine", "OAR": "oar", "Condor": "htcondor"}
    if name in folders:
        for path in sorted(CAPTURES.glob(f"{folders[name]}/*.out")):
            yield path.read_bytes()[:19_000]
        for path in sorted(CAPTURES.glob(f"{folders[name]}/*.err")):
            yield b"\0" + path.read_bytes()
    elif name == "LSF":
        yield (lsf_listed("EXIT", code="140", reason="TERM_RUNLIMIT: x") + lsf_listed("RUN", "12", "3")).encode()
    elif name != "Host":
        yield pbs_listed("12.server", "C", exit_status="271", resources_used__mem="10kb").encode()
        yield b"\0qstat: Unknown Job Id 12.server\n"
    yield b"that is all\n"


WORDS = {
    "SLURM": ("|", "PENDING", "NODE_FAIL", "CANCELLED by ", ".batch", "CLUSTER: ", "PerJob"),
    "GE": (
        "<job_list",
        "</job_list>",
        "<tasks>",
        "1-5:1",
        "</job_info>",
        "=====\n",
        "jobnumber ",
        "failed ",
        "taskid ",
    ),
    "LSF": ("|", "EXIT", "TERM_MEMLIMIT", "second(s)", "gridpilot_"),
    "OAR": ('"state"', '"Terminated"', '"Error"', '"events"', "RESUBMIT_JOB_AUTOMATICALLY", "=> ", '"array_id"'),
    "Condor": ('"ClusterId"', '"ProcId"', '"JobStatus"', '"HoldReasonCode"', '"GridpilotName"', "1e400"),
    "Torque": ("Job Id: ", "    job_state = ", "exit_status = ", "\n\t", "resources_used.mem = "),
    "OpenPBS": ("Job Id: ", "    job_state = ", "Exit_status = ", "\n\t", "Resource_List.walltime = "),
    "Host": ("that is all", "\n"),
}


def _ends(data: bytes) -> None:
    for line in text(data).split("\n"):
        if line.count("|") >= 6:
            _parse_end(line)


def _console_seeds() -> Iterable[bytes]:
    yield told_by(STAMP, b"result" * 100).encode()
    yield f"gridpilot:{STAMP}:failed:why\r\n".encode()


LINE = f"{STAMP}|1|137|100 200 |0m1.5s 0m0.5s|wall|why\n".encode()
TARGETS = (
    *(_asked(name) for name in IDS),
    Target(
        name="spool-ends", run=_ends, seeds=lambda: [LINE, re.sub(rb"\d", b"-", LINE)], words=("|", "gone", "0m1.0s")
    ),
    Target(
        name="machine-console",
        run=lambda data: said(text(data), STAMP),
        seeds=_console_seeds,
        words=(f"gridpilot:{STAMP}:", "line:1:", "end:1:", "began", "failed:", "\r\n", "H4sI"),
    ),
)
