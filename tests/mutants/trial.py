"""Tests are run in a child that gets a changed module wherever it imports the module; the file stays as it is."""

import ast
import importlib
import importlib.abc
import importlib.machinery
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TypeVar

import pytest

AT_ONCE = 2
LIMIT_S = 120.0  # a mutant that runs for ever is seen as well
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried.

    Args:
        path: of the module.
        tree: of the changed module.
        tests: files for pytest.
    """

    path: str
    tree: ast.Module
    tests: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Changed(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds the changed module in place of the one on disk."""

    name: str
    path: Path
    code: CodeType

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        return spec_from_loader(fullname, self, origin=str(self.path)) if fullname == self.name else None

    def get_source(self, fullname: str) -> str:
        return self.path.read_text(encoding="utf-8")

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self.path)
        exec(self.code, module.__dict__)


def tried(trials: Iterable[tuple[Key, Trial]]) -> Iterator[tuple[Key, int]]:
    """Try all, two at a time; yield pytest's exit codes as they come, negative after LIMIT_S."""
    waiting, running = iter(trials), dict[int, tuple[Key, float]]()
    try:
        while True:
            for key, trial in _some(waiting, AT_ONCE - len(running)):
                running[_start(trial)] = key, time.monotonic() + LIMIT_S
            if not running:
                return
            for pid in list(running):
                if (code := _code(pid, running[pid][1])) is not None:
                    yield running.pop(pid)[0], code
            time.sleep(0.02)
    finally:
        for pid in running:
            _code(pid, 0)


def _some(waiting: Iterator[tuple[Key, Trial]], number: int) -> Iterator[tuple[Key, Trial]]:
    for _, pair in zip(range(number), waiting, strict=False):
        yield pair


def _start(trial: Trial) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(_run(trial))
        finally:
            os._exit(70)
    return pid


def _code(pid: int, until: float) -> int | None:
    """Return the exit code, None while it runs and may; later its whole group is killed."""
    if is_late := time.monotonic() > until:
        os.killpg(pid, signal.SIGKILL)
    ended, status = os.waitpid(pid, 0 if is_late else os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _run(trial: Trial) -> int:
    os.setsid()
    silent = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silent, descriptor)
    file = Path(trial.path).resolve()
    name = ".".join(Path(trial.path).with_suffix("").parts)
    sys.meta_path.insert(0, _Changed(name, file, compile(trial.tree, file, "exec")))
    importlib.import_module(name)  # now, or pytest, whose own finder comes first, takes it from the disk
    ignored = "ignore::pytest.PytestAssertRewriteWarning"  # the module is there already
    return int(pytest.main(["-W", ignored, "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *trial.tests]))
