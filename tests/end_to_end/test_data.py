"""Input and output data, over HTTPS with nothing faked: catalogue, elements, requests, pilot, agent and payloads."""

import json
import os
import re
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from agents.local_wms.client import Client, connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from agents.observability.explain import explain
from tests.end_to_end.push import PushPilot
from tests.end_to_end.test_main_job import Pilot, output, submit

OWN = "/localvo/user/l/localuser"
PATIENCE_S = 60.0


class Storage:
    """The elements and the catalogue as the demo user meets them; and what lies on the disk behind them."""

    def __init__(self, endpoint: Endpoint, home: Path) -> None:
        self.endpoint = endpoint
        self.home = home
        self.session = requests.Session()
        self.session.trust_env, self.session.verify = False, endpoint.ca_dir
        self.session.cert = endpoint.user_proxy

    def send(self, method: str, lfn: str, element: str = "LOCAL-disk", **more: Any) -> requests.Response:
        return self.session.request(method, f"{self.endpoint.url}/storage/{element}{lfn}", timeout=60, **more)

    def file(self, lfn: str, element: str = "LOCAL-disk") -> Path:
        return self.home / "storage" / element / lfn.strip("/")

    def add(self, lfn: str, content: bytes, *elements: str) -> None:
        """Put a file to elements and make it known."""
        first, *others = elements or ("LOCAL-disk",)
        for element in (first, *others):
            parts = lfn.strip("/").split("/")
            for depth in range(2, len(parts)):
                self.send("MKCOL", "/" + "/".join(parts[:depth]), element)
            assert self.send("PUT", lfn, element, data=content).status_code in (201, 204)
        info = {"PFN": "", "Size": len(content), "SE": first, "Checksum": f"{zlib.adler32(content):08x}"}
        self.call("FileCatalog", "addFile", {lfn: {**info, "GUID": str(uuid.uuid4()).upper()}})
        for element in others:
            self.call("FileCatalog", "addReplica", {lfn: {"PFN": "", "SE": element}})

    def call(self, service: str, method: str, *arguments: Any) -> Any:
        system = {"FileCatalog": "DataManagement", "ReqManager": "RequestManagement"}[service]
        form = {"method": method, "args": json.dumps(arguments)}
        answer = self.session.post(f"{self.endpoint.url}/{system}/Tornado{service}", data=form, timeout=60).json()
        assert answer["OK"], answer
        return answer["Value"]

    def replicas(self, lfn: str) -> set[str]:
        return set(self.call("FileCatalog", "getReplicas", [lfn])["Successful"].get(lfn, {}))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wms")


@pytest.fixture(scope="module")
def endpoint(home: Path) -> Iterator[Endpoint]:
    with running(home) as started:
        yield started


@pytest.fixture(scope="module")
def storage(endpoint: Endpoint, home: Path) -> Storage:
    return Storage(endpoint, home)


@pytest.fixture
def client(endpoint: Endpoint) -> Client:
    return connect(endpoint)


def run(endpoint: Endpoint, folder: Path, *options: str) -> Path:
    """Run a pilot to its end; return its work directory."""
    with Pilot(endpoint, folder, "-y", "Pool", *options) as pilot:
        assert pilot.ended() == 0, pilot.written()
    return pilot.work_dir


def ended(client: Client, job_id: int) -> tuple[str, str, str]:
    job = client.call("JobMonitoring", "getJobsSummary", [job_id])[str(job_id)]
    return job["Status"], job["MinorStatus"], job["ApplicationStatus"]


def parameters(client: Client, job_id: int) -> dict[str, str]:
    found: dict[str, str] = client.call("JobMonitoring", "getJobParameters", [job_id])[str(job_id)]
    return found


def minors(client: Client, job_id: int) -> list[str]:
    return [row[1] for row in client.call("JobMonitoring", "getJobLoggingInfo", job_id)]


SCRIPT = """#!/bin/sh
cat a.root InputData_1/a.root tool.txt >sum.root
cp InputData.json seen.json
head -c 3000000 /dev/zero >large.root
"""


def test_a_job_reads_its_input_data_and_its_outputs_are_known_under_their_names(
    endpoint: Endpoint, client: Client, storage: Storage, tmp_path: Path
) -> None:
    first, second, tools = (f"{OWN}/in/{uuid.uuid4().hex}/{name}" for name in ("a.root", "a.root", "tool.txt"))
    large = os.urandom(2_000_000)
    storage.add(first, large)
    storage.add(second, b"second")
    storage.add(tools, b"tool")
    jdl = f"""
        Executable = "sum.sh"; InputSandbox = {{"sum.sh", "LFN:{tools}"}};
        InputData = {{"LFN:{first}", "{second}"}};
        OutputSandbox = {{"seen.json"}};
        OutputData = {{"sum.root", "large*.root", "LFN:{OWN}/x/{tmp_path.name}.json"}};
    """
    job_id = submit(client, tmp_path, jdl, sum_sh=SCRIPT + f"echo {{}} >{tmp_path.name}.json\n")

    work_dir = run(endpoint, tmp_path)

    assert ended(client, job_id)[:2] == ("Done", "Execution Complete"), ended(client, job_id)
    told = explain(work_dir, job_id, as_json=False)
    assert re.search(r"downloaded: 3 files, 2\.0 MB, LOCAL-disk -> LOCAL\.Demo\.ch by https, in [\d.]+ s \(", told)
    assert re.search(r"uploaded: 3 files, 5\.0 MB, LOCAL\.Demo\.ch -> LOCAL-disk by https, in [\d.]+ s \(", told)
    folder = f"{OWN}/{job_id // 1000}/{job_id}"
    assert storage.send("GET", f"{folder}/sum.root").content == large + b"second" + b"tool"
    assert storage.send("GET", f"{folder}/large.root").content == bytes(3_000_000)
    assert storage.send("GET", f"{OWN}/x/{tmp_path.name}.json").content == b"{}\n"
    known = storage.call("FileCatalog", "getFileMetadata", {f"{folder}/sum.root": True})["Successful"]
    assert known[f"{folder}/sum.root"]["Size"] == 2_000_010
    assert known[f"{folder}/sum.root"]["Checksum"] == f"{zlib.adler32(large + b'secondtool'):08x}"
    seen = json.loads(output(client, job_id, tmp_path)["seen.json"])
    assert seen[second]["path"] == "InputData_1/a.root"
    assert seen[first]["size"] == 2_000_000
    said = parameters(client, job_id)
    assert said["DownloadInputData"].startswith("Successfully downloaded 2 LFN(s) from local SEs:\n")
    assert set(said["UploadedOutputData"].split(", ")) == {
        f"{folder}/sum.root",
        f"{folder}/large.root",
        f"{OWN}/x/{tmp_path.name}.json",
    }
    on_the_way = ["Downloading InputSandbox LFN(s)", "Input Data Resolution", "Application", "Uploading Output Data"]
    assert [minor for minor in minors(client, job_id) if minor in on_the_way] == on_the_way


def test_a_named_output_that_is_missing_fails_the_job_by_name(
    endpoint: Endpoint, client: Client, storage: Storage, tmp_path: Path
) -> None:
    jdl = 'Executable = "/bin/true"; OutputData = {"hist.root", "*.none"}; OutputPath = "missing";'
    job_id = submit(client, tmp_path, jdl)

    run(endpoint, tmp_path)

    assert ended(client, job_id)[0] == "Failed"
    assert ended(client, job_id)[1:] == ("Uploading Output Data", "Output data missing: hist.root, *.none")
    assert parameters(client, job_id)["OutputData"] == "MissingFiles: hist.root, *.none"


def test_the_same_content_under_the_same_name_is_accepted_and_other_content_fails_once(
    endpoint: Endpoint, client: Client, storage: Storage, tmp_path: Path
) -> None:
    path = f"clash/{uuid.uuid4().hex}"
    storage.add(f"{OWN}/{path}/same.root", b"same\n")
    storage.add(f"{OWN}/{path}/other.root", b"what was there before\n")
    jdl = f'Executable = "/bin/sh"; OutputPath = "{path}"; Arguments = "-c \'echo same >$0\' %s"; OutputData = "%s";'
    same, other = (submit(client, tmp_path, jdl % (name, name)) for name in ("same.root", "other.root"))

    run(endpoint, tmp_path)

    assert ended(client, same)[:2] == ("Done", "Execution Complete")
    assert ended(client, other)[0] == "Failed"
    assert ended(client, other)[2] == f"LFN exists with other content: {OWN}/{path}/other.root"
    assert storage.send("GET", f"{OWN}/{path}/other.root").content == b"what was there before\n"


def test_an_element_that_takes_nothing_leaves_the_file_elsewhere_and_a_request(
    endpoint: Endpoint, client: Client, storage: Storage, tmp_path: Path
) -> None:
    path = f"failover/{uuid.uuid4().hex}"
    storage.add(f"{OWN}/failover/x{uuid.uuid4().hex}", b"makes the folder")
    storage.file(f"{OWN}/{path}").write_text("a file where the folder should be")  # nothing can be put below it
    jdl = 'Executable = "/bin/sh"; Arguments = "-c \'echo late >late.root\'"; OutputData = "late.root"; '
    job_id = submit(client, tmp_path, jdl + f'OutputPath = "{path}"; JobName = "failing over";')

    run(endpoint, tmp_path)

    assert ended(client, job_id)[:2] == ("Completed", "Pending Requests"), ended(client, job_id)
    lfn = f"{OWN}/{path}/late.root"
    assert storage.replicas(lfn) == {"FAR-disk"}
    assert storage.send("GET", lfn, "FAR-disk").content == b"late\n"
    number = storage.call("ReqManager", "getRequestIDsForJobs", [job_id])["Successful"][str(job_id)]
    request = json.loads(storage.call("ReqManager", "peekRequest", number))
    kinds = [(one["Type"], one["SourceSE"], one["TargetSE"]) for one in request["Operations"]]
    assert kinds == [("ReplicateAndRegister", "FAR-disk", "LOCAL-disk"), ("RemoveReplica", None, "FAR-disk")]
    assert (request["Owner"], request["OwnerGroup"]) == ("localuser", "localvo_user")
    assert [file["LFN"] for one in request["Operations"] for file in one["Files"]] == [lfn, lfn]
    assert parameters(client, job_id)["PendingRequest"].startswith(f"Name:{request['RequestName']}\n")


def test_a_damaged_replica_is_found_and_another_one_is_taken(
    endpoint: Endpoint, client: Client, storage: Storage, tmp_path: Path
) -> None:
    lfn = f"{OWN}/damaged/{uuid.uuid4().hex}.txt"
    storage.add(lfn, b"as it should be\n", "LOCAL-disk", "FAR-disk")
    storage.file(lfn).write_bytes(b"as it should b?\n")
    name = lfn.rpartition("/")[2]
    jdl = f'Executable = "/bin/cat"; Arguments = "{name}"; InputData = "{lfn}"; StdOutput = "o"; OutputSandbox = "o";'
    job_id = submit(client, tmp_path, jdl)

    run(endpoint, tmp_path)

    assert output(client, job_id, tmp_path)["o"] == "as it should be\n"
    assert "(0 from local SEs)" in parameters(client, job_id)["DownloadInputData"]


def test_input_data_that_nobody_knows_fail_the_job_once_by_name(
    endpoint: Endpoint, client: Client, storage: Storage, tmp_path: Path
) -> None:
    lfn = f"{OWN}/none/{uuid.uuid4().hex}"
    job_id = submit(client, tmp_path, f'Executable = "/bin/true"; InputData = "LFN:{lfn}";')

    run(endpoint, tmp_path)

    assert ended(client, job_id)[:2] == ("Failed", "Input Data Not Available")
    assert parameters(client, job_id)["MissingLFNs"] == f"LFN:{lfn} Problem: No such file or directory"


def test_by_protocol_the_payload_is_told_urls_and_nothing_is_brought(
    endpoint: Endpoint, client: Client, storage: Storage, tmp_path: Path
) -> None:
    lfn = f"{OWN}/protocol/{uuid.uuid4().hex}.root"
    storage.add(lfn, b"far")
    jdl = f"""Executable = "/bin/ls"; StdOutput = "o"; InputData = "LFN:{lfn}";
        InputDataPolicy = "DIRAC.WorkloadManagementSystem.Client.InputDataByProtocol";
        OutputSandbox = {{"o", "InputData.json", "pool_xml_catalog.xml"}};"""
    job_id = submit(client, tmp_path, jdl)

    run(endpoint, tmp_path)

    files = output(client, job_id, tmp_path)
    url = f"{endpoint.url}/storage/LOCAL-disk{lfn}"
    assert json.loads(files["InputData.json"])[lfn]["urls"] == [url]
    assert f'name="{url}"' in files["pool_xml_catalog.xml"]
    assert lfn.rpartition("/")[2] not in files["o"]


def test_a_payloads_own_requests_are_put_and_those_that_are_none_are_not(
    endpoint: Endpoint, client: Client, storage: Storage, tmp_path: Path
) -> None:
    operation = {"Type": "RemoveFile", "Order": 0, "Files": [{"LFN": f"{OWN}/old"}]}
    script = "#!/bin/sh\ncat >my_request.json <<'E'\n%s\nE\necho '{' >bad_request.json\n"
    jdl = 'Executable = "asks.sh"; InputSandbox = "asks.sh"; StdOutput = "o"; OutputSandbox = "o";'
    job_id = submit(client, tmp_path, jdl, asks_sh=script % json.dumps({"Operations": [operation]}))

    run(endpoint, tmp_path)

    assert ended(client, job_id)[:2] == ("Completed", "Pending Requests")
    number = storage.call("ReqManager", "getRequestIDsForJobs", [job_id])["Successful"][str(job_id)]
    request = json.loads(storage.call("ReqManager", "peekRequest", number))
    assert [(one["Type"], one["Files"][0]["LFN"]) for one in request["Operations"]] == [("RemoveFile", f"{OWN}/old")]


def test_data_of_a_job_behind_a_queue_move_before_and_after_it(
    endpoint: Endpoint, client: Client, storage: Storage, tmp_path: Path
) -> None:
    lfn = f"{OWN}/push/{uuid.uuid4().hex}.txt"
    storage.add(lfn, b"for another node\n")
    jdl = f"""Executable = "/bin/cp"; Arguments = "{lfn.rpartition("/")[2]} copy.txt"; InputData = "{lfn}";
        OutputData = "copy.txt";"""
    job_id = submit(client, tmp_path, jdl)
    batch = {"BatchSystem": "Host", "SharedArea": tmp_path / "area", "StatusInterval": 0.2}

    with PushPilot(endpoint, tmp_path, batch) as pilot:
        assert pilot.ended() == 0, pilot.written()

    assert ended(client, job_id)[0] == "Done", ended(client, job_id)
    assert storage.send("GET", f"{OWN}/{job_id // 1000}/{job_id}/copy.txt").content == b"for another node\n"
