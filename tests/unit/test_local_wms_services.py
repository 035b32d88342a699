"""The services called directly, over a database in memory."""

import base64
import hashlib
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.local_wms import page
from agents.local_wms.database import open_database
from agents.local_wms.home import Home
from agents.local_wms.jobs import Jobs
from agents.local_wms.registry import GROUPS, SANDBOX_SE, VO
from agents.local_wms.server import services_of
from agents.local_wms.services.base import Answer, Caller, Refusal
from agents.local_wms.state_machine import NEXT, JobStatus, following

JDL = 'Executable = "/bin/echo"; JobName = "j%j"; CPUTime = 300; OutputSandbox = {"std.out"};'
SLOT = {"Site": "LOCAL.Demo.ch", "CPUTime": 86400, "NumberOfProcessors": 2}
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def caller(username: str, group: str, **more: Any) -> Caller:
    return Caller(dn=f"/CN={username}", username=username, group=group, vo=VO, properties=GROUPS[group], **more)


USER = caller("localuser", f"{VO}_user")
OTHER = caller("stranger", f"{VO}_user")
ADMIN = caller("localadmin", f"{VO}_admin")
PILOT = caller("localpilot", f"{VO}_pilot")


class Wms:
    """All services, with a clock that goes one second a look."""

    def __init__(self, folder: Path) -> None:
        self.now = START
        self.jobs = Jobs(open_database(":memory:"), self._tick)
        services = services_of(self.jobs, Home(folder), "https://localhost:1", "1")
        self.methods = {service.name.partition("/")[2]: service.methods() for service in services}

    def _tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def call(self, who: Caller, name: str, *arguments: Any) -> Any:
        service, _, method = name.partition(".")
        answer = self.methods[service][method](who, list(arguments))
        return answer.value if isinstance(answer, Answer) else answer

    def submit(self, jdl: str = JDL) -> int:
        job_id: int = self.call(USER, "JobManager.submitJob", jdl)
        return job_id

    def running(self) -> int:
        job_id = self.submit()
        self.call(PILOT, "Matcher.requestJob", {**SLOT, "JobID": job_id})
        self.call(PILOT, "JobStateUpdate.setJobStatus", job_id, "Running", "Application", "JobWrapper")
        return job_id

    def status(self, job_id: int) -> str:
        status = self.jobs.status(job_id)
        assert status is not None
        return status

    def minor_status(self, job_id: int) -> str:
        return str(self.call(USER, "JobMonitoring.getJobAttribute", job_id, "MinorStatus"))


@pytest.fixture
def wms(tmp_path: Path) -> Iterator[Wms]:
    wms = Wms(tmp_path)
    yield wms
    wms.jobs.database.close()


def test_every_state_has_its_row_in_the_table() -> None:
    assert set(NEXT) == set(JobStatus)


@pytest.mark.parametrize(
    ("current", "wanted", "then"),
    [
        ("Matched", "Running", "Running"),
        ("Matched", "Done", "Matched"),
        ("Done", "Running", "Done"),
        ("Completing", "Rescheduled", "Completing"),
        ("Running", "Rescheduled", "Rescheduled"),
        ("Running", "Nonsense", "Running"),
    ],
)
def test_a_move_that_the_table_lacks_leaves_the_status(current: str, wanted: str, then: str) -> None:
    assert following(current, wanted) == then


def test_a_submitted_job_waits(wms: Wms) -> None:
    job_id = wms.submit()

    assert (wms.status(job_id), wms.minor_status(job_id)) == ("Waiting", "Pilot Agent Submission")


@pytest.mark.parametrize("jdl", ["Executable = ;", 'CPUTime = "long"', "Parameters = -1"])
def test_a_malformed_jdl_is_refused_and_leaves_no_job(wms: Wms, jdl: str) -> None:
    with pytest.raises(Refusal, match="JDL") as refused:
        wms.submit(jdl)

    assert refused.value.errno == 1501
    assert wms.call(USER, "JobMonitoring.getJobs") == []


@pytest.mark.parametrize("who", [PILOT, caller("localuser", f"{VO}_user", is_limited=True)])
def test_pilots_and_limited_proxies_may_not_submit(wms: Wms, who: Caller) -> None:
    with pytest.raises(Refusal) as refused:
        wms.call(who, "JobManager.submitJob", JDL)

    assert refused.value.text.startswith("Job submission error ( 1503 : ")


def test_the_matched_jdl_has_what_dirac_adds(wms: Wms) -> None:
    job_id = wms.submit(JDL + "MinNumberOfProcessors = 1; MaxNumberOfProcessors = 2;")

    match = wms.call(PILOT, "Matcher.requestJob", SLOT)

    assert match["JobID"] == job_id
    assert (match["Owner"], match["Group"], match["PilotInfoReportedFlag"]) == ("localuser", "localvo_user", True)
    for line in ('JobName = "j1";', "JobID = 1;", 'Owner = "localuser";', 'Tags = "MultiProcessor";', "CPUTime = 360;"):
        assert line in match["JDL"]


def test_a_job_is_given_once(wms: Wms) -> None:
    wms.submit()
    wms.call(PILOT, "Matcher.requestJob", SLOT)

    with pytest.raises(Refusal) as refused:
        wms.call(PILOT, "Matcher.requestJob", SLOT)

    assert (refused.value.errno, refused.value.text) == (1510, "No match found ( 1510 : )")


def test_higher_priority_goes_first_then_the_older_job(wms: Wms) -> None:
    ids = [
        wms.submit(JDL + f"Priority = {priority}; NumberOfProcessors = {n}") for priority, n in ((1, 1), (5, 2), (5, 1))
    ]

    given = [wms.call(PILOT, "Matcher.requestJob", SLOT)["JobID"] for _ in ids]

    assert given == [ids[1], ids[2], ids[0]]


def test_a_job_too_big_for_the_slot_says_so(wms: Wms) -> None:
    job_id = wms.submit(JDL + "NumberOfProcessors = 64")

    with pytest.raises(Refusal):
        wms.call(PILOT, "Matcher.requestJob", SLOT)

    parameters = wms.call(USER, "JobMonitoring.getJobParameters", [job_id])
    assert parameters == {job_id: {"WhyWaiting": "it needs 64 processors, the slot has 2"}}


@pytest.mark.parametrize("resource", [{"CPUTime": 10}, {"Site": "X"}, "[]", 5])
def test_a_resource_that_cannot_be_matched_is_an_error_without_number(wms: Wms, resource: Any) -> None:
    with pytest.raises(Refusal) as refused:
        wms.call(PILOT, "Matcher.requestJob", resource)

    assert (refused.value.errno, refused.value.text) == (0, "Error requesting job")


def test_a_user_gets_only_own_jobs(wms: Wms) -> None:
    wms.submit()

    with pytest.raises(Refusal):
        wms.call(OTHER, "Matcher.requestJob", SLOT)

    assert wms.call(USER, "Matcher.requestJob", SLOT)["JobID"] == 1


def test_a_benchmark_sent_as_text_breaks_off_after_the_match(wms: Wms) -> None:
    job_id = wms.submit()

    with pytest.raises(ValueError, match="format code 'f'"):
        wms.call(PILOT, "Matcher.requestJob", {**SLOT, "PilotReference": "p", "PilotBenchmark": "10"})

    assert wms.status(job_id) == "Matched"


def test_matching_task_queues_count_their_jobs(wms: Wms) -> None:
    wms.submit()
    wms.submit()
    wms.submit(JDL + "NumberOfProcessors = 64")

    queues = wms.call(PILOT, "Matcher.getMatchingTaskQueues", SLOT)

    assert [(queue["Jobs"], queue["CPUTime"], queue["Owner"]) for queue in queues.values()] == [(2, 360, "localuser")]


def test_the_match_is_noted_for_a_registered_pilot(wms: Wms) -> None:
    wms.call(PILOT, "PilotManager.addPilotReferences", ["p1"], VO, "DIRAC", {"p1": "stamp"})
    job_id = wms.submit()

    wms.call(PILOT, "Matcher.requestJob", {**SLOT, "PilotReference": "p1", "PilotBenchmark": 10.5})

    pilot = wms.call(PILOT, "PilotManager.getPilotInfo", "p1")["p1"]
    assert (pilot["Status"], pilot["BenchMark"], pilot["Jobs"]) == ("Running", 10.5, [job_id])
    assert list(wms.call(ADMIN, "PilotManager.getPilots", job_id)) == ["p1"]


def test_an_unknown_pilot_has_its_own_error_number(wms: Wms) -> None:
    with pytest.raises(Refusal) as refused:
        wms.call(PILOT, "PilotManager.getPilotInfo", "nobody")

    assert refused.value.errno == 1550


def test_a_pilot_status_keeps_what_is_not_told(wms: Wms) -> None:
    wms.call(PILOT, "PilotManager.addPilotReferences", ["p1"], VO)
    wms.call(PILOT, "PilotManager.setPilotStatus", "p1", "Running", "ce", "started", "SITE", "q")

    wms.call(PILOT, "PilotManager.setPilotStatus", "p1", "Done")

    pilot = wms.call(PILOT, "PilotManager.getPilotInfo", ["p1"])["p1"]
    assert [pilot[k] for k in ("Status", "DestinationSite", "StatusReason", "GridSite", "Queue")] == [
        *("Done", "ce", "started", "SITE", "q")
    ]


def test_bulk_statuses_are_all_logged_and_the_last_one_counts(wms: Wms) -> None:
    job_id = wms.running()
    source = "JobWrapper@X"
    updates = {
        "2026-01-03 00:00:02.000000": {"Status": "Completing", "MinorStatus": "late", "Source": source},
        "2026-01-03 00:00:01.000000": {"MinorStatus": "early", "ApplicationStatus": "", "Source": source},
    }

    written = wms.call(PILOT, "JobStateUpdate.setJobStatusBulk", job_id, updates, False)

    assert dict(zip(*written, strict=True)) == {"MinorStatus": "late", "Status": "Completing"}
    history = wms.call(USER, "JobMonitoring.getJobLoggingInfo", job_id)
    assert [row[:2] for row in history[-2:]] == [["Running", "early"], ["Completing", "late"]]


def test_a_status_older_than_the_last_known_is_logged_only(wms: Wms) -> None:
    job_id = wms.running()

    written = wms.call(PILOT, "JobStateUpdate.setJobStatusBulk", job_id, {"2020-01-01 00:00:00": {"Status": "Done"}})

    assert written == ([], [])
    assert wms.status(job_id) == "Running"


def test_a_refused_move_is_no_error_and_changes_the_minor_status(wms: Wms) -> None:
    job_id = wms.running()
    wms.call(PILOT, "JobStateUpdate.setJobStatus", job_id, "Done", "Execution Complete", "JobWrapper")

    written = wms.call(PILOT, "JobStateUpdate.setJobStatus", job_id, "Running", "Application", "JobWrapper")

    assert written == (["Status", "MinorStatus"], ["Done", "Application"])
    assert (wms.status(job_id), wms.minor_status(job_id)) == ("Done", "Application")
    assert wms.call(USER, "JobMonitoring.getJobLoggingInfo", job_id)[-1][-1] == "JobWrapper(SM)"


def test_force_asks_no_state_machine(wms: Wms) -> None:
    job_id = wms.submit()

    wms.call(ADMIN, "JobStateUpdate.setJobStatus", job_id, "Done", "forced", "admin", None, True)

    assert wms.status(job_id) == "Done"


def test_start_end_and_sign_of_life_come_from_the_reports(wms: Wms) -> None:
    job_id = wms.running()
    times = {"2026-01-03 00:00:01.000000": {"Status": "Done", "Source": "JobWrapper"}}

    wms.call(PILOT, "JobStateUpdate.setJobStatusBulk", job_id, times)

    job = wms.call(USER, "JobMonitoring.getJobSummary", job_id)
    assert job["StartExecTime"].startswith("2026-01-02")
    assert (job["EndExecTime"], job["HeartBeatTime"]) == ("2026-01-03 00:00:01.000000",) * 2


def test_a_heart_beat_sets_running_whatever_it_was(wms: Wms) -> None:
    job_id = wms.running()
    wms.call(PILOT, "JobStateUpdate.setJobStatus", job_id, "Done", "Execution Complete", "JobWrapper")

    commands = wms.call(PILOT, "JobStateUpdate.sendHeartBeat", job_id, {"CPUConsumed": 0.5}, {"StandardOutput": "hi"})

    assert commands == {}
    assert wms.status(job_id) == "Running"
    assert wms.call(USER, "JobMonitoring.getJobHeartBeatData", job_id)[0][:2] == ["CPUConsumed", "0.5"]
    assert wms.call(USER, "JobMonitoring.getJobParameter", job_id, "StandardOutput") == {"StandardOutput": "hi"}


def test_a_running_job_is_killed_by_a_command_delivered_once(wms: Wms) -> None:
    job_id = wms.running()
    wms.call(USER, "JobManager.killJob", job_id)
    assert wms.status(job_id) == "Killed"

    beats = [wms.call(PILOT, "JobStateUpdate.sendHeartBeat", job_id, {}, {}) for _ in range(2)]

    assert beats == [{"Kill": ""}, {}]


def test_a_waiting_job_is_killed_at_once_and_never_matched(wms: Wms) -> None:
    job_id = wms.submit()

    assert wms.call(USER, "JobManager.killJob", [job_id]) == [job_id]

    assert wms.status(job_id) == "Killed"
    with pytest.raises(Refusal):
        wms.call(PILOT, "Matcher.requestJob", SLOT)


@pytest.mark.parametrize("who", [OTHER, PILOT])
def test_only_owner_and_administrators_kill(wms: Wms, who: Caller) -> None:
    job_id = wms.submit()

    with pytest.raises(Refusal) as refused:
        wms.call(who, "JobManager.killJob", job_id)

    assert refused.value.further == {"NonauthorizedJobIDs": [job_id]}


def test_killing_a_job_that_does_not_exist_names_it(wms: Wms) -> None:
    answer = wms.methods["JobManager"]["killJob"](USER, [99])

    assert (answer.value, answer.further["InvalidJobIDs"]) == ([], [99])


def test_a_done_job_is_not_killed_but_deleted(wms: Wms) -> None:
    job_id = wms.running()
    wms.call(PILOT, "JobStateUpdate.setJobStatus", job_id, "Done", "Execution Complete", "JobWrapper")

    wms.call(USER, "JobManager.killJob", job_id)
    assert wms.status(job_id) == "Done"
    wms.call(USER, "JobManager.deleteJob", job_id)

    assert wms.status(job_id) == "Deleted"


def test_a_job_is_rescheduled_three_times_and_then_fails(wms: Wms) -> None:
    job_id = wms.running()
    for _ in range(3):
        assert wms.call(PILOT, "JobManager.rescheduleJob", job_id) == [job_id]
        assert wms.status(job_id) == "Waiting"

    with pytest.raises(Refusal, match="Maximum number of reschedulings is reached: 3"):
        wms.call(PILOT, "JobManager.rescheduleJob", job_id)

    assert (wms.status(job_id), wms.minor_status(job_id)) == ("Failed", "Maximum of reschedulings reached")


def test_a_rescheduled_job_is_not_hit_by_an_old_kill(wms: Wms) -> None:
    job_id = wms.running()
    wms.call(USER, "JobManager.killJob", job_id)
    wms.call(PILOT, "JobManager.rescheduleJob", job_id)
    wms.call(PILOT, "Matcher.requestJob", SLOT)

    assert wms.call(PILOT, "JobStateUpdate.sendHeartBeat", job_id, {}, {}) == {}


def test_rescheduling_a_job_that_does_not_exist_is_refused(wms: Wms) -> None:
    with pytest.raises(Refusal) as refused:
        wms.call(PILOT, "JobManager.rescheduleJob", [77])

    assert refused.value.further == {"InvalidJobIDs": [77]}


def test_parametric_jobs_wait_for_their_confirmation(wms: Wms) -> None:
    ids = wms.call(USER, "JobManager.submitJob", JDL + "Parameters = 2")
    assert {wms.status(job_id) for job_id in ids} == {"Submitting"}

    assert wms.call(USER, "JobManager.confirmBulkSubmission", ids) == ids

    assert {wms.status(job_id) for job_id in ids} == {"Waiting"}


@pytest.mark.parametrize("job_id", [1, 99])
def test_reports_about_other_peoples_jobs_are_refused_like_those_about_none(wms: Wms, job_id: int) -> None:
    wms.submit()

    with pytest.raises(Refusal, match=f"^Not authorized to modify job {job_id}$"):
        wms.call(OTHER, "JobStateUpdate.setJobStatus", job_id, "Running", "x", "y")


def test_parameters_come_in_three_forms(wms: Wms) -> None:
    job_id = wms.running()

    wms.call(PILOT, "JobStateUpdate.setJobParameter", job_id, "a", "1")
    wms.call(PILOT, "JobStateUpdate.setJobParameters", job_id, [["b", 2], ["a", "3"]])
    wms.call(PILOT, "JobStateUpdate.setJobsParameter", {str(job_id): ["c", "4"]})

    assert wms.call(USER, "JobMonitoring.getJobParameters", job_id) == {job_id: {"a": "3", "b": "2", "c": "4"}}


def test_only_some_attributes_can_be_set(wms: Wms) -> None:
    job_id = wms.running()

    assert wms.call(PILOT, "JobStateUpdate.setJobSite", job_id, "X") == 0

    with pytest.raises(Refusal, match="Owner can not be changed"):
        wms.call(PILOT, "JobStateUpdate.setJobAttribute", job_id, "Owner", "me")
    assert wms.call(USER, "JobMonitoring.getJobAttribute", job_id, "Site") == "X"


def test_jobs_are_selected_by_attributes_that_are_listed(wms: Wms) -> None:
    first, _ = wms.running(), wms.submit()

    assert wms.call(USER, "JobMonitoring.getJobs", {"Status": ["Running", "Done"]}) == [str(first)]

    with pytest.raises(Refusal, match="selected by 1=1"):
        wms.call(USER, "JobMonitoring.getJobs", {"1=1 --": "x"})


def upload(wms: Wms, who: Caller, content: bytes, uses: dict[str, str]) -> str:
    name = f"{hashlib.md5(content).hexdigest()}.tar.bz2"
    stored: str = wms.call(who, "SandboxStore.streamFromClient", [name, uses], "", len(content), content)
    return stored


def test_an_output_sandbox_uploaded_by_the_pilot_is_read_by_the_owner(wms: Wms) -> None:
    job_id = wms.running()
    name = upload(wms, PILOT, b"content", {f"Job:{job_id}": "Output"})

    found = wms.call(USER, "SandboxStore.getSandboxesAssignedToEntity", f"Job:{job_id}")

    assert found == {"Output": [name]}
    assert name.startswith(f"SB:{SANDBOX_SE}|/SandBox/l/localpilot.localvo_pilot/")
    for where in (
        name.partition("|")[2],
        ["https://localhost/x/TornadoSandboxStore" + name.partition("|")[2], "CheckSum"],
    ):
        assert wms.call(USER, "SandboxStore.streamToClient", where).content == b"content"


def test_strangers_see_no_sandbox(wms: Wms) -> None:
    job_id = wms.submit()
    name = upload(wms, USER, b"content", {f"Job:{job_id}": "Input"})

    assert wms.call(OTHER, "SandboxStore.getSandboxesAssignedToEntity", f"Job:{job_id}") == {}
    with pytest.raises(Refusal, match="not authorized"):
        wms.call(OTHER, "SandboxStore.streamToClient", name.partition("|")[2])


@pytest.mark.parametrize(
    ("name", "size", "sentence"),
    [
        ("0" * 32 + ".tar.bz2", 3, "Hashes don't match!"),
        ("0" * 32 + ".tar.bz2", 11 * 2**20, "Sandbox is too big"),
        ("../../etc/passwd.tar", 3, "is not the md5"),
    ],
)
def test_a_bad_upload_is_refused(wms: Wms, name: str, size: int, sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        wms.call(USER, "SandboxStore.streamFromClient", name, "", size, b"abc")


@pytest.mark.parametrize("path", ["/SandBox/../../etc/passwd", "/etc/passwd", "/SandBox/l/none.tar"])
def test_a_path_that_was_never_stored_is_refused(wms: Wms, path: str) -> None:
    with pytest.raises(Refusal):
        wms.call(ADMIN, "SandboxStore.streamToClient", path)


def test_nobody_assigns_a_sandbox_to_a_job_of_somebody_else(wms: Wms) -> None:
    job_id = wms.submit()

    with pytest.raises(Refusal, match=f"Not authorized to assign a sandbox to Job:{job_id}"):
        upload(wms, OTHER, b"content", {f"Job:{job_id}": "Input"})


def test_the_configuration_is_sent_only_when_newer(wms: Wms) -> None:
    fresh = wms.call(USER, "Server.getCompressedDataIfNewer", "0")

    text = zlib.decompress(base64.b64decode(fresh["data"])).decode()
    assert "      Matcher = https://localhost:1/WorkloadManagement/TornadoMatcher\n" in text
    assert wms.call(USER, "Server.getCompressedDataIfNewer", fresh["newestVersion"]) == {"newestVersion": "1"}


def test_a_pilot_log_is_appended_and_capped(wms: Wms) -> None:
    stamp = "0123456789abcdef0123456789abcdef"
    wms.call(PILOT, "PilotLogging.sendMessage", '["one\\n", "two"]', stamp, VO)
    wms.call(PILOT, "PilotLogging.finaliseLogs", {"retCode": "0"}, stamp, VO)

    log = wms.call(PILOT, "PilotLogging.getLogs", stamp, VO)

    assert log == {"StdOut": "one\ntwo\n-- pilot ended, return code 0\n"}
    with pytest.raises(Refusal, match="Pilot UUID is invalid"):
        wms.call(PILOT, "PilotLogging.sendMessage", "[]", "../x", VO)


def test_the_page_escapes_what_users_write(wms: Wms) -> None:
    wms.submit('Executable = "x"; JobName = "<script>";')
    wms.call(PILOT, "PilotManager.addPilotReferences", ["<b>"], VO)

    shown = page.render(wms.jobs.database)

    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown
    assert "<b>" not in shown


@pytest.mark.parametrize(
    ("who", "permitted"),
    [(USER, False), (PILOT, True), (ADMIN, True), (Caller(dn="/CN=nobody"), False)],
)
def test_pilot_methods_ask_for_a_property(wms: Wms, who: Caller, permitted: bool) -> None:
    assert wms.methods["PilotManager"]["addPilotReferences"].permits(who) is permitted


def test_a_transaction_that_fails_leaves_nothing(wms: Wms) -> None:
    mine, others = wms.running(), 99

    with pytest.raises(Refusal):
        wms.call(USER, "JobStateUpdate.setJobsParameter", {mine: ["a", "1"], others: ["a", "1"]})

    assert wms.call(USER, "JobMonitoring.getJobParameters", mine) == {}
