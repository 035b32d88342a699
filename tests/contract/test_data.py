"""DIRAC 9.1.22 over https: the FileCatalog and the ReqManager, where the server has them."""

import json
import uuid
from typing import Any

import pytest


@pytest.fixture
def catalog(wms: Any) -> Any:
    if "FileCatalog" not in wms.urls:
        pytest.skip("the server publishes no FileCatalog over https")
    return lambda method, *arguments, who="user": wms.value(who, "FileCatalog", method, *arguments)


@pytest.fixture
def requests_of(wms: Any) -> Any:
    if "ReqManager" not in wms.urls:
        pytest.skip("the server publishes no ReqManager over https")
    return lambda method, *arguments: wms.value("user", "ReqManager", method, *arguments)


def _lfn(wms: Any) -> str:
    who = wms.value("user", "FileCatalog", "whoami")["username"]
    return f"/{wms.endpoint['vo']}/user/{who[0]}/{who}/contract/{uuid.uuid4().hex}.root"


def _info(**more: Any) -> dict[str, Any]:
    plain = {"PFN": "https://localhost/x", "Size": 300_000, "SE": "LOCAL-disk", "Checksum": "0447b758"}
    return {**plain, "GUID": str(uuid.uuid4()).upper(), **more}


def test_an_unknown_file_is_failed_in_replicas_and_metadata_and_false_in_exists(wms: Any, catalog: Any) -> None:
    lfn = _lfn(wms)

    for method, argument in (("getReplicas", [lfn]), ("getFileMetadata", {lfn: True})):
        assert catalog(method, argument) == {"Successful": {}, "Failed": {lfn: "No such file or directory"}}
    assert catalog("exists", {lfn: str(uuid.uuid4())}) == {"Successful": {lfn: False}, "Failed": {}}


def test_a_file_that_was_added_has_its_metadata_and_replica(wms: Any, catalog: Any) -> None:
    lfn, info = _lfn(wms), _info()

    assert catalog("addFile", {lfn: info}) == {"Successful": {lfn: True}, "Failed": {}}

    assert list(catalog("getReplicas", [lfn], False)["Successful"][lfn]) == [info["SE"]]
    told = catalog("getFileMetadata", {lfn: True})["Successful"][lfn]
    assert (told["Size"], told["Checksum"], told["ChecksumType"]) == (300_000, "0447b758", "Adler32")
    assert (told["GUID"], type(told["FileID"]), told["Status"]) == (info["GUID"], int, "AprioriGood")
    assert {"Owner", "OwnerGroup", "UID", "GID", "Mode", "CreationDate", "ModificationDate"} <= set(told)


def test_adding_the_same_again_is_well_and_other_content_is_not(wms: Any, catalog: Any) -> None:
    lfn, info = _lfn(wms), _info()
    catalog("addFile", {lfn: info})

    again = catalog("addFile", {lfn: info})
    other = catalog("addFile", {lfn: {**info, "Size": 5, "Checksum": "00000001"}})

    assert again == {"Successful": {lfn: True}, "Failed": {}}
    assert other == {"Successful": {}, "Failed": {lfn: "File already registered with alternative metadata"}}


def test_exists_names_the_file_with_the_same_guid(wms: Any, catalog: Any) -> None:
    lfn, other, info = _lfn(wms), _lfn(wms), _info()
    catalog("addFile", {lfn: info})

    assert catalog("exists", {lfn: info["GUID"]})["Successful"] == {lfn: lfn}
    assert catalog("exists", {other: info["GUID"]})["Successful"][other] in (lfn, False)  # where GUIDs are unique


def test_a_second_replica_is_added_and_removed(wms: Any, catalog: Any) -> None:
    lfn = _lfn(wms)
    catalog("addFile", {lfn: _info()})

    assert catalog("addReplica", {lfn: {"PFN": "https://localhost/y", "SE": "FAR-disk"}})["Failed"] == {}
    assert set(catalog("getReplicas", [lfn])["Successful"][lfn]) == {"LOCAL-disk", "FAR-disk"}
    assert catalog("removeReplica", {lfn: {"PFN": "", "SE": "FAR-disk"}})["Failed"] == {}
    assert set(catalog("getReplicas", [lfn])["Successful"][lfn]) == {"LOCAL-disk"}


def test_who_may_add_a_file(wms: Any, catalog: Any) -> None:
    lfn = _lfn(wms)

    assert catalog("hasAccess", {lfn: True}, "addFile") == {"Successful": {lfn: True}, "Failed": {}}


def _request(wms: Any, **more: Any) -> dict[str, Any]:
    file = {"Status": "Waiting", "LFN": "/x/y", "ChecksumType": "ADLER32", "Checksum": "03de014d", "Size": 4}
    operation = {"Type": "ReplicateAndRegister", "Status": "Waiting", "Order": 0, "TargetSE": "LOCAL-disk"}
    operations = [{**operation, "SourceSE": "FAR-disk", "Files": [{**file, "Attempt": 0}]}]
    whole = {"RequestName": f"contract_{uuid.uuid4().hex}", "Status": "Waiting", "Operations": operations}
    return {**whole, "SourceComponent": "Job_1", **more}


def test_a_request_that_was_put_is_found_by_its_job_and_name(wms: Any, requests_of: Any) -> None:
    job_id = wms.value("user", "JobManager", "submitJob", 'Executable = "/bin/true"; Tags = {"contract-of-nobody"};')
    request = _request(wms, JobID=job_id)

    number = requests_of("putRequest", json.dumps(request))

    assert requests_of("getRequestIDsForJobs", [job_id]) == {"Successful": {str(job_id): number}, "Failed": {}}
    assert requests_of("getRequestIDForName", request["RequestName"]) == number
    assert requests_of("getRequestStatus", number) == "Waiting"


def test_a_request_without_what_its_operation_needs_is_refused(wms: Any, requests_of: Any) -> None:
    request = _request(wms)
    del request["Operations"][0]["TargetSE"]

    answer = wms.call("user", "ReqManager", "putRequest", json.dumps(request))

    assert not answer["OK"]
    assert "TargetSE" in answer["Message"]


def test_a_request_of_somebody_else_is_refused(wms: Any, requests_of: Any) -> None:
    answer = wms.call("user", "ReqManager", "putRequest", json.dumps(_request(wms, Owner="somebody", OwnerGroup="x")))

    assert not answer["OK"]
    assert "Credentials in the requests are not allowed" in answer["Message"]
