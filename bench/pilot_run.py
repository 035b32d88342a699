"""A real pilot with its agent, run for as long as a measurement takes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from agents.local_wms.home import Endpoint

ROOT = Path(__file__).parents[1]
STOP_S = 60.0


class NothingMeasured(Exception):
    """What was to be measured did not happen; the message has what the pilot wrote."""


@contextmanager
def running_pilot(endpoint: Endpoint, folder: Path, processors: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a pilot with a Pool until the block ends, then let it hand back what still runs."""
    argv = [sys.executable, "-m", "pilot", "-n", endpoint.site, "-N", endpoint.ce, "-Q", endpoint.queue, "-y", "Pool"]
    argv += ["-P", str(processors), "-C", endpoint.configuration, "--wnVO", endpoint.vo]
    argv += ["--PollingTime", "0.2", "--work-dir", str(folder / "pilot")]
    argv += ["-o", "/LocalSite/CPUNormalizationFactor=10"]  # told by the site: else the node is measured next to us
    environment = {**os.environ, "X509_USER_PROXY": endpoint.pilot_proxy, "X509_CERT_DIR": endpoint.ca_dir}
    with written(folder).open("wb") as out:
        pilot = subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield pilot
    finally:
        pilot.send_signal(signal.SIGTERM)
        try:
            pilot.wait(STOP_S)
        except subprocess.TimeoutExpired:
            pilot.kill()
            pilot.wait()


def agent_of(pilot: "subprocess.Popen[bytes]") -> psutil.Process | None:
    """Return a pilot's agent, None while there is none."""
    below = psutil.Process(pilot.pid).children()
    return next((each for each in below if "agents" in each.cmdline()), None)


def written(folder: Path) -> Path:
    """Return the file that has what a pilot wrote."""
    return folder / "pilot.out"


def wait_until(condition: Callable[[], bool], what: str, limit_s: float, folder: Path) -> None:
    """Wait until something is so.

    Raises:
        NothingMeasured: it was not, in this time.
    """
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            last = written(folder).read_text(encoding="utf-8", errors="replace")[-2000:]
            raise NothingMeasured(f"{what}: not within {limit_s:.0f} s; the pilot wrote:\n{last}")
        time.sleep(0.1)
