"""Scenarios 2 and 27 with output data: the agent dies at each step of a file; the catalogue goes after the put."""

import json
import os
import signal
import time
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from agents.local_wms.home import Endpoint
from agents.local_wms.services.configuration import local_tree
from tests.faults import fault_kinds, invariants
from tests.faults.fault_proxy import before
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

    def requests_named(self, name: str) -> Any:
        """Return the number of the one request of this name; a sentence where there is none, or more than one."""
        answer = self.call("RequestManagement/TornadoReqManager", "getRequestIDForName", name)
        return answer.get("Value", answer.get("Message"))


def name_of_request(scene: Scene, job_id: int) -> str:
    return scene.status(job_id)["PendingRequest"].partition("\n")[0].removeprefix("Name:")


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

    with before(replace(endpoint, pilot_proxy=endpoint.user_proxy)) as proxy:  # it shows one credential: the owner's
        proxy.on("addFile", *[fault_kinds.status(503)] * 6, fault_kinds.cut_after)
        urls = {"/Systems/DataManagement/URLs/FileCatalog": f"{proxy.url}/DataManagement/TornadoFileCatalog"}
        assert scene.agent(Options(more=data_options(endpoint) | urls)).ended(150) == 0

    lfn = f"{OWN}/{job_id // 1000}/{job_id}/out.root"
    assert scene.status(job_id)["Status"] == "Done"
    assert Catalogue(endpoint).replicas(lfn) == {"LOCAL-disk"}
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
