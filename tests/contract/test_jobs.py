"""DIRAC 9.1.22 over https: jobs from submission to their end."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest


def test_submit_answers_with_the_id_twice(wms: Any) -> None:
    answer = wms.call("user", "JobManager", "submitJob", 'Executable = "/bin/true"; Tags = {"contract-of-nobody"};')

    assert isinstance(answer["Value"], int)
    assert answer["JobID"] == answer["Value"]
    assert isinstance(answer["requireProxyUpload"], bool)


def test_no_match_is_1510(wms: Any) -> None:
    offer = {"Site": wms.endpoint["site"], "CPUTime": 100, "Tag": ["nobody"], "RequiredTag": ["nobody"]}

    answer = wms.call("pilot", "Matcher", "requestJob", offer)

    assert (answer["OK"], answer["Errno"], answer["Message"]) == (False, 1510, "No match found ( 1510 : )")


def test_an_offer_that_is_no_dictionary_is_http_500(wms: Any) -> None:
    form = {"method": "requestJob", "args": '["[]"]'}

    assert wms.post("pilot", "Matcher", form).status_code == 500


def test_an_offer_without_site_is_an_error_without_number(wms: Any) -> None:
    answer = wms.call("pilot", "Matcher", "requestJob", {"CPUTime": 10})

    assert (answer["OK"], answer["Errno"], answer["Message"]) == (False, 0, "Error requesting job")


def test_a_match_has_these_keys_and_types(wms: Any) -> None:
    job = wms.waiting_job()

    match = wms.match(job)

    assert (match["JobID"], match["PilotInfoReportedFlag"]) == (job.job_id, True)
    assert {key: type(match[key]) for key in ("JDL", "Owner", "Group")} == {"JDL": str, "Owner": str, "Group": str}
    assert {"DN", "CPUTime", "matchInfo"}.isdisjoint(match)
    assert job.status() == "Matched"


def test_the_jdl_of_a_match_has_lists_of_one_as_plain_strings(wms: Any) -> None:
    job = wms.waiting_job('OutputSandbox = {"std.out", "std.err"};')

    jdl = wms.match(job)["JDL"]

    assert jdl.startswith("[\n")
    assert f'Tags = "{job.tag}";' in jdl
    assert 'OutputSandbox =\n  {\n    "std.out",\n    "std.err"\n  };\n' in jdl
    assert f"JobID = {job.job_id};" in jdl


def test_min_and_max_processors_make_a_multi_processor_job(wms: Any) -> None:
    job = wms.waiting_job("MinNumberOfProcessors = 1; MaxNumberOfProcessors = 2;")

    refused = wms.call("pilot", "Matcher", "requestJob", job.offer(NumberOfProcessors=1))
    match = wms.match(job, NumberOfProcessors=2)

    assert refused["Errno"] == 1510
    assert "MultiProcessor" in match["JDL"]


def test_cpu_work_is_compared_after_rounding_up(wms: Any) -> None:
    job = wms.waiting_job()

    answer = wms.call("pilot", "Matcher", "requestJob", job.offer(CPUTime=359))

    assert answer["Errno"] == 1510


def test_matching_task_queues_have_text_keys(wms: Any) -> None:
    job = wms.waiting_job()

    ((number, queue),) = wms.queues(job).items()
    assert number.isdecimal()
    assert {"Priority", "Jobs", "Owner", "OwnerGroup", "CPUTime"} <= set(queue)


def stamp(after_s: float = 0) -> str:
    return str((datetime.now(UTC) + timedelta(seconds=after_s)).replace(tzinfo=None, microsecond=390539))


def test_bulk_statuses_answer_with_what_was_written(wms: Any) -> None:
    job = wms.matched_job()
    source = f"JobAgent@{wms.endpoint['site']}"
    updates = {
        stamp(1): {"Source": source, "MinorStatus": "Job Received by Agent"},
        stamp(2): {"Source": source, "MinorStatus": "Submitting To CE"},
    }

    value = wms.value("pilot", "JobStateUpdate", "setJobStatusBulk", job.job_id, updates, False)

    assert value == [["MinorStatus"], ["Submitting To CE"]]


def test_a_refused_transition_is_ok_and_overwrites_the_minor_status(wms: Any, running_job: Any) -> None:
    job_id = running_job.job_id
    wms.value("pilot", "JobStateUpdate", "setJobStatus", job_id, "Done", "Execution Complete", "JobWrapper")

    assert wms.call("pilot", "JobStateUpdate", "setJobStatus", job_id, "Running", "Application", "JobWrapper")["OK"]

    states = wms.value("user", "JobMonitoring", "getJobsStates", job_id)[str(job_id)]
    assert (states["Status"], states["MinorStatus"]) == ("Done", "Application")


def test_a_heart_beat_after_the_end_sets_running_again(wms: Any, running_job: Any) -> None:
    job_id = running_job.job_id
    wms.value("pilot", "JobStateUpdate", "setJobStatus", job_id, "Done", "Execution Complete", "JobWrapper")

    assert wms.value("pilot", "JobStateUpdate", "sendHeartBeat", job_id, {"CPUConsumed": 0.3}, {}) == {}

    assert running_job.status() == "Running"


def test_a_kill_is_delivered_once_with_a_heart_beat(wms: Any, running_job: Any) -> None:
    job_id = running_job.job_id
    assert wms.value("user", "JobManager", "killJob", job_id) == [job_id]
    assert running_job.status() == "Killed"

    first = wms.value("pilot", "JobStateUpdate", "sendHeartBeat", job_id, {"CPUConsumed": 0.2}, {})
    second = wms.value("pilot", "JobStateUpdate", "sendHeartBeat", job_id, {"CPUConsumed": 0.3}, {})

    assert (first, second, running_job.status()) == ({"Kill": ""}, {}, "Running")


def test_a_job_that_does_not_exist_is_not_authorized(wms: Any) -> None:
    answer = wms.call("pilot", "JobStateUpdate", "setJobStatus", 99999999, "Running", "x", "y")

    assert (answer["OK"], answer["Message"]) == (False, "Not authorized to modify job 99999999")


def test_parameters_are_set_in_bulk_and_come_back_as_text(wms: Any, running_job: Any) -> None:
    job_id = running_job.job_id
    pairs = [["HostName", "localhost"], ["PayloadPID", 4242]]

    wms.value(
        "pilot", "JobStateUpdate", "setJobParameters", job_id, pairs
    )  # null, or an index's name: depends on the store
    wms.value("pilot", "JobStateUpdate", "setJobParameter", job_id, "LocalAccount", "me")
    assert wms.value("pilot", "JobStateUpdate", "setJobsParameter", {str(job_id): ["JobGroup", "probe"]}) is None

    parameters = wms.value("user", "JobMonitoring", "getJobParameters", [job_id])[str(job_id)]
    assert parameters["HostName"] == "localhost"
    assert str(parameters["PayloadPID"]) == "4242"


def test_attributes_that_may_change_answer_with_how_many_rows_did(wms: Any, running_job: Any) -> None:
    job_id, other = running_job.job_id, "2030-01-02 03:04:05"

    assert wms.value("pilot", "JobStateUpdate", "setJobSite", job_id, wms.endpoint["site"]) == 0
    assert wms.value("pilot", "JobStateUpdate", "setJobAttribute", job_id, "StartExecTime", other) == 1
    assert wms.value("pilot", "JobStateUpdate", "setJobAttribute", job_id, "StartExecTime", other) == 0
    assert not wms.call("pilot", "JobStateUpdate", "setJobAttribute", job_id, "Owner", "me")["OK"]


def test_an_application_status_is_kept(wms: Any, running_job: Any) -> None:
    job_id = running_job.job_id

    wms.value("pilot", "JobStateUpdate", "setJobApplicationStatus", job_id, "step 1 of 1", "JobWrapper")

    assert wms.value("user", "JobMonitoring", "getJobAttribute", job_id, "ApplicationStatus") == "step 1 of 1"


@pytest.mark.parametrize("form", [int, str, lambda job_id: [job_id, 99999999]])
def test_statuses_are_asked_for_by_number_text_or_list(wms: Any, running_job: Any, form: Any) -> None:
    statuses = wms.value("pilot", "JobMonitoring", "getJobsStatus", form(running_job.job_id))

    assert statuses == {str(running_job.job_id): {"Status": "Running"}}


def test_history_rows_have_five_texts(wms: Any, running_job: Any) -> None:
    history = wms.value("user", "JobMonitoring", "getJobLoggingInfo", running_job.job_id)

    assert all(len(row) == 5 for row in history)
    assert [row[0] for row in history][-2:] == ["Matched", "Running"]


def test_the_attributes_of_a_job_are_numbers_and_text(wms: Any, running_job: Any) -> None:
    job = wms.value("user", "JobMonitoring", "getJobAttributes", running_job.job_id)

    assert (job["Status"], job["Site"], job["JobName"]) == ("Running", wms.endpoint["site"], "contract")
    assert {type(job[name]) for name in ("JobID", "UserPriority", "RescheduleCounter")} == {int}


def test_a_rescheduled_job_waits_again(wms: Any, running_job: Any) -> None:
    assert wms.value("pilot", "JobManager", "rescheduleJob", running_job.job_id) == [running_job.job_id]

    assert running_job.status() in ("Received", "Checking", "Waiting")


def upload(wms: Any, content: bytes, name: str, uses: dict[str, str]) -> dict[str, Any]:
    tagged = {"__dCls": "b64", "obj": base64.b64encode(content).decode()}
    answer: dict[str, Any] = wms.call(
        "user", "SandboxStore", "streamFromClient", [name, uses], "", len(content), tagged
    )
    return answer


def test_a_sandbox_goes_up_and_comes_down(wms: Any, running_job: Any) -> None:
    content = f"sandbox of {running_job.tag}".encode()
    name = f"{hashlib.md5(content).hexdigest()}.tar.bz2"

    stored = upload(wms, content, name, {f"Job:{running_job.job_id}": "Output"})["Value"]

    assert stored.startswith("SB:")
    entity = f"Job:{running_job.job_id}"
    assert wms.value("user", "SandboxStore", "getSandboxesAssignedToEntity", entity) == {"Output": [stored]}
    where = "/WorkloadManagement/TornadoSandboxStore" + stored.partition("|")[2]
    form = {"method": "streamToClient", "args": json.dumps([where]), "rawContent": "True"}
    reply = wms.post("user", "SandboxStore", form)
    assert (reply.headers["Content-Type"], reply.content) == ("application/octet-stream", content)


def test_a_wrong_md5_is_refused(wms: Any) -> None:
    answer = upload(wms, b"abc", "0" * 32 + ".tar.bz2", {})

    assert (answer["OK"], answer["Message"]) == (False, "Hashes don't match!")


def test_a_refused_download_is_200_with_json(wms: Any) -> None:
    where = "/WorkloadManagement/TornadoSandboxStore/SandBox/l/nope.tar.bz2"

    answer = wms.call("user", "SandboxStore", "streamToClient", where)

    assert not answer["OK"]


def test_a_pilot_is_registered_and_reports(wms: Any, running_job: Any) -> None:
    reference = f"pilot-{running_job.tag}"
    missing = wms.call("admin", "PilotManager", "getPilotInfo", reference)
    assert (missing["OK"], missing["Errno"]) == (False, 1550)

    stamps = {reference: running_job.tag[-32:]}
    assert wms.call("admin", "PilotManager", "addPilotReferences", [reference], wms.endpoint["vo"], "DIRAC", stamps)[
        "OK"
    ]
    report = (reference, "Running", wms.endpoint["ce"], "Report from JobAgent", wms.endpoint["site"], "queue")
    assert wms.call("pilot", "PilotManager", "setPilotStatus", *report)["OK"]

    pilot = wms.value("admin", "PilotManager", "getPilotInfo", reference)[reference]
    assert (pilot["Status"], pilot["GridSite"], pilot["PilotStamp"]) == (
        *("Running", wms.endpoint["site"], running_job.tag[-32:]),
    )
    assert pilot["SubmissionTime"]["__dCls"] == "dt"


def test_a_pilot_log_needs_a_stamp(wms: Any, running_job: Any) -> None:
    lines, vo = json.dumps(["line 1\n", "line 2\n"]), wms.endpoint["vo"]

    assert wms.call("pilot", "PilotLogging", "sendMessage", lines, running_job.tag[-32:], vo)["OK"]
    assert not wms.call("pilot", "PilotLogging", "sendMessage", "[]", "x.log", vo)["OK"]
