"""Whole jobs through a real DIRAC joined with a real DiracX, judged by what the servers saw and their clients read.

The tests stand in the order of what the installation publishes, since each change takes ten seconds.
"""

import base64
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.joined.joined_stack import Joined, Run, home, running
from tests.system.dirac_stack import Pilot

JDL = """\
Executable = "run.sh"; JobName = "case"; JobType = "User"; CPUTime = 600;
StdOutput = "std.out"; StdError = "std.err"; OutputSandbox = {"std.out", "std.err", "result.txt"};
"""
PAYLOAD = """\
#!/bin/bash
echo hello of job $JOBID
cat data.txt
grep -c 'BEGIN DIRACX' "$X509_USER_PROXY"
stat -c 'mode %a' "$X509_USER_PROXY"
echo at $DIRACX_URL
{more}
sleep {seconds}
echo done > result.txt
"""
BY_DIRAC_S_CLIENT = """
env -u REQUESTS_CA_BUNDLE -u CURL_CA_BUNDLE DIRAC_ROOT_PATH={home}/client DIRACSYSCONFIG={home}/client/etc/dirac.cfg \\
  DIRACX_CA_PATH={home}/certs/ca.pem TMPDIR=$PWD {python} -c "
import DIRAC, os
DIRAC.initialize()
from DIRAC.WorkloadManagementSystem.Client.JobReport import JobReport
print(JobReport(int(os.environ['JOBID'])).setApplicationStatus('said by the payload'))"
"""
MOST_CALLS = 7  # of REST, and a heartbeat each minute; DIRAC's own agent makes 14, and as many discoveries
BEAT_S, KILLED_WITHIN_S = 10, 40.0
S3_503 = {"path": "sha256", "method": "GET", "status": 503, "code": "SlowDown", "times": 2}
S3_403 = {"path": "sha256", "method": "GET", "status": 403, "times": 1}
S3_CUT = {"path": "sha256", "method": "GET", "cut": 50, "times": 1}
S3_SPOILT = {"path": "sha256", "method": "GET", "spoil": True, "times": 1}
DIRACX_503 = {"path": "^/api/jobs/status$", "status": 503, "headers": {"Retry-After": "2"}, "times": 2}
DIRACX_429 = {"path": "^/api/jobs/status$", "status": 429, "headers": {"Retry-After": "1"}, "times": 1}
DIRACX_500 = {"path": "^/api/jobs/(status|metadata)$", "status": 500, "times": 2}  # not of whoever submits
DIRACX_SILENT = {"path": "^/api/jobs/status$", "drop": "after", "times": 1}


def payload(seconds: int = 2, more: str = "") -> str:
    return PAYLOAD.format(seconds=seconds, more=more)


@pytest.fixture(autouse=True)
def _no_job_waits(stack: Joined) -> Iterator[None]:
    yield
    for which in ("diracx", "s3"):
        Path(stack.endpoint["faults"][which]).write_text("[]", encoding="utf-8")


# ---- everything is published; DiracX takes reports ----


def test_what_diracx_s_own_client_submits_runs_is_cheap_and_shows_no_token(stack: Joined, tmp_path: Path) -> None:
    stack.publish()
    with running(stack, tmp_path, payload(more="env; cat /proc/$PPID/environ | tr '\\0' '\\n'"), jdl=JDL) as run:
        assert run.end() == "Done"
        calls = [line for line in run.rest() if line["who"].get("preferred_username") in ("labpilot", "labuser")]
        discoveries = run.rest("well-known")
        asked = [line for line in run.stack.seen("dirac", run.since) if line["method"] == "getCompressedDataIfNewer"]
        versions = [line["args"][0] for line in asked if line["user"] == "labpilot"]

        out = run.output_of_dirac()
        assert "some data" in out["std.out"]
        assert out["result.txt"] == "done\n"
        assert "\n1\nmode 600\n" in out["std.out"], "one token in the payload's proxy file, for nobody else to read"
        assert f"at {stack.endpoint['diracx']}\n" in out["std.out"]
        assert len(calls) <= MOST_CALLS, calls
        assert not discoveries
        assert not run.rest("/api/pilots"), "pilots are told to DiracX only where that was asked for"
        assert versions.count("0") == 1 < len(versions), "the agent has the configuration that its pilot was sent"
        assert "way of reports: diracx then dirac: /DiracX/FutureClientEnabled" in _explained(run)
        assert {line["status"] for line in calls} <= {200, 204}
        assert "X509_USER_PROXY=" in out["std.out"], "the environment was printed"
        assert "eyJ" not in out["std.out"]
        _no_token_is_where_it_has_no_business(run)


def _no_token_is_where_it_has_no_business(run: Run) -> None:
    assert "eyJ" not in run.pilot.said()
    assert "X-Amz-" not in run.pilot.said()
    files = [path for path in run.pilot.work_dir.rglob("*") if path.is_file() and not path.is_symlink()]
    holding = [path for path in files if _holds_token(path.read_bytes())]
    assert not [path for path in holding if path.stat().st_mode & 0o077], holding
    assert not [path for path in holding if path.suffix != ".pem"], holding


def _holds_token(data: bytes) -> bool:
    """Tell whether Base64 of JSON is in it, as of tokens and DiracX's block; other Base64 has `eyJ` by chance."""
    begun = (base64.b64decode(found) for found in re.findall(rb"eyJ[A-Za-z0-9+/]{13}", data))
    return b"BEGIN DIRACX" in data or any(text.decode("latin-1").isprintable() and text.isascii() for text in begun)


def _explained(run: Run) -> str:
    argv = [sys.executable, "-m", "agents", "explain", str(run.job), "--work-dir", str(run.pilot.work_dir)]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


def test_a_tar_bz2_is_as_good(stack: Joined, tmp_path: Path) -> None:
    stack.publish()
    with running(stack, tmp_path, payload(), jdl=JDL, kind="tar.bz2") as run:
        assert run.end() == "Done"
        assert "some data" in run.output_of_dirac()["std.out"]


def test_dirac_s_client_in_the_payload_speaks_with_the_owner_s_token(stack: Joined, tmp_path: Path) -> None:
    stack.publish()
    more = BY_DIRAC_S_CLIENT.format(home=home(), python=stack.endpoint["dirac_python"])
    with running(stack, tmp_path, payload(more=more), jdl=JDL) as run:
        assert run.end() == "Done"

        assert "'OK': True" in run.output_of_dirac()["std.out"]
        said = [line for line in run.rest("PATCH /api/jobs/status", "labuser") if "said by the payload" in line["said"]]
        assert [line["who"]["dirac_group"] for line in said] == ["labvo_user"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("which", "fault"),
    [
        ("s3", S3_503),
        ("s3", S3_403),
        ("s3", S3_CUT),
        ("s3", S3_SPOILT),
        ("diracx", DIRACX_503),
        ("diracx", DIRACX_429),
        ("diracx", DIRACX_500),
        ("diracx", DIRACX_SILENT),
    ],
    ids=lambda value: (
        "-".join(str(part) for key, part in value.items() if key not in ("path", "method", "headers"))
        if isinstance(value, dict)
        else value
    ),
)
def test_a_passing_fault_costs_nothing(stack: Joined, tmp_path: Path, which: str, fault: dict[str, object]) -> None:
    stack.publish("retired=JobStateUpdate,SandboxStore")
    with stack.faults(which, fault), running(stack, tmp_path, payload(1), jdl=JDL) as run:
        assert run.end() == "Done"
        assert "some data" in run.output()["std.out"]
        _nothing_is_told_with_two_moments(run)
        assert _met(run, which) == fault["times"]


def _met(run: Run, which: str) -> int:
    """How often the pilot has met a fault."""
    return sum(1 for line in run.stack.seen(which, run.since) if line["fault"])


def test_passing_faults_of_both_in_a_row_cost_nothing(stack: Joined, tmp_path: Path) -> None:
    stack.publish("retired=JobStateUpdate,SandboxStore")
    of_s3, of_diracx = (S3_503, S3_403, S3_SPOILT), (DIRACX_503, DIRACX_429, DIRACX_500, DIRACX_SILENT)
    with (
        stack.faults("s3", *of_s3),
        stack.faults("diracx", *of_diracx),
        running(stack, tmp_path, payload(1), jdl=JDL) as run,
    ):
        assert run.end() == "Done"
        assert "some data" in run.output()["std.out"]
        _nothing_is_told_with_two_moments(run)
        for which, faults in (("s3", of_s3), ("diracx", of_diracx)):
            assert _met(run, which) == sum(int(str(fault["times"])) for fault in faults), "each fault took effect"


def _nothing_is_told_with_two_moments(run: Run) -> None:
    told = [line["said"] for line in run.rest("PATCH /api/jobs/status", "labpilot")]
    moments = [moment for said in told for moment in re.findall(r'"(\d{4}-[^"]+)": (\{[^}]*\})', said)]
    words: dict[str, set[str]] = {}
    for moment, said in moments:
        words.setdefault(said, set()).add(moment)
    assert all(len(found) == 1 for found in words.values()), words


# ---- DiracX alone takes reports and keeps sandboxes ----


@pytest.mark.long  # the next one sees as much
def test_presigned_urls_are_the_only_way(stack: Joined, tmp_path: Path) -> None:
    stack.publish("retired=JobStateUpdate,SandboxStore")
    with running(stack, tmp_path, payload(), jdl=JDL) as run:
        assert run.end() == "Done"

        assert "some data" in run.output()["std.out"]
        assert run.rest("PATCH /api/jobs/metadata")
        assert {line["method"] for line in run.s3()} >= {"GET", "POST"}
        own = [line for line in run.rest() if line["who"] and not re.search("jdl|search", line["path"])]
        assert {line["status"] for line in own} <= {200, 204}


def test_tokens_are_renewed_before_they_end(stack: Joined, tmp_path: Path) -> None:
    """Access tokens live a minute, the job longer; nobody is asked for a proxy again."""
    stack.publish("retired=JobStateUpdate,SandboxStore")
    with (
        stack.settings(DIRACX_SERVICE_AUTH_ACCESS_TOKEN_EXPIRE_MINUTES="1"),
        running(stack, tmp_path, payload(80), jdl=JDL) as run,
    ):
        assert run.end() == "Done"

        assert not [line for line in run.rest("/api/jobs") if line["status"] == 401]
        assert run.rest("POST /api/auth/token")
        assert run.rest("PATCH /api/jobs/metadata")
        assert {line["method"] for line in run.s3()} >= {"GET", "POST"}
        assert "some data" in run.output()["std.out"]


def test_a_kill_through_diracx_arrives(stack: Joined, tmp_path: Path) -> None:
    stack.publish("retired=JobStateUpdate,SandboxStore")
    beats = ("-o", f"/Systems/WorkloadManagement/Agents/JobAgent/HeartBeatPeriod={BEAT_S}")
    with running(stack, tmp_path, "#!/bin/bash\nexec -a killme$JOBID sleep 300\n", jdl=JDL, options=beats) as run:
        run.until("Running")
        time.sleep(3)
        stack.diracx_client(tmp_path, "kill", str(run.job))
        killed = time.monotonic()
        while subprocess.run(["pgrep", "-f", f"^killme{run.job}"], check=False, capture_output=True).returncode == 0:
            assert time.monotonic() < killed + KILLED_WITHIN_S, "the payload runs on"
            time.sleep(1)
        assert run.end() == "Killed"


def test_diracx_goes_and_comes(stack: Joined, tmp_path: Path) -> None:
    """It is away while the job ends: nothing of the report is lost, nothing is told twice."""
    stack.publish("retired=JobStateUpdate,SandboxStore")
    with running(stack, tmp_path, payload(8), jdl=JDL) as run:
        run.until("Running")
        with stack.away("diracx"):
            time.sleep(30)
        assert run.end() == "Done"
        assert "some data" in run.output()["std.out"]
        _nothing_is_told_with_two_moments(run)


def test_dirac_goes_and_comes(stack: Joined, tmp_path: Path) -> None:
    """DIRAC's https services are away, DiracX is not: status and output go on."""
    stack.publish("retired=JobStateUpdate,SandboxStore")
    with running(stack, tmp_path, payload(10), jdl=JDL) as run:
        run.until("Running")
        time.sleep(2)
        with stack.away("tornado"):
            run.until("Done", timeout_s=90)
        assert run.end() == "Done"
        assert "some data" in run.output()["std.out"]


def test_no_job_is_matched_while_diracx_is_away_that_alone_has_its_files(stack: Joined, tmp_path: Path) -> None:
    stack.publish("retired=SandboxStore")
    away = {"path": "^/api/(health|jobs/(sandbox|status))", "method": "GET", "status": 503}
    with stack.faults("diracx", away), running(stack, tmp_path, payload(1), jdl=JDL) as run:
        time.sleep(15)
        assert stack.state(run.job)["Status"] == "Waiting"
        assert "while DiracX, which it needs, is away" in run.pilot.said()
        Path(stack.endpoint["faults"]["diracx"]).write_text("[]", encoding="utf-8")
        assert run.end() == "Done"


# ---- S3 behind DIRAC's SandboxStore ----


def test_outputs_go_to_s3_where_the_store_over_dips_has_it_behind(stack: Joined, tmp_path: Path) -> None:
    stack.publish("sandbox=dips", "backend=true")
    with running(stack, tmp_path, payload(), jdl=JDL) as run:
        assert run.end() == "Done"
        assert "some data" in run.output()["std.out"]


def test_outputs_are_not_lost_where_the_store_over_https_answers_500(stack: Joined, tmp_path: Path) -> None:
    stack.publish("backend=true")
    with running(stack, tmp_path, payload(), jdl=JDL) as run:
        assert run.end() == "Done"
        assert "some data" in run.output()["std.out"]


# ---- the VO moves while a pilot runs ----


def test_a_vo_that_leaves_diracx_is_not_spoken_of_there(stack: Joined, tmp_path: Path) -> None:
    """With the VO disabled not one request of the pilot goes to DiracX, or asks for a token."""
    stack.publish("disabled=true", "future=false")
    (tmp_path / "hello.sh").write_text("echo hello\n", encoding="utf-8")
    jdl = f'Executable = "hello.sh"; InputSandbox = {{"{tmp_path / "hello.sh"}"}}; OutputSandbox = {{"std.out"}};'
    since = stack.sizes()
    (job,) = stack.submit(jdl)
    stack.client("user", "wait", str(job), "--status", "Waiting")
    reference = f"dirac-only-{job}"
    stack.client("admin", "add-pilot", reference)
    with Pilot(stack, tmp_path, reference) as pilot:
        stack.wait([job], lambda status: status == "Done", 120, pilot)
        assert pilot.drain() == 0

    assert not [line for line in stack.seen("diracx", since) if line["who"].get("preferred_username") == "labpilot"]
    assert "exchangeProxyForToken" not in {line["method"] for line in stack.seen("dirac", since)}


def test_a_service_that_is_retired_while_a_job_runs_loses_nothing(stack: Joined, tmp_path: Path) -> None:
    """The agent hears of it within five minutes, and asks whoever answers until then."""
    stack.publish("future=false")
    with running(stack, tmp_path, payload(25), jdl=JDL) as run:
        run.until("Running")
        stack.publish("retired=JobStateUpdate,SandboxStore")
        assert run.end() == "Done"
        stack.publish("future=false")  # the output may be in either store: DIRAC's client finds both
        assert "some data" in run.output_of_dirac()["std.out"]
        _nothing_is_told_with_two_moments(run)
