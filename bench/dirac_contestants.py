"""DIRAC's own JobAgent and ours, started with the same site, queue, proxy and jobs."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.system.dirac_stack import ROOT, Stack

SLOT_HS06S = 800_000
TOKEN_S = 60.0
TOKEN_INTO = """
import sys
paths, sys.argv = sys.argv[1:], sys.argv[:1]
import DIRAC
DIRAC.initialize()
from DIRAC.Core.Security.DiracX import addTokenToPEM
done = addTokenToPEM(paths[0], "labvo_pilot")
sys.exit(0 if done["OK"] else done["Message"])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """How to start one agent.

    Attributes:
        name: for the table.
        argv: the agent's command.
        environment: all of it.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]


def gridpilot(stack: Stack, folder: Path, processors: int = 1, tags: str = "") -> Contestant:
    """Ours, with its defaults."""
    endpoint = stack.endpoint
    options = {
        "/LocalSite/Site": endpoint["site"],
        "/LocalSite/GridCE": endpoint["ce"],
        "/LocalSite/CEQueue": endpoint["queue"],
        "/LocalSite/CPUTimeLeft": str(SLOT_HS06S),
        "/DIRAC/Configuration/Servers": endpoint["configuration"],
        "/DIRAC/VirtualOrganization": endpoint["vo"],
        **({"/DIRAC/Setup": endpoint["setup"]} if endpoint["setup"] else {}),
        "/Resources/Computing/CEDefaults/NumberOfProcessors": str(processors),
        "/Resources/Computing/CEDefaults/Tag": tags,
    }
    argv = [sys.executable, "-m", "agents", "--work-dir", str(folder)]
    argv += [word for path, text in options.items() for word in ("-o", f"{path}={text}")]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "X509_USER_PROXY": endpoint["pilot_proxy"],
        "X509_CERT_DIR": endpoint["ca_dir"],
    }
    return Contestant(name="gridpilot", argv=argv, environment=environment)


def dirac(stack: Stack, folder: Path, processors: int = 1, tags: str = "") -> Contestant:
    """DIRAC's JobAgent, with the options that DIRAC's own pilot starts it with."""
    endpoint = stack.endpoint
    (folder / "pilot.cfg").write_text(_pilot_cfg(stack, processors, tags), encoding="utf-8")
    options = ["MaxCycles=1000", "PollingTime=20", "StopOnApplicationFailure=False", "StopAfterFailedMatches=10"]
    options += ["FillingModeFlag=True", "LogLevel=INFO", f"WorkingDirectory={folder}"]
    options += [f"/LocalSite/InstancePath={folder}", "/AgentJobRequirements/ExtraOptions=pilot.cfg"]
    argv = [str(Path(endpoint["dirac_python"]).with_name("dirac-agent")), "WorkloadManagement/JobAgent"]
    argv += [word for option in options for word in ("-o", option)]
    argv += ["-s", "/Resources/Computing/CEDefaults", "--cfg", "pilot.cfg"]
    own = {"DIRAC_ROOT_PATH": str(folder), "X509_USER_PROXY": endpoint["pilot_proxy"], "PYTHONUNBUFFERED": "yes"}
    environment = {**os.environ, **endpoint["dirac_env"], **own}
    environment["PATH"] = f"{Path(endpoint['dirac_python']).parent}{os.pathsep}{environment['PATH']}"
    del environment["DIRACSYSCONFIG"]
    return Contestant(name=f"DIRAC {endpoint['dirac_version']}", argv=argv, environment=environment)


def with_token(stack: Stack, environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the environment with a proxy that has a token in its file, as DIRAC's SiteDirector packs it."""
    proxy = folder / "pilot-proxy.pem"
    proxy.touch(mode=0o600)
    proxy.write_text(Path(stack.endpoint["pilot_proxy"]).read_text("ascii"), encoding="ascii")
    (folder / "tmp").mkdir()
    own = {"X509_USER_PROXY": str(proxy), "TMPDIR": str(folder / "tmp")}
    environ = os.environ | stack.endpoint["dirac_env"] | own
    argv = [stack.endpoint["dirac_python"], "-c", TOKEN_INTO, str(proxy)]
    subprocess.run(argv, check=True, env=environ, capture_output=True, timeout=TOKEN_S)
    return {**environment, "DIRACX_CA_PATH": stack.endpoint["ca_file"], **own}


def _pilot_cfg(stack: Stack, processors: int, tags: str) -> str:
    """Return what the commands of DIRAC's pilot leave behind."""
    endpoint = stack.endpoint
    sections = {
        "DIRAC": {
            "VirtualOrganization": endpoint["vo"],
            **({"Setup": endpoint["setup"]} if endpoint["setup"] else {}),
            "Configuration": {"Servers": endpoint["configuration"]},
            "Security": {"UseServerCertificate": "no", "CALocation": endpoint["ca_dir"]},
        },
        "LocalSite": {
            "Site": endpoint["site"],
            "GridCE": endpoint["ce"],
            "CEQueue": endpoint["queue"],
            "LocalCE": "InProcess",
            "LocalSE": endpoint["local_elements"],
            "PilotReference": "Unknown",
            "CPUNormalizationFactor": "10.0",
            "CPUTimeLeft": SLOT_HS06S,
            "CPUTime": SLOT_HS06S,
            "ReleaseVersion": endpoint["dirac_version"],
        },
        "Resources": {
            "Computing": {
                "CEDefaults": {
                    "Site": endpoint["site"],
                    "GridCE": endpoint["ce"],
                    "Queue": endpoint["queue"],
                    "VirtualOrganization": endpoint["vo"],
                    "NumberOfProcessors": processors,
                    "Tag": tags,
                    "MaxRAM": 4096,
                }
            }
        },
        "AgentJobRequirements": {"ExtraOptions": "pilot.cfg"},
    }
    return _cfg(sections)


def _cfg(section: Mapping[str, object]) -> str:
    lines = []
    for name, value in section.items():
        lines.append(f"{name}\n{{\n{_cfg(value)}}}\n" if isinstance(value, Mapping) else f"{name} = {value}\n")
    return "".join(lines)
