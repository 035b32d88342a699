"""The agent as a process: its lock, its signals, and its pilot's end."""

import ctypes
import fcntl
import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from agents import private
from agents.errors import ConfigurationError, NodeUnfit
from agents.process.events import Events, SignalReceived
from ce_backends.containment.session_cell import own_children

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_FIRST_PROCESS = 1
_OURS = ("agent.*", "agent_end.json", "ledger.sqlite*", "jobs", "tasks", "proxies")  # of earlier agents
_LOCK_AGAIN_S = 0.2
_HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
_SLOT_GOES = (signal.SIGTERM, signal.SIGINT)
_BEFORE = "GRIDPILOT_SIGNALS_BEFORE"  # what an agent was told that has died since; set by pilot/agent/supervision.py


def end_with(pid: int) -> None:
    """Have the kernel send us SIGTERM when our pilot dies, killed perhaps: jobs are then handed back, not lost."""
    if pid:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != pid:  # it died before we asked
            raise ConfigurationError(f"--end-with {pid}: that is not our parent process, or it has ended already")


def lock(work_dir: Path, patience_s: float = 0.0) -> IO[str]:
    """Take the work directory; two agents in one would run jobs twice.

    Args:
        work_dir: where the ledger is.
        patience_s: how long to wait for an agent that has it and is about to end.

    Raises:
        ConfigurationError: another agent has it, or others may write in it.
        NodeUnfit: it cannot be written.
    """
    try:
        private.folder(work_dir)
        private.close(found for pattern in _OURS for found in work_dir.glob(pattern))
        held = (work_dir / "agent.lock").open("w", encoding="ascii")
    except OSError as error:
        raise NodeUnfit(f"{work_dir}: the work directory cannot be written: {error.strerror}") from error
    give_up_at = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() < give_up_at:
                time.sleep(_LOCK_AGAIN_S)
                continue
            held.close()
            raise ConfigurationError(f"{work_dir}: another agent works in this directory; give each its own") from error
        return held


def bring_home(events: Events) -> None:
    """Have what any thread does not expect end the agent, in its main thread: no thread ends unseen.

    This holds for all threads of the process, also those of libraries; workers bring home what belongs to a job.
    """
    threading.excepthook = lambda happened: events.crashed(happened.exc_value or SystemExit())


def collect_orphans() -> None:
    """As process 1 of a container, collect what ends and has no other parent: it would stay a zombie for ever.

    Orphans of payloads are in other sessions than we; what we started ourselves and wait for is in ours.
    """
    if os.getpid() == _FIRST_PROCESS:
        signal.signal(signal.SIGCHLD, lambda _number, _frame: _collect())


def _collect() -> None:
    ours = os.getsid(0)
    for stat in own_children():
        if stat.is_zombie and stat.session != ours:
            with suppress(ChildProcessError):  # who waits for it was faster
                os.waitpid(stat.process.pid, os.WNOHANG)


def listen(events: Events, environ: Mapping[str, str]) -> None:
    """Turn signals into events; those first that an agent before us was told, and has not lived to obey.

    Args:
        events: where they go.
        environ: of the batch job; it tells what the batch system means by its signals.
    """
    urgent = _slot_goes(environ)

    def heard(number: int, _frame: object) -> None:
        events.put(SignalReceived(signal.Signals(number).name, is_urgent=number in urgent))

    known = {number.name: number for number in _HEARD}
    for name in environ.get(_BEFORE, "").split(","):
        if name in known:
            heard(known[name], None)
    for number in _HEARD:
        signal.signal(number, heard)


def _slot_goes(environ: Mapping[str, str]) -> tuple[signal.Signals, ...]:
    """Return the signals after which SIGKILL follows. Grid Engine's notice of it is SIGUSR2 (qsub(1), -notify)."""
    return (*_SLOT_GOES, signal.SIGUSR2) if environ.get("SGE_TASK_ID") else _SLOT_GOES


def listen_no_more() -> None:
    """Ignore signals from now on: all is done, and the exit code shall say so."""
    for number in _HEARD:
        signal.signal(number, signal.SIG_IGN)
