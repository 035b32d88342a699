"""`make demo`: the main job on one machine, and a check that every job ended as its author would expect."""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agents.local_wms.client import Client, connect
from agents.local_wms.home import Endpoint, Home, LocalWmsError
from agents.local_wms.testing import running

ROOT = Path(__file__).parents[2]
JDLS = ROOT / "configs" / "demo"
COLUMNS = ("job", "name", "status", "minor status", "processors", "wall s", "exit code", "as expected")
INPUT = "/localvo/user/l/localuser/demo/speech.txt"  # of the job with input data
FINAL = ("Done", "Failed", "Killed")
DEADLINE_S = 120.0
PILOT_STOP_S = 20.0


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
    arguments = _parser().parse_args(argv)
    processors = arguments.processors or max(2, len(os.sched_getaffinity(0)))
    expected = json.loads((JDLS / "expected.json").read_text(encoding="utf-8"))
    forget_jobs(Home(arguments.home))
    with running(arguments.home) as endpoint, tempfile.TemporaryDirectory(prefix="gridpilot-demo-") as folder:
        client = connect(endpoint)
        print(f"local WMS on {endpoint.url}, pilot with {processors} processors", flush=True)
        client.store(INPUT, (JDLS / "speech.txt").read_bytes())
        names = {job_id: jdl.stem for jdl in sorted(JDLS.glob("*.jdl")) for job_id in client.submit(jdl)}
        with _pilot(endpoint, Path(folder), processors) as pilot:
            _wait(client, list(names), pilot)
        rows = [_row(client, job_id, name, expected[name], processors) for job_id, name in names.items()]
        _print_table(rows)
        return _verdict(rows, pilot.returncode, Path(folder) / "pilot.out")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m agents.local_wms.demo", description=__doc__)
    parser.add_argument("--home", type=Path, default=ROOT / ".demo", help="directory of the local WMS")
    parser.add_argument(
        "--processors", type=int, default=0, help="of the pilot's slot (default: this machine's, 2 at least)"
    )
    return parser


def forget_jobs(home: Home) -> None:
    """Begin with an empty WMS; its certificates are kept, they take the longest to make."""
    for name in home.folder.glob(f"{home.database.name}*"):
        name.unlink()
    for folder in (home.sandboxes, home.storage):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _pilot(endpoint: Endpoint, folder: Path, processors: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a pilot until the block ends; it is asked to end, and ended."""
    argv = [sys.executable, "-m", "pilot", "-n", endpoint.site, "-N", endpoint.ce, "-Q", endpoint.queue]
    argv += ["--wnVO", endpoint.vo, "-C", endpoint.configuration, "-y", "Pool", "-P", str(processors)]
    argv += ["-t", "WholeNode", "--PollingTime", "1", "--StopAfterFailedMatches", "3"]
    argv += ["--work-dir", str(folder / "pilot")]
    environment = {**os.environ, "X509_USER_PROXY": str(endpoint.pilot_proxy), "X509_CERT_DIR": str(endpoint.ca_dir)}
    with (folder / "pilot.out").open("wb") as out:
        pilot = subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield pilot
    finally:
        _end(pilot)


def _end(pilot: "subprocess.Popen[bytes]") -> None:
    """Let the pilot finish what it has; then insist."""
    for number, patience_s in ((signal.SIGUSR1, PILOT_STOP_S), (signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
        if pilot.poll() is None:
            pilot.send_signal(number)
        try:
            pilot.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue
        return


def _wait(client: Client, job_ids: Sequence[int], pilot: "subprocess.Popen[bytes]") -> None:
    """Show progress until no job runs any more and what waits was refused by name."""
    deadline, shown = time.monotonic() + DEADLINE_S, ""
    while time.monotonic() < deadline and pilot.poll() is None:
        jobs = _look(client, job_ids)
        counts = _counts(jobs)
        if counts != shown:
            print(f"  {counts}", flush=True)
            shown = counts
        open_jobs = [job for job in jobs.values() if job["Status"] not in FINAL]
        if all(job["Status"] == "Waiting" and _was_refused(job) for job in open_jobs):
            return
        time.sleep(0.2)


def _look(client: Client, job_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """Return each job's attributes and parameters, in one mapping."""
    summary = client.call("JobMonitoring", "getJobsSummary", list(job_ids))
    parameters = client.call("JobMonitoring", "getJobParameters", list(job_ids))
    return {job_id: {**summary[str(job_id)], **parameters.get(str(job_id), {})} for job_id in job_ids}


def _was_refused(job: Mapping[str, str]) -> bool:
    """Tell whether the job is too big for this slot, and not only unlucky until now."""
    return "the slot has" in job.get("WhyWaiting", "")


def _counts(jobs: Mapping[int, Mapping[str, str]]) -> str:
    statuses = [job["Status"] for job in jobs.values()]
    return ", ".join(f"{statuses.count(word)} {word}" for word in dict.fromkeys(sorted(statuses)))


def _row(client: Client, job_id: int, name: str, expected: Mapping[str, object], slot: int) -> Row:
    job = _look(client, [job_id])[job_id]
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
    table = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(COLUMNS))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


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
