"""Asking a command of the node, with a deadline that holds whatever the command does."""

import os
import signal
import subprocess
from collections.abc import Mapping
from typing import Protocol

from agents.log import EventLog

log = EventLog("slot")

_GIVEN_UP_S = 1.0  # for a killed command to be gone; one that hangs in the kernel is left behind
# Variables of a job that say where its batch system keeps its commands; the last is no more than its user's PATH.
_OWN_PLACES = ("SGE_BINARY_PATH", "LSF_BINDIR")
_USERS_PATH = "PBS_O_PATH"


class Ask(Protocol):
    """Runs one command."""

    def __call__(self, *argv: str) -> str | None:
        """Return what it printed, None when it failed or gave no answer in time."""


def nobody(*_: str) -> str | None:
    """Answer no command: for what has to be known without waiting."""
    return None


class Commands:
    """Runs commands, found on the PATH and where the batch system says its own are.

    Args:
        environ: of the batch job.
        timeout_s: after which a command is killed.
    """

    def __init__(self, environ: Mapping[str, str], timeout_s: float = 10.0) -> None:
        self._environ = environ
        self._timeout_s = timeout_s

    def __call__(self, *argv: str) -> str | None:
        """See Ask."""
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment(),
                process_group=0,  # to be killed as one; in our session, unlike all that belongs to payloads
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            log.debug("command.missing", command=argv[0], cause=error.strerror)
            return None
        return self._answer(process, argv[0])

    def _answer(self, process: "subprocess.Popen[str]", name: str) -> str | None:
        try:
            printed, _ = process.communicate(timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            log.warning("command.silent", command=name, seconds=self._timeout_s)
            _kill(process)
            return None
        if process.returncode != 0:
            log.debug("command.failed", command=name, exit_code=process.returncode)
            return None
        return printed

    def _environment(self) -> dict[str, str]:
        """Return the job's environment with a long PATH, in words and times that do not depend on the user's taste."""
        own = [self._environ[name] for name in _OWN_PLACES if name in self._environ]
        path = [*own, self._environ.get("PATH", os.defpath), self._environ.get(_USERS_PATH, "")]
        kept = {name: text for name, text in self._environ.items() if not name.startswith(("LC_", "SLURM_TIME"))}
        return {**kept, "PATH": ":".join(filter(None, path)), "LC_ALL": "C", "TZ": "UTC"}


def _kill(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    try:
        process.communicate(timeout=_GIVEN_UP_S)
    except subprocess.TimeoutExpired:
        log.error("command.unkillable", pid=process.pid)
