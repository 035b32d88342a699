"""What services send: JEncode, the frames of dips, JSON to the pilot, the agent, from ARC; and redaction."""

import time

from agents import redaction
from agents.errors import AgentError, ServiceError
from agents.reporting.accounting import __name__ as _accounting  # noqa: F401 # instrumented with the others
from agents.wms import dencode, dips, jencode
from agents.wms.https import Limits
from agents.wms.job_monitoring import JobMonitoring
from agents.wms.job_state import Heartbeat, JobState
from agents.wms.lost_matches import PilotJobs
from agents.wms.matcher import Matcher
from agents.wms.proxy_manager import ProxyManager
from agents.wms.sandbox_store import SandboxStore
from agents.wms.service import Retry, Service
from agents.wms.testing import FakeTransport
from ce_backends.arc import rest as arc_rest
from ce_backends.arc.system import Arc
from ce_backends.batch.options import Needs
from ce_backends.errors import CEError
from pilot import redact
from pilot.errors import PilotError
from pilot.wms import client as services
from pilot.wms import dencode as pilots_dencode
from pilot.wms import dips as pilots_dips
from tests.fuzz import scratch
from tests.fuzz.target import Target, text
from tests.unit.captured import CAPTURES

DENCODED = (
    b"ds2:OKb1s5:Valueds5:JobIDi1es3:JDLs10:[JobID=1;]s2:DNs2:/aee",
    b"ds2:OKb0s7:Messages2:nos5:Errnoi1510ee",
    b"ds2:OKb1s5:Valuetb1f1.5e-07ezati2026ei1ei2ei3ei4ei5ei6eneu2:\xc3\xa4s1:\xffnlee",
)
JSONS = (
    b'{"OK": true, "Value": {"1": {"Status": "Running", "MinorStatus": "x"}, "2": {}}}',
    b'{"OK": false, "Message": "no", "Errno": 1510, "CallStack": []}',
    b'{"OK": true, "Value": {"JDL": "[JobID=1;]", "JobID": 1, "Owner": "a", "Group": "g", "DN": "/a"}}',
    b'{"OK": true, "Value": {"ref": {"Jobs": [1, 2], "Status": "Running"}}}',
    b'{"OK": true, "Value": {"Owner": "a", "OwnerGroup": "b"}}',
    b'{"OK": true, "Value": {"__dCls": "dt", "obj": "2026-01-02 03:04:05"}, "x": {"__dCls": "b64", "obj": "YQ=="}}',
    b'{"OK": true, "Value": {"Kill": "", "Peek": 1}}',
    b'{"OK": true, "Value": "SB:SE|/a/b.tar.bz2"}',
    b"[[[[[[]]]]]]",
)
WORDS = ('{"OK": true, "Value": ', '"OK"', '"Value"', '"Errno"', '"__dCls"', '"obj"', "null", "true", "1e999", "[[[[")
SECRETS = (
    b"password=abc token: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.c2ln\nAuthorization: Bearer abc.def\n",
    b"-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabcdef\n-----END RSA PRIVATE KEY-----\n",
    b"X509_USER_PROXY=/tmp/x509up_u0 https://user:secret@host/path?access_token=zzz&x=1\n",
)


class Wire:
    """A connection on which this comes, and nothing more."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def recv(self, size: int) -> bytes:
        piece, self._data = self._data[:size], self._data[size:]
        return piece

    def recv_into(self, view: memoryview) -> int:
        piece = self.recv(len(view))
        view[: len(piece)] = piece
        return len(piece)

    def sendall(self, _: bytes) -> None:
        """Nobody listens."""

    def send(self, data: bytes) -> int:
        return len(data)

    def settimeout(self, _: float) -> None:
        """Nothing waits."""


def quickly() -> Retry:
    return Retry(attempts=1, base_s=0.0)


def _clients(data: bytes) -> None:
    """Give one answer to every question that the agent has."""
    service = Service("S", ["https://s"], FakeTransport(otherwise=jencode.decode(data)), quickly())
    monitoring = JobMonitoring(service)
    for ask in (
        lambda: Matcher(service, str).request_job({}),
        lambda: monitoring.statuses([1, 2]),
        lambda: monitoring.pilots([1]),
        lambda: monitoring.untouched([1]),
        lambda: monitoring.matched(1),
        lambda: monitoring.is_marked_for_termination(1),
        lambda: PilotJobs(service, monitoring).given("ref"),
        lambda: JobState(service, service).heartbeat(Heartbeat(job_id=1)),
        lambda: SandboxStore(service).upload_output(1, b""),
        lambda: ProxyManager(service).delegate("/a", "g", "", 1),
    ):
        try:
            ask()
        except AgentError:
            continue


def _agents_frames(data: bytes) -> object:
    limits = Limits()
    return dips._Frames(Wire(data), limits, time.monotonic() + 60, time.monotonic, lambda: None).receive()


def _arc(data: bytes) -> None:
    class Rest(arc_rest.Rest):
        def call(self, *_: object, **__: object) -> arc_rest.Answer:
            return arc_rest.Answer(200, data)

    credential = arc_rest.Credential(proxy=scratch.folder(), token=None, ca_directory=scratch.folder())
    arex = Arc(Rest("https://ce", credential, timeout_s=1), scratch.folder(), Needs(), None)
    for ask in (lambda: arex.states(["a", "b"]), lambda: arex.find([]), lambda: arex.cancel(["a"])):
        try:
            ask()
        except CEError:
            continue


def _framed() -> list[bytes]:
    return [b"%d:%b" % (len(one), one) for one in JSONS] + [b'dka26:{"Value": {"kaping": true}}2:{}']


def _captured() -> list[bytes]:
    return [path.read_bytes()[:19_000] for path in sorted((CAPTURES / "arc").glob("*.txt"))]


def _redacted(data: bytes) -> None:
    redaction.redacted(text(data))
    redaction.without_secrets({"a": text(data), "password": [text(data)]})


REDACTED = (
    "password",
    "token",
    "=",
    ":",
    "Bearer ",
    "-----BEGIN ",
    "PRIVATE KEY-----",
    "-----END ",
    "eyJ",
    "https://",
    "@",
)
TARGETS = (
    Target(name="jencode", run=jencode.decode, errors=(ServiceError,), seeds=lambda: JSONS, words=WORDS),
    Target(name="dencode", run=dencode.decode, errors=(ServiceError,), seeds=lambda: DENCODED, words=("s1:", "zate")),
    Target(name="dencode-pilot", run=pilots_dencode.decode, errors=(ValueError,), seeds=lambda: DENCODED),
    Target(name="answers-agent", run=_clients, errors=(ServiceError,), seeds=lambda: JSONS, words=WORDS),
    Target(
        name="answers-pilot",
        run=lambda d: services._value("https://s", "m", 200, d),
        errors=(PilotError,),
        seeds=lambda: JSONS,
        words=WORDS,
    ),
    Target(
        name="dips-agent", run=_agents_frames, errors=(ServiceError, OSError), seeds=_framed, words=("dka", ":", *WORDS)
    ),
    Target(
        name="dips-pilot",
        run=lambda d: pilots_dips.Frames(Wire(d), time.monotonic() + 60, time.monotonic).receive(),
        errors=(OSError, ValueError),
        seeds=_framed,
        words=("dka", ":", *WORDS),
    ),
    Target(
        name="arc", run=_arc, errors=(CEError,), seeds=_captured, words=('"job"', '"id"', '"state"', '"info_document"')
    ),
    Target(name="redaction-agent", run=_redacted, seeds=lambda: SECRETS, words=REDACTED),
    Target(name="redaction-pilot", run=lambda d: redact.redacted(text(d)), seeds=lambda: SECRETS, words=REDACTED),
)
