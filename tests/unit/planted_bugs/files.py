"""Bugs of inputs and outputs."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from ce_backends import TaskSpec
from ce_backends.cli.template_ce import TemplateCE
from tests.unit.planted_bugs.marks import Changed, caught_by


@caught_by("inputs_arrive")
class InputsLost(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, inputs=())


@caught_by("inputs_arrive")
class DirectoriesLeftOut(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, inputs=[path for path in task.inputs if path.is_file()])


@caught_by("names_may_hold_any_letter")
class OddNamesLeftOut(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, inputs=[path for path in task.inputs if path.name.isascii()])


@caught_by("outputs_come_back_by_pattern")
class OutputsFlattened(Changed):
    def changed_folder(self, folder: Path) -> None:
        for path in sorted((folder / "outputs").rglob("*")):
            if path.is_file():
                path.rename(folder / "outputs" / path.name)


@caught_by("outputs_come_back_by_pattern")
class EverythingBrought(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, outputs=("*",))


@caught_by("outputs_come_back_by_pattern")
class FirstPatternOnly(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, outputs=task.outputs[:1])


@caught_by("outputs_never_lead_out_of_the_work_directory")
class LinksFollowed(TemplateCE):
    def fetch(self, task_id: str, into: Path) -> None:
        super().fetch(task_id, into)
        shutil.copytree(self._directory(task_id).work, into / "outputs", dirs_exist_ok=True)


@caught_by("outputs_never_lead_out_of_the_work_directory")
class PatternsAboveTaken(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, outputs=[pattern for pattern in task.outputs if ".." not in pattern])


@caught_by("outputs_never_lead_out_of_the_work_directory")
class SkippedInSilence(Changed):
    def changed_folder(self, folder: Path) -> None:
        (folder / "stderr").write_text("")


@caught_by("fetch_gives_the_same_names_everywhere")
class NoExitCodeFile(Changed):
    def changed_folder(self, folder: Path) -> None:
        (folder / "exit_code").unlink(missing_ok=True)


@caught_by("fetch_gives_the_same_names_everywhere")
class ExitCodeWithoutNewline(Changed):
    def changed_folder(self, folder: Path) -> None:
        (folder / "exit_code").write_text((folder / "exit_code").read_text().strip())


@caught_by("fetch_gives_the_same_names_everywhere")
class OwnFilesFetched(Changed):
    def changed_folder(self, folder: Path) -> None:
        (folder / "batch.log").write_text("submitted\n")


@caught_by("executable_files_stay_executable")
class InputsNotExecutable(TemplateCE):
    def _start(self, task: TaskSpec, directory: Any) -> None:
        for path in directory.work.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        super()._start(task, directory)


@caught_by("executable_files_stay_executable")
class OutputsNotExecutable(Changed):
    def changed_folder(self, folder: Path) -> None:
        for path in (folder / "outputs").rglob("*"):
            path.chmod(0o644)


@caught_by("executable_files_stay_executable")
class OutputsAllExecutable(Changed):
    def changed_folder(self, folder: Path) -> None:
        for path in (folder / "outputs").rglob("*"):
            path.chmod(0o755)
