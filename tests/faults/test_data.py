"""Scenarios 2 and 27 with output data: the agent dies at each step of a file; the catalogue goes after the put."""

import json
import os
import re
import signal
import time
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import requests

from agents.local_wms.home import Endpoint
from agents.local_wms.services.configuration import local_tree
from tests.faults import fault_kinds, invariants
from tests.faults.fault_proxy import Exchange, before
from tests.faults.payloads import SHORT
from tests.faults.scene import AGENT, BACK, Options, Process, Scene
from tests.faults.test_crash_points import CRASH_POINT, ROOT

OWN = "/localvo/user/l/localuser"
CONTENT = "what the payload found\n"
BODY = f"{SHORT}; printf 'what the payload found\\n' >out.root"
DOWN = {"/Resources/StorageElements/LOCAL-disk/WebDAV/Port": "1"}
DATA = ("DataManagement/FileCatalog", "RequestManagement/ReqManager", "Framework/ProxyManager", "Configuration/Server")
ORDINARY = 4  # measured, storing, stored, registered
FAILED_OVER = 7  # measured, storing, storing elsewhere, stored, registered, requesting, requested


def data_options(endpoint: Endpoint) -> dict[str, str]:
    """Return what the local WMS publishes of data and owners, as options of an agent's own configuration."""
    found: dict[str, str] = {}

    def add(tree: Mapping[str, Any], path: str) -> None:
        for name, value in tree.items():
            if isinstance(value, Mapping):
                add(value, f"{path}/{name}")
            else:
                found[f"{path}/{name}"] = str(value)

    tree = local_tree(endpoint.url, "1", DATA)
    for part in ("Operations", "Resources", "Registry"):
        add({part: tree[part]}, "")
    for service in DATA[:3]:
        system, _, name = service.partition("/")
        found[f"/Systems/{system}/URLs/{name}"] = f"{endpoint.url}/{system}/Tornado{name}"
    return found


class Catalogue:
    """What the owner finds in catalogue, elements and ReqManager afterwards."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._url = endpoint.url
        self._session = requests.Session()
        self._session.trust_env, self._session.verify = False, endpoint.ca_dir
        self._session.cert = endpoint.user_proxy

    def call(self, path: str, method: str, *arguments: Any) -> Any:
        form = {"method": method, "args": json.dumps(arguments)}
        return self._session.post(f"{self._url}/{path}", data=form, timeout=60).json()

    def add(self, lfn: str, element: str) -> None:
        """Make a file known that is nowhere."""
        info = {"PFN": "", "Size": 4, "SE": element, "GUID": str(uuid.uuid4()), "Checksum": "03de014d"}
        answer = self.call("DataManagement/TornadoFileCatalog", "addFile", {lfn: info})
        assert not answer["Value"]["Failed"], answer

    def replicas(self, lfn: str) -> set[str]:
        answer = self.call("DataManagement/TornadoFileCatalog", "getReplicas", [lfn])
        return set(answer["Value"]["Successful"].get(lfn, {}))

    def checksum(self, lfn: str) -> str:
        answer = self.call("DataManagement/TornadoFileCatalog", "getFileMetadata", [lfn])
        return str(answer["Value"]["Successful"][lfn]["Checksum"])

    def content(self, lfn: str, element: str) -> bytes:
        return self._session.get(f"{self._url}/storage/{element}{lfn}", timeout=60).content

    def make_folders(self, lfn: str, element: str) -> None:
        """Make the folders above a file, so that the first PUT of it is the one that is taken."""
        parts = lfn.split("/")[1:-1]
        for depth in range(2, len(parts) + 1):
            folder = f"{self._url}/storage/{element}/{'/'.join(parts[:depth])}"
            assert self._session.request("MKCOL", folder, timeout=60).status_code in (201, 405), folder

    def lies_at(self, lfn: str, element: str) -> list[str]:
        """Return the names of what lies at an element where a file belongs, also of what was to become it."""
        folder = f"{self._url}/storage/{element}{lfn.rpartition('/')[0]}/"
        answer = self._session.request("PROPFIND", folder, headers={"Depth": "1"}, timeout=60)
        found = re.findall(r"<D:href>([^<]*)</D:href><D:propstat><D:prop><D:resourcetype/>", answer.text)
        return [] if answer.status_code == 404 else [unquote(one.rpartition("/")[2]) for one in found]

    def requests_named(self, name: str) -> Any:
        """Return the number of the one request of this name; a sentence where there is none, or more than one."""
        answer = self.call("RequestManagement/TornadoReqManager", "getRequestIDForName", name)
        return answer.get("Value", answer.get("Message"))


def name_of_request(scene: Scene, job_id: int) -> str:
    return scene.status(job_id)["PendingRequest"].partition("\n")[0].removeprefix("Name:")


def owners(endpoint: Endpoint) -> Endpoint:
    """Return an endpoint before which a fault proxy shows the owner's credential, as whoever moves data does."""
    return replace(endpoint, pilot_proxy=endpoint.user_proxy)


def survives(endpoint: Endpoint, folder: Path, number: int, when: str, more: Mapping[str, str]) -> None:
    """Let an agent die at a step of a job's output file, and another one go on: once and whole it is there."""
    folder.mkdir()
    scene = Scene(endpoint, folder)
    try:
        options = {**data_options(endpoint), **more}
        job_id = scene.submit(BODY, 'OutputData = "out.root";')
        environment = {
            "PYTHONPATH": os.pathsep.join([str(CRASH_POINT), str(ROOT)]),
            "GRIDPILOT_CRASH_AT": f"{number}:{when}",
            "GRIDPILOT_CRASH_STEPS": "save_uploads",
        }
        died = scene.agent(Options(more=options, environment=environment)).ended() == -signal.SIGKILL
        assert died, f"there is no step {number}"
        assert scene.agent(Options(more=options)).ended() == 0, scene.processes[-1].written()

        at, element = f"{when} step {number}", "FAR-disk" if more else "LOCAL-disk"
        lfn, there = f"{OWN}/{job_id // 1000}/{job_id}/out.root", Catalogue(endpoint)
        assert scene.status(job_id)["Status"] == ("Completed" if more else "Done"), f"{at}: {scene.history(job_id)}"
        assert there.replicas(lfn) == {element}, at
        assert there.content(lfn, element) == CONTENT.encode(), at
        assert there.checksum(lfn) == f"{zlib.adler32(CONTENT.encode()):08x}", at
        if more:
            assert isinstance(there.requests_named(name_of_request(scene, job_id)), int), at
        invariants.check(scene)
    finally:
        scene.close()


@pytest.mark.long
@pytest.mark.scenario(2, "SIGKILL of the agent at every step of an output file, before and after it is written")
@pytest.mark.parametrize("when", ["before", "after"])
def test_output_file_is_stored_and_registered_once(endpoint: Endpoint, tmp_path: Path, when: str) -> None:
    for number in range(1, ORDINARY + 1):
        survives(endpoint, tmp_path / str(number), number, when, {})


@pytest.mark.long
@pytest.mark.scenario(2, "the same while the job's element is down: failover and a request")
@pytest.mark.parametrize("when", ["before", "after"])
def test_output_file_has_one_replica_elsewhere_and_one_request(endpoint: Endpoint, tmp_path: Path, when: str) -> None:
    for number in range(1, FAILED_OVER + 1):
        survives(endpoint, tmp_path / str(number), number, when, DOWN)


@pytest.mark.scenario(27, "the catalogue is away after the put, then registers without an answer")
def test_output_file_is_registered_when_the_catalogue_is_back(scene: Scene, endpoint: Endpoint) -> None:
    job_id = scene.submit(BODY, 'OutputData = "out.root";')

    with before(owners(endpoint)) as proxy:
        proxy.on("addFile", *[fault_kinds.status(503)] * 6, fault_kinds.cut_after)
        urls = {"/Systems/DataManagement/URLs/FileCatalog": f"{proxy.url}/DataManagement/TornadoFileCatalog"}
        assert scene.agent(Options(more=data_options(endpoint) | urls)).ended(150) == 0

    lfn = f"{OWN}/{job_id // 1000}/{job_id}/out.root"
    assert scene.status(job_id)["Status"] == "Done"
    assert Catalogue(endpoint).replicas(lfn) == {"LOCAL-disk"}
    invariants.check(scene)


@pytest.mark.scenario(27, "the job's element refuses a file, breaks off, spoils it, or takes it without an answer")
@pytest.mark.parametrize("fault", ["refuses", "breaks off", "spoils", "says nothing"])
def test_output_file_goes_elsewhere_and_nothing_of_it_is_left(scene: Scene, endpoint: Endpoint, fault: str) -> None:
    faults = {
        "refuses": fault_kinds.status(507),
        "breaks off": fault_kinds.cut_before,
        "spoils": fault_kinds.spoiled,
        "says nothing": fault_kinds.cut_after,
    }
    job_id = scene.submit(BODY, 'OutputData = "out.root";')
    lfn, there = f"{OWN}/{job_id // 1000}/{job_id}/out.root", Catalogue(endpoint)
    there.make_folders(lfn, "LOCAL-disk")
    with before(owners(endpoint)) as proxy:
        proxy.on("PUT", faults[fault])
        port = {"/Resources/StorageElements/LOCAL-disk/WebDAV/Port": str(urlsplit(proxy.url).port)}
        assert scene.agent(Options(more=data_options(endpoint) | port)).ended() == 0
        assert proxy.count("PUT") >= 1, "the element was not asked"

    assert scene.status(job_id)["Status"] == "Completed", scene.history(job_id)  # without the fault it were Done
    assert there.replicas(lfn) == {"FAR-disk"}
    assert there.content(lfn, "FAR-disk") == CONTENT.encode()
    assert there.lies_at(lfn, "LOCAL-disk") == []
    invariants.check(scene)


def whose_name_is_taken(scene: Scene, endpoint: Endpoint, **environment: str) -> tuple[int, int]:
    """Let somebody register an output file's name after it was put; the job, and the exit code of its first agent."""
    job_id, there = scene.submit(BODY, 'OutputData = "out.root";'), Catalogue(endpoint)
    lfn = f"{OWN}/{job_id // 1000}/{job_id}/out.root"

    def taken(exchange: Exchange) -> None:
        there.add(lfn, "FAR-disk")
        exchange.answer(exchange.forward())

    with before(owners(endpoint)) as proxy:
        proxy.on("addFile", taken)
        urls = {"/Systems/DataManagement/URLs/FileCatalog": f"{proxy.url}/DataManagement/TornadoFileCatalog"}
        more = data_options(endpoint) | urls
        code = scene.agent(Options(more=more, environment=environment)).ended()
        if code:
            assert there.replicas(lfn) == {"FAR-disk"}, "it died before the name was taken"
            assert scene.agent(Options(more=more)).ended() == 0, scene.processes[-1].written()
        assert proxy.count("addFile") >= 1, "nothing was to be registered"
    assert scene.status(job_id)["Status"] == "Failed", scene.history(job_id)
    assert scene.status(job_id)["ApplicationStatus"].startswith("LFN exists with other content")
    assert there.replicas(lfn) == {"FAR-disk"}
    assert there.lies_at(lfn, "LOCAL-disk") == []
    return job_id, code


@pytest.mark.quick
@pytest.mark.scenario(27, "somebody registers an output file's name after the put")
def test_output_file_is_taken_away_from_its_element_again(scene: Scene, endpoint: Endpoint) -> None:
    job_id, _ = whose_name_is_taken(scene, endpoint)
    invariants.check(scene, without_data=[job_id])


@pytest.mark.scenario(2, "SIGKILL of the agent at each step of taking away a file whose name was taken meanwhile")
@pytest.mark.parametrize("at", ["4:before", "4:after", "5:before", "5:after"])
def test_output_file_is_taken_away_by_the_next_agent(scene: Scene, endpoint: Endpoint, at: str) -> None:
    environment = {
        "PYTHONPATH": os.pathsep.join([str(CRASH_POINT), str(ROOT)]),
        "GRIDPILOT_CRASH_AT": at,
        "GRIDPILOT_CRASH_STEPS": "save_uploads",
    }
    job_id, code = whose_name_is_taken(scene, endpoint, **environment)
    assert code == -signal.SIGKILL, f"there is no step {at}"
    invariants.check(scene, without_data=[job_id])


@pytest.mark.scenario(11, "SIGTERM while the catalogue is away after the put")
def test_output_file_is_left_to_a_request_when_the_slot_ends(scene: Scene, endpoint: Endpoint) -> None:
    job_id = scene.submit(BODY, 'OutputData = "out.root";')
    lfn, there = f"{OWN}/{job_id // 1000}/{job_id}/out.root", Catalogue(endpoint)

    with before(owners(endpoint)) as proxy:
        proxy.always("addFile", fault_kinds.status(503))
        urls = {"/Systems/DataManagement/URLs/FileCatalog": f"{proxy.url}/DataManagement/TornadoFileCatalog"}
        agent = scene.agent(Options(more=data_options(endpoint) | urls))
        scene.until(lambda: proxy.count("addFile") > 0, "the file is stored")
        agent.signal(signal.SIGTERM)
        assert agent.ended(90) == 0

    assert scene.status(job_id)["Status"] == "Completed", scene.history(job_id)
    assert isinstance(there.requests_named(name_of_request(scene, job_id)), int)
    assert (there.replicas(lfn), there.lies_at(lfn, "LOCAL-disk")) == (set(), ["out.root"])
    invariants.check(scene)


def waits_for_its_input(scene: Scene, endpoint: Endpoint) -> tuple[int, Process]:
    """Return a job that is being staged, for the only element that holds its file is down; and its agent."""
    lfn = f"{OWN}/in/{uuid.uuid4().hex}"
    Catalogue(endpoint).add(lfn, "LOCAL-disk")
    job_id = scene.submit(SHORT, f'InputData = "LFN:{lfn}";')
    more = {**data_options(endpoint), **DOWN, f"{AGENT}/HeartBeatPeriod": "1"}
    agent = scene.agent(Options(more=more))
    scene.until(lambda: scene.status(job_id)["MinorStatus"] == "Input Data Resolution", "its input is waited for")
    scene.until(lambda: scene.status(job_id)["ApplicationStatus"].startswith("Downloading input data: 0 of 1"), "told")
    return job_id, agent


@pytest.mark.scenario(5, "the owner kills a job whose input data are waited for")
def test_job_that_is_killed_while_its_files_move_ends_at_once(scene: Scene, endpoint: Endpoint) -> None:
    job_id, agent = waits_for_its_input(scene, endpoint)
    killed_at = time.monotonic()

    scene.client.call("JobManager", "killJob", job_id)

    assert agent.ended(45) == 0, "it waits for files that nobody wants"
    assert time.monotonic() - killed_at < 45
    assert scene.status(job_id)["Status"] == "Killed"
    assert not scene.has_begun(job_id)
    invariants.check(scene)


@pytest.mark.scenario(11, "SIGTERM while input data are waited for")
def test_job_whose_files_move_is_given_back_when_the_slot_ends(scene: Scene, endpoint: Endpoint) -> None:
    job_id, agent = waits_for_its_input(scene, endpoint)

    agent.signal(signal.SIGTERM)

    assert agent.ended(45) == 0
    scene.until(lambda: scene.statuses()[job_id] in BACK, "it is given back")
    scene.client.call("JobManager", "killJob", job_id)
    assert not scene.has_begun(job_id)
    invariants.check(scene)
