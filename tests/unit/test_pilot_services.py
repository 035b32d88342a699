"""The pilot's calls, and whole pilots, against a small HTTPS server."""

import base64
import http.server
import json
import os
import re
import ssl
import stat
import subprocess
import sys
import threading
import zlib
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pilot import cfg
from pilot.errors import CredentialError, ServiceRefused, ServiceUnreachable, UsageError
from pilot.settings import Settings
from pilot.wms import client as services
from pilot.wms import configuration, credential

ROOT = Path(__file__).parents[2]
PILOT_S = 30
NOW = datetime.now(UTC)
CONFIGURATION = """
Systems
{{
  WorkloadManagement
  {{
    URLs
    {{
      PilotManager = {url}/WorkloadManagement/PilotManager
      PilotLogging = {url}/WorkloadManagement/PilotLogging
    }}
  }}
}}
Operations
{{
  Defaults
  {{
    Pilot
    {{
      Version = 9.1.22, 9.1.21
    }}
  }}
}}
Resources
{{
  Sites
  {{
    LCG
    {{
      LCG.A.ch
      {{
        CEs
        {{
          ce01
          {{
            CEType = HTCondorCE
            Tag = a
            SSHPassword = hush
            Queues
            {{
              q
              {{
                maxCPUTime = 60
                Tag = b, a
                NumberOfProcessors = 1
              }}
            }}
          }}
        }}
      }}
    }}
  }}
}}
"""


def name(common):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def made(subject, *, issuer=None, issuer_key=None, san=True, days=(-1, 1)):
    """A certificate and its key, as PEM; without an issuer a CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer, signing = (name(issuer), issuer_key) if issuer else (name(subject), key)
    builder = x509.CertificateBuilder(
        signer, name(subject), key.public_key(), x509.random_serial_number(), *(NOW + timedelta(day) for day in days)
    ).add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    if issuer and san:
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    pem = builder.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    plain = serialization.NoEncryption()
    return pem, key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain), key


def make_keys(folder):
    """Fill a folder with ca.pem, other-ca.pem, host.pem, nosan.pem, proxy.pem and old.pem, expired; return it."""
    ca, _, ca_key = made("Test CA")
    (folder / "ca.pem").write_bytes(ca)
    (folder / "other-ca.pem").write_bytes(made("Other CA")[0])
    for file, options in (("host", {}), ("nosan", {"san": False}), ("proxy", {}), ("old", {"days": (-2, -1)})):
        certificate, key, _ = made("localhost", issuer="Test CA", issuer_key=ca_key, **options)
        (folder / f"{file}.pem").write_bytes(certificate + key)
        (folder / f"{file}.pem").chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("keys"))


class Door(http.server.BaseHTTPRequestHandler):
    """Answers with what the test's function returns for (path, method, args)."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        status, body = self.server.answer(self.path, form["method"][0], json.loads(form["args"][0]))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Keep quiet."""


@contextmanager
def serving(keys, answer, host="host.pem"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / host)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.answer = answer
    server.handle_error = lambda *_: None
    server.daemon_threads = False
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"https://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join(PILOT_S)
        server.server_close()


def caller(keys, ca="ca.pem", **options):
    ours = credential.load(Settings(), {"X509_USER_PROXY": str(keys / "proxy.pem")}, now=NOW)
    return services.Services(services.tls(ours, keys / ca), **{"vo": "vo", "setup": "", "is_host": False, **options})


def ok(value):
    return 200, json.dumps({"OK": True, "Value": value}).encode()


def error(message, errno=0):
    return 200, json.dumps({"OK": False, "Errno": errno, "Message": message}).encode()


def test_a_call_returns_the_value_and_sends_its_arguments(keys):
    with serving(keys, lambda path, method, args: ok([path, method, args])) as url:
        value = caller(keys).call(f"{url}/S/X", "m", "a", 1, {"k": ["v"]}, timeout_s=5)

    assert value == ["/S/X", "m", ["a", 1, {"k": ["v"]}]]


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (error("Pilot x not found", 1550), ServiceRefused, "m: Pilot x not found"),
        ((401, b""), ServiceRefused, "this credential may not call m (HTTP 401)"),
        ((501, b""), ServiceRefused, "there is no method m"),
        ((500, b"<html>"), ServiceUnreachable, "HTTP 500 for m"),
        ((404, b"<html>"), ServiceUnreachable, "HTTP 404 for m"),
        ((200, b"<html>hello"), ServiceUnreachable, "answered m with '<html>hello'; expected JSON"),
        ((200, b'{"OK": tr'), ServiceUnreachable, "expected JSON"),
        ((200, b"[1]"), ServiceUnreachable, "expected an object with OK"),
        ((200, b'{"OK": "yes"}'), ServiceUnreachable, "expected an object with OK"),
    ],
)
def test_every_answer_that_is_no_value_gets_one_sentence(keys, answer, kind, said):
    with serving(keys, lambda *_: answer) as url, pytest.raises(kind) as caught:
        caller(keys).call(f"{url}/S/X", "m", timeout_s=5)

    assert said in str(caught.value)
    assert getattr(caught.value, "errno", 0) in (0, 1550)


def test_a_server_of_another_ca_is_not_trusted(keys):
    with serving(keys, lambda *_: ok(1)) as url, pytest.raises(ServiceUnreachable, match="certificate is not accepted"):
        caller(keys, ca="other-ca.pem").call(f"{url}/S/X", "m", timeout_s=5)


def test_a_host_certificate_without_san_is_not_trusted(keys):
    with serving(keys, lambda *_: ok(1), host="nosan.pem") as url, pytest.raises(ServiceUnreachable) as caught:
        caller(keys).call(f"{url}/S/X", "m", timeout_s=5)

    assert "is not valid for 'localhost'" in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://h:9135/X", "https:///X", "http://h/X", "https://h:port/X", "x"])
def test_an_url_that_cannot_be_called_is_named(keys, url):
    with pytest.raises(ServiceUnreachable, match="expected https://host:port/path"):
        caller(keys).call(url, "m", timeout_s=5)


def test_nobody_listening_is_unreachable(keys):
    with serving(keys, lambda *_: ok(1)) as url:
        pass
    with pytest.raises(ServiceUnreachable, match="no answer to m"):
        caller(keys).call(f"{url}/S/X", "m", timeout_s=5)


def test_a_server_that_does_not_answer_is_left_at_the_deadline(keys):
    released = threading.Event()
    with serving(keys, lambda *_: ok(released.wait(PILOT_S))) as url:
        with pytest.raises(ServiceUnreachable, match="no answer to m"):
            caller(keys).call(f"{url}/S/X", "m", timeout_s=0.3)
        released.set()


def test_an_answer_without_end_is_cut_off_at_the_limit(keys):
    flood = (200, bytes(services.ANSWER_LIMIT_BYTES + 1))

    with serving(keys, lambda *_: flood) as url, pytest.raises(ServiceUnreachable, match="more than"):
        caller(keys).call(f"{url}/S/X", "m", timeout_s=PILOT_S)


def test_a_key_that_does_not_fit_is_refused_before_any_request(keys, tmp_path):
    wrong = tmp_path / "wrong.pem"
    host, proxy = ((keys / file).read_text() for file in ("host.pem", "proxy.pem"))
    wrong.write_text(host[: host.index("-----BEGIN PRIVATE")] + proxy[proxy.index("-----BEGIN PRIVATE") :])
    wrong.chmod(0o600)
    ours = credential.load(Settings(), {"X509_USER_PROXY": str(wrong)}, now=NOW)

    with pytest.raises(CredentialError, match="certificate and key do not work"):
        services.tls(ours, keys / "ca.pem")


def packed(text):
    return {"newestVersion": "1", "data": base64.b64encode(zlib.compress(text.encode())).decode()}


def in_order(servers):
    return servers


def test_the_configuration_comes_from_the_first_server_that_gives_it(keys):
    def answer(path, *_):
        return (500, b"") if path == "/broken" else ok(packed("A = 1\n"))

    with serving(keys, answer) as url:
        root = configuration.download(caller(keys), [f"{url}/broken", f"{url}/good"], shuffled=in_order).root

    assert root == {"A": "1"}


@pytest.mark.parametrize("value", ["text", {}, {"data": 3}, {"data": "!"}, {"data": base64.b64encode(b"x").decode()}])
def test_a_configuration_that_cannot_be_unpacked_is_no_configuration(keys, value):
    with serving(keys, lambda *_: ok(value)) as url, pytest.raises(ServiceUnreachable, match="no configuration"):
        configuration.download(caller(keys), [f"{url}/c"])


def test_a_truncated_configuration_is_no_configuration(keys):
    short = base64.b64encode(zlib.compress(b"A = 1\n" * 99)[:-9]).decode()

    with serving(keys, lambda *_: ok({"data": short})) as url, pytest.raises(ServiceUnreachable, match="cut off"):
        configuration.download(caller(keys), [f"{url}/c"])


def test_a_configuration_with_open_sections_is_named(keys):
    with serving(keys, lambda *_: ok(packed("A\n{\n"))) as url, pytest.raises(UsageError, match="never closed"):
        configuration.download(caller(keys), [f"{url}/c"])


def test_refusal_by_every_server_is_a_refusal(keys):
    with serving(keys, lambda *_: (401, b"")) as url, pytest.raises(ServiceRefused, match="no configuration"):
        configuration.download(caller(keys), [f"{url}/c", f"{url}/d"])


def test_urls_are_found_with_and_without_instances_and_main_servers_filled_in():
    old = cfg.nest(
        {
            "/DIRAC/Setups/Prod/WorkloadManagement": "P1",
            "/Systems/WorkloadManagement/P1/URLs/PilotManager": "https://$MAINSERVERS$:1/P",
            "/Systems/WorkloadManagement/P1/FailoverURLs/PilotManager": "https://f/P",
            "/Operations/vo/Prod/MainServers": "h1, h2",
        }
    )
    new = cfg.nest({"/Systems/WorkloadManagement/URLs/PilotManager": "https://h/P"})

    found = [
        configuration.service_urls(root, "WorkloadManagement", "PilotManager", setup="Prod", vo="vo")
        for root in (old, new)
    ]

    assert found == [("https://h1:1/P", "https://h2:1/P", "https://f/P"), ("https://h/P",)]


def test_operations_of_the_vo_win_over_the_defaults():
    root = cfg.nest({"/Operations/Defaults/Pilot/Version": "1", "/Operations/vo/Pilot/Version": "2"})

    found = [configuration.operations(root, "Pilot/Version", setup="", vo=vo) for vo in ("vo", "other", "unknown")]

    assert found == ["2", "1", "1"]


class Wms:
    """What a pilot's services were told, and what they answer."""

    def __init__(self, known=False, answers=None):
        self.calls = []
        self.url = ""
        self._known = known
        self._answers = answers or {}

    def __call__(self, path, method, args):
        self.calls.append((method, args))
        if method in self._answers:
            return self._answers[method]
        if method == "getCompressedDataIfNewer":
            return ok(packed(CONFIGURATION.format(url=self.url)))
        if method == "getPilotInfo" and not self._known:
            return error("not found", 1550)
        return ok(None)

    def told(self, method):
        return [args for name, args in self.calls if name == method]


class SlowWms(Wms):
    """Does not say whether it knows a pilot until it is released."""

    def __init__(self):
        super().__init__()
        self.asked, self.released = threading.Event(), threading.Event()

    def __call__(self, path, method, args):
        if method == "getPilotInfo":
            self.asked.set()
            self.released.wait(PILOT_S)
        return super().__call__(path, method, args)


@pytest.fixture
def place(keys, tmp_path):
    """What a pilot needs around it: work folder, environment."""
    environ = {"PATH": os.environ["PATH"], "X509_USER_PROXY": str(keys / "proxy.pem"), "DIRAC_PILOT_STAMP": "5" * 32}
    return tmp_path / "work", environ


def pilot_argv(place, url, *options, program="true"):
    argv = [sys.executable, "-W", "error", "-m", "pilot", "-n", "LCG.A.ch", "-N", "ce01", "-Q", "q", "--wnVO", "vo"]
    argv += ["-C", f"{url}/Configuration/Server", "--work-dir", str(place[0]), "-D", "1", *options]
    return argv + (["-x", program] if program else [])


def run_pilot(place, url, *options, program="true"):
    argv = pilot_argv(place, url, *options, program=program)
    return subprocess.run(argv, cwd=ROOT, env=place[1], capture_output=True, text=True, timeout=PILOT_S, check=False)


def test_a_whole_pilot_registers_writes_its_configuration_and_reports_the_end(keys, place):
    wms = Wms()
    with serving(keys, wms) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"), "-t", "c", "--requiredTag", "d")

    assert (done.returncode, done.stderr) == (0, "")
    stamp = "5" * 32
    assert wms.told("addPilotReferences") == [[[stamp], "vo", "DIRAC", {stamp: stamp}]]
    assert [args[:3] + args[4:] for args in wms.told("setPilotStatus")] == [
        [stamp, "Running", "ce01", "LCG.A.ch", "q"],
        [stamp, "Done", "ce01", "LCG.A.ch", "q"],
    ]
    text = (place[0] / "pilot.cfg").read_text()
    written = cfg.parse(text, "pilot.cfg")
    local = cfg.options(cfg.section(written, "/LocalSite"))
    defaults = cfg.options(cfg.section(written, "/Resources/Computing/CEDefaults"))
    assert local["Site"] == "LCG.A.ch"
    assert (local["ReleaseVersion"], local["CPUTime"]) == ("9.1.22", "36000")
    assert (local["NumberOfProcessors"], defaults["NumberOfProcessors"]) == ("1", "1")
    assert (defaults["Tag"], defaults["RequiredTag"]) == ("a, b, c, d", "d")
    assert "hush" not in text


def test_a_pilot_that_the_submitter_registered_is_not_registered_again(keys, place):
    wms = Wms(known=True)
    with serving(keys, wms) as wms.url:
        run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"))

    assert wms.told("addPilotReferences") == []
    assert len(wms.told("setPilotStatus")) == 2


def test_a_pilot_goes_on_when_it_cannot_be_registered(keys, place):
    wms = Wms(answers={"getPilotInfo": (500, b""), "setPilotStatus": (500, b"")})
    with serving(keys, wms) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"))

    assert done.returncode == 0
    assert "pilot.not_registered" in done.stdout


def test_the_log_goes_to_the_logging_service_whole_and_in_order(keys, place):
    wms = Wms()
    with serving(keys, wms) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"), "-z")

    lines = [line for message, *_ in wms.told("sendMessage") for line in json.loads(message)]
    assert "".join(lines) == done.stdout == (place[0] / "pilot.log").read_text()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [A-Z]+ \[Pilot\] ", line) for line in lines)
    assert wms.told("finaliseLogs") == [['{"retCode": "0"}', "5" * 32, "vo"]]


def test_options_of_the_user_win_and_those_without_effect_are_named_once(keys, place):
    wms = Wms()
    options = ["-o", "/LocalSite/CPUNormalizationFactor=12.5", "-o", "MinimumTimeLeft=7", "-s", "x", "-s", "y"]
    with serving(keys, wms) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"), *options)

    written = cfg.parse((place[0] / "pilot.cfg").read_text(), "pilot.cfg")
    assert cfg.option(written, "/LocalSite/CPUNormalizationFactor") == "12.5"
    assert cfg.option(written, "/LocalSite/CPUTime") == "45000"
    assert cfg.option(written, "/Systems/WorkloadManagement/Agents/JobAgent/MinimumTimeLeft") == "7"
    assert done.stdout.count("setting.without_effect name=-s") == 1


def test_a_dry_run_shows_what_would_be_written_and_leaves_no_trace(keys, place):
    wms = Wms()
    with serving(keys, wms) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"), "-z", "--dry-run")

    written = cfg.parse("\n".join(line for line in done.stdout.splitlines() if not line.startswith("#")), "stdout")
    assert done.returncode == 0, done.stderr
    assert cfg.option(written, "/LocalSite/Site") == "LCG.A.ch"
    assert done.stdout.splitlines()[-1].startswith("# would start: ")
    assert "command.left_out name=RegisterPilot" in done.stderr
    assert {method for method, _ in wms.calls} == {"getCompressedDataIfNewer"}
    assert not place[0].exists()


def test_a_dry_run_answers_programs(keys, place):
    with serving(keys, wms := Wms()) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"), "--dry-run", "--json")

    told = json.loads(done.stdout)
    assert told["pilot.cfg"]["/LocalSite/Site"] == "LCG.A.ch"
    assert told["command"] == ["true"]
    assert told["left out"] == ["RegisterPilot", "LaunchAgent"]
    assert not place[0].exists()


def test_explain_answers_programs(place):
    done = run_pilot(place, "https://localhost:1", "--explain=-P", "--json")

    assert json.loads(done.stdout) == [{"name": "processors", "value": "0", "origin": "default"}]


def test_json_without_a_question_is_one_sentence(place):
    done = run_pilot(place, "https://localhost:1", "--json")

    assert (done.returncode, done.stderr) == (2, "pilot: option --json: expected with --explain or --dry-run\n")


def test_a_failing_program_makes_the_pilot_failed_and_passes_its_code_on(keys, place):
    wms = Wms()
    with serving(keys, wms) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"), program="sh -c 'exit 9'")

    assert (done.returncode, wms.told("setPilotStatus")[-1][1]) == (9, "Failed")


def test_a_pilot_that_may_not_ask_for_itself_still_says_that_it_runs(keys, place):
    wms = Wms(answers={"getPilotInfo": (401, b"")})
    with serving(keys, wms) as wms.url:
        run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"))

    assert (wms.told("addPilotReferences"), wms.told("setPilotStatus")[0][1]) == ([], "Running")


def test_a_pilot_that_may_not_add_itself_still_says_that_it_runs(keys, place):
    wms = Wms(answers={"addPilotReferences": (401, b"")})
    with serving(keys, wms) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"))

    assert wms.told("setPilotStatus")[0][1] == "Running"
    assert "pilot.not_added" in done.stdout


def test_a_signal_before_the_agent_ends_the_pilot_with_a_sentence_and_a_status(keys, place):
    wms = SlowWms()
    with serving(keys, wms) as wms.url:
        process = subprocess.Popen(
            pilot_argv(place, wms.url, "--ca-dir", str(keys / "ca.pem")),
            cwd=ROOT,
            env=place[1],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert wms.asked.wait(PILOT_S)
            process.terminate()
            _, said = process.communicate(timeout=PILOT_S)
        finally:
            wms.released.set()
            process.kill()
            process.communicate()

    assert (process.returncode, said) == (143, "pilot: stopped by SIGTERM before the agent was started\n")
    assert wms.told("setPilotStatus")[-1][1] == "Failed"


def test_a_configuration_server_that_is_down_ends_the_pilot_with_its_code(keys, place):
    with serving(keys, Wms()) as url:
        pass

    done = run_pilot(place, url, "--ca-dir", str(keys / "ca.pem"))

    assert done.returncode == 4
    assert done.stderr.startswith("pilot: no configuration: https://localhost")
    assert done.stderr.count("\n") == 1


def test_a_program_that_does_not_exist_ends_the_pilot_with_its_code_and_status(keys, place):
    wms = Wms()
    with serving(keys, wms) as wms.url:
        done = run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"), program="/not/there")

    assert (done.returncode, done.stderr) == (6, "pilot: /not/there: cannot be started: No such file or directory\n")
    assert wms.told("setPilotStatus")[-1][1] == "Failed"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["-D", "999999999999"], 6, "MB of disk are free"),
        (["-X", "LaunchAgnt"], 2, "no command 'LaunchAgnt'"),
        (["-F", "/not/there.json"], 2, "/not/there.json: there is no such file"),
        (["--ca-dir", "/not/there"], 3, "no CA certificates there"),
        (["--work-dir", "/proc/x"], 6, "not usable as work folder"),
        (["--ca-dir", "/proc/self/status", "-o", "/LocalSite/CPUNormalizationFactor=9999"], 3, "not readable as CA"),
    ],
)
def test_bad_input_ends_the_pilot_with_one_sentence_and_its_code(place, options, code, said):
    done = run_pilot(place, "https://localhost:1", *options)

    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_a_configuration_server_the_pilot_says_so(place):
    work_dir, environ = place
    argv = [sys.executable, "-m", "pilot", "-n", "LCG.A.ch", "--work-dir", str(work_dir), "-D", "1"]

    done = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=PILOT_S, check=False)

    assert (done.returncode, done.stderr) == (
        2,
        "pilot: no Configuration server: give -C, or ConfigurationServers in pilot.json\n",
    )


def test_the_pilot_configuration_is_no_secret_and_the_proxy_is_not_in_it(keys, place):
    wms = Wms()
    with serving(keys, wms) as wms.url:
        run_pilot(place, wms.url, "--ca-dir", str(keys / "ca.pem"))

    file = place[0] / "pilot.cfg"
    assert stat.S_IMODE(file.stat().st_mode) & 0o400
    assert "PRIVATE" not in file.read_text()
    assert not file.with_suffix(".new").exists()


def test_explain_shows_each_value_with_its_origin_and_contacts_nobody(place):
    work_dir, environ = place
    wide = {**environ, "SLURM_JOBID": "7", "COLUMNS": "300"}

    done = run_pilot((work_dir, wide), "https://localhost:1", "--explain", "-P", "3")

    rows = [re.split(r"  +", line) for line in done.stdout.splitlines()]
    assert ["processors", "3", "option -P"] in rows
    assert ["max_cycles", "0", "default"] in rows
    assert ["pilot reference", "sshslurm://ce01/7", "SLURM_JOBID"] in rows
    assert (done.returncode, work_dir.exists()) == (0, False)
