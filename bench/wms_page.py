"""What a look at the local WMS's page of jobs costs its server, next to sending all jobs: CPU time and bytes."""

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agents.local_wms.database import Database, open_database
from agents.local_wms.direct import THE_USER
from agents.local_wms.services.pilot_logging import PilotLogging
from agents.local_wms.web.listing import Asked, Listing

_STATUSES = ("Done", "Failed", "Running", "Waiting", "Killed")
_ALL = """
SELECT JobID, JobName, Owner, Status, MinorStatus, ApplicationStatus, Site, LastUpdateTime FROM Jobs
"""


def filled(jobs: int) -> Database:
    """Return a database with so many jobs."""
    database = open_database(":memory:")
    database.run_many(
        "INSERT INTO Jobs (JobName, JobType, JobGroup, Owner, OwnerGroup, VO, Status, MinorStatus, SubmissionTime,"
        " LastUpdateTime, OriginalJDL) VALUES (?, '', '', 'localuser', 'g', 'v', ?, 'Application', '2026', ?, '')",
        [
            (f"simulation_{number}", _STATUSES[number % 5], f"2026-01-02 03:04:{number % 60:02d}.000000")
            for number in range(jobs)
        ],
    )
    return database


def cpu_ms(work: Callable[[], str], rounds: int) -> float:
    """Return the CPU time of one round."""
    before = time.process_time()
    for _ in range(rounds):
        gzip.compress(work().encode(), compresslevel=6)
    return 1000 * (time.process_time() - before) / rounds


def measure(jobs: int, rounds: int, folder: Path) -> str:
    """Return a row of the table."""
    database = filled(jobs)
    listing = Listing(database, PilotLogging(folder))

    def all_of_them() -> str:
        return json.dumps([list(row) for row in database.rows(_ALL)])

    def changed() -> str:
        database.run("UPDATE Jobs SET MinorStatus = ? WHERE JobID = 7", str(time.monotonic_ns()))
        return listing.as_json(THE_USER, Asked())

    def unchanged() -> str:
        return listing.as_json(THE_USER, Asked())

    baseline = cpu_ms(all_of_them, max(1, rounds // 10))
    sizes = [len(gzip.compress(work().encode())) for work in (all_of_them, changed)]
    shares = [cpu_ms(work, rounds) / baseline for work in (changed, unchanged)]
    database.close()
    return (
        f"| {jobs} | {sizes[0] / 1000:.1f} | {sizes[1] / 1000:.1f} | {sizes[1] / sizes[0]:.3f} |"
        f" {shares[0]:.3f} | {shares[1]:.3f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.wms_page", description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="+", default=[100, 5000, 50_000])
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    print("| jobs | all of them, kB | a look, kB | bytes: ratio | CPU after a change: ratio | CPU without: ratio |")
    print("|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for jobs in given.jobs:
            print(measure(jobs, given.rounds, Path(folder)))


if __name__ == "__main__":
    main()
