"""A real system of tests/clusters, and clients of it that are an unprivileged user."""

import atexit
import json
import os
import re
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
USER = "griduser"
PYTHON = "/usr/bin/python3"  # one that every user may run
OURS = ("pilot", "agents", "ce_backends", "configs")
THEIRS = ("requests", "urllib3", "certifi", "idna", "charset_normalizer")  # plain Python, for any interpreter
UP_S = 900
CLIENT_S = 900


class CannotBeHad(Exception):
    """This machine cannot run the system; why."""


@dataclass(frozen=True)
class RealSystem:
    """One that runs.

    Attributes:
        name: its folder in tests/clusters.
        variables: that its scripts were given.
        env: what a client needs, from its client.env.
        folder: where its state lies.
        home: where clients may write: theirs, and short.
    """

    name: str
    variables: Mapping[str, str]
    env: Mapping[str, str]
    folder: Path
    home: Path = field(compare=False)
    user: str = USER

    @property
    def version(self) -> str:
        """Return its version, as the system itself tells it."""
        found = re.search(r"\d+(\.\d+)+", self.env.get("GRIDPILOT_SYSTEM_VERSION", ""))
        return found[0] if found else ""

    @property
    def mark(self) -> str:
        """Return what all its processes have in their environment."""
        return f"GRIDPILOT_TEST_SYSTEM={self.folder}"

    def run(
        self, argv: Sequence[str], *, timeout_s: float = CLIENT_S, before: Sequence[str] = (), **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as the unprivileged user, in an environment of its own, below what root runs `before` it."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "PYTHONPATH": str(_code()), **self.env, **more}
        as_user = [
            "runuser",
            "-u",
            USER,
            "--",
            "/usr/bin/env",
            "-i",
            *(f"{name}={value}" for name, value in env.items()),
        ]
        return subprocess.run(
            [*before, *as_user, *argv], check=False, text=True, capture_output=True, timeout=timeout_s, cwd=self.home
        )

    def ce(self, *arguments: str, before: Sequence[str] = (), **more: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m ce_backends` as the unprivileged user."""
        return self.run([PYTHON, "-m", "ce_backends", *arguments], before=before, **more)

    def verdicts(
        self,
        ce_type: str,
        options: Mapping[str, object],
        *,
        at_once: int = 1,
        deadline_s: float = 90,
        before: Sequence[str] = (),
    ) -> dict[str, str]:
        """Run the conformance suite as the unprivileged user; return the problem of each clause, empty if none.

        Args:
            ce_type: of the CE.
            options: of the CE.
            at_once: clauses tried at the same time.
            deadline_s: for each step of a clause.
            before: what root runs it below.
        """
        assignments = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        how = ("--at-once", str(at_once), "--deadline", str(deadline_s), "--json")
        done = self.ce("test", ce_type, *assignments, *how, before=before)
        try:
            results: list[dict[str, Any]] = json.loads(done.stdout)["results"]
        except json.JSONDecodeError:
            raise AssertionError(f"no verdicts: {done.stderr or done.stdout}") from None
        return {result["check"]: result["problem"] for result in results}

    def admin(self, argv: Sequence[str]) -> None:
        """Run one of the system's commands as root; it must succeed."""
        done = subprocess.run(argv, env=dict(self.env), check=False, text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, f"{argv}: {done.stderr}"

    def own(self, path: Path) -> None:
        """Give a file or directory to the unprivileged user."""
        shutil.chown(path, USER)

    def pid_of(self, daemon: str) -> int:
        """Return the process id of one of the system's daemons, by its name in `run/`."""
        return int((self.folder / "run" / daemon).read_text().split()[0])

    def config(self, name: str) -> Path:
        """Return an example of configs/, in a place that the user can read."""
        return _code() / "configs" / name

    def script(self, name: str) -> None:
        """Run one of the system's scripts."""
        _script(self.name, name, self.variables)

    def down(self) -> None:
        """Stop the system, whatever runs in it."""
        self.script("down")


def bring_up(name: str, variables: Mapping[str, str]) -> RealSystem:
    """Start a system.

    Raises:
        CannotBeHad: it cannot run here.
    """
    if os.geteuid() != 0:
        raise CannotBeHad("only root can start its daemons and jobs of another user")
    try:
        said = _script(name, "up", variables)
    except CannotBeHad:
        _script(name, "down", variables)  # what had started before
        raise
    home = _folder(name)
    shutil.chown(home, USER)
    client_env = Path(said.rsplit(maxsplit=1)[-1])  # the last line of every up.sh ends with it
    return RealSystem(name, variables, _client_env(client_env), client_env.parent, home)


def _folder(name: str) -> Path:
    """Return a new one with a short path; it is gone at the end of the tests, however they end."""
    folder = Path(tempfile.mkdtemp(prefix=f"gp-{name}-", dir="/var/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _script(name: str, what: str, variables: Mapping[str, str]) -> str:
    """Run one; return its last line."""
    script = ROOT / "tests/clusters" / name / f"{what}.sh"
    try:
        done = subprocess.run(
            [script], env={**os.environ, **variables}, check=False, text=True, capture_output=True, timeout=UP_S
        )
    except subprocess.TimeoutExpired:
        raise CannotBeHad(f"{script.relative_to(ROOT)} took more than {UP_S} s") from None
    last = "".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-1:])
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)  # with the last words of what did not come up
        raise CannotBeHad(f"{script.relative_to(ROOT)}: {last} (exit code {done.returncode})")
    return last


def _client_env(path: Path) -> dict[str, str]:
    read = 'set -a; . "$1"; exec /usr/bin/env -0'
    argv = ["/usr/bin/env", "-i", f"PATH={os.environ['PATH']}", "/bin/bash", "-c", read, "bash"]
    done = subprocess.run([*argv, path], check=True, capture_output=True, text=True)
    pairs = (item.partition("=") for item in done.stdout.split("\0") if item)
    return {name: value for name, _, value in pairs if name not in ("PWD", "SHLVL", "_")}


_copied: list[Path] = []


def _code() -> Path:
    """Return a copy of our code, and of what it needs, that every user may read."""
    if not _copied:
        folder = _folder("code")
        folder.chmod(0o755)
        for name in OURS:
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in THEIRS:
            found = next(path / name for path in map(Path, site.getsitepackages()) if (path / name).is_dir())
            shutil.copytree(found, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        _copied.append(folder)
    return _copied[0]
