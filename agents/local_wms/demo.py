"""`make demo`: the main job on one machine, and a check that every job ended as its author would expect."""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path

from agents.local_wms.client import Client, connect
from agents.local_wms.home import Home, LocalWmsError, default_home
from agents.local_wms.testing import running
from agents.local_wms.throwaway import FINAL, Pilot, look, pilot, was_refused
from ce_backends import screen
from ce_backends.parser import Parser, whole
from ce_backends.readers import MOST_PROCESSORS

_INSTALLED = Path(__file__).with_name("demo_jobs")  # where a wheel has them
JDLS = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[2] / "configs" / "demo"
COLUMNS = ("job", "name", "status", "minor status", "procs", "wall s", "exit", "right")
INPUT = "/localvo/user/l/localuser/demo/speech.txt"  # of the job with input data
DEADLINE_S = 120.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `fault` is empty when the job is as its author would expect."""

    job_id: int
    name: str
    status: str
    minor_status: str
    processors: str
    wall_s: str
    exit_code: str
    fault: str

    def cells(self) -> tuple[str, ...]:
        """Return what is printed."""
        verdict = self.fault or "yes"
        return (
            str(self.job_id),
            self.name,
            self.status,
            self.minor_status,
            self.processors,
            self.wall_s,
            self.exit_code,
            verdict,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; 0 only if every job is as expected."""
    os.umask(0o077)
    arguments = parser().parse_args(argv)
    with redirect_stdout(sys.stderr) if arguments.json else nullcontext():
        rows, code = _ran(arguments)
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=1), flush=True)
    return code


def _ran(arguments: argparse.Namespace) -> tuple[Sequence[Row], int]:
    """Run the jobs and print how it goes; return how each ended, and the exit code."""
    processors = arguments.processors or max(2, len(os.sched_getaffinity(0)))
    expected = json.loads((JDLS / "expected.json").read_text(encoding="utf-8"))
    forget_jobs(Home(arguments.home))
    with running(arguments.home) as endpoint, tempfile.TemporaryDirectory(prefix="gridpilot-demo-") as folder:
        client = connect(endpoint)
        print(f"local WMS on {endpoint.url}, pilot with {processors} processors", flush=True)
        client.store(INPUT, (JDLS / "speech.txt").read_bytes())
        names = {job_id: jdl.stem for jdl in sorted(JDLS.glob("*.jdl")) for job_id in client.submit(jdl)}
        with pilot(endpoint, Path(folder), processors, failed_matches=3) as process:
            _wait(client, list(names), process)
        rows = [_row(client, job_id, name, expected[name], processors) for job_id, name in names.items()]
        if not arguments.json:
            _print_table(rows)
        return rows, _verdict(rows, process.returncode, Path(folder) / "pilot.out")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = Parser(prog="gridpilot demo", description="Run the demo's jobs here, and check how each ends.")
    made.add_argument(
        "--home", type=Path, metavar="HOME", default=default_home().with_name("demo"), help="directory of its local WMS"
    )
    made.add_argument(
        "--processors",
        type=whole(1, MOST_PROCESSORS),
        metavar="N",
        default=0,
        help="of the slot (default: this machine's, 2 at least)",
    )
    made.add_argument("--json", action="store_true", help="each job for programs; how it goes is written to stderr")
    return made


def forget_jobs(home: Home) -> None:
    """Begin with an empty WMS; its certificates are kept, they take the longest to make."""
    for name in home.folder.glob(f"{home.database.name}*"):
        name.unlink()
    for folder in (home.sandboxes, home.storage):
        shutil.rmtree(folder, ignore_errors=True)


def _wait(client: Client, job_ids: Sequence[int], process: Pilot) -> None:
    """Show progress until no job runs any more and what waits was refused by name."""
    deadline, shown = time.monotonic() + DEADLINE_S, ""
    while time.monotonic() < deadline and process.poll() is None:
        jobs = look(client, job_ids)
        counts = _counts(jobs)
        if counts != shown:
            print(f"  {counts}", flush=True)
            shown = counts
        open_jobs = [job for job in jobs.values() if job["Status"] not in FINAL]
        if all(job["Status"] == "Waiting" and was_refused(job) for job in open_jobs):
            return
        time.sleep(0.2)


def _counts(jobs: Mapping[int, Mapping[str, str]]) -> str:
    statuses = [job["Status"] for job in jobs.values()]
    return ", ".join(f"{statuses.count(word)} {word}" for word in dict.fromkeys(sorted(statuses)))


def _row(client: Client, job_id: int, name: str, expected: Mapping[str, object], slot: int) -> Row:
    job = look(client, [job_id])[job_id]
    files = _files(client, job_id)
    faults = _faults(job, expected, slot) + _file_faults(job, expected, files) + _data_faults(client, job, files)
    return Row(
        job_id,
        name,
        job["Status"],
        job["MinorStatus"] if job["Status"] in FINAL else job.get("WhyWaiting", ""),
        job.get("NumberOfProcessors", ""),
        job.get("WallClockTime(s)", ""),
        job.get("ExitCode", ""),
        "; ".join(faults),
    )


def _files(client: Client, job_id: int) -> dict[str, str]:
    """Return what is in a job's output sandbox; nothing when it has none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            client.output(job_id, Path(folder))
        except LocalWmsError:
            return {}
        return {path.name: path.read_text(encoding="utf-8") for path in Path(folder).iterdir()}


def _faults(job: Mapping[str, str], expected: Mapping[str, object], slot: int) -> list[str]:
    """Return in what a job's end differs from what its author expects."""
    found = []
    words = {"status": "Status", "minor": "MinorStatus", "exit": "ExitCode", "data": "UploadedOutputData"}
    for word, key in words.items():
        if expected.get(word) is not None and job.get(key) != str(expected[word]):
            found.append(f"expected {key} {expected[word]}")
    if not _fits(job.get("NumberOfProcessors", ""), expected["processors"], slot):
        found.append(f"expected {expected['processors']} processors")
    if str(expected.get("why", "")) not in job.get("WhyWaiting", ""):
        found.append(f"expected it to wait because of {expected['why']}")
    return found


def _file_faults(job: Mapping[str, str], expected: Mapping[str, object], files: Mapping[str, str]) -> list[str]:
    """Return which files of the output sandbox are not as the author expects."""
    patterns = expected["files"]
    assert isinstance(patterns, dict), "expected.json names files and what must be in them"
    processors = job.get("NumberOfProcessors", "")
    return [
        f"{name} is not as expected"
        for name, pattern in patterns.items()
        if not re.search(pattern.replace("{processors}", processors), files.get(name, ""))
    ]


def _data_faults(client: Client, job: Mapping[str, str], files: Mapping[str, str]) -> list[str]:
    """Return which output data are not, byte for byte, what the payload wrote: it is in its sandbox too."""
    found = []
    for lfn in filter(None, job.get("UploadedOutputData", "").split(", ")):
        try:
            content = client.read(lfn)
        except LocalWmsError as error:
            found.append(str(error))
            continue
        if content != files.get(lfn.rpartition("/")[2], "").encode():
            found.append(f"{lfn} is not what the payload wrote")
    return found


def _fits(processors: str, expected: object, slot: int) -> bool:
    if expected is None:
        return processors == ""
    if expected == "all":
        return processors == str(slot)
    if isinstance(expected, str):
        return processors.isdigit() and int(processors) >= int(expected.rpartition(" ")[2])
    return processors == str(expected)


def _print_table(rows: Sequence[Row]) -> None:
    print(*screen.table([COLUMNS, *(row.cells() for row in rows)]), sep="\n")


def _verdict(rows: Sequence[Row], pilot_code: int | None, pilot_out: Path) -> int:
    odd = [row for row in rows if row.fault]
    if not odd and pilot_code == 0:
        print(f"all {len(rows)} jobs are as their authors would expect")
        return 0
    print(f"{len(odd)} of {len(rows)} jobs are not as expected; the pilot ended with {pilot_code} and wrote:")
    print(pilot_out.read_text(encoding="utf-8", errors="replace")[-4000:])
    return 1


if __name__ == "__main__":
    sys.exit(main())
