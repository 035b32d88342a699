"""A server for tests: a process of its own that is gone when the test is over."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agents.local_wms.home import Endpoint, Home

READY_S = 120  # a machine may be busy
STOP_S = 10
REPOSITORY = Path(__file__).parents[2]


@contextmanager
def running(
    home: Path, prepare: Callable[[], None] | None = None, *, program: Sequence[str] = ("-m", "agents.local_wms")
) -> Iterator[Endpoint]:
    """Run `serve` in a directory on a free port, until the block ends.

    Args:
        home: the directory.
        prepare: called in the new process, before the server is started in it.
        program: what Python runs, of which `serve` is a command.

    Raises:
        RuntimeError: it did not come up; with what it wrote, and its exit code.
    """
    argv = [sys.executable, *program, "serve", "--home", str(home)]
    Home(home).make()
    with open(home / "serve.out", "w", opener=_for_us_alone) as out:
        process = subprocess.Popen(argv, cwd=REPOSITORY, stdout=out, stderr=subprocess.STDOUT, preexec_fn=prepare)  # noqa: PLW1509 - of who needs it
    try:
        yield _wait(process, Home(home))
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _for_us_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _wait(process: "subprocess.Popen[bytes]", home: Home) -> Endpoint:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        if home.endpoint.exists() and (endpoint := home.read_endpoint()).pid == process.pid:
            return endpoint
        time.sleep(0.02)
    code, file = process.poll(), home.folder / "serve.out"
    how = f"did not come up within {READY_S} s" if code is None else f"ended with exit code {code} before it was up"
    why = file.read_text().strip() or f"it could write nothing to {file}; is there room on its disk?"
    raise RuntimeError(f"the local WMS {how}: {why}")
