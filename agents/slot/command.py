"""Asking a command of the node, with a deadline that holds whatever the command does."""

import os
from collections.abc import Mapping
from typing import Protocol

from agents.log import EventLog
from ce_backends.linux.command import Around, run

log = EventLog("slot")

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
        around = Around(env=self._environment(), hears_stderr=False)  # a group, unlike all that belongs to payloads
        try:
            said = run(argv, timeout_s=self._timeout_s, around=around)
        except OSError as error:
            log.debug("command.missing", command=argv[0], cause=error.strerror)
            return None
        if said.exit_code is None:
            log.warning("command.silent", command=argv[0], seconds=self._timeout_s)
            if said.left:
                log.error("command.unkillable", pid=said.left)
            return None
        if said.exit_code != 0:
            log.debug("command.failed", command=argv[0], exit_code=said.exit_code)
            return None
        return said.stdout.decode("utf-8", "replace")

    def _environment(self) -> dict[str, str]:
        """Return the job's environment with a long PATH, in words and times that do not depend on the user's taste."""
        own = [self._environ[name] for name in _OWN_PLACES if name in self._environ]
        path = [*own, self._environ.get("PATH", os.defpath), self._environ.get(_USERS_PATH, "")]
        kept = {name: text for name, text in self._environ.items() if not name.startswith(("LC_", "SLURM_TIME"))}
        return {**kept, "PATH": ":".join(filter(None, path)), "LC_ALL": "C", "TZ": "UTC"}
