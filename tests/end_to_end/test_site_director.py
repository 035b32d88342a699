"""The SiteDirector with the local WMS and the batch system Host: real pilots, real jobs, nothing faked."""

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.local_wms.client import connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from tests import forked
from tests.end_to_end.director import ROOT, SECTION, SiteDirector, on_this_machine, pilot_infos

QUEUE = "local-ce.localhost/local"
JDL = """
    JobName = "told"; Executable = "/bin/sh"; Arguments = "-c 'echo ran; sleep 1'"; StdOutput = "std.out";
    OutputSandbox = {"std.out"}; Parameters = 4;
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wms")


@pytest.fixture(scope="module")
def endpoint(home: Path) -> Iterator[Endpoint]:
    with running(home) as started:
        yield started


def test_jobs_get_a_pilot_each_and_the_wms_knows_them_all(endpoint: Endpoint, home: Path, tmp_path: Path) -> None:
    client = connect(endpoint)
    (tmp_path / "job.jdl").write_text(JDL, encoding="utf-8")

    with SiteDirector(tmp_path, on_this_machine(home, tmp_path)) as director:
        director.until((director.work_dir / "pilots.sqlite").exists, "it began")
        job_ids = client.submit(tmp_path / "job.jdl")
        plan = director.ask("plan", *director.options)
        director.until(lambda: director.pilots(QUEUE)["Running"] > 0, "a pilot runs")
        assert director.process
        director.process.send_signal(signal.SIGKILL)  # pilots go on, and are found again
        director.process.wait()
        director.start()
        director.until(lambda: _statuses(client, job_ids) == {"Done": 4}, "all jobs are done")
        director.until(lambda: director.pilots(QUEUE) == {"Done": 4}, "all pilots have ended")
        director.until(lambda: json.loads(director.ask("status", "--json"))["unsent_reports"] == 0, "all is told")
        director.until(lambda: not list((tmp_path / "area/tasks").iterdir()), "nothing is left at the CE")
        why = director.ask("why", QUEUE)
        stamp = why.split()[0]
        one = director.ask("why", stamp)
        code = director.stop()

    assert code == 0
    assert "expected wait s" in plan
    assert why.count(", 1 job") == 4, why
    assert "INFO" in one  # the end of the pilot's own log
    (pilot,) = pilot_infos(endpoint, [f"gridpilot://{QUEUE}/{stamp}"]).values()
    assert (pilot["PilotStamp"], pilot["Status"], len(pilot["Jobs"])) == (stamp, "Done", 1)
    written = director.written() + (director.work_dir / "site_director.log").read_text()
    assert "PRIVATE KEY" not in written


def test_a_held_queue_gets_no_pilot_and_says_so(endpoint: Endpoint, home: Path, tmp_path: Path) -> None:
    client = connect(endpoint)
    (tmp_path / "job.jdl").write_text(JDL, encoding="utf-8")

    with SiteDirector(tmp_path, on_this_machine(home, tmp_path)) as director:
        director.until((director.work_dir / "pilots.sqlite").exists, "it began")
        director.ask("hold", QUEUE)
        job_ids = client.submit(tmp_path / "job.jdl")
        time.sleep(5)
        why = director.ask("why", str(job_ids[0]), *director.options)
        too_big = client.submit(_too_big(tmp_path))
        why_not = director.ask("why", str(too_big[0]), *director.options)
        job_ids += too_big
        pilots, plan, status = director.pilots(QUEUE), director.ask("plan", *director.options), director.ask("status")
        for job_id in job_ids:
            client.call("JobManager", "killJob", job_id)
        director.stop()

    assert pilots == {}
    assert "nothing: it is held" in plan
    assert "held by hand" in status
    assert f"{QUEUE}: its pilots can run it, but held by hand" in why
    assert f"{QUEUE}: it asks for 64 processors, pilots there have 1; it asks for tag Quantum" in why_not


def test_what_is_wrong_with_options_is_one_sentence(endpoint: Endpoint, home: Path, tmp_path: Path) -> None:
    def said(*words: str) -> tuple[int, str]:
        done = forked.run("agents.site_director", "run", "--work-dir", str(tmp_path / "d"), *words, cwd=ROOT)
        return done.returncode, done.stderr.strip().splitlines()[-1]

    local = ("--local", str(home), "-y", "Local")
    assert said(*local, "-o", f"{SECTION}/PolingTime=3") == (
        2,
        f"site director: command line: unknown option {SECTION}/PolingTime; did you mean PollingTime?",
    )
    code, sentence = said(*local, "-c", "BatchSystem=SLURMM")
    assert code == 2
    assert "BatchSystem of CE type Local is 'SLURMM'" in sentence
    assert "did you mean SLURM?" in sentence
    assert said("--local", str(tmp_path))[1].startswith("site director: no local WMS runs in")
    code, sentence = said(*local, "-o", f"{SECTION}/Sites=LCG.Nowhere.ch")
    assert (code, "no queue is chosen" in sentence) == (2, True)


def _too_big(folder: Path) -> Path:
    path = folder / "too_big.jdl"
    path.write_text('Executable = "/bin/true"; NumberOfProcessors = 64; Tags = {"Quantum"};', encoding="utf-8")
    return path


def _statuses(client: Any, job_ids: list[int]) -> Counter[str]:
    return Counter(job["Status"] for job in client.call("JobMonitoring", "getJobsSummary", job_ids).values())
