"""What every test starts with."""

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

SPREAD = ("test_ce_conformance.py", "test_ce_planted_bugs.py", "test_batch_cut_answers.py")
LONG = ("test_main_job.py", "test_outside.py", "test_remote_ce.py", "test_doctor.py", *SPREAD)


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that nobody waits for it at the end."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


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
    """Take the signals that tests are about as a login has them, not as nohup or a CI leaves them."""
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
