"""The local WMS: JDLs that are submitted, and calls with any arguments; what a call raises is its caller's HTTP 500."""

from agents.jobs.classad import JdlError
from agents.local_wms import jdl, jencode, parametric
from agents.local_wms.database import open_database
from agents.local_wms.home import Home
from agents.local_wms.jobs import Jobs
from agents.local_wms.registry import JOB_ADMINISTRATOR
from agents.local_wms.server import services_of, utc_now
from agents.local_wms.services.base import Caller, Method, Refusal
from tests.fuzz import scratch
from tests.fuzz.target import Target, text
from tests.fuzz.targets import jobs

CALLER = Caller(dn="/CN=a", username="a", group="g", vo="v", properties=frozenset({JOB_ADMINISTRATOR}), is_proxy=True)
PARAMETRIC = b"""Executable = "x"; Parameters = 3; ParameterStart = 0; ParameterStep = 1; Arguments = "%s %(N)s";
Parameters.N = 3;"""
METHODS: dict[str, Method] = {}


def _submitted(data: bytes) -> None:
    record = jdl.parse(text(data))
    jdl.near_misses(record)
    for one in parametric.expand(record) or [jdl.show(record)]:
        jdl.parse(one)


def _call(data: bytes) -> None:
    if not METHODS:
        made = Jobs(open_database(":memory:"), utc_now)
        for service in services_of(made, Home(scratch.folder() / "wms"), "https://localhost", "v"):
            METHODS.update(service.methods())
    name, _, arguments = data.partition(b" ")
    method = METHODS.get(text(name))
    if method is not None:
        method(CALLER, jencode.decode(text(arguments)))


CALLS = (
    b'submitJob ["[Executable=\\"a\\";]"]',
    b'requestJob [{"Site": "LCG.X", "NumberOfProcessors": 2, "Tag": ["A"], "PilotReference": "r"}]',
    b'setJobStatusBulk [1, {"2026-01-01 00:00:00": {"Status": "Running", "MinorStatus": "x"}}, false]',
    b'setJobParameters [1, [["a", "b"]]]',
    b'sendHeartBeat [1, {"LoadAverage": 1.0}, {"StandardOutput": "x"}]',
    b"getJobsStatus [[1, 2]]",
    b"killJob [1]",
    b'rescheduleJob ["1"]',
    b'getPilotInfo ["r"]',
    b'addPilotReferences [["r"], "g", "SSH", {}]',
    b'getCompressedDataIfNewer ["0"]',
)
TARGETS = (
    Target(
        name="local-jdl",
        run=_submitted,
        errors=(Refusal, ValueError, JdlError),
        seeds=lambda: [*jobs.JDLS, PARAMETRIC],
        words=(*jobs.WORDS, "Parameters", "ParameterStart", "ParameterStep", "%s", "%n", "%(", "Parameters."),
    ),
    Target(name="local-calls", run=_call, errors=(Exception,), seeds=lambda: CALLS, words=("[", "]", "{", '"', "null")),
)
