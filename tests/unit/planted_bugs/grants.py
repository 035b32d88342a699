"""Bugs of what a task is given: environment, processors, GPUs, image."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ce_backends import CEUnavailable, Rejected, Submission, TaskSpec
from ce_backends.cli.template_ce import TemplateCE
from tests.unit.planted_bugs.marks import Changed, caught_by


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
