"""What every test starts with."""

import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

SPREAD = ("test_ce_conformance.py", "test_ce_planted_bugs.py", "test_batch_cut_answers.py")  # each test to any worker
LONG = (  # with the longest first, so that nobody waits for it in the end
    "test_main_job.py", "test_data.py", "test_data_cli.py", "test_run.py", "test_outside.py", "test_job_api.py",
    "test_site_director.py", "test_remote_ce.py", "test_job_costs.py", "test_doctor.py",
)  # fmt: skip


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """Give back the umask: `main` of pilot and agent closes what it makes to others, for its whole process."""
    before = os.umask(0o022)
    yield
    os.umask(before)


class Scheduler(LoadFileScheduling):
    """Gives the tests of a file to one worker, since they share what is made once; of those named, to all."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return nodeid if Path(file).name in SPREAD else file

    def _reschedule(self, node: WorkerController) -> None:
        """Forget what a worker has done with: after each test all that it was ever given would be counted again."""
        work = self.assigned_work.get(node, {})
        for scope in [scope for scope, tests in work.items() if all(tests.values())]:
            del work[scope]
        super()._reschedule(node)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Look for no garbage in what is collected, neither while it grows to a million objects nor later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that nobody waits for it at the end."""
    first = (*LONG, *SPREAD)
    items.sort(key=lambda item: first.index(item.path.name) if item.path.name in first else len(first))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduler | None:
    """Say how tests are shared out for `--dist loadfile`."""
    return Scheduler(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make output with half a character in it fit for the way from a worker of pytest-xdist."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


def pytest_configure() -> None:
    """Begin as a login would.

    The signals that tests are about are not ignored, as nohup or a CI leaves them. And `python3` is a program, not a
    script that finds out each time which Python it is to start (pyenv), which takes ten times as long as that.
    """
    os.environ["PATH"] = f"{Path(sys.base_exec_prefix) / 'bin'}:{os.environ['PATH']}"
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
