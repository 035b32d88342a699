"""One child process followed to its end: signals passed on, crashes answered with a restart, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from pilot.errors import EXIT_CODES, INTERNAL, NodeUnfit
from pilot.log import Log

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
END_NOW = (signal.SIGTERM, signal.SIGINT)  # the second one of these means: now
SIGNALS_BEFORE = "GRIDPILOT_SIGNALS_BEFORE"  # names, with commas between; read by agents/process/agent_process.py
LEFTOVER_GRACE_S = 2.0


@dataclass(frozen=True)
class Program:
    """What to run, with what environment and where."""

    command: Sequence[str]
    environment: Mapping[str, str]
    work_dir: Path


@dataclass(frozen=True)
class Patience:
    """How long things may take.

    Attributes:
        restart_delays_s: before each restart; there are no more restarts than delays.
        kill_grace_s: from the second request to end to SIGKILL.
    """

    restart_delays_s: Sequence[float] = (1.0, 2.0, 4.0, 8.0, 16.0)
    kill_grace_s: float = 30.0


@dataclass(frozen=True)
class AgentEnd:
    """How the last agent process ended.

    Attributes:
        exit_code: its exit code, or minus the signal that killed it.
        restarts: how often it was started again before.
        stopped_by: the first signal that was passed on, 0 for none.
    """

    exit_code: int
    restarts: int
    stopped_by: int

    @property
    def pilot_exit_code(self) -> int:
        """Return the documented code that tells the same."""
        if self.exit_code < 0 and self.stopped_by:
            return 128 - self.exit_code
        return self.exit_code if self.exit_code in EXIT_CODES else INTERNAL


class Signals:
    """Signals as values: they wake up `wait`, and nothing happens inside a handler."""

    def __init__(self, caught: Sequence[int] = (*PASSED_ON, signal.SIGCHLD)) -> None:
        self._caught = caught
        self._before: dict[int, object] = {}
        self._pipe = (-1, -1)

    def __enter__(self) -> Signals:
        self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._fd_before = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        self._before = {signum: signal.signal(signum, _noted) for signum in self._caught}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)  # type: ignore[arg-type]  # what signal() itself returned
        signal.set_wakeup_fd(self._fd_before)
        for descriptor in self._pipe:
            os.close(descriptor)

    def wait(self, timeout_s: float | None = None) -> list[int]:
        """Return the signals that have arrived, or [] after the timeout."""
        ready, _, _ = select.select([self._pipe[0]], [], [], timeout_s)
        return list(os.read(self._pipe[0], 4096)) if ready else []


def _noted(_signum: int, _frame: FrameType | None) -> None:
    """Do nothing: the wake-up descriptor has the number."""


class Supervisor:
    """Runs one command until it ends for good."""

    def __init__(
        self,
        program: Program,
        log: Log,
        patience: Patience = Patience(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._program = program
        self._log = log
        self._patience = patience
        self._clock = clock
        self._noted: list[int] = []  # signals, oldest first
        self._kill_at: float | None = None
        self._has_killed = False

    def run(self, signals: Signals) -> AgentEnd:
        """Start the command, and again after each crash, at most five times; return how the last one ended.

        A crash is an end by any signal but our own SIGKILL, or an exit code that is not documented, or 70. What has
        been passed on before it does not keep the command from being started again, at once then: somebody must hand
        back what the dead one had in hand. The new one finds the names of those signals in `SIGNALS_BEFORE`.
        """
        exit_code = self._follow(self._start(), signals)
        restarts = 0
        for delay_s in self._patience.restart_delays_s:
            if not self._crashed(exit_code):
                break
            self._log.warning("agent.crashed", exit_code=exit_code, restart_in_s=0.0 if self._noted else delay_s)
            self._pause(delay_s, signals)
            restarts += 1
            exit_code = self._follow(self._start(), signals)
        return AgentEnd(exit_code, restarts, self._noted[0] if self._noted else 0)

    def _crashed(self, exit_code: int) -> bool:
        return not self._has_killed and (exit_code == INTERNAL or exit_code not in EXIT_CODES)

    def _start(self) -> subprocess.Popen[bytes]:
        before = ",".join(signal.Signals(each).name for each in self._noted)
        try:  # a session of its own: a terminal's Ctrl-C reaches the pilot only, which passes it on once
            agent = subprocess.Popen(
                list(self._program.command),
                cwd=self._program.work_dir,
                env={**self._program.environment, SIGNALS_BEFORE: before},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise NodeUnfit(f"{self._program.command[0]}: cannot be started: {error.strerror}") from error
        self._log.info("agent.started", pid=agent.pid, command=" ".join(self._program.command))
        return agent

    def _follow(self, agent: subprocess.Popen[bytes], signals: Signals) -> int:
        """Pass signals on until the agent has ended."""
        while True:
            exit_code = _reap(agent)
            if exit_code is not None:
                return exit_code
            for signum in signals.wait(self._until_kill_s()):
                if signum != signal.SIGCHLD:
                    self._pass_on(signum, agent.pid)
            if self._kill_at is not None and self._clock() >= self._kill_at:
                self._log.warning("agent.killed", pid=agent.pid, after_s=self._patience.kill_grace_s)
                os.kill(agent.pid, signal.SIGKILL)
                self._kill_at, self._has_killed = None, True

    def _until_kill_s(self) -> float | None:
        return None if self._kill_at is None else max(0.0, self._kill_at - self._clock())

    def _pass_on(self, signum: int, pid: int) -> None:
        self._note(signum)
        self._log.info("agent.signalled", pid=pid, signal=signal.Signals(signum).name)
        with contextlib.suppress(ProcessLookupError):  # it ended at this moment
            os.kill(pid, signum)

    def _note(self, signum: int) -> None:
        self._noted.append(signum)
        if self._kill_at is None and sum(each in END_NOW for each in self._noted) >= 2:
            self._kill_at = self._clock() + self._patience.kill_grace_s

    def _pause(self, delay_s: float, signals: Signals) -> None:
        """Wait before a restart; a signal ends the pause."""
        until = self._clock() + delay_s
        while not self._noted and self._clock() < until:
            for signum in signals.wait(until - self._clock()):
                if signum != signal.SIGCHLD:
                    self._note(signum)


def _reap(agent: subprocess.Popen[bytes]) -> int | None:
    """Collect every child that has ended, orphans that came to us included; return the agent's exit code if it did."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            pid = 0
        if pid == 0:
            return agent.returncode
        if pid == agent.pid:
            agent.returncode = os.waitstatus_to_exitcode(status)


def end_leftovers(log: Log, *, grace_s: float = LEFTOVER_GRACE_S, sleep: Callable[[float], None] = time.sleep) -> int:
    """End every process below us: SIGTERM, then SIGKILL. Return how many there were.

    Args:
        log: where they are named.
        grace_s: seconds between the two signals.
        sleep: waits.
    """
    found = _descendants(os.getpid())
    if found:
        log.warning("leftovers.ended", pids=sorted(found))
    for signum, rounds in ((signal.SIGTERM, int(grace_s / 0.1)), (signal.SIGKILL, 50)):
        for turn in range(rounds):
            left = _descendants(os.getpid())
            if not left:
                return len(found)
            if turn == 0 or signum == signal.SIGKILL:  # forks between two looks are caught by the next one
                _signal_all(left, signum)
            sleep(0.1)
            _reap_all()
    return len(found)


def _signal_all(pids: set[int], signum: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it ended at this moment
            os.kill(pid, signum)


def _reap_all() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _descendants(ancestor: int) -> set[int]:
    """Return the processes below one, zombies left out."""
    parents = dict(filter(None, map(_parent, Path("/proc").glob("[0-9]*/stat"))))
    below: set[int] = set()
    while True:
        more = {pid for pid, parent in parents.items() if parent == ancestor or parent in below} - below
        if not more:
            return below
        below |= more


def _parent(stat: Path) -> tuple[int, int] | None:
    try:
        text = stat.read_text(encoding="utf-8", errors="replace")
    except OSError:  # it ended at this moment
        return None
    state, parent, *_ = text.rpartition(")")[2].split()  # the name before it may hold anything
    return None if state in ("Z", "X") else (int(stat.parent.name), int(parent))
