"""Start the agent as a second process and stay with it to the end: signals, crashes, what it leaves behind."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pilot import strict_json
from pilot.errors import NodeUnfit
from pilot.node import bundle
from pilot.settings import Settings

NEEDS_PYTHON = (3, 11)
NEEDS_PACKAGES = ("requests", "psutil", "M2Crypto", "apscheduler")
PROBE_S = 30.0
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
PAYLOAD_VARIABLES = "GRIDPILOT_PAYLOAD_VARIABLES"  # read by agents/jobs/payload.py
END_FILE = "agent_end.json"


@dataclass(frozen=True)
class AgentReport:
    """What the agent wrote about its end; zeros and "" where it wrote nothing.

    Attributes:
        reason: why it ended.
        matched: jobs that it got; the next three: how they ended.
        is_counted: it has counted its jobs; False where it ended by an error, before there were any or amid them.
    """

    reason: str = ""
    matched: int = 0
    done: int = 0
    failed: int = 0
    handed_back: int = 0
    is_counted: bool = True


def agent_command(settings: Settings, cfg_file: Path, work_dir: Path) -> list[str]:
    """Return the argv of the agent, or of the program that was asked for in its place.

    Raises:
        NodeUnfit: no Python here can run the agent, or `agents` is not ours.
    """
    if settings.program:
        return shlex.split(settings.program)
    check_packages(code_folder())
    # -P: a folder called `agents` in the current directory must not come first
    arguments = ["-P", "-m", "agents", "--cfg", str(cfg_file), "--work-dir", str(work_dir)]
    return [interpreter(settings.python_environment), *arguments, "--end-with", str(os.getpid())]


def code_folder() -> Path:
    """Return the folder, or the zip file, that holds `pilot`; `agents` and `ce_backends` belong beside it."""
    return Path(__file__).absolute().parents[2]


def check_packages(folder: Path) -> None:
    """Make sure that `agents` and `ce_backends` beside us are ours: PyPI has an unrelated `agents`.

    Raises:
        NodeUnfit: one is missing, or a stranger.
    """
    for package, ours in (("agents", "wms"), ("ce_backends", "base")):
        spec = importlib.machinery.PathFinder.find_spec(package, [str(folder)])
        inside = list(spec.submodule_search_locations or ()) if spec else []
        if not inside:
            raise NodeUnfit(f"{folder}: there is no package {package} beside the pilot; gridpilot is incomplete here")
        if importlib.machinery.PathFinder.find_spec(ours, inside) is None:
            raise NodeUnfit(f"{inside[0]}: this package {package} is not gridpilot's; install gridpilot on its own")


def interpreter(python_environment: str) -> str:
    """Return the Python for the agent: our own if it will do, else the one of `--preinstalledEnv`.

    Raises:
        NodeUnfit: neither has Python 3.11 with the packages that the agent needs.
    """
    lack = _lack_here()
    if not lack:
        return sys.executable
    if not python_environment:
        raise NodeUnfit(f"{sys.executable}: {lack}; give --preinstalledEnv a Python environment for the agent")
    python = Path(python_environment, "bin", "python")
    if not Path(python_environment).is_dir() or not python.exists():
        raise NodeUnfit(
            f"--preinstalledEnv {python_environment}: expected the folder of a Python environment, with bin/python; "
            "a shell file to source is not one"
        )
    lack = _lack_of(str(python))
    if lack:
        raise NodeUnfit(f"{python}: {lack}")
    return str(python)


def _lack_here() -> str:
    missing = [name for name in NEEDS_PACKAGES if importlib.util.find_spec(name) is None]
    return _lack(sys.version_info[:2], missing)


def _lack(version: tuple[int, ...], missing: Sequence[str]) -> str:
    if version < NEEDS_PYTHON:
        return f"Python {version[0]}.{version[1]}, the agent needs {NEEDS_PYTHON[0]}.{NEEDS_PYTHON[1]} or later"
    return f"without {', '.join(missing)}, which the agent needs" if missing else ""


def _lack_of(python: str) -> str:
    """Ask another Python what it lacks, without importing the packages."""
    probe = (
        "import importlib.util as u, json, sys; "
        f"print(json.dumps([sys.version_info[:2], [n for n in {NEEDS_PACKAGES!r} if u.find_spec(n) is None]]))"
    )
    try:
        done = subprocess.run([python, "-c", probe], capture_output=True, timeout=PROBE_S, check=True)
        version, missing = strict_json.read(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"does not run: {error}"
    return _lack(tuple(version), missing)


def agent_environment(
    environ: Mapping[str, str], settings: Settings, extra: Mapping[str, str], brought: Sequence[str] = ()
) -> dict[str, str]:
    """Return the environment of the agent: ours, with our packages first, and nothing that makes its Python another.

    Neither the node's PYTHON variables nor what lies in the account's home has a say in it.

    Args:
        environ: the pilot's.
        settings: may ask to keep PYTHONPATH, and bring variables of the user.
        extra: where credential and configuration are.
        brought: variables that the VO's own commands have set; payloads get them, and those of the settings, too.
    """
    before = environ.get("PYTHONPATH", "")
    kept_apart = {name: text for name, text in environ.items() if not name.startswith("PYTHON")}
    usual = {"PYTHONUNBUFFERED": "yes", "PYTHONNOUSERSITE": "yes"}
    environment = {**kept_apart, **extra, **dict(settings.environment), **usual}
    environment.pop(bundle.VARIABLE, None)
    environment[PAYLOAD_VARIABLES] = ",".join(dict.fromkeys([*dict(settings.environment), *brought]))
    if before:
        environment["PYTHONPATH_SAVE"] = before
    kept = [before] if settings.keep_python_path and before else []
    ours = code_folder()
    places = [ours.parent, ours] if ours.name == bundle.PURE else [ours]  # what is not only Python is beside the zip
    environment["PYTHONPATH"] = os.pathsep.join([*map(str, places), *kept])
    return environment


def ask_package(
    package: str, arguments: Sequence[str], environ: Mapping[str, str], passed_on: Sequence[int] = ()
) -> int:
    """Run a command of `agents` (status, explain, report) or `ce_backends` on this terminal; return its exit code.

    Args:
        package: whose command.
        arguments: of it.
        environ: of this process.
        passed_on: signals that are the command's own to answer: it is not killed by ours.

    Raises:
        NodeUnfit: no Python here can run it.
    """
    check_packages(code_folder())
    command = [interpreter(""), "-P", "-m", package, *arguments]
    with subprocess.Popen(command, env=agent_environment(environ, Settings(), {})) as child:
        try:
            for each in passed_on:
                signal.signal(each, lambda number, _frame: child.send_signal(number))
            return child.wait()
        except BaseException:
            child.kill()
            raise


def become_subreaper() -> bool:
    """Have orphans below us become our children, so that none outlives the pilot unseen; False where that fails."""
    try:
        import ctypes  # noqa: PLC0415 - small Pythons come without it

        return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False


def read_report(work_dir: Path) -> AgentReport:
    """Return what the agent wrote about its end; an empty report if it wrote none, or not a whole one."""
    try:
        content = strict_json.read((work_dir / END_FILE).read_bytes())
        counts = {name: int(content.get(name, 0)) for name in ("matched", "done", "failed", "handed_back")}
        return AgentReport(reason=str(content.get("reason", "")), **counts, is_counted="matched" in content)
    except (OSError, ValueError, TypeError, AttributeError):  # the agent died before or while writing it
        return AgentReport()


def forget_report(work_dir: Path) -> None:
    """Remove the report of an earlier agent in the same folder."""
    (work_dir / END_FILE).unlink(missing_ok=True)
