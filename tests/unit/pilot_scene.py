"""A small HTTPS server for pilots, its keys, what a WMS answers there, and whole pilots that call it."""

import base64
import http.server
import json
import os
import ssl
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


def ok(value):
    return 200, json.dumps({"OK": True, "Value": value}).encode()


def error(message, errno=0):
    return 200, json.dumps({"OK": False, "Errno": errno, "Message": message}).encode()


def packed(text):
    return {"newestVersion": "1", "data": base64.b64encode(zlib.compress(text.encode())).decode()}


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
