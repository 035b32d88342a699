"""`gridpilot run`: a JDL file, or any command, as a job in a WMS and a pilot that last as long as the jobs.

What the job prints goes to stdout and stderr as it comes; what becomes of it, to stderr. Nothing is left behind but
the files that were asked for.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from agents.errors import AgentError
from agents.local_wms import jdl_of_command
from agents.local_wms.client import Client, connect
from agents.local_wms.following import Following
from agents.local_wms.home import LocalWmsError
from agents.local_wms.testing import running
from agents.local_wms.throwaway import die_with_parent, pilot
from ce_backends import places
from ce_backends.parser import Parser, seconds, whole
from ce_backends.readers import MOST_PROCESSORS
from ce_backends.untrusted.text import visible

USAGE, INTERRUPTED = 2, 130
_DAY_S = 86400.0
_ENDING = (signal.SIGTERM, signal.SIGHUP)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = Parser(
        prog="gridpilot run",
        usage="gridpilot run [options] JOB.jdl…\n       gridpilot run [options] -- COMMAND [ARGUMENT…]",
        description="Run jobs on this machine, in a WMS and a pilot made for them.",
    )
    made.add_argument(
        "-P",
        "--processors",
        type=whole(1, MOST_PROCESSORS),
        default=0,
        metavar="N",
        help="of the slot (default: all here)",
    )
    made.add_argument("-i", "--input", type=Path, action="append", default=[], metavar="FILE", help="goes with COMMAND")
    made.add_argument("-o", "--output", action="append", default=[], metavar="NAME", help="a file that COMMAND writes")
    made.add_argument("--into", type=Path, metavar="DIR", help="for the files that come back (default: JOB-output)")
    made.add_argument(
        "--deadline", type=seconds(), default=_DAY_S, metavar="S", help="stop after that (default: a day)"
    )
    made.add_argument("--json", action="store_true", help="at the end, each job for programs; the job's output is kept")
    made.add_argument("jobs", nargs="*", type=Path, metavar="JDL", help="files in DIRAC's JDL")
    return made


def main(words: Sequence[str]) -> int:
    """Run jobs; return the exit code of the first that failed, 0 if none did."""
    os.umask(0o077)
    before, command = _split(words)
    asked = parser().parse_args(before)
    if bool(asked.jobs) == bool(command):
        return _complain("expected either JDL files or -- COMMAND; see gridpilot run --help", USAGE)
    try:
        if asked.into:
            places.folder(asked.into)
        with _ending_as_ctrl_c(), tempfile.TemporaryDirectory(prefix="gridpilot-run-") as folder:
            files = asked.jobs or [jdl_of_command.written(Path(folder, "job"), command, asked.input, asked.output)]
            return _run(asked, [_checked(path) for path in files], Path(folder))
    except (LocalWmsError, AgentError, RuntimeError) as error:
        return _complain(str(error), 1)
    except places.NoPlace as error:
        return _complain(f"--into {error}", USAGE)
    except KeyboardInterrupt:
        return _complain("interrupted; its jobs, pilot and WMS are ended", INTERRUPTED)


def _split(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the words before and after the first `--`."""
    at = list(words).index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]


def _checked(path: Path) -> Path:
    if not path.is_file():
        raise LocalWmsError(f"{path}: there is no such file; a command goes after --: gridpilot run -- {path}")
    return path


def _complain(sentence: str, exit_code: int) -> int:
    print(f"gridpilot run: {visible(sentence)}", file=sys.stderr, flush=True)
    return exit_code


@contextmanager
def _ending_as_ctrl_c() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end the block as Ctrl-C does: all that was started is ended, and removed."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(asked: argparse.Namespace, files: Sequence[Path], folder: Path) -> int:
    """Submit the files, run a pilot until their jobs have ended, and bring what they wrote."""
    processors = asked.processors or len(os.sched_getaffinity(0))
    following = Following(folder / "pilot", () if asked.json or len(files) > 1 else jdl_of_command.streams(files[0]))
    following.say(f"starting a WMS and a pilot with {processors} processors")
    with running(folder / "wms", die_with_parent) as endpoint, connect(endpoint) as client:
        names = {job_id: path.stem for path in files for job_id in client.submit(path, following.say)}
        with pilot(endpoint, folder, processors, failed_matches=1000) as process:
            jobs = following.until_ended(client, names, process, asked.deadline)
            brought = {job_id: _brought(client, job_id, folder / "outputs" / str(job_id)) for job_id in names}
            for job_id in names:
                following.print_rest(folder / "outputs" / str(job_id))
    kept = {job_id: _kept(brought[job_id], asked, f"{name}-output") for job_id, name in names.items()}
    if asked.json:
        told = [_told(job_id, names[job_id], jobs[job_id], kept[job_id]) for job_id in names]
        print(json.dumps(told, indent=1), flush=True)
    return next((code for job_id in names if (code := _exit_code(jobs[job_id]))), 0)


def _brought(client: Client, job_id: int, into: Path) -> list[Path]:
    """Return the files of a job's output sandbox, which has been brought; none where it has none."""
    try:
        return client.output(job_id, into)
    except LocalWmsError as error:
        if "has no output sandbox" not in str(error):
            _complain(str(error), 1)
        return []


def _kept(files: Sequence[Path], asked: argparse.Namespace, name: str) -> list[str]:
    """Move files to where they were asked for; return where that is. A command's two streams have been printed."""
    is_command = not asked.jobs
    if is_command and not asked.json:
        files = [path for path in files if path.name not in jdl_of_command.STREAMS]
    if not files:
        return []
    into = asked.into or (Path() if is_command and asked.output else _unused(name))
    kept = []
    for path in files:
        try:
            place = _moved(path, into)
        except places.NoPlace as error:  # the job has run: nothing of it may be lost
            into = Path(tempfile.mkdtemp(prefix=f"{name}-"))
            _complain(f"{error}; what came back is kept elsewhere", 1)
            place = _moved(path, into)
        print(f"gridpilot run: {visible(str(place))}", file=sys.stderr, flush=True)
        kept.append(str(place))
    return kept


def _moved(path: Path, into: Path) -> Path:
    """Move a file into a directory; what cannot be moved stays where it is, and no part of it is left there.

    Raises:
        NoPlace: it cannot be there, for want of room perhaps.
    """
    place = _unused(str(places.folder(into) / path.name))
    try:
        shutil.move(path, place)
    except OSError as error:
        place.unlink(missing_ok=True)
        raise places.NoPlace(f"{place}: cannot be written: {error.strerror}") from error
    return place


def _unused(name: str) -> Path:
    """Return the first of NAME, NAME-2, … that is not there: nothing of an earlier run is overwritten."""
    number = 1
    while (path := Path(name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return path


def _told(job_id: int, name: str, job: Mapping[str, str], files: Sequence[str]) -> dict[str, object]:
    code, wall = job.get("ExitCode", ""), job.get("WallClockTime(s)", "")
    return {
        "job": job_id,
        "name": job.get("JobName") or name,
        "status": job["Status"],
        "minor_status": job["MinorStatus"],
        "why_waiting": job.get("WhyWaiting", ""),
        "exit_code": int(code) if code.lstrip("-").isdecimal() else None,
        "wall_s": float(wall) if wall else None,
        "files": list(files),
    }


def _exit_code(job: Mapping[str, str]) -> int:
    """Return what the program ends with because of a job: its exit code, or 1 where it has none and is not Done."""
    if job["Status"] == "Done":
        return 0
    code = job.get("ExitCode", "")
    return (int(code) & 255 or 1) if code.lstrip("-").isdecimal() else 1
