"""What batch systems of odd versions answer, and the state that is right."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from ce_backends.base import Limit, TaskState
from ce_backends.batch.options import Needs
from ce_backends.batch.transport import Done
from ce_backends.ce_types.local_and_ssh import dialect
from tests.field.batch_answers import ANSWERS, Answer


class Replay:
    """A host on which each command prints what the table says, and other commands nothing."""

    where = "this machine"

    def __init__(self, answers: dict[str, Answer]) -> None:
        self._answers = answers

    def run(
        self, argv: Sequence[str], *, timeout_s: float, stdin: IO[bytes] | bytes = b"", into: Path | None = None
    ) -> Done:
        answer = self._answers.get(argv[0], "")
        return Done(0, answer, "") if isinstance(answer, str) else Done(answer[0], "", answer[1])


@pytest.mark.parametrize(
    ("system", "answers", "expected", "source"), ANSWERS, ids=[f"{row[0]}: {row[3]}" for row in ANSWERS]
)
def test_a_task_is_in_the_state_that_the_answer_means(
    system: str,
    answers: dict[str, Answer],
    expected: dict[str, tuple[TaskState, Limit | None]],
    source: str,
) -> None:
    asked = dialect(system)(Replay(answers), Needs(), timeout_s=1.0, options=_defaults(system))
    wanted = list(expected) or {"SLURM": ["12"], "Torque": ["12.srv"], "Condor": ["12.0"], "LSF": ["12"]}[system]

    states = asked.states(wanted)

    told = {task_id: (status.state, status.limit) for task_id, status in states.items()}
    assert told == expected, source


def _defaults(system: str) -> dict[str, object]:
    return {option.name: option.default for option in dialect(system).OPTIONS}
