"""DIRAC's own pilot wrapper, unmodified, with our pilot files behind it: from the download to Done.

The wrapper is made by DIRAC's SiteDirector and PilotWrapper, pilot.json by its PilotCStoJSONSynchronizer; the files
come from an https server with a certificate of the CA that the node trusts. One wrapper runs two jobs: a plain one, and
one of DIRAC's Job API with input and output data.
"""

import http.server
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.dirac_stack import ROOT, SCRIPTS, Stack, home, script
from tests.system.job_api_files import fill
from tests.system.storage import DiracData

BUILD_S = 300
WRAPPER_S = 240
MADE_S = 60
OPTIMIZED_S = 120.0
JDL = (
    'Executable = "/bin/sh"; Arguments = "-c \'echo $DIRAC_JOB_PROCESSORS $VO_WORD\'"; Priority = 5; '
    'StdOutput = "std.out"; OutputSandbox = {"std.out"};'
)


@dataclass(frozen=True)
class Ended:
    """What one run of the wrapper left.

    Attributes:
        job: the plain one.
        with_data: the one of the Job API.
        run: part of its logical names.
        inputs: what it reads, one file after the other.
    """

    returncode: int
    said: str
    job: int
    with_data: int
    run: str
    inputs: bytes
    stamp: str
    served: list[str]
    calls: list[dict]
    left: list[str]


def site_director(stack: Stack, *arguments: str):
    argv = [stack.endpoint["dirac_python"], str(SCRIPTS / "site_director.py"), *arguments]
    environment = os.environ | stack.endpoint["dirac_env"] | {"X509_USER_PROXY": stack.endpoint["admin_proxy"]}
    done = subprocess.run(argv, check=False, env=environment, capture_output=True, text=True, timeout=MADE_S)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def pilot_files(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for the pilot file server, made as a VO makes it: make bundle, make pilot-files."""
    folder = tmp_path_factory.mktemp("files")
    pilot_json = folder / "from-dirac.json"
    pilot_json.write_text(json.dumps(site_director(stack, "pilot-json")))
    bundle = [sys.executable, "-m", "tools.bundle", "--into", str(folder / "dist")]
    files = [sys.executable, "-m", "tools.pilot_files", "--bundle", str(folder / "dist" / "gridpilot.pyz")]
    for argv in (bundle, [*files, "--pilot-json", str(pilot_json), "--into", str(folder / "pilot")]):
        subprocess.run(argv, cwd=ROOT, check=True, timeout=BUILD_S)
    return folder / "pilot"


@contextmanager
def file_server(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder over https as localhost until the block ends; host:port, and what was asked for."""
    served: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, _format: str, *args: object) -> None:
            served.append(" ".join(map(str, args[:2])))

    def handler(*arguments):
        return Handler(*arguments, directory=str(folder))

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificates = home() / "certs"
    context.load_cert_chain(certificates / "hostcert.pem", certificates / "hostkey.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"localhost:{server.server_address[1]}", served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def ended(
    stack: Stack, data: DiracData, pilot_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ended]:
    assert shutil.which("dirac-jobexec") is None, "this node has a DIRAC; the jobs must run without one"
    script("publish.sh", "dips")
    script("sweep.sh")
    folder, files = tmp_path_factory.mktemp("slot"), tmp_path_factory.mktemp("inputs")
    stamp = uuid.uuid4().hex
    run = f"drop-in-{stamp[:8]}"
    fill(data, files, run)
    stack.client("admin", "add-pilot", stamp)
    (job,) = stack.submit(JDL)
    (with_data,) = data.job_api("user", run, "input_to_output")["input_to_output"]
    stack.wait([job, with_data], lambda status: status == "Waiting", OPTIMIZED_S)
    since = stack.capture_size()
    options = ["--userEnvVariables=VO_WORD:::from-the-vo", "-P 1", "--PollingTime=1", "--StopAfterFailedMatches=2"]
    options += ["-z", f"-g {stack.logging_url()}", "-T 800000"]
    with file_server(pilot_files.parent) as (place, served):
        wrapper = site_director(
            stack, "wrapper", "--file-server", place, "--proxy", stack.endpoint["pilot_proxy"], "--into", str(folder),
            "--stamp", stamp, "--options=" + ",".join(options),
        )  # fmt: skip
        environment = {"PATH": os.environ["PATH"], "X509_CERT_DIR": stack.endpoint["ca_dir"], "API_SECRET": "hush-hush"}
        with (folder / "out").open("w") as out:
            done = subprocess.run(
                ["bash", wrapper], cwd=folder, env=environment, check=False, stdout=out, stderr=subprocess.STDOUT,
                timeout=WRAPPER_S,
            )  # fmt: skip
    said = (folder / "out").read_text(errors="replace")
    left = sorted(path.name for path in folder.iterdir() if path.name not in ("out", Path(wrapper).name))
    inputs = (files / "a.root").read_bytes() + (files / "b.root").read_bytes()
    yield Ended(done.returncode, said, job, with_data, run, inputs, stamp, served, stack.captured(since), left)
    stack.client("admin", "delete", str(job), str(with_data))


def test_the_wrapper_downloads_our_files_and_ends_well(ended: Ended) -> None:
    asked = [line.split()[1] for line in ended.served if "200" in line.split()[-1]]

    assert ended.returncode == 0, ended.said[-4000:]
    assert asked == ["/pilot/checksums.sha512", "/pilot/pilot.json", "/pilot/pilot.tar"]


def test_the_job_is_done_with_its_output(stack: Stack, ended: Ended, tmp_path: Path) -> None:
    job = stack.status(ended.job)[ended.job]

    assert (job["Status"], job["MinorStatus"]) == ("Done", "Execution Complete"), ended.said[-4000:]
    stack.client("user", "output", str(ended.job), "--into", str(tmp_path))
    assert (tmp_path / "std.out").read_text() == "1 from-the-vo\n"


def test_a_job_of_the_job_api_reads_and_leaves_data(
    stack: Stack, data: DiracData, ended: Ended, tmp_path: Path
) -> None:
    lfn = f"/labvo/user/l/labuser/{ended.run}/joined/both.root"
    job = stack.status(ended.with_data, full=True)[ended.with_data]

    assert (job["Status"], job["MinorStatus"]) == ("Done", "Execution Complete"), job["History"]
    assert job["ApplicationStatus"] == "join.sh successful"
    known = data.look(lfn)[lfn]
    assert (known["Size"], int(known["Checksum"], 16)) == (len(ended.inputs), zlib.adler32(ended.inputs))
    assert known["Replicas"] == ["XRD-https"]
    assert data.client("user2", "get", lfn, "--into", str(tmp_path))["size"] == len(ended.inputs)
    assert (tmp_path / "both.root").read_bytes() == ended.inputs
    stack.client("user", "output", str(ended.with_data), "--into", str(tmp_path / "sandbox"))
    said = (tmp_path / "sandbox" / "Script1_join.sh.log").read_text().split()
    assert said[said.index("joined") + 1].upper() == known["GUID"]  # as the payload's POOL catalogue has it


def test_the_pilot_went_under_the_stamp_that_the_submitter_chose(stack: Stack, ended: Ended) -> None:
    assert stack.client("admin", "pilot", ended.stamp)["Status"] == "Done"


def test_the_wrapper_s_own_log_reaches_the_server_without_secrets(ended: Ended) -> None:
    sent = [call["args"][0] for call in ended.calls if call["method"] == "sendMessage"]
    lines = "".join(map(str, sent))

    assert "Launching dirac-pilot script from" in lines
    assert "API_SECRET=***" in lines
    assert "hush-hush" not in lines


def test_nothing_is_left_behind(ended: Ended) -> None:
    assert ended.left == []
