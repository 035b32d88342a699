"""A SiteDirector as a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE_S = 180.0
SECTION = "/Systems/WorkloadManagement/Agents/SiteDirector"
QUICK_PILOT = "--PollingTime 1 --StopAfterFailedMatches 2"


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
        return subprocess.run(self.argv(*words), cwd=ROOT, check=True, text=True, capture_output=True).stdout

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

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process
            is_late = time.monotonic() > deadline or self.process.poll() is not None
            assert not is_late, f"{what}:\n{self.written()}"
            time.sleep(0.3)

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
