"""A SiteDirector as a process of its own."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import requests

from agents.local_wms.home import Endpoint
from tests import forked
from tests.waiting import within

ROOT = Path(__file__).parents[2]
PATIENCE_S = 180.0
SECTION = "/Systems/WorkloadManagement/Agents/SiteDirector"
POWER = "-o /LocalSite/CPUNormalizationFactor=10.0"  # given, so that no pilot measures it for seconds beside its jobs
QUICK_PILOT = f"--PollingTime 1 --StopAfterFailedMatches 2 {POWER}"


class SiteDirector:
    """One that runs, until the block ends."""

    def __init__(self, folder: Path, options: Sequence[str], **env: str) -> None:
        self.folder = folder
        self.work_dir = folder / "director"
        self.options = [*options, "-o", f"{SECTION}/StatusInterval=0.5", "-o", f"{SECTION}/PilotStartUp=5"]
        self._env = {**os.environ, **env}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "director.out").open("ab") as out:
            self.process = subprocess.Popen(
                self.argv("run", *self.options), cwd=ROOT, env=self._env, stdout=out, stderr=out
            )

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "agents.site_director", *words, "--work-dir", str(self.work_dir)]

    def ask(self, *words: str) -> str:
        wide = dict(os.environ, COLUMNS="200")
        said = forked.run("agents.site_director", *words, "--work-dir", str(self.work_dir), cwd=ROOT, env=wide)
        said.check_returncode()
        return said.stdout

    def stop(self) -> int:
        assert self.process
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def __enter__(self) -> "SiteDirector":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def queues(self) -> dict[str, Any]:
        """Return what `status` says of each queue; before it began, nothing."""
        if not (self.work_dir / "pilots.sqlite").exists():
            return {}
        return dict(json.loads(self.ask("status", "--json"))["queues"])

    def pilots(self, queue: str) -> Counter[str]:
        return Counter(self.queues().get(queue, {}).get("pilots", {}))

    def ledger(self) -> list[dict[str, Any]]:
        """Return what it has written down of each pilot."""
        path = self.work_dir / "pilots.sqlite"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)) as db:
            return [json.loads(body) for (body,) in db.execute("SELECT body FROM pilot")]

    def killed_by(self, place: Path, act: Callable[[], object]) -> None:
        """Act, and have it killed by its next call of a command that looks at this file, before or after it does it."""
        assert self.process
        place.write_text(f"{self.process.pid}\n", encoding="utf-8")
        act()
        assert self.process.wait(PATIENCE_S) == -signal.SIGKILL
        place.unlink()

    def until(self, condition: Callable[[], bool], what: str) -> None:
        process = self.process
        assert process

        def holds() -> bool:
            if condition():
                return True
            assert process.poll() is None, f"{what}: the director has ended:\n{self.written()}"
            return False

        assert within(PATIENCE_S, holds, pause_s=0.3), f"{what}: not within {PATIENCE_S} s:\n{self.written()}"

    def written(self) -> str:
        return (self.folder / "director.out").read_text(errors="replace")


def on_this_machine(home: Path, folder: Path) -> list[str]:
    """Return the options of a director whose one CE starts pilots here, quickly."""
    options = [
        "BatchSystem=Host",
        f"SharedArea={folder}/area",
        "StatusInterval=0.5",
        f"ExtraPilotOptions={QUICK_PILOT}",
    ]
    return ["--local", str(home), "-y", "Local", *(word for option in options for word in ("-c", option))]


def pilot_infos(endpoint: Endpoint, references: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what the local WMS says of pilots, by reference, as the pilot asks."""
    session = requests.Session()
    session.trust_env, session.verify, session.cert = False, endpoint.ca_dir, endpoint.pilot_proxy
    answer = session.post(
        f"{endpoint.url}/WorkloadManagement/TornadoPilotManager",
        data={"method": "getPilotInfo", "args": json.dumps([list(references)])},
        timeout=60,
    ).json()
    return dict(answer.get("Value", {}))


def pilots_known(endpoint: Endpoint, queue: str, stamps: Collection[str]) -> set[str]:
    """Return the stamps of those pilots of a queue that the local WMS knows."""
    infos = pilot_infos(endpoint, [f"gridpilot://{queue}/{stamp}" for stamp in stamps])
    return {info["PilotStamp"] for info in infos.values()}
