"""One server for all contract cases: the local WMS, or the one that GRIDPILOT_CONTRACT_ENDPOINT names.

The variable holds the path of an `endpoint.json` with the keys that the local WMS writes, or that
`tests/clusters/dirac/up.sh` does. Four more may stand in it: `matcher_https`, `pilot_manager_https`, `catalogue_https`,
since DIRAC 9 publishes these services as dips only, and `stranger_proxy`, of somebody who is not in the Registry.
"""

import base64
import json
import os
import re
import time
import uuid
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from agents.local_wms.authority import open_authority, write_private
from agents.local_wms.testing import running
from tests.kept_keys import kept_keys

__all__ = ["kept_keys"]

VARIABLE = "GRIDPILOT_CONTRACT_ENDPOINT"
TIMEOUT_S = 30
DEADLINE_S = 60
NO_MATCH = 1510


class Wms:
    """A server as its clients see it: URLs from its Configuration, forms in, JSON out."""

    def __init__(self, endpoint: dict[str, Any]) -> None:
        self.endpoint = endpoint
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = endpoint["ca_dir"]
        self.urls = {"Configuration": endpoint["configuration"]}
        self.urls |= {**self._published(), **_over_https(endpoint)}

    def _published(self) -> dict[str, str]:
        text = self.configuration()
        systems = "WorkloadManagement|DataManagement|RequestManagement"
        return dict(re.findall(rf"^\s*(\w+) = (https://\S+/(?:{systems})/\S+)$", text, re.MULTILINE))

    def configuration(self) -> str:
        packed = self.value("pilot", "Configuration", "getCompressedData")
        return zlib.decompress(base64.b64decode(packed)).decode()

    def post(self, who: str, service: str, form: dict[str, str], path: str = "") -> requests.Response:
        """Send a form; `who` is user, admin, pilot, stranger or nobody."""
        cert = None if who == "nobody" else self.endpoint[f"{who}_proxy"]
        url = self.urls[service] if not path else self.urls[service].rsplit("/", 2)[0] + path
        # no cookie, no connection is shared between people: the certificate belongs to the connection
        headers = {"Connection": "close"}
        return self.session.post(url, data=form, cert=cert, headers=headers, timeout=TIMEOUT_S)

    def call(self, who: str, service: str, method: str, *arguments: Any) -> dict[str, Any]:
        """Call a method; the whole S_OK or S_ERROR comes back."""
        reply = self.post(who, service, {"method": method, "args": json.dumps(arguments)})
        assert (reply.status_code, reply.headers["Content-Type"].partition(";")[0]) == (200, "application/json")
        answer: dict[str, Any] = reply.json()
        return answer

    def value(self, who: str, service: str, method: str, *arguments: Any) -> Any:
        """Call a method that must succeed; the value comes back."""
        answer = self.call(who, service, method, *arguments)
        assert answer["OK"], answer
        return answer["Value"]

    def waiting_job(self, jdl: str = "") -> "Job":
        """Submit a job that only its own offer can match, wait until it is Waiting."""
        tag = f"contract{uuid.uuid4().hex}"
        text = f'Executable = "/bin/echo"; JobName = "contract"; CPUTime = 300; Tags = {{"{tag}"}}; {jdl}'
        job = Job(self, self.value("user", "JobManager", "submitJob", text), tag)
        deadline = time.monotonic() + DEADLINE_S
        while job.status() != "Waiting":  # DIRAC's optimizers need a moment
            assert time.monotonic() < deadline, f"job {job.job_id} is {job.status()} after {DEADLINE_S} s"
            time.sleep(0.2)
        return job

    def matched_job(self) -> "Job":
        """Submit a job and let the pilot have it."""
        job = self.waiting_job()
        self.match(job)
        return job

    def match(self, job: "Job", **more: Any) -> dict[str, Any]:
        """Ask for a job that waits until it is given; what comes with it is returned.

        DIRAC's Matcher looks at ten task queues in random order, empty ones too, so that it may miss one.
        """
        deadline = time.monotonic() + DEADLINE_S
        while True:
            answer = self.call("pilot", "Matcher", "requestJob", job.offer(**more))
            if answer["OK"]:
                matched: dict[str, Any] = answer["Value"]
                return matched
            assert answer["Errno"] == NO_MATCH, answer
            assert time.monotonic() < deadline, f"job {job.job_id} was not matched within {DEADLINE_S} s"
            time.sleep(0.2)

    def queues(self, job: "Job") -> dict[str, Any]:
        """Ask for the task queues of a job until there is one: DIRAC says Waiting a moment before it is in any."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            queues: dict[str, Any] = self.value("pilot", "Matcher", "getMatchingTaskQueues", job.offer())
            if queues:
                return queues
            assert time.monotonic() < deadline, f"job {job.job_id} was in no task queue within {DEADLINE_S} s"
            time.sleep(0.2)

    def running_job(self) -> "Job":
        """Submit a job, match it, report it as Running."""
        job = self.matched_job()
        self.value("pilot", "JobStateUpdate", "setJobStatus", job.job_id, "Running", "Application", "JobWrapper")
        return job


def _over_https(endpoint: dict[str, Any]) -> dict[str, str]:
    keys = {"Matcher": "matcher_https", "PilotManager": "pilot_manager_https", "FileCatalog": "catalogue_https"}
    return {service: endpoint[key] for service, key in keys.items() if key in endpoint}


class Job:
    """A job of a contract case."""

    def __init__(self, wms: Wms, job_id: int, tag: str) -> None:
        self.wms = wms
        self.job_id = job_id
        self.tag = tag

    def offer(self, **more: Any) -> dict[str, Any]:
        """Return a slot that only this job fits."""
        place = {
            "Site": self.wms.endpoint["site"],
            "GridCE": self.wms.endpoint["ce"],
            "Queue": self.wms.endpoint["queue"],
        }
        size = {"CPUTime": 86400, "NumberOfProcessors": 2, "MaxRAM": 4096}
        return {**place, **size, "Tag": [self.tag], "RequiredTag": [self.tag], "PilotInfoReportedFlag": True, **more}

    def status(self) -> str:
        """Return the major status."""
        statuses = self.wms.value("user", "JobMonitoring", "getJobsStatus", self.job_id)
        return str(statuses[str(self.job_id)]["Status"])


@pytest.fixture(scope="session")
def wms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wms]:
    named = os.environ.get(VARIABLE)
    if named:
        yield from _closed(Wms(json.loads(Path(named).read_text())))
        return
    home = tmp_path_factory.mktemp("contract")
    with running(home):
        endpoint = json.loads((home / "endpoint.json").read_text())
        yield from _closed(Wms({**endpoint, "stranger_proxy": _stranger(home)}))


def _closed(wms: Wms) -> Iterator[Wms]:
    with wms.session:
        yield wms


def _stranger(home: Path) -> str:
    authority = open_authority(home / "authority", lambda: datetime.now(UTC))
    path = home / "stranger.pem"
    write_private(path, authority.delegate(authority.issue("Somebody"), None).pem())
    return str(path)


@pytest.fixture
def running_job(wms: Wms) -> Job:
    return wms.running_job()
