"""A pilot for as long as a block lasts, and how jobs are followed: what `demo` and `run` have in common."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from agents.local_wms.client import Client
from agents.local_wms.home import Endpoint

FINAL = ("Done", "Failed", "Killed")
REPOSITORY = Path(__file__).parents[2]
Pilot = subprocess.Popen[bytes]
_STOP_S = 20.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent() -> None:
    """Have this process told to end when its parent does, even by `kill -9`; for `preexec_fn`."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def pilot_words(endpoint: Endpoint) -> list[str]:
    """Return the options of a pilot for a local WMS."""
    words = ["-n", endpoint.site, "-N", endpoint.ce, "-Q", endpoint.queue, "--wnVO", endpoint.vo]
    return [*words, "-C", endpoint.configuration, "-y", "Pool"]


def pilot_environment(endpoint: Endpoint) -> dict[str, str]:
    """Return the variables of a pilot for a local WMS."""
    return {"X509_USER_PROXY": str(endpoint.pilot_proxy), "X509_CERT_DIR": str(endpoint.ca_dir)}


@contextmanager
def pilot(endpoint: Endpoint, folder: Path, processors: int, *, failed_matches: int) -> Iterator[Pilot]:
    """Run a pilot until the block ends; then it is asked to end, and ended. It writes `pilot.out` in the folder."""
    argv = [sys.executable, "-m", "pilot", *pilot_words(endpoint), "-P", str(processors), "-t", "WholeNode"]
    argv += ["--PollingTime", "1", "--StopAfterFailedMatches", str(failed_matches)]
    argv += ["--work-dir", str(folder / "pilot")]
    environment = {**os.environ, **pilot_environment(endpoint)}
    with (folder / "pilot.out").open("wb") as out:
        process = subprocess.Popen(
            argv,
            cwd=REPOSITORY,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for whoever started us; the pilot is told by us
            preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads have been started here
        )
    try:
        yield process
    except BaseException:
        _end(process, signal.SIGTERM)
        raise
    finally:
        _end(process, signal.SIGUSR1)


def _end(process: Pilot, first: signal.Signals) -> None:
    """Let the pilot finish what it has, or hand it back; then insist."""
    for number, patience_s in ((first, _STOP_S), (signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue
        return


def look(client: Client, job_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """Return each job's attributes and parameters, in one mapping."""
    summary = client.call("JobMonitoring", "getJobsSummary", list(job_ids))
    parameters = client.call("JobMonitoring", "getJobParameters", list(job_ids))
    return {job_id: {**summary[str(job_id)], **parameters.get(str(job_id), {})} for job_id in job_ids}


def was_refused(job: Mapping[str, str]) -> bool:
    """Tell whether the job is too big for this slot, and not only unlucky until now."""
    return "the slot has" in job.get("WhyWaiting", "")
