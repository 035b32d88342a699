"""The example of a CE, broken in many ways: each of these must be caught by the clause that is named with it.

A bug is a class; `caught_by` names the clause that is about it.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import psutil

from ce_backends import (
    Accepted,
    CEError,
    CEUnavailable,
    Limit,
    Rejected,
    Submission,
    TaskSpec,
    TaskState,
    TaskStatus,
    Usage,
)
from ce_backends.cli import template_ce
from ce_backends.cli.template_ce import TemplateCE
from ce_backends.task.outputs import tail

BUGS: dict[type[TemplateCE], str] = {}
ALLOWED: dict[type[TemplateCE], Sequence[str]] = {}


def caught_by(clause: str) -> Callable[[type[TemplateCE]], type[TemplateCE]]:
    """Mark a bug with the clause that must see it."""

    def mark(kind: type[TemplateCE]) -> type[TemplateCE]:
        BUGS[kind] = clause
        return kind

    return mark


def allowed(*clauses: str) -> Callable[[type[TemplateCE]], type[TemplateCE]]:
    """Mark an oddity that the contract allows, with the clauses that are nearest to it."""

    def mark(kind: type[TemplateCE]) -> type[TemplateCE]:
        ALLOWED[kind] = clauses
        return kind

    return mark


class Changed(TemplateCE):
    """A CE that changes tasks, statuses or what was fetched."""

    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return task

    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return status

    def changed_folder(self, folder: Path) -> None:
        pass

    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        return super().submit([self.changed_task(task) for task in tasks])

    def _status(self, task_id: str) -> TaskStatus:
        return self.changed_status(super()._status(task_id))

    def fetch(self, task_id: str, into: Path) -> None:
        super().fetch(task_id, into)
        self.changed_folder(into)


# ---- streams and exit codes ----


@caught_by("output_and_exit_code_come_back")
class ExitCodeForgotten(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, exit_code=None)


@caught_by("output_and_exit_code_come_back")
class ExitCodeAlwaysZero(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, exit_code=0) if status.state.is_final else status


@caught_by("output_and_exit_code_come_back")
class FailedForAnExitCode(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, state=TaskState.FAILED) if status.exit_code else status


@caught_by("output_and_exit_code_come_back")
class StreamsSwapped(Changed):
    def changed_folder(self, folder: Path) -> None:
        (folder / "stdout").rename(folder / "x")
        (folder / "stderr").rename(folder / "stdout")
        (folder / "x").rename(folder / "stderr")


@caught_by("output_and_exit_code_come_back")
class StderrLost(Changed):
    def changed_folder(self, folder: Path) -> None:
        (folder / "stderr").write_text("")


@caught_by("missing_command_is_exit_code_127")
class MissingCommandIsAnError(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return TaskStatus(state=TaskState.FAILED, reason="not found") if status.exit_code == 127 else status


@caught_by("exit_codes_from_0_to_255_come_back")
class HighExitCodesAreSignals(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        code = status.exit_code or 0
        return replace(status, exit_code=code - 256) if code > 128 else status


@caught_by("exit_codes_from_0_to_255_come_back")
class Code77IsReserved(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, state=TaskState.FAILED, exit_code=None) if status.exit_code == 77 else status


@caught_by("end_by_a_signal_is_told")
class SignalsAreNegative(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, exit_code=-9) if status.exit_code == 137 else status


@caught_by("output_may_hold_any_byte")
class OutputDecoded(Changed):
    def changed_folder(self, folder: Path) -> None:
        text = (folder / "stdout").read_text("utf-8", errors="replace")
        (folder / "stdout").write_text(text, "utf-8")


@caught_by("output_may_hold_any_byte")
class LineEndsMadeUniform(Changed):
    def changed_folder(self, folder: Path) -> None:
        (folder / "stdout").write_bytes((folder / "stdout").read_bytes().replace(b"\r", b"\n"))


@caught_by("files_come_back_whole")
class StdoutCutAtOneMegabyte(Changed):
    def changed_folder(self, folder: Path) -> None:
        os.truncate(folder / "stdout", min(1_000_000, (folder / "stdout").stat().st_size))


@caught_by("files_come_back_whole")
class OutputsCutAtOneMegabyte(Changed):
    def changed_folder(self, folder: Path) -> None:
        for path in (folder / "outputs").rglob("*"):
            os.truncate(path, min(1_000_000, path.stat().st_size))


@caught_by("large_output_comes_back")
class TailOfLargeOutputLost(Changed):
    def changed_folder(self, folder: Path) -> None:
        os.truncate(folder / "stdout", min(50_000_000, (folder / "stdout").stat().st_size))


# ---- inputs and outputs ----


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


# ---- environment and grants ----


@caught_by("environment_is_exactly_the_tasks")
class AgentsEnvironmentLeaks(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, environment={"AGENT_VARIABLE": "1", **task.environment})


@caught_by("environment_is_exactly_the_tasks")
class PathReplaced(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, environment={**task.environment, "PATH": "/usr/bin:/bin"})


class ValuesChanged(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, environment=self.changed_values(task.environment))

    def changed_values(self, values: Mapping[str, str]) -> Mapping[str, str]:
        return values


@caught_by("environment_values_survive_quoting")
class NewlinesLost(ValuesChanged):
    def changed_values(self, values: Mapping[str, str]) -> Mapping[str, str]:
        return {name: value.replace("\n", " ") for name, value in values.items()}


@caught_by("environment_values_survive_quoting")
class EmptyValuesLost(ValuesChanged):
    def changed_values(self, values: Mapping[str, str]) -> Mapping[str, str]:
        return {name: value for name, value in values.items() if value}


@caught_by("environment_values_survive_quoting")
class SpacesStripped(ValuesChanged):
    def changed_values(self, values: Mapping[str, str]) -> Mapping[str, str]:
        return {name: value.strip(" ") for name, value in values.items()}


@caught_by("bad_variable_name_is_refused_in_a_sentence")
class BadNamesDropped(ValuesChanged):
    def changed_values(self, values: Mapping[str, str]) -> Mapping[str, str]:
        return {name: value for name, value in values.items() if name.isidentifier()}


@caught_by("credential_is_delivered")
class CredentialForgotten(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, credential=None)


class CredentialChanged(TemplateCE):
    def _start(self, task: TaskSpec, directory: Any) -> None:
        if task.credential:
            self.changed_credential(directory.path / "credential")
        super()._start(task, directory)

    def changed_credential(self, path: Path) -> None:
        pass


@caught_by("credential_is_delivered")
class CredentialReadableByAll(CredentialChanged):
    def changed_credential(self, path: Path) -> None:
        path.chmod(0o644)


@caught_by("credential_is_delivered")
class CredentialCut(CredentialChanged):
    def changed_credential(self, path: Path) -> None:
        os.truncate(path, 1024)


@caught_by("credential_is_delivered")
class CredentialAmongTheFiles(CredentialChanged):
    def changed_credential(self, path: Path) -> None:
        shutil.copy(path, path.parent / "work/x509up")


@caught_by("secrets_are_delivered_and_stay")
class SecretsForgotten(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, secrets=())


@caught_by("secrets_are_delivered_and_stay")
class OneSecretOnly(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, secrets=task.secrets[:1])


@caught_by("secrets_are_delivered_and_stay")
class SecretsInAVariable(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        told = " ".join(path.read_bytes().decode("ascii", "ignore").replace("\0", "") for path in task.secrets)
        return replace(task, environment={**task.environment, "SECRETS": told}) if task.secrets else task


class SecretsChanged(TemplateCE):
    def _start(self, task: TaskSpec, directory: Any) -> None:
        for path in (directory.path / "secrets").glob("*"):
            self.changed_secret(path)
        super()._start(task, directory)

    def changed_secret(self, path: Path) -> None:
        pass


@caught_by("secrets_are_delivered_and_stay")
class SecretsReadableByAll(SecretsChanged):
    def changed_secret(self, path: Path) -> None:
        path.chmod(0o644)


@caught_by("secrets_are_delivered_and_stay")
class SecretsAmongTheFiles(SecretsChanged):
    def changed_secret(self, path: Path) -> None:
        shutil.copy(path, path.parents[1] / "work" / path.name)


@caught_by("processor_ids_are_kept")
class ProcessorIdsIgnored(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, processor_ids=())


@caught_by("processors_are_held")
class ProcessorsAlwaysFree(TemplateCE):
    def slots(self) -> Any:
        return replace(super().slots(), free_processors=self._at_a_time)


@caught_by("gpus_are_the_tasks_alone")
class AllGpusForEveryone(ValuesChanged):
    def changed_values(self, values: Mapping[str, str]) -> Mapping[str, str]:
        return {**values, "CUDA_VISIBLE_DEVICES": "0,1"} if "CUDA_VISIBLE_DEVICES" in values else values


class KeepsLimits(TemplateCE):
    """Says that it keeps all limits."""

    unkept: ClassVar[Mapping[str, str]] = {}
    told: Limit | None = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._since: dict[str, float] = {}

    def _submit_one(self, task: TaskSpec) -> Submission:
        self._since[task.stamp] = time.monotonic()
        return super()._submit_one(task)

    def _status(self, task_id: str) -> TaskStatus:
        status = super()._status(task_id)
        if status.state is TaskState.RUNNING and time.monotonic() - self._since.get(task_id, 1e9) > 1.0:
            return TaskStatus(state=TaskState.FAILED, limit=self.told, reason="over its limit")
        return status


@caught_by("image_is_used_or_refused")
class ImageForgotten(Changed):
    def changed_task(self, task: TaskSpec) -> TaskSpec:
        return replace(task, image="")


@caught_by("image_is_used_or_refused")
class ImageRefusedWithoutASentence(TemplateCE):
    def _submit_one(self, task: TaskSpec) -> Submission:
        return Rejected("bad task") if task.image else super()._submit_one(task)


@caught_by("image_is_used_or_refused")
class ImageIsAPassingTrouble(TemplateCE):
    def _submit_one(self, task: TaskSpec) -> Submission:
        if task.image:
            raise CEUnavailable(f"there is no image {task.image}")
        return super()._submit_one(task)


@caught_by("image_is_used_or_refused")
class ImageRefusedAndRun(TemplateCE):
    def _submit_one(self, task: TaskSpec) -> Submission:
        answer = super()._submit_one(replace(task, image=""))
        return Rejected(f"there is no image {task.image}") if task.image else answer


@caught_by("wall_limit_ends_a_task")
class WallLimitToldOnly(KeepsLimits):
    told = Limit.WALL


@caught_by("memory_limit_ends_a_task")
class MemoryLimitWithoutItsName(KeepsLimits):
    pass


@caught_by("cpu_limit_ends_a_task")
class CpuLimitCalledWall(KeepsLimits):
    told = Limit.WALL


@caught_by("disk_limit_ends_a_task")
class DiskLimitCalledMemory(KeepsLimits):
    told = Limit.MEMORY


@caught_by("usage_is_true")
class UsageInMilliseconds(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, usage=Usage(wall_s=1500.0, cpu_s=1400.0)) if status.state.is_final else status


@caught_by("usage_is_true")
class MemoryInBytes(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, usage=Usage(memory_peak_mb=3e6)) if status.state.is_final else status


# ---- many tasks, many calls ----


@caught_by("several_tasks_keep_apart")
class OneWorkDirectory(TemplateCE):
    def _start(self, task: TaskSpec, directory: Any) -> None:
        shared = self._work_dir.parent / "shared"
        shared.mkdir(exist_ok=True)
        shutil.rmtree(directory.work)
        directory.work.symlink_to(shared)
        super()._start(task, directory)


@caught_by("many_at_once_are_told_apart")
class OneIdForACall(TemplateCE):
    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        answers = super().submit(tasks)
        return {stamp: Accepted(tasks[0].stamp) for stamp in answers}


@caught_by("many_at_once_are_told_apart")
class LastOfACallLost(TemplateCE):
    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        if len(tasks) > 2:
            return {**super().submit(tasks[:-1]), tasks[-1].stamp: Accepted(tasks[-1].stamp)}
        return super().submit(tasks)


@caught_by("one_bad_task_spares_the_others")
class OneBadTaskRefusesAll(TemplateCE):
    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        bad = [name for task in tasks for name in task.environment if not name.isidentifier()]
        return {task.stamp: Rejected(f"bad name {bad[0]}") for task in tasks} if bad else super().submit(tasks)


@caught_by("one_bad_task_spares_the_others")
class StopsAtTheFirstBadTask(TemplateCE):
    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        answers: dict[str, Submission] = {}
        for task in tasks:
            answers |= super().submit([task])
            if isinstance(answers[task.stamp], Rejected):
                break
        return answers


@caught_by("poll_answers_exactly_what_was_asked")
class PollLeavesOutStrangers(TemplateCE):
    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        return {task_id: said for task_id, said in super().poll(task_ids).items() if said.state != TaskState.UNKNOWN}


@caught_by("poll_answers_exactly_what_was_asked")
class PollAnswersForAll(TemplateCE):
    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        known = [path.name for path in self._work_dir.iterdir()] if self._work_dir.exists() else []
        return super().poll({*task_ids, *known})


@caught_by("poll_answers_exactly_what_was_asked")
class AbsenceIsAnEnd(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, state=TaskState.ABORTED) if status.state is TaskState.UNKNOWN else status


@caught_by("unknown_ids_are_no_error_and_no_end")
class PollInSmallTurns(TemplateCE):
    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        return super().poll(list(task_ids)[:500])


@caught_by("unknown_ids_are_no_error_and_no_end")
class StrangerFetched(TemplateCE):
    def fetch(self, task_id: str, into: Path) -> None:
        with suppress(CEError):
            super().fetch(task_id, into)


@caught_by("unknown_ids_are_no_error_and_no_end")
class StrangersFound(TemplateCE):
    def find(self, stamps: Collection[str]) -> dict[str, str]:
        return {stamp: stamp for stamp in stamps}


@caught_by("calls_return_while_a_task_runs")
class PollWaits(TemplateCE):
    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        while any(said.state is TaskState.RUNNING for said in super().poll(task_ids).values()):
            time.sleep(0.02)
        return super().poll(task_ids)


@caught_by("calls_return_while_a_task_runs")
class SubmitWaits(TemplateCE):
    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        answers = super().submit(tasks)
        while any(said.state is TaskState.RUNNING for said in self.poll(list(answers)).values()):
            time.sleep(0.02)
        return answers


@caught_by("calls_from_several_threads_keep_apart")
class OneFetchAtATime(TemplateCE):
    def fetch(self, task_id: str, into: Path) -> None:
        super().fetch(task_id, into)
        shared = self._work_dir.parent / "fetched"
        shared.write_bytes((into / "stdout").read_bytes())
        time.sleep(0.01)
        (into / "stdout").write_bytes(shared.read_bytes())


# ---- once, also after a restart ----


class Unclaimed(TemplateCE):
    """Starts a stamp again."""

    def _start_again(self, task: TaskSpec) -> None:
        directory = self._directory(task.stamp)
        again = Path(f"{directory.path}-again")
        shutil.copytree(directory.path, again)
        for name in ("started", "exit_code"):
            (again / name).unlink(missing_ok=True)
        script = (again / "node_script").read_text().replace(str(directory.path), str(again))
        (again / "node_script").write_text(script)
        self._start(task, template_ce.TaskDir(again))


@caught_by("same_stamp_runs_once")
class SubmittedTwiceRunsTwice(Unclaimed):
    def _submit_one(self, task: TaskSpec) -> Submission:
        was_there = self._directory(task.stamp).path.exists()
        answer = super()._submit_one(task)
        if was_there:
            self._start_again(task)
        return answer


@caught_by("same_stamp_runs_once")
class SecondSubmissionRefused(TemplateCE):
    def _submit_one(self, task: TaskSpec) -> Submission:
        if self._directory(task.stamp).path.exists():
            return Rejected("there already")
        return super()._submit_one(task)


@caught_by("same_stamp_runs_once")
class AnotherIdEachTime(TemplateCE):
    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        return {stamp: replace_id(answer) for stamp, answer in super().submit(tasks).items()}

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        return {task_id: self._status(task_id[:32]) for task_id in task_ids}


def replace_id(answer: Submission) -> Submission:
    return Accepted(f"{answer.task_id}.{time.monotonic_ns()}") if isinstance(answer, Accepted) else answer


class InMemory(TemplateCE):
    """Knows what it was given itself."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._own: set[str] = set()

    def _submit_one(self, task: TaskSpec) -> Submission:
        self._own.add(task.stamp)
        return super()._submit_one(task)


@caught_by("new_object_finds_a_running_task")
class FindsItsOwnOnly(InMemory):
    def find(self, stamps: Collection[str]) -> dict[str, str]:
        return super().find([stamp for stamp in stamps if stamp in self._own])


@caught_by("new_object_tells_an_ended_task")
class TellsItsOwnOnly(InMemory):
    def _status(self, task_id: str) -> TaskStatus:
        return super()._status(task_id) if task_id in self._own else TaskStatus(state=TaskState.UNKNOWN)


@caught_by("new_object_finds_a_running_task")
class CloseEndsTasks(InMemory):
    def close(self) -> None:
        self.cancel(self._own)


@caught_by("lost_answer_is_found_by_stamp")
class FindForgetsAfterRestart(InMemory):
    def find(self, stamps: Collection[str]) -> dict[str, str]:
        return super().find(stamps) if self._own else {}


@caught_by("ended_tasks_are_found_until_cleaned")
class EndedTasksNotFound(TemplateCE):
    def find(self, stamps: Collection[str]) -> dict[str, str]:
        states = self.poll(stamps)
        return {stamp: task_id for stamp, task_id in super().find(stamps).items() if not states[stamp].state.is_final}


@caught_by("ended_tasks_are_found_until_cleaned")
class FetchedOnceOnly(TemplateCE):
    def fetch(self, task_id: str, into: Path) -> None:
        super().fetch(task_id, into)
        os.truncate(self._directory(task_id).path / "stdout", 0)


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


@caught_by("fetch_gives_the_same_again")
class OutputsAreMoved(TemplateCE):
    def fetch(self, task_id: str, into: Path) -> None:
        super().fetch(task_id, into)
        for path in (into / "outputs").rglob("*"):
            (self._directory(task_id).work / path.relative_to(into / "outputs")).unlink(missing_ok=True)


@caught_by("fetch_gives_the_same_again")
class TellsOfEachFetch(TemplateCE):
    def fetch(self, task_id: str, into: Path) -> None:
        super().fetch(task_id, into)
        shutil.copy(into / "stderr", self._directory(task_id).path / "stderr")


@caught_by("fetch_gives_the_same_again")
class ExecutableOnce(Changed):
    def changed_folder(self, folder: Path) -> None:
        for path in folder.rglob("b") if folder.name != "first" else ():
            path.chmod(0o600)


@caught_by("fetch_gives_the_same_again")
class NewObjectFetchesStreamsOnly(InMemory):
    def fetch(self, task_id: str, into: Path) -> None:
        super().fetch(task_id, into)
        if task_id not in self._own:
            shutil.rmtree(into / "outputs")


@caught_by("stamp_submitted_again_at_its_end_loses_nothing")
class EndedStampIsANewTask(TemplateCE):
    def _submit_one(self, task: TaskSpec) -> Submission:
        if self._status(task.stamp).state.is_final:
            self.clean([task.stamp])
        return super()._submit_one(task)


# ---- ends ----


@caught_by("cancel_ends_the_whole_tree")
class CancelEndsTheShellOnly(TemplateCE):
    def cancel(self, task_ids: Collection[str]) -> None:
        for task_id in task_ids:
            if self._status(task_id).state is TaskState.RUNNING:
                _kill_first(task_id, signal.SIGKILL)
                self._directory(task_id).write_end(TaskStatus(state=TaskState.ABORTED))


@caught_by("cancel_ends_what_ignores_sigterm")
class CancelIsPolite(TemplateCE):
    def cancel(self, task_ids: Collection[str]) -> None:
        for task_id in task_ids:
            if self._status(task_id).state is TaskState.RUNNING:
                _kill_first(task_id, signal.SIGTERM, every=True)
                self._directory(task_id).write_end(TaskStatus(state=TaskState.ABORTED))


@caught_by("cancel_ends_the_whole_tree")
class CancelSaysSoOnly(TemplateCE):
    def cancel(self, task_ids: Collection[str]) -> None:
        for task_id in task_ids:
            if self._status(task_id).state is TaskState.RUNNING:
                self._directory(task_id).write_end(TaskStatus(state=TaskState.ABORTED))


def _kill_first(stamp: str, number: int, *, every: bool = False) -> None:
    cookie = f"{template_ce.COOKIE}={stamp}".encode()
    pids = sorted(template_ce._with_cookie(cookie))
    for pid in pids if every else pids[:1]:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@caught_by("cancel_of_an_ended_or_unknown_task_is_no_error")
class CancelRewritesTheEnd(TemplateCE):
    def cancel(self, task_ids: Collection[str]) -> None:
        super().cancel(task_ids)
        for task_id in task_ids:
            if self._directory(task_id).path.exists():
                self._directory(task_id).write_end(TaskStatus(state=TaskState.ABORTED))


@caught_by("cancel_of_an_ended_or_unknown_task_is_no_error")
class CancelOfAStrangerFails(TemplateCE):
    def cancel(self, task_ids: Collection[str]) -> None:
        if strangers := [task_id for task_id in task_ids if not self._directory(task_id).path.exists()]:
            raise CEError(f"no such task {strangers[0]}")
        super().cancel(task_ids)


@caught_by("end_of_a_task_ends_its_daemons")
class DaemonsSurvive(TemplateCE):
    def _status(self, task_id: str) -> TaskStatus:
        exit_code = self._directory(task_id).exit_code()
        return super()._status(task_id) if exit_code is None else TaskStatus(state=TaskState.DONE, exit_code=exit_code)

    def _start(self, task: TaskSpec, directory: Any) -> None:
        script = (directory.path / "node_script").read_text()
        (directory.path / "node_script").write_text(script.replace("/proc/[0-9]*", "/proc/no[0-9]*"))
        super()._start(task, directory)


@caught_by("others_processes_are_never_touched")
class KillsByName(TemplateCE):
    def cancel(self, task_ids: Collection[str]) -> None:
        for child in psutil.Process().children():  # those of the suite: nobody else's are in danger
            if child.name() == "sleep":
                child.kill()
        super().cancel(task_ids)


@caught_by("clean_forgets_the_task")
class CleanDoesNothing(TemplateCE):
    def clean(self, task_ids: Collection[str]) -> None:
        pass


@caught_by("clean_forgets_the_task")
class CleanTwiceFails(TemplateCE):
    def clean(self, task_ids: Collection[str]) -> None:
        for task_id in task_ids:
            if not self._directory(task_id).path.exists():
                raise CEError(f"no such task {task_id}")
        super().clean(task_ids)


@caught_by("clean_leaves_no_files")
class CleanPutsAside(TemplateCE):
    def clean(self, task_ids: Collection[str]) -> None:
        for task_id in task_ids:
            with suppress(FileNotFoundError):
                self._directory(task_id).path.rename(self._work_dir / f"old-{task_id}")


@caught_by("clean_leaves_no_files")
class OutputsKeptAfterClean(Changed):
    def changed_folder(self, folder: Path) -> None:
        shutil.copytree(folder, self._work_dir / f"copy-{folder.name}")


# ---- the CE itself ----


@caught_by("work_directory_that_cannot_be_made_is_told")
class NoDirectoryNoSentence(TemplateCE):
    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        self._work_dir.mkdir(parents=True, exist_ok=True)
        return super().submit(tasks)


@caught_by("full_work_directory_harms_no_other_task")
class NoRoomNoSentence(TemplateCE):
    def _submit_one(self, task: TaskSpec) -> Submission:
        for path in task.inputs:
            (self._work_dir / "queue").write_bytes(path.read_bytes())
        return super()._submit_one(task)


@caught_by("full_work_directory_harms_no_other_task")
class NoRoomNoMatter(TemplateCE):
    def _submit_one(self, task: TaskSpec) -> Submission:
        answer = super()._submit_one(task)
        return super()._submit_one(replace(task, inputs=())) if isinstance(answer, Rejected) else answer


@caught_by("two_objects_keep_apart")
class NewObjectEndsAll(TemplateCE):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                place = process.environ().get("GRIDPILOT_REASON_FILE", "")
                if place.startswith(f"{self._work_dir.parents[1]}/") and not place.startswith(f"{self._work_dir}/"):
                    process.kill()


@caught_by("output_and_exit_code_come_back")
class RaisesWhatItLikes(TemplateCE):
    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        raise KeyError("x")


@caught_by("output_and_exit_code_come_back")
class EndsTheProgram(TemplateCE):
    def slots(self) -> Any:
        raise SystemExit(3)

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        raise SystemExit(3)


@caught_by("output_and_exit_code_come_back")
class CannotBeMade(TemplateCE):
    def __init__(self, *arguments: Any) -> None:
        raise ZeroDivisionError


@caught_by("output_and_exit_code_come_back")
class CannotBeClosed(TemplateCE):
    def close(self) -> None:
        raise RuntimeError("no")


@caught_by("output_and_exit_code_come_back")
class RecursesForEver(TemplateCE):
    def _status(self, task_id: str) -> TaskStatus:
        return self._status(task_id)


# ---- what the contract allows ----


@allowed("calls_return_while_a_task_runs", "new_object_finds_a_running_task")
class WaitsFirst(Changed):
    """Tells Waiting, then Running."""

    asked = 0

    def changed_status(self, status: TaskStatus) -> TaskStatus:
        self.asked += 1
        is_early = status.state is TaskState.RUNNING and self.asked < 4
        return replace(status, state=TaskState.WAITING) if is_early else status


@allowed("output_and_exit_code_come_back", "wall_limit_ends_a_task")
class TellsMore(Changed):
    """Has a word and a sentence for everything."""

    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, native="XYZ", reason="as it should be")


@allowed("usage_is_true")
class TellsNoUsage(Changed):
    """Knows nothing of what tasks use."""

    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, usage=Usage())


@allowed("large_output_comes_back")
class MiddleOfLargeOutputLeftOut(Changed):
    """Keeps head and tail of very large output."""

    def changed_folder(self, folder: Path) -> None:
        content = (folder / "stdout").read_bytes()
        (folder / "stdout").write_bytes(content[:32_000_000] + content[-32_000_000:])
