"""What a batch CE hands to its batch system: what goes together, what is refused, what had no answer."""

from dataclasses import replace
from pathlib import Path

import pytest

from ce_backends.base import Rejected, Submission, TaskState, Uncertain
from ce_backends.batch.ce import BatchCE, Bounds
from ce_backends.batch.spool import Spool
from ce_backends.batch.submission import groups, problem
from ce_backends.batch.system import BatchJob
from ce_backends.batch.task_book import TaskBook
from ce_backends.batch.transport import Local
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.task.log_limit import Cap
from tests.unit.batch_ce_scene import AtOnce, ce, system
from tests.unit.test_batch_ce import NEVER_S, task

__all__ = ["ce", "system"]


def test_a_task_is_asked_for_with_what_it_needs_or_the_ces_wall_limit(ce: BatchCE, system: AtOnce) -> None:
    own, plain = replace(task(), processors=3, memory_mb=50, wall_s=70, gpus=("0",)), task()
    system.runs = False

    ce.submit([own, plain])

    first, second = system.jobs
    assert (first.name, first.size, first.processors, first.memory_mb, first.gpus) == (own.stamp, 1, 3, 50, 1)
    assert (first.wall_s, second.wall_s) == (70, 600)
    assert first.script.endswith(f"/area/jobs/{own.stamp}")
    assert first.log == f"{first.script}.log"


class Refusing(AtOnce):
    """A batch system that refuses: by a word, or by an error."""

    def __init__(self, said: Rejected | CEError) -> None:
        super().__init__()
        self.said = said

    def submit(self, job: BatchJob) -> Submission:
        if isinstance(self.said, CEError):
            raise self.said
        return self.said


@pytest.mark.parametrize("said", [Rejected("never"), CEError("never")])
def test_a_refused_task_leaves_nothing_and_says_why(said: Rejected | CEError, tmp_path: Path) -> None:
    spool = Spool(Local(), str(tmp_path / "area"), tmp_path / "moving", cap=Cap(1_000_000))
    book = TaskBook(tmp_path / "tasks.sqlite")
    ce = BatchCE("Fake", Refusing(said), Local(), spool, book, Bounds(interval_s=NEVER_S))
    spec = task()

    answer = ce.submit([spec])[spec.stamp]

    assert answer == Rejected("never")
    assert book.by_stamp([spec.stamp]) == {}
    assert not list((tmp_path / "area/tasks").iterdir())
    ce.close()


def test_a_task_for_which_it_is_too_early_is_not_remembered(tmp_path: Path) -> None:
    spool = Spool(Local(), str(tmp_path / "area"), tmp_path / "moving", cap=Cap(1_000_000))
    book = TaskBook(tmp_path / "tasks.sqlite")
    ce = BatchCE("Fake", Refusing(CEUnavailable("down")), Local(), spool, book, Bounds(interval_s=NEVER_S))
    spec = task()

    with pytest.raises(CEUnavailable, match="down"):
        ce.submit([spec])

    assert book.by_stamp([spec.stamp]) == {}
    ce.close()


def test_an_array_without_an_answer_is_uncertain_and_found_whole(ce: BatchCE, system: AtOnce) -> None:
    system.array_limit, system.runs, system.numbers = 3, False, iter([])
    tasks = [task(), task(), task()]
    answers = ce.submit(tasks)
    system.found = {tasks[0].stamp: "55"}

    found = ce.find([tasks[0].stamp, tasks[2].stamp])

    assert list(answers.values()) == [Uncertain("no answer")] * 3
    assert found == {tasks[0].stamp: "55[1]", tasks[2].stamp: "55[3]"}
    assert ce.poll(["55[2]"])["55[2]"].state is TaskState.WAITING


def test_tasks_with_equal_needs_go_together_as_many_as_an_array_takes() -> None:
    plain = [task() for _ in range(5)]
    others = [
        replace(task(), processors=2),
        replace(task(), memory_mb=5),
        replace(task(), gpus=("0",)),
        replace(task(), wall_s=9),
    ]

    assert list(groups([*plain[:3], *others, *plain[3:]], 2)) == [
        plain[:2],
        plain[2:4],
        plain[4:],
        *([one] for one in others),
    ]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"gpus": ("0", "1")}, "needs 2 GPUs, and a task has 1 at most here (NumberOfGPUs)"),
        ({"gpus": ("0",)}, ""),
        ({"outputs": ("a\nb",)}, "output pattern 'a\\nb' holds a line break"),
        ({"outputs": ("ok", "a\0b")}, "output pattern 'a\\x00b' holds a line break"),
        ({"outputs": ("ok",)}, ""),
    ],
)
def test_a_task_that_can_never_run_is_refused_with_the_reason(change: dict[str, object], why: str) -> None:
    said = problem(replace(task(), **change), 1)  # type: ignore[arg-type]

    assert (said == why) or (why.startswith("output pattern") and said.startswith("output pattern"))
