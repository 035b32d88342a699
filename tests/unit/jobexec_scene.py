"""A task's directory with a workflow in it, and the runner as the agent puts it there."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from agents.jobs.jobexec import write_runner
from tests.waiting import ended

ROOT = Path(__file__).parents[2]
CAPTURES = ROOT / "tests/captures/job_api"
USUAL = ["jobDescription.xml", "-o", "LogLevel=INFO"]


@dataclass
class Done:
    """What a run has left."""

    code: int
    directory: Path
    stdout: str
    stderr: str

    def log(self, name: str) -> str:
        return (self.directory / name).read_text()

    @property
    def reason(self) -> str:
        return (self.directory.parent / "reason").read_text().strip()

    @property
    def statuses(self) -> list[str]:
        begin = "Application status: "
        return [line.removeprefix(begin) for line in self.stdout.split("\n") if line.startswith(begin)]


class Job:
    """A task's directory with a workflow in it."""

    def __init__(self, place: Path, *, goes_on: bool = False, python: str = "") -> None:
        self.work = place / "work"
        self.work.mkdir()
        self.runner = write_runner(self.work, python=python, goes_on=goes_on) / "dirac-jobexec"
        for name in ("job.sh", "analysis.py", "notes.txt"):
            shutil.copy(CAPTURES / name, self.work)

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        files = {"GRIDPILOT_REASON_FILE": f"{self.work.parent}/reason", "GRIDPILOT_STATUS_FILE": f"{self.work}/status"}
        return {"PATH": os.environ["PATH"], **files, **more}

    def started(
        self, *arguments: str, out: IO[bytes] | int, err: IO[bytes] | int, **more: str
    ) -> "subprocess.Popen[bytes]":
        argv = [str(self.runner), *arguments]
        return subprocess.Popen(argv, cwd=self.work, env=self.environment(more), stdout=out, stderr=err)

    def run(self, xml: str | bytes, *arguments: str, **more: str) -> Done:
        text = xml.encode() if isinstance(xml, str) else xml
        (self.work / "jobDescription.xml").write_bytes(text)
        with (self.work / "std.out").open("wb") as out, (self.work / "std.err").open("wb") as err:
            code = ended(self.started(*(arguments or ("jobDescription.xml",)), out=out, err=err, **more))
        out_text, err_text = ((self.work / name).read_text(errors="replace") for name in ("std.out", "std.err"))
        return Done(code, self.work, out_text, err_text)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def step(executable: str, arguments: str = "", **more: str) -> dict[str, str]:
    return {"executable": executable, "arguments": arguments, **more}


def sh(script: str, **more: str) -> dict[str, str]:
    return step("/bin/sh", f"-c '{script}'", **more)
