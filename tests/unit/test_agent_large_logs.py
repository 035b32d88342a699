"""What goes into an output sandbox that would be too large, and what comes with it unasked."""

import io
import random
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from agents.jobs.job import Job, MatchedJob
from agents.runner.payload_proxies import FixedProxy
from agents.runner.staging import STACKS, Staging
from ce_backends.errors import CEError
from tests.unit.no_data import no_data

LIMIT_BYTES = 100_000
NOISE = random.Random(1).randbytes(2 * LIMIT_BYTES)  # bytes that do not get smaller
JOB = Job(matched=MatchedJob(job_id=7, jdl="", owner="o", group="g"), stamp="s", task_id="t")


class Files:
    """A CE that has these outputs, and a store that takes what it is given."""

    def __init__(self, **outputs: bytes) -> None:
        self.outputs = outputs
        self.taken = b""

    def fetch(self, task_id: str, into: Path) -> None:
        (into / "outputs").mkdir(parents=True, exist_ok=True)
        for name, content in self.outputs.items():
            (into / "outputs" / name).write_bytes(content)

    def upload_output(self, job_id: int, packed: bytes) -> str:
        self.taken = packed
        return "SB:S|/x"

    def members(self) -> dict[str, bytes]:
        """Return what was taken, by name."""
        with tarfile.open(fileobj=io.BytesIO(self.taken)) as archive:
            found = {member.name: archive.extractfile(member) for member in archive}
            return {name: file.read() for name, file in found.items() if file}


def upload(files: Files, into: Path, patterns: Sequence[str], logs: Sequence[str]) -> str:
    made = Staging(FixedProxy(None), lambda _: files, files, LIMIT_BYTES, no_data())  # type: ignore[arg-type, return-value] # the borders
    return made.upload(JOB, patterns, into, logs).error


def test_of_logs_that_are_too_large_the_owner_gets_head_and_tail(tmp_path: Path) -> None:
    files = Files(out=b"first" + NOISE + b"last", err=b"short", result=b"4711")

    problem = upload(files, tmp_path, ["out", "err", "result"], ["out", "err"])

    assert problem == ""
    got = files.members()
    assert got["out"].startswith(b"first" + NOISE[:1000])
    assert got["out"].endswith(NOISE[-1000:] + b"last")
    assert b"\n[at least 175009 bytes left out]\n" in got["out"]
    assert (got["err"], got["result"]) == (b"short", b"4711")


@pytest.mark.parametrize("logs", [["out"], []], ids=["small logs", "no logs"])
def test_results_are_never_shortened(tmp_path: Path, logs: Sequence[str]) -> None:
    files = Files(out=b"short", result=NOISE)

    problem = upload(files, tmp_path, ["out", "result"], logs)

    assert problem == "the output sandbox is too large, packed it may have 100000 bytes: without result (200000 bytes)"
    assert files.members() == {"out": b"short"}


def test_what_the_ce_could_not_bring_is_told_to_the_owner(tmp_path: Path) -> None:
    class Partly(Files):
        def fetch(self, task_id: str, into: Path) -> None:
            super().fetch(task_id, into)
            (into / "stderr").write_text(
                "words\ngridpilot: hello\ngridpilot: output a was skipped: it is \x1b[31mred\n"
            )

    assert upload(Partly(out=b"text"), tmp_path, ["out"], []) == "output a was skipped: it is red"


def test_stacks_of_a_stalled_payload_come_along(tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / STACKS).write_text("stacks")
    files = Files(out=b"text")

    upload(files, tmp_path, ["out"], ["out"])

    assert files.members() == {"out": b"text", STACKS: b"stacks"}


def test_without_stacks_nothing_is_missing(tmp_path: Path) -> None:
    files = Files(out=b"text")
    made = Staging(FixedProxy(None), lambda _: files, files, LIMIT_BYTES, no_data())  # type: ignore[arg-type, return-value] # the borders

    event = made.upload(JOB, ["out"], tmp_path)

    assert event.missing == ()


def test_task_that_cannot_be_fetched_is_told_as_before(tmp_path: Path) -> None:
    class Gone(Files):
        def fetch(self, task_id: str, into: Path) -> None:
            raise CEError("task t is not known")

    assert upload(Gone(), tmp_path, ["out"], ["out"]) == "task t is not known"
