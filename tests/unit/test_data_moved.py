"""What the slot's page tells of data that were moved."""

from datetime import UTC, datetime
from pathlib import Path

from agents.jobs.job import Job, MatchedJob
from agents.jobs.ledger import Ledger
from agents.jobs.moved import Moved
from agents.jobs.report import Moments, Reports
from agents.observability import data_moved, history


def moved(element: str, *, is_upload: bool = False, is_done: bool = True) -> Moved:
    return Moved(
        lfn="/lab/x",
        element=element,
        protocol="https",
        is_upload=is_upload,
        is_done=is_done,
        size_bytes=10_000_000 if is_done else 0,
        seconds=2.0,
        began=datetime.now(UTC),
    )


def test_transfers_are_summed_by_way_and_shown(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    job = Job(matched=MatchedJob(job_id=7, jdl="", owner="o", group="g"), stamp="s")
    tried = [moved("DISK"), moved("DISK"), moved("DISK", is_done=False), moved("<TAPE>", is_upload=True)]
    ledger.save(job, Reports("LAB", Moments()).moved(job, tried))
    ledger.close()

    found = history.read(tmp_path).moved

    told = [(one.source, one.destination, one.files, one.failed, one.size_bytes, one.mb_per_s) for one in found]
    assert told == [("DISK", "LAB", 2, 1, 20_000_000, 5.0), ("LAB", "<TAPE>", 1, 0, 10_000_000, 5.0)]
    page = data_moved.table(found)
    assert "<td>&lt;TAPE&gt;</td><td>https</td><td class=n>1</td><td class=n>–</td><td class=n>10.0</td>" in page
