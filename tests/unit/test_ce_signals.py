"""Signals to the processes of a task, and their stacks."""

import signal

from ce_backends.base import Examines, Signals
from ce_backends.conformance.subject import task
from tests.unit.ce_limits_scene import make_pool
from tests.unit.pool_scene import MakePool, begin, ended
from tests.waiting import until

__all__ = ["make_pool"]


def test_only_processes_whose_command_line_matches_get_the_signal(make_pool: MakePool) -> None:
    pool = make_pool()
    script = "trap 'echo shell' INT; sleep 600.5 & sleep 700.5 & touch ready; wait; wait; exit 3\n"
    task_id = begin(pool, task(script))
    until(
        lambda: pool.has_file(task_id, "ready") and "700.5" in pool.stacks(task_id) and "600.5" in pool.stacks(task_id)
    )

    sent = pool.signal(task_id, signal.SIGTERM, r"^sleep [67]00\.5$")

    assert isinstance(pool, Signals)
    assert sent == 2
    assert ended(pool, task_id).exit_code == 3


def test_stacks_show_each_process_with_its_command_and_state(make_pool: MakePool) -> None:
    pool = make_pool()
    task_id = begin(pool, task("sleep 600.5; :\n"))
    until(lambda: "sleep 600.5" in pool.stacks(task_id))

    shown = pool.stacks(task_id)

    assert isinstance(pool, Examines)
    assert "State:\tS (sleeping)" in shown
    assert "thread" in shown


def test_task_that_is_not_there_has_no_stacks_and_gets_no_signal(make_pool: MakePool) -> None:
    pool = make_pool()

    assert pool.stacks("0" * 32) == ""
    assert pool.signal("0" * 32, signal.SIGINT, "") == 0
