"""Keeps requests and executes none (RequestManagementSystem/Service/ReqManagerHandler); they can be looked at."""

import json
from collections.abc import Mapping
from typing import Any

from agents.local_wms.jobs import Jobs
from agents.local_wms.registry import GENERIC_PILOT, JOB_ADMINISTRATOR
from agents.local_wms.services.base import Caller, Refusal, Service, exported
from ce_backends.untrusted import strict_json

# what each kind of operation has to name (RequestManagementSystem/private/RequestValidator)
_TRANSFER = ("TargetSE", "LFN")
WANTED: Mapping[str, tuple[str, ...]] = {
    "ForwardDISET": ("Arguments",),
    "ReplicateAndRegister": _TRANSFER,
    "RemoveReplica": _TRANSFER,
    "PhysicalRemoval": _TRANSFER,
    "RemoveFile": ("LFN",),
    "PutAndRegister": (*_TRANSFER, "PFN"),
    "RegisterFile": ("LFN", "PFN", "ChecksumType", "Checksum"),
    "RegisterReplica": (*_TRANSFER, "PFN", "ChecksumType", "Checksum"),
    "ReTransfer": (*_TRANSFER, "PFN"),
}


class ReqManager(Service):
    """Serves everybody who is known."""

    name = "RequestManagement/ReqManager"

    def __init__(self, jobs: Jobs) -> None:
        self._database = jobs.database

    @exported("putRequest")
    def put_request(self, caller: Caller, text: str) -> int:
        """Take a request; it is the caller's, unless he may speak for others. Return its number."""
        request = self._validated(text)
        owner, group = request.get("Owner") or caller.username, request.get("OwnerGroup") or caller.group
        may_speak = not caller.properties.isdisjoint({GENERIC_PILOT, JOB_ADMINISTRATOR})
        if (owner, group) != (caller.username, caller.group) and not may_speak:
            raise Refusal("Credentials in the requests are not allowed")
        job_id = int(request.get("JobID") or 0)
        return self._database.run(
            "INSERT INTO Requests (RequestName, JobID, Owner, OwnerGroup, Status, Body) VALUES (?, ?, ?, ?, ?, ?)",
            *(str(request["RequestName"]), job_id, owner, group, str(request.get("Status") or "Waiting"), text),
        )

    def _validated(self, text: str) -> dict[str, Any]:
        try:
            request = strict_json.read(text)
        except ValueError as error:
            raise Refusal(f"not a request: {error}") from error
        if not isinstance(request, dict) or not request.get("RequestName"):
            raise Refusal("RequestName not set")
        if not request.get("Operations"):
            raise Refusal(f"Operations not present in request '{request['RequestName']}'")
        for operation in request["Operations"]:
            _check(request["RequestName"], operation)
        return request

    @exported("getRequestIDsForJobs")
    def of_jobs(self, _caller: Caller, job_ids: list[int]) -> dict[str, dict[int, Any]]:
        """Return the number of each job's request."""
        query = "SELECT MAX(RequestID) FROM Requests WHERE JobID = ?"
        rows = {job: self._database.value(query, job) for job in job_ids}
        missing = {job: "Request not found" for job, number in rows.items() if number is None}
        return {"Successful": {job: n for job, n in rows.items() if n is not None}, "Failed": missing}

    @exported("readRequestsForJobs")
    def read_of_jobs(self, _caller: Caller, job_ids: list[int]) -> dict[str, dict[int, Any]]:
        """Return each job's request, as JSON."""
        query = "SELECT Body FROM Requests WHERE JobID = ? ORDER BY RequestID DESC"
        rows = {job: self._database.value(query, job) for job in job_ids}
        missing = {job: "Request not found" for job, text in rows.items() if text is None}
        return {"Successful": {job: text for job, text in rows.items() if text is not None}, "Failed": missing}

    @exported("getRequestIDForName")
    def by_name(self, _caller: Caller, name: str) -> int:
        """Return the number of the one request of this name."""
        rows = self._database.rows("SELECT RequestID FROM Requests WHERE RequestName = ?", name)
        if not rows:
            raise Refusal(f"No such request {name}")
        if len(rows) > 1:
            raise Refusal(f"RequestName {name} not unique ({len(rows)} matches)")
        return int(rows[0]["RequestID"])

    @exported("getRequestStatus")
    def status(self, _caller: Caller, request_id: int) -> str:
        """Return a request's status."""
        found = self._database.value("SELECT Status FROM Requests WHERE RequestID = ?", request_id)
        if found is None:
            raise Refusal(f"Request {request_id} does not exist")
        return str(found)

    @exported("peekRequest")
    def peek(self, _caller: Caller, request_id: int) -> str:
        """Return a request as JSON."""
        found = self._database.value("SELECT Body FROM Requests WHERE RequestID = ?", request_id)
        if found is None:
            raise Refusal(f"Request {request_id} does not exist")
        return json.dumps({**json.loads(found), "RequestID": request_id})


def _check(name: str, operation: dict[str, Any]) -> None:
    kind = str(operation.get("Type"))
    if kind not in WANTED:
        raise Refusal(f"Operation #{operation.get('Order')} in request '{name}' hasn't got a known Type: {kind}")
    files = operation.get("Files") or []
    if kind != "ForwardDISET" and not files:
        raise Refusal(f"Operation #{operation.get('Order')} of type '{kind}' hasn't got files to process")
    for attribute in WANTED[kind]:
        holders = [operation] if attribute in ("TargetSE", "Arguments") else files
        if not all(holder.get(attribute) for holder in holders):
            raise Refusal(f"Operation #{operation.get('Order')} of type '{kind}' is missing {attribute} attribute")
