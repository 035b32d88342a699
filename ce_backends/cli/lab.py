"""`ce lab`: start one of the real batch systems that the project's own tests use, to try a CE against it."""

import argparse
import json
import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ce_backends import screen
from ce_backends.errors import CEMisconfigured, CEUnavailable
from ce_backends.readers import did_you_mean

ACTIONS = ("up", "status", "env", "down")
_UP_S, _DOWN_S, _ASK_S = 1800, 300, 60
_UMASK = 0o022  # daemons and jobs of other users read what the scripts write
_HOME = "GRIDPILOT_CLUSTERS"
_DEFAULT_HOME = "/var/tmp/gridpilot-clusters"  # noqa: S108 - as the scripts have it
_USER = "griduser"  # whom the scripts make, for systems that take no job of root's
_AREA = "{area}/gridpilot-lab"


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A batch system that starts on one machine.

    Attributes:
        what: it is, and where it comes from.
        ce_type: that tries it.
        options: of that CE; in braces, variables of its clients.
        takes_root: root may be its client, as anybody; otherwise the one user that the scripts make.
    """

    what: str
    ce_type: str = "Local"
    options: Mapping[str, str]
    takes_root: bool = True


SYSTEMS = {
    "slurm": System(
        what="Slurm with accounting, three nodes; Debian's packages",
        options={"BatchSystem": "SLURM", "SharedArea": _AREA},
    ),
    "grid_engine": System(
        what="Son of Grid Engine; Debian's packages",
        options={"BatchSystem": "GE", "SharedArea": _AREA},
        takes_root=False,
    ),
    "htcondor": System(
        what="HTCondor 23, one node; a Debian 13 of its own (500 MB)",
        ce_type="HTCondorCE",
        options={
            "CEName": "localhost",
            "Port": "{port}",
            "Schedd": "{GRIDPILOT_HTCONDOR_SCHEDD}",
            "TokenDirectory": "{GRIDPILOT_HTCONDOR_TOKENS}",
        },
        takes_root=False,
    ),
    "arc": System(
        what="ARC 6 with its REST service; Debian's packages",
        ce_type="AREX",
        options={
            "CEName": "{GRIDPILOT_ARC_CE}",
            "Port": "{GRIDPILOT_ARC_PORT}",
            "Queue": "{GRIDPILOT_ARC_QUEUE}",
        },
        takes_root=False,
    ),
    "oar": System(
        what="OAR 2.5 with PostgreSQL; Debian's packages",
        options={"BatchSystem": "OAR", "SharedArea": _AREA},
        takes_root=False,
    ),
    "ssh": System(
        what="a host behind an OpenSSH server; Debian's packages",
        ce_type="SSH",
        options={
            "BatchSystem": "Host",
            "SSHHost": "gridpilot-open",
            "SSHOptions": "-F {SSH_CONFIG}",
            "SharedArea": "gridpilot-lab",
            "NumberOfProcessors": "4",
        },
    ),
}


def lab(arguments: argparse.Namespace) -> int:
    """Start a system, tell how it is, print its clients' environment, or end it."""
    if not arguments.system:
        return _listed(as_json=arguments.json)
    if arguments.system not in SYSTEMS:
        raise CEMisconfigured(f"ce lab: unknown system {arguments.system}{did_you_mean(arguments.system, SYSTEMS)}")
    name: str = arguments.system
    if arguments.action == "up":
        _run(name, "up", _UP_S)
        print(_next(name), flush=True)
        return 0
    if arguments.action == "env":
        print(_exports(_client_env(name)), flush=True)
        return 0
    return _run(name, arguments.action, _DOWN_S)


def _listed(*, as_json: bool) -> int:
    rows = [(name, "up" if _is_up(name) else "down", row.what) for name, row in SYSTEMS.items()]
    if as_json:
        print(json.dumps([{"system": name, "here": here, "what": what} for name, here, what in rows], indent=1))
    else:
        print("\n".join(screen.table([("SYSTEM", "HERE", "WHAT"), *rows])))
    return 0


def _next(name: str) -> str:
    """Return what to do with a system that is up, to be pasted."""
    row, env = SYSTEMS[name], _client_env(name)
    area = str(Path.home()) if row.takes_root else os.path.expanduser(f"~{_USER}")  # noqa: PTH111 - of another user
    known = {**env, "area": area, "port": env.get("GRIDPILOT_HTCONDOR_POOL", "").rpartition(":")[2]}
    options = [f"-o {shlex.quote(f'{key}={value.format_map(known)}')}" for key, value in row.options.items()]
    who = "" if row.takes_root else f", as its user {_USER}"
    return "\n".join(
        [
            f"{env.get('GRIDPILOT_SYSTEM_VERSION', name)} is up. To try a CE against it{who}:",
            f'  eval "$(gridpilot ce lab {name} env)"',
            f"  gridpilot ce test {row.ce_type} {' '.join(options)}",
            f"  gridpilot ce lab {name} down",
        ]
    )


def _exports(env: Mapping[str, str]) -> str:
    """Return lines for a shell, whose own commands come before those of the system."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in env.items() if name != "PATH"]
    path = [f'export PATH="$PATH":{shlex.quote(env["PATH"])}'] if "PATH" in env else []
    return "\n".join([*lines, *path])


def _client_env(name: str) -> dict[str, str]:
    """Return the environment of a system's clients.

    Raises:
        CEUnavailable: it is not up.
    """
    path = _folder(name) / "client.env"
    if not _is_up(name):
        raise CEUnavailable(f"{name} is not up; start it with `gridpilot ce lab {name} up`")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CEUnavailable(f"{path}: {error.strerror}") from error
    words = (shlex.split(line, comments=True) for line in lines)
    return {
        key: value
        for word in words
        if word
        for key, _, value in [" ".join(word).removeprefix("export ").partition("=")]
    }


def _is_up(name: str) -> bool:
    return (_folder(name) / "client.env").exists() and _quietly(name) == 0


def _quietly(name: str) -> int:
    """Return what a system's status script ends with; one that does not end in time says no yes."""
    try:
        return subprocess.run(_argv(name, "status"), check=False, capture_output=True, timeout=_ASK_S).returncode
    except subprocess.TimeoutExpired:
        return 1


def _run(name: str, action: str, limit_s: float) -> int:
    """Run one of a system's scripts, which tells what it does.

    Raises:
        CEUnavailable: it failed, and has told why; or took too long.
    """
    try:
        done = subprocess.run(_argv(name, action), check=False, timeout=limit_s, stdout=sys.stderr, umask=_UMASK)
    except subprocess.TimeoutExpired:
        raise CEUnavailable(f"{name}: {action} did not end within {limit_s:.0f} s") from None
    if done.returncode and action != "status":
        raise CEUnavailable(f"{name}: {action} failed; what it lacks is said above")
    return min(done.returncode, 1)


def _folder(name: str) -> Path:
    return Path(os.environ.get(_HOME) or _DEFAULT_HOME) / name


def _argv(name: str, action: str) -> list[str]:
    return ["bash", str(_script(name, action))]  # not every installer leaves a file's right to be run


def _script(name: str, action: str) -> Path:
    """Return a script: of the source tree, or of what was installed.

    Raises:
        CEMisconfigured: it is in neither.
    """
    places = (
        Path(__file__).parents[2] / "tests/clusters",
        Path(sysconfig.get_path("data"), "share/gridpilot/clusters"),
    )
    for place in places:
        if (place / name / f"{action}.sh").exists():
            return place / name / f"{action}.sh"
    raise CEMisconfigured(f"ce lab: the scripts are not installed: expected {places[-1]}")
