"""Bugs of looks into the files of a running task."""

from contextlib import suppress

from ce_backends.cli.template_ce import TemplateCE
from ce_backends.task.outputs import tail
from tests.unit.planted_bugs.marks import ALLOWED, caught_by


class Peeking(TemplateCE):
    """Shows files as it should."""

    def peek(self, task_id: str, name: str, max_bytes: int) -> bytes:
        directory = self._directory(task_id)
        root = directory.path if name in ("stdout", "stderr") else directory.work
        return tail(root / name, root, max_bytes)


ALLOWED[Peeking] = ("running_task_shows_its_output", "look_leads_out_of_no_work_directory")


@caught_by("running_task_shows_its_output")
class ShowsTheBeginning(Peeking):
    def peek(self, task_id: str, name: str, max_bytes: int) -> bytes:
        return super().peek(task_id, name, 10**6)[:max_bytes]


@caught_by("running_task_shows_its_output")
class ShowsEverything(Peeking):
    def peek(self, task_id: str, name: str, max_bytes: int) -> bytes:
        return super().peek(task_id, name, 10**6)


@caught_by("running_task_shows_its_output")
class ShowsStreamsOnly(Peeking):
    def peek(self, task_id: str, name: str, max_bytes: int) -> bytes:
        return super().peek(task_id, name, max_bytes) if name == "stdout" else b""


@caught_by("look_leads_out_of_no_work_directory")
class ShowsWhatALinkNames(Peeking):
    def peek(self, task_id: str, name: str, max_bytes: int) -> bytes:
        with suppress(OSError):
            return (self._directory(task_id).work / name).read_bytes()[-max_bytes:]
        return super().peek(task_id, name, max_bytes)
