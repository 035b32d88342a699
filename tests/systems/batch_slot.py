"""The slot in which a batch system runs the pilot's bundle, and what can be seen of it from outside."""

import re
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from agents.local_wms.home import Endpoint
from tests.systems.batch_job import BatchJob, BatchSystem
from tests.systems.real_system import PYTHON, USER, RealSystem
from tests.waiting import within

PATIENCE_S = 180.0  # a slot may have two minutes to go, and a machine be busy
REMOVAL_S = 20.0
_PROCESSORS = re.compile(r"slot\.processors value=(\d+)")
_TIME_LEFT = re.compile(r"time_left\.(?:found|changed) source=(\"[^\"]+\"|'[^']+'|\S+) seconds=(\d+)")


class Slot:
    """A folder of the unprivileged user, and one batch job that runs the pilot there."""

    def __init__(self, system: RealSystem, how: BatchSystem, endpoint: Endpoint) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"{how.case}-", dir=system.home))
        self.out = self.folder / "out"
        self.work, self.temporary, self.user_home = (self.folder / name for name in ("work", "tmp", "home"))
        system.own(self.folder)
        for folder in self._pilots:
            folder.mkdir()
            system.own(folder)
        self.system, self.how, self.endpoint = system, how, endpoint

    @property
    def _pilots(self) -> tuple[Path, ...]:
        return self.work, self.temporary, self.user_home

    def start(self, bundle: Path) -> BatchJob:
        """Submit the batch job; only its user can read the credentials."""
        shutil.copy(bundle, self.folder / "gridpilot.pyz")
        authorities = self.folder / "cas"
        shutil.copytree(self.endpoint.ca_dir, authorities)
        for path in (authorities, *authorities.iterdir()):  # the WMS's home is closed to others
            self.system.own(path)
        proxy = self.folder / "proxy"
        shutil.copy(self.endpoint.pilot_proxy, proxy)
        proxy.chmod(0o600)
        self.system.own(proxy)
        script = self.folder / "pilot.sh"
        script.write_text(self._script(), encoding="utf-8")
        script.chmod(0o755)
        return self.how.submit(self.system, script, self.endpoint.ce)

    def _script(self) -> str:
        told, here = self.endpoint, self.folder
        argv = [PYTHON, here / "gridpilot.pyz", "-n", told.site, "-N", told.ce, "-Q", told.queue, "-y", "Pool"]
        argv += ["-C", told.configuration, "--wnVO", told.vo, "--PollingTime", "0.2"]
        argv += ["--StopAfterFailedMatches", "1000", "--disk", "100", "--work-dir", self.work]
        argv += self.how.options
        return f"""#!/bin/sh
export X509_USER_PROXY={here}/proxy X509_CERT_DIR={here}/cas TMPDIR={self.temporary} HOME={self.user_home}
cd {self.work} && exec {" ".join(map(str, argv))} >{self.out} 2>&1
"""

    def written(self) -> str:
        """Return the pilot's log, the agent's lines included."""
        return self.out.read_text(encoding="utf-8", errors="replace") if self.out.exists() else "(nothing)"

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition, and fail with the pilot's log when it does not come."""
        is_so = within(PATIENCE_S, condition, 0.1)
        assert is_so, f"{what}: not within {PATIENCE_S} s; it wrote:\n{self.written()}"

    def processors(self) -> int:
        """Return how many the pilot takes for its own, 0 before it says so."""
        found = _PROCESSORS.search(self.written())
        return int(found[1]) if found else 0

    def time_left(self) -> tuple[str, int]:
        """Return who named the slot's end last, and the seconds until then."""
        found = _TIME_LEFT.findall(self.written())
        return (found[-1][0].strip("\"'"), int(found[-1][1])) if found else ("", 0)

    def processes(self) -> list[str]:
        """Return the processes that are this slot's: by their command, their folder or their environment."""
        return [str(process) for process in self._ours()]

    def _ours(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.username() != USER or process.status() == psutil.STATUS_ZOMBIE:
                return False
            seen = [*process.cmdline(), process.cwd(), *process.environ().values()]
        except psutil.Error:  # it has just gone
            return False
        return any(str(self.folder) in text for text in seen)

    def files(self) -> list[str]:
        """Return what is left where the pilot could write."""
        return [str(path.relative_to(self.folder)) for top in self._pilots for path in top.rglob("*")]

    def end(self, batch_job: BatchJob) -> None:
        """Have the batch system forget the job, if it still knows it, and end what it leaves."""
        self.system.run(batch_job.remove)
        give_up_at = time.monotonic() + REMOVAL_S
        while (left := self._ours()) and time.monotonic() < give_up_at:
            time.sleep(0.1)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
