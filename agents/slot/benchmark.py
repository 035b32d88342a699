"""The power of one processor of this node (DB12), measured once per node and boot, beside the jobs."""

import json
import os
import statistics
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents import private
from agents.log import EventLog
from agents.slot import db12
from agents.slot.isolated_python import alone

log = EventLog("slot")

_LEAST_HS06, _MOST_HS06 = 0.5, 100.0  # outside it is a mistake: DIRAC has seen 2250 (issue 7760)
_CPU_BUDGET_S = 12.0  # of each copy: five tenths on a processor of 2015
_WALL_LIMIT_S = 120.0  # the copies are nice and may have to wait for jobs


@dataclass(frozen=True, slots=True)
class Machine:
    """What a result belongs to.

    Attributes:
        cpu: model of the processor.
        boot_id: of this boot; settings of the firmware may differ after the next.
        copies: how many processors work at once, which is as many as the slot has.
    """

    cpu: str
    boot_id: str
    copies: int


def this_machine(root: Path, copies: int) -> Machine:
    """Return the machine that `root` ("/", or a recorded tree) describes."""
    cpus = _read(root / "proc/cpuinfo").splitlines()
    model = next((line.partition(":")[2].strip() for line in cpus if line.startswith("model name")), os.uname().machine)
    return Machine(model, _read(root / "proc/sys/kernel/random/boot_id").strip(), copies)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def memory(environ: Mapping[str, str], work_dir: Path) -> Path:
    """Return where results are kept: GRIDPILOT_CACHE, for the pilots that come after, if the site names such a folder.

    Else the agent's own folder, which goes with the slot: nothing is left on a node that did not ask for it.
    """
    return Path(environ.get("GRIDPILOT_CACHE") or work_dir)


class Benchmark:
    """Measures with one copy per processor; the slowest counts, as in DIRAC.

    Args:
        machine: what is measured.
        cache: directory of results; one that others may write is not believed.
        command: starts one copy; None for DB12's.
    """

    def __init__(
        self,
        machine: Machine,
        cache: Path,
        command: Sequence[str] | None = None,
    ) -> None:
        self._machine = machine
        self._file = cache / "benchmark.json"
        self._command = command or alone(db12, str(_CPU_BUDGET_S))
        self._running: list[subprocess.Popen[str]] = []
        self._lock = threading.Lock()
        self._is_stopped = False

    def remembered_hs06(self) -> float | None:
        """Return what a pilot before us has measured on this node since its boot; None when there is no such thing."""
        try:
            if not private.is_ours_alone(self._file.parent):
                return None
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            hs06 = float(kept["hs06"]) if kept["machine"] == self._described() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return hs06 if hs06 and _is_sane(hs06) else None

    def power_hs06(self) -> float | None:
        """Return what is remembered, else measure for some seconds; None when it came to nothing. Runs in a worker."""
        return self.remembered_hs06() or self._measured_hs06()

    def _measured_hs06(self) -> float | None:
        printed = self._run()
        if self._is_stopped:  # what a killed copy printed is no result, and no fault
            return None
        try:
            powers = [statistics.median(float(line) for line in text.split()) for text in printed]
        except ValueError as error:  # a copy that printed nothing, or no numbers
            log.warning("benchmark.failed", cause=error)
            return None
        hs06 = round(min(powers, default=0.0), 1)
        if not _is_sane(hs06):
            log.warning("benchmark.not_believed", hs06=hs06, expected=f"{_LEAST_HS06} to {_MOST_HS06}")
            return None
        self._remember(hs06)
        return hs06

    def stop(self) -> None:
        """End a measurement that is under way, and let none begin."""
        with self._lock:
            self._is_stopped = True
            for process in self._running:
                process.kill()

    def _run(self) -> list[str]:
        with self._lock:
            if not self._is_stopped:
                self._running = [self._start() for _ in range(self._machine.copies)]
        printed = []
        for process in self._running:
            try:
                printed.append(process.communicate(timeout=_WALL_LIMIT_S)[0])
            except subprocess.TimeoutExpired:
                process.kill()
                printed.append(process.communicate()[0])
        return printed

    def _start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def _described(self) -> list[object]:
        return [self._machine.cpu, self._machine.boot_id, self._machine.copies]

    def _remember(self, hs06: float) -> None:
        aside = self._file.with_name(f"benchmark.{os.getpid()}.new")
        try:
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            if private.is_ours_alone(self._file.parent):
                aside.write_text(json.dumps({"machine": self._described(), "hs06": hs06}), encoding="utf-8")
                aside.replace(self._file)
        except OSError as error:
            log.debug("benchmark.not_remembered", file=self._file, cause=error.strerror)


def _is_sane(hs06: float) -> bool:
    return _LEAST_HS06 <= hs06 <= _MOST_HS06
