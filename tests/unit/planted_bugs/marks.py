"""What marks a bug with the clause that must see it, and what most bugs are made of."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ce_backends import Submission, TaskSpec, TaskStatus
from ce_backends.cli.template_ce import TemplateCE

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
