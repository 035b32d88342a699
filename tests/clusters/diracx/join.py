"""Join the configuration that ../dirac/make_configuration.py wrote to DiracX, as both projects' guides say.

join.py [sandbox=https|dips] [backend=true|false] [future=true|false] [disabled=true|false] [retired=NAME,...|none]
        [stamps=true|false]
"""

import os
import sys
from pkgutil import resolve_name
from typing import Any

import stack

DEFAULT = {
    "sandbox": "https",
    "backend": "false",
    "future": "true",
    "disabled": "false",
    "retired": "none",
    "stamps": "false",
}
USERS = ("labuser", "labuser2", "labadmin", "labpilot")
WMS = "Systems/WorkloadManagement"


class Cfg:
    """A CFG file that is changed in place."""

    def __init__(self, name: str) -> None:
        self._path = stack.home() / "server" / "etc" / name
        self._cfg: Any = resolve_name("diraccfg:CFG")().loadFromFile(str(self._path))

    def put(self, path: str, value: object) -> None:
        *sections, option = path.split("/")
        cfg = self._cfg
        for name in sections:
            if not cfg.isSection(name):
                cfg.createNewSection(name)
            cfg = cfg[name]
        cfg.setOption(option, str(value))

    def drop(self, path: str) -> None:
        *sections, option = path.split("/")
        cfg = self._cfg
        for name in sections:
            cfg = cfg[name]
        cfg.deleteKey(option)

    def write(self) -> None:
        self._cfg.writeToFile(str(self._path))


def join(cs: Cfg, mode: dict[str, str]) -> None:
    """DiracX's own section, and what its conversion of the configuration wants to read."""
    cs.put("DiracX/URL", os.environ["STACK_DIRACX_URL"])
    if mode["disabled"] != "true":
        cs.drop("DiracX/DisabledVOs")
    # DiracX's guide calls the section LegacyClientEnabled; DIRAC 9.1.22 reads this one
    cs.put("DiracX/FutureClientEnabled/WorkloadManagement/JobStateUpdate", mode["future"])
    for user in USERS:  # DiracX refuses addresses in .invalid
        cs.put(f"Registry/Users/{user}/Email", f"{user}@example.org")
        cs.put(f"DiracX/CsSync/VOs/{stack.VO}/UserSubjects/{user}", f"sub-{user}")
    cs.put(f"DiracX/CsSync/VOs/{stack.VO}/DefaultGroup", f"{stack.VO}_user")
    cs.put(f"DiracX/CsSync/VOs/{stack.VO}/IdP/URL", "http://127.0.0.1:9")  # nobody logs in with a browser here
    cs.put(f"DiracX/CsSync/VOs/{stack.VO}/IdP/ClientID", "nobody")
    # else DiracX writes LocalSoftwareDist into every JDL, a module that DIRAC's own agent cannot import
    cs.put("Operations/Defaults/SoftwareDistModule", "")
    if mode["stamps"] == "true":  # gridpilot's own option; the VO's section, which counts before the defaults
        cs.put("Operations/Defaults/Pilot/PilotsByStamp", "False")
        cs.put(f"Operations/{stack.VO}/Pilot/PilotsByStamp", "True")


def keep_sandboxes(cs: Cfg, mode: dict[str, str]) -> None:
    """The SandboxStore over https and over dips; which of them is published, and whether S3 is behind it."""
    port = stack.port("SANDBOX_DIPS")
    for service in ("TornadoSandboxStore", "SandboxStore"):
        options = {
            "LocalSE": stack.SANDBOX_SE,
            "BasePath": stack.home() / "server" / "sandboxes",
            "MaxSandboxSizeMiB": 10,
            "UseDiracXBackend": mode["backend"],
            "Authorization/Default": "authenticated",
            "Authorization/FileTransfer/Default": "authenticated",
        }
        for option, value in options.items():
            cs.put(f"{WMS}/Services/{service}/{option}", value)
    cs.put(f"{WMS}/Services/SandboxStore/Port", port)
    if mode["sandbox"] == "dips":
        cs.put(f"{WMS}/URLs/SandboxStore", stack.dips_url("WorkloadManagement/SandboxStore", "SANDBOX_DIPS"))
        element = f"Resources/StorageElements/{stack.SANDBOX_SE}"
        for option in ("AccessProtocols", "WriteProtocols"):
            cs.put(f"{element}/{option}", "dips")
        protocol = {"Port": port, "Protocol": "dips", "Path": "/WorkloadManagement/SandboxStore"}
        for option, value in {**protocol, "InputProtocols": "file, dips, dip", "OutputProtocols": "dips, dip"}.items():
            cs.put(f"{element}/DIP/{option}", value)


def main() -> None:
    """Rewrite both files."""
    mode = {**DEFAULT, **dict(pair.split("=", 1) for pair in sys.argv[1:])}
    if unknown := set(mode) - set(DEFAULT):
        sys.exit(f"join.py: no such choice: {', '.join(unknown)}")
    cs, local = Cfg("LabCS.cfg"), Cfg("dirac.cfg")
    join(cs, mode)
    keep_sandboxes(cs, mode)
    for service in () if mode["retired"] == "none" else mode["retired"].split(","):
        cs.drop(f"{WMS}/URLs/{service}")
    # the key that gets anybody's token stands in the services' own file only
    local.put("DiracX/LegacyExchangeApiKey", (stack.home() / "run" / "legacy.key").read_text(encoding="utf-8").strip())
    cs.write()
    local.write()


if __name__ == "__main__":
    main()
