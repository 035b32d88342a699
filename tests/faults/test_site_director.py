"""The SiteDirector dies by SIGKILL at each step of its ledger, before the batch system Host: no pilot lost, none twice.

What is started is a bundle that only tells its stamp: what counts is which pilots run, not what they do.
"""

import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agents.local_wms.client import Client, connect
from agents.local_wms.home import Endpoint, Home
from agents.local_wms.testing import running
from agents.site_director.ledger import PilotLedger
from agents.site_director.pilots import State
from tests.end_to_end.director import PATIENCE_S, ROOT, SECTION, SiteDirector
from tests.faults.crash_point import sitecustomize

CRASH_POINT = Path(sitecustomize.__file__).parent
QUEUE = "local-ce.localhost/local"
JOBS = 3
ROUNDS = int(os.environ.get("GRIDPILOT_ROUNDS", "1"))  # of each step
# decided, submitting, accepted, told, and what is seen of their ends
STEPS = [(number, when) for number in (1, 2, 3, 4, 5) for when in ("before", "after")]
TELLING_BUNDLE = """\
import sys, time
stamp = sys.argv[sys.argv.index("--pilotUUID") + 1]
with open({trace!r}, "a") as trace:
    trace.write(stamp + "\\n")
time.sleep(0.5)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wms")


@pytest.fixture(scope="module")
def wms(home: Path) -> Iterator[Endpoint]:
    with running(home) as started:
        yield started


def director(home: Path, folder: Path, **env: str) -> SiteDirector:
    bundle = folder / "gridpilot.pyz"
    bundle.write_text(TELLING_BUNDLE.format(trace=str(folder / "trace")), encoding="utf-8")
    options = ["--local", str(home), "-y", "Local", "-c", "BatchSystem=Host", "-c", f"SharedArea={folder}/area"]
    options += ["-c", "StatusInterval=0.3", "-o", f"{SECTION}/Bundle={bundle}"]
    return SiteDirector(folder, options, **env)


def dies_and_is_started_again(client: Client, home: Path, folder: Path, number: int, when: str) -> bool:
    """Let a director die at a step, and another one go on; check all pilots. False when there was no such step."""
    crashing = {
        "PYTHONPATH": os.pathsep.join([str(CRASH_POINT), str(ROOT)]),
        "GRIDPILOT_CRASH_AT": f"{number}:{when}",
        "GRIDPILOT_CRASH_IN": "agents.site_director.ledger:PilotLedger",
    }
    jdl = f'Executable = "/bin/true"; Parameters = {JOBS};'
    (folder / "job.jdl").write_text(jdl, encoding="utf-8")
    job_ids = client.submit(folder / "job.jdl")
    with director(home, folder, **crashing) as first:
        assert first.process
        died = _ended(first.process) == -signal.SIGKILL
        begun = first.written().count("director.begins")
    for job_id in job_ids:  # the next one has only what is on its way
        client.call("JobManager", "killJob", job_id)
    with director(home, folder) as second:
        second.until(lambda: second.written().count("director.begins") > begun, "it goes on")
        second.until(lambda: _is_settled(folder), "every pilot has ended, and the WMS knows")
        assert second.stop() == 0
    _check(home, folder)
    return died


def _ended(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(30)
    except subprocess.TimeoutExpired:
        process.terminate()
        return process.wait(PATIENCE_S)


def _is_settled(folder: Path) -> bool:
    path = folder / "director" / "pilots.sqlite"
    if not path.exists():
        return False
    ledger = PilotLedger(path)
    with closing(ledger):
        return not ledger.open() and not ledger.unsent()


def _check(home: Path, folder: Path) -> None:
    """What ran, what the ledger holds, and what the WMS knows, are the same pilots, each once."""
    trace = folder / "trace"
    ran = Counter(trace.read_text().split()) if trace.exists() else Counter[str]()
    ledger = PilotLedger(folder / "director" / "pilots.sqlite")
    with closing(ledger):
        submitted = {p.stamp for p in ledger.ended(1000) if p.task_id}
        ended = {p.stamp: p.state for p in ledger.ended(1000)}
    with closing(sqlite3.connect(Home(home).database)) as database:
        registered = Counter(stamp for (stamp,) in database.execute("SELECT PilotStamp FROM Pilots"))
    assert set(ran.values()) <= {1}, f"twice: {ran}"
    assert set(ran) <= set(ended), "unknown pilots ran"
    assert set(ran) == {stamp for stamp in submitted if ended[stamp] is State.DONE}
    assert {stamp: registered[stamp] for stamp in submitted} == dict.fromkeys(submitted, 1)


@pytest.mark.scenario(48, "SIGKILL of the SiteDirector between a submission and its answer")
def test_no_pilot_is_lost_or_doubled_when_the_answer_of_a_submission_is(
    wms: Endpoint, home: Path, tmp_path: Path
) -> None:
    with connect(wms) as client:
        assert dies_and_is_started_again(client, home, tmp_path, 3, "before")


@pytest.mark.long
@pytest.mark.scenario(48, "SIGKILL of the SiteDirector at each step of its ledger, before and after it")
@pytest.mark.parametrize(("number", "when"), STEPS)
def test_no_pilot_is_lost_or_doubled_at_any_step(
    wms: Endpoint, home: Path, tmp_path: Path, number: int, when: str
) -> None:
    with connect(wms) as client:
        for round_ in range(ROUNDS):
            folder = tmp_path / str(round_)
            folder.mkdir()
            assert dies_and_is_started_again(client, home, folder, number, when)
            time.sleep(0.1)
