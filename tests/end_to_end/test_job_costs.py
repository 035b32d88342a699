"""What jobs cost the local WMS, in calls. How often it is told of one depends on how long that takes."""

import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.local_wms.client import Client, connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from agents.pacing import GATHER_S
from tests.end_to_end.test_data import OWN, Storage, ended, run
from tests.end_to_end.test_main_job import submit

PROGRAM = ("-m", "tests.end_to_end.counting_wms")
BARE = 'Executable = "/bin/true"; StdOutput = "std.out";'
BOTH = 'Executable = "copy.sh"; InputSandbox = {"copy.sh"}; OutputSandbox = {"std.out"}; StdOutput = "std.out";'
SCRIPT = "#!/bin/sh\necho one >one.root; date >two.root\n"
NONE: dict[str, int] = {}
SANDBOXES = {"streamToClient": 1, "streamFromClient": 1}
INPUT = {"getFileMetadata": 1, "getReplicas": 1}
OUTPUT = {"getFileMetadata": 1, "addFile": 1}
OF_AGENT = {"getCompressedData", "getCompressedDataIfNewer", "getProxy", "getStoredProxyStrength", "requestJob"}
OF_SUBMISSION = {"submitJob", "assignSandboxesToEntities"}  # the last may be noted after its answer has come
OF_LOST_MATCHES = {"getPilotInfo", "getJobsStates"}  # looked for once, before an agent ends
OF_PILOT = {"addPilotReferences", "setPilotStatus", "setPilotBenchmark", "sendMessage", "finaliseLogs"}
TOLD = {"setJobStatusBulk", "setJobParameters"}
SHARED = {"getJobsStatus": 1, "commitRegisters": 1}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wms")


@pytest.fixture(scope="module")
def endpoint(home: Path) -> Iterator[Endpoint]:
    with running(home, program=PROGRAM) as started:
        yield started


@pytest.fixture
def client(endpoint: Endpoint) -> Client:
    return connect(endpoint)


def asked(home: Path) -> Counter[str]:
    log = home / "calls.log"  # there after the first answer
    return Counter(log.read_text(encoding="utf-8").split() if log.exists() else ())


@pytest.mark.parametrize(
    ("jdl", "costs"),
    [
        pytest.param(BARE, NONE, id="bare"),
        pytest.param(BOTH, SANDBOXES, id="sandboxes"),
        pytest.param(f'{BOTH} InputData = {{"LFN:%(in)s"}};', SANDBOXES | INPUT, id="input"),
        pytest.param(f'{BOTH} OutputData = {{"one.root", "two.root"}};', SANDBOXES | OUTPUT, id="outputs"),
    ],
)
def test_a_job_costs_its_servers_no_more_calls_than_it_needs(
    endpoint: Endpoint, client: Client, home: Path, tmp_path: Path, jdl: str, costs: dict[str, int]
) -> None:
    lfn = f"{OWN}/in/{uuid.uuid4().hex}/a.root"
    if "InputData" in jdl:
        Storage(endpoint, home).add(lfn, b"some data")
    files = {"copy_sh": SCRIPT} if "copy.sh" in jdl else {}
    job_id = submit(client, tmp_path, jdl % {"in": lfn}, **files)
    before, began_s = asked(home), time.monotonic()

    run(endpoint, tmp_path)
    took_s, calls = time.monotonic() - began_s, asked(home) - before

    assert ended(client, job_id)[0] == "Done"
    others = OF_AGENT | OF_LOST_MATCHES | OF_PILOT | OF_SUBMISSION | TOLD
    rest = {method: times for method, times in calls.items() if method not in others}
    assert {name: times for name, times in rest.items() if name not in SHARED} == costs
    assert all(rest.get(name, 0) <= times for name, times in SHARED.items()), rest
    assert all(1 <= calls[method] <= 1 + took_s // GATHER_S for method in TOLD), (calls, took_s)
