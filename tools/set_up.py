"""Make the project's own Python environment, and show what is done and how far it is.

What pip writes is kept in a file beside the environment, and shown where something fails. M2Crypto, which has no wheel
on PyPI, is taken from `dist/wheels` (`make wheel`) if one there fits this Python; otherwise it is compiled, with swig
from PyPI and OpenSSL's headers from the system.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

WHEELS = Path("dist/wheels")
DEADLINE_S = 1800.0  # of one step: a slow network, not a dead one
_LOOK_S = 0.1
_TAIL = 40
_BUILD = ("setuptools", "wheel", "swig")
_HATCH = ("hatchling", "editables")
_FROM_WHEELS = ("--no-index", "--no-deps", f"--find-links={WHEELS}", "--only-binary=:all:", "M2Crypto")
_NEWEST = re.compile(rb"^ *(?:Collecting|Downloading|Building|Installing)[^\n]*", re.MULTILINE)


class Failed(Exception):
    """The environment cannot be made; the message says why and what to do."""


class Screen:
    """One line for each step: on a terminal it changes while the step goes on."""

    def __init__(self, steps: int) -> None:
        self._steps, self._number = steps, 0
        self._is_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"

    def run(self, what: str, argv: Sequence[str], log: Path, **environment: str) -> None:
        """Run a command; what it writes goes to the log.

        Raises:
            Failed: it failed, or took too long.
        """
        self._number += 1
        head = f"set-up: {self._number} of {self._steps}  {what}"
        if not self._is_terminal:
            print(f"{head} …", flush=True)
        began = time.monotonic()
        with log.open("ab") as written:
            process = subprocess.Popen(argv, stdout=written, stderr=written, env={**os.environ, **environment})
            try:
                self._follow(process, head, log, began)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        took_s = time.monotonic() - began
        print(f"\r\033[K{head}: {took_s:.0f} s" if self._is_terminal else f"{head}: {took_s:.0f} s", flush=True)
        if process.returncode:
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]
            raise Failed("\n".join([*tail, f"{what} failed; all of it is in {log}"]))

    def _follow(self, process: "subprocess.Popen[bytes]", head: str, log: Path, began: float) -> None:
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_S)
                return
            took_s = time.monotonic() - began
            if took_s > DEADLINE_S:
                raise Failed(f"{head} did not end within {DEADLINE_S:.0f} s; see {log}")
            if self._is_terminal:
                room = shutil.get_terminal_size().columns - 1
                print(f"\r\033[K{f'{head}, {took_s:.0f} s  {_newest(log)}'[:room]}", end="", flush=True)


def _newest(log: Path) -> str:
    """Return what pip says it is doing, without the rest of its line."""
    lines = _NEWEST.findall(log.read_bytes()[-4000:])
    return " ".join(lines[-1].decode("utf-8", "replace").split()[:2]) if lines else ""


def missing_for_compiling() -> list[str]:
    """Return the Debian packages without which M2Crypto cannot be compiled here."""
    need = [] if shutil.which("cc") else ["gcc"]
    need += [] if Path(sysconfig.get_path("include"), "Python.h").exists() else ["python3-dev"]
    probe = ["cc", "-E", "-"]
    source = b"#include <openssl/ssl.h>\n"
    if "gcc" in need or subprocess.run(probe, input=source, capture_output=True, check=False).returncode:
        need.append("libssl-dev")
    return need


def install(need: Sequence[str]) -> None:
    """Have Debian's packages installed, where we may.

    Raises:
        Failed: we may not, or it failed; with the line that does it.
    """
    if not need:
        return
    line = f"apt-get install -y {' '.join(need)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Failed(f"missing: {', '.join(need)}; install with: sudo {line}")
    print(f"set-up: {line}", flush=True)
    for argv in (["apt-get", "update", "-qq"], [*line.split(), "-qq"]):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"{done.stderr.strip()[-2000:]}\ncould not install {', '.join(need)}; try: {line}")


def pip(venv: Path, *words: str) -> list[str]:
    """Return the command that installs something with the versions of `constraints.txt`."""
    command = [str(venv / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar=off"]
    return [*command, "-c", "constraints.txt", *words]


def has_wheel(venv: Path) -> bool:
    """Tell whether `make wheel` has left an M2Crypto for this Python."""
    if not list(WHEELS.glob("m2crypto-*.whl")):
        return False
    argv = pip(
        venv, "--dry-run", "--no-index", "--no-deps", f"--find-links={WHEELS}", "--only-binary=:all:", "M2Crypto"
    )
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def for_users(venv: Path, log: Path) -> None:
    """Make the environment with what a user needs."""
    try:
        import ensurepip  # noqa: F401, PLC0415 - Debian has it in a package of its own
    except ImportError:
        install(["python3-venv"])
    screen = Screen(4)
    shutil.rmtree(venv, ignore_errors=True)
    screen.run(f"a Python environment in {venv}", [sys.executable, "-m", "venv", str(venv)], log)
    if has_wheel(venv):
        screen.run("what builds", pip(venv, *_HATCH), log)
        screen.run(f"M2Crypto, from {WHEELS}", pip(venv, *_FROM_WHEELS), log)
    else:
        install(missing_for_compiling())
        screen.run("what builds", pip(venv, *_BUILD, *_HATCH), log)
        path = f"{(venv / 'bin').absolute()}:{os.environ.get('PATH', '')}"
        screen.run("M2Crypto, compiled here", pip(venv, "--no-build-isolation", "M2Crypto"), log, PATH=path)
    screen.run("gridpilot and what it needs", pip(venv, "--no-build-isolation", "--editable", "."), log)


def for_developers(venv: Path, log: Path) -> None:
    """Add what tests, style and types need."""
    screen = Screen(2)
    screen.run("what developers need", pip(venv, "--no-build-isolation", "--editable", ".[dev]"), log)
    # Compiled now, by the rewriter of assertions too, and not by each worker of the first `make test`; what fails is
    # seen there.
    collect = [str(venv / "bin/python"), "-m", "pytest", "--collect-only", "-q"]
    screen.run("the tests, compiled", ["sh", "-c", '"$@" || :', "sh", *collect], log)


def main() -> int:
    """Make the environment."""
    parser = argparse.ArgumentParser(prog="tools/set_up.sh", description=__doc__)
    parser.add_argument("venv", type=Path)
    parser.add_argument("whom", nargs="?", choices=("user", "developer"), default="user")
    asked = parser.parse_args()
    log = asked.venv.with_name(f"{asked.venv.name}.log")
    log.unlink(missing_ok=True)
    try:
        (for_users if asked.whom == "user" else for_developers)(asked.venv, log)
    except Failed as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: interrupted; the same command begins again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
