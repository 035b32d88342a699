"""Commands of ours, each in a process of its own, which is forked from one that has imported them already.

A test that asks a dozen times would wait for a dozen imports. Directory, environment, output and exit code are a
process's own; only what Python itself reads of the environment at its start is this server's.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
LONGEST_S = 300  # then the kernel ends a command (SIGALRM)
_IMPORTED = ("agents.command_line", "agents.data_cli.command_line", "agents.site_director.command_line")


def run(
    module: str, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, given: bytes = b""
) -> "subprocess.CompletedProcess[str]":
    """Run `python -m MODULE ARGUMENTS…` to its end, with this on its standard input."""
    with tempfile.TemporaryDirectory() as folder:
        out, err, stdin = (Path(folder) / name for name in ("out", "err", "in"))
        stdin.write_bytes(given)
        asked = {"argv": [module, *arguments], "cwd": str(cwd), "env": dict(os.environ if env is None else env)}
        code = _server().run({**asked, "files": [str(stdin), str(out), str(err)]})
        return subprocess.CompletedProcess([module, *arguments], code, out.read_text(), err.read_text())


def parent() -> int:
    """Return the pid of whoever starts them: such a process sees it as its parent."""
    return _server().pid


class _Server:
    def __init__(self) -> None:
        argv = [sys.executable, "-m", "tests.forked"]
        self._process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._one_at_a_time = threading.Lock()
        atexit.register(self._process.communicate)  # at the end of its input it ends

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, asked: Mapping[str, object]) -> int:
        assert self._process.stdin
        assert self._process.stdout
        with self._one_at_a_time:
            print(json.dumps(asked), file=self._process.stdin, flush=True)
            return int(self._process.stdout.readline())


_server = functools.cache(_Server)


def _serve() -> str:
    """Start what is asked for; return, in each process that is to run something, the module it shall run."""
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    while line := sys.stdin.readline():
        if not (pid := os.fork()):
            return _become(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    sys.exit()


def _become(*, argv: list[str], cwd: str, env: dict[str, str], files: list[str]) -> str:
    signal.alarm(LONGEST_S)
    for fd, path in enumerate(files):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT if fd else os.O_RDONLY, 0o600)
        os.dup2(opened, fd)
        os.close(opened)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[0] = cwd
    sys.argv = argv
    return argv[0]


if __name__ == "__main__":
    runpy.run_module(_serve(), run_name="__main__", alter_sys=True)
