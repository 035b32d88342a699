"""Configurations: both readers of CFG, what the Configuration service sends, pilot.json."""

import base64
import zlib
from pathlib import Path

from agents.errors import AgentError
from agents.wms import configuration as agents_configuration
from agents.wms.service import Service
from agents.wms.testing import FakeTransport, ok
from ce_backends import cfg
from ce_backends.configuration import site_file
from ce_backends.errors import CEError, CfgError
from pilot import cfg as pilots_cfg
from pilot import pilot_json
from pilot.errors import PilotError
from pilot.settings import Settings
from pilot.wms import configuration as pilots_configuration
from tests.fuzz import scratch
from tests.fuzz.target import Target, text
from tests.fuzz.targets.answers import quickly

ROOT = Path(__file__).parents[3]
WORDS = ("{", "}", "=", "+=", "#", "\n", "/", "Systems", "Resources", "Sites", "CEs", "CEType", "Queues", "\ufeff", ",")
PILOT_JSON = (
    b"""{"DefaultSetup": "S", "ConfigurationServers": ["https://a"], "S": {"Commands": {"Defaults": ["CheckWN"]}},
 "CEs": {"ce": {"Site": "LCG.X", "GridCEType": "ARC", "q": {"LocalCEType": "Pool"}}}}""",
    b"""{"Setups": {"S": {"Version": "v9", "Commands": {"ARC": "A, B"}, "NagiosProbes": "x", "Logging": {"Queue": 1}},
 "Defaults": {"RemoteLogging": "True"}}}""",
)


def _cfgs() -> list[bytes]:
    inline = [b"A\n{\n  b = 1\n  C { d = e\n }\n}\n", b"# c\nA{\nb=1,2\nb+=3\n}\n", b"\xef\xbb\xbfx = y\n"]
    return inline + [path.read_bytes() for path in sorted((ROOT / "configs").glob("*.cfg"))]


def _packed(data: bytes) -> str:
    """Return bytes as the server packs its configuration; those that begin with `=` as they are."""
    return text(data[1:]) if data.startswith(b"=") else base64.b64encode(zlib.compress(data)).decode()


def _agents(data: bytes) -> None:
    value = {"newestVersion": "1", "data": _packed(data)}
    agents_configuration.download_newer(Service("C", ["https://c"], FakeTransport(otherwise=ok(value)), quickly()), "0")


def _ces(data: bytes) -> None:
    for definition in site_file.definitions(cfg.parse(text(data), "a file")):
        site_file.read(definition)


def _pilot_json(data: bytes) -> None:
    path = scratch.file("pilot.json", data)
    told = Settings(setup="S", ce="ce", queue="q")
    list(pilot_json.settings(pilot_json.load(path, must_exist=True), path, told, "vo"))


TARGETS = (
    Target(name="cfg-agent", run=lambda d: cfg.parse(text(d), "x"), errors=(CfgError,), seeds=_cfgs, words=WORDS),
    Target(
        name="cfg-pilot", run=lambda d: pilots_cfg.parse(text(d), "x"), errors=(PilotError,), seeds=_cfgs, words=WORDS
    ),
    Target(name="cfg-ces", run=_ces, errors=(CEError,), seeds=_cfgs, words=WORDS),
    Target(name="configuration-agent", run=_agents, errors=(AgentError,), seeds=_cfgs, words=WORDS),
    Target(
        name="configuration-pilot",
        run=lambda d: pilots_configuration._unpack("https://c", {"data": _packed(d)}, ["https://c"]),
        errors=(PilotError,),
        seeds=_cfgs,
        words=WORDS,
    ),
    Target(name="pilot-json", run=_pilot_json, errors=(PilotError,), seeds=lambda: PILOT_JSON),
)
