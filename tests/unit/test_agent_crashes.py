"""Errors that nobody foresaw end the job that they belong to; the agent only where they belong to none."""

import errno
import os
import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from agents import command_line
from agents.errors import Blame, ConfigurationError, ExitCode, NodeUnfit
from agents.jobs.job import JobStatus, Phase
from agents.jobs.unforeseen import lack
from agents.process import agent_process as process
from agents.process.events import Crashed, Events, Undelivered, Workers
from agents.reporting.reporter import Reporter
from ce_backends.base import Limit, TaskState, TaskStatus
from ce_backends.errors import CEBroken, CEMisconfigured
from ce_backends.pool import monitor
from ce_backends.pool.ce import Pool
from ce_backends.pool.running_task import Excess
from tests.unit.agent_scene import Scene as AgentScene
from tests.unit.agent_scene import job as match_of
from tests.unit.agent_scene import scene as agent_scene
from tests.unit.runner_scene import SANDBOX, Scene, scene
from tests.waiting import PATIENCE_S

__all__ = ["agent_scene", "scene"]

FAILED = "JobWrapper: Failed / Exception During Execution"


def odd(*_: object, **__: object) -> None:
    raise TypeError("what nobody foresaw")


def full(*_: object, **__: object) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


# ---- a job's ----


def test_an_error_while_inputs_are_brought_fails_the_job_and_frees_its_processors(scene: Scene) -> None:
    scene.match(SANDBOX)

    scene.runner.crashed(7, TypeError("x"))

    assert scene.said()[-1] == FAILED
    assert scene.slot.free_processors == 2
    assert scene.job.end is not None
    assert (scene.job.end.application_status, scene.job.end.blame) == ("internal error: TypeError: x", Blame.AGENT)


def test_a_node_that_lacks_something_gives_the_job_back_and_counts_as_a_failure_of_the_host(scene: Scene) -> None:
    scene.match(SANDBOX)

    scene.runner.crashed(7, OSError(errno.EMFILE, "Too many open files"))

    assert scene.said()[-1] == "JobWrapper: Rescheduled / Failed on the node"
    assert (scene.orders(), scene.runner.tally.host_failures_in_a_row) == ([7], 1)


def test_an_error_while_outputs_are_brought_away_fails_a_job_that_had_succeeded(scene: Scene) -> None:
    scene.match('OutputSandbox = "out";')
    scene.end(0)

    scene.runner.crashed(7, RecursionError("x"))

    assert scene.said()[-1] == FAILED
    assert scene.orders() == []


def test_a_failure_of_its_own_stays_a_jobs_end(scene: Scene) -> None:
    scene.match('OutputSandbox = "out";')
    scene.end(3)

    scene.runner.crashed(7, RecursionError("x"))

    assert scene.said()[-1] == "JobWrapper: Failed / Application Finished With Errors"


def test_an_error_while_the_payload_runs_cancels_it_and_fails_the_job(scene: Scene) -> None:
    scene.match()

    scene.runner.crashed(7, KeyError("x"))
    assert scene.slot.free_processors == 1
    scene.end(None, TaskState.ABORTED)

    assert scene.said()[-1] == FAILED
    assert scene.slot.free_processors == 2


def test_a_job_that_fails_again_while_it_is_ended_is_over(scene: Scene) -> None:
    scene.match()
    scene.runner.crashed(7, KeyError("x"))

    scene.runner.crashed(7, KeyError("y"))

    assert scene.said()[-1] == FAILED
    assert scene.job.phase is Phase.REPORTING


def test_one_task_that_cannot_be_looked_at_ends_its_job_and_no_other(scene: Scene) -> None:
    scene.match(job_id=7)
    scene.match(job_id=8)
    seven, eight = scene.runner.jobs[7].task_id, scene.runner.jobs[8].task_id

    def poll(task_ids: Collection[str]) -> Mapping[str, TaskStatus]:
        if seven in task_ids:
            odd()
        return {eight: TaskStatus(state=TaskState.DONE, exit_code=0)}

    scene.ce.poll = poll  # type: ignore[assignment, method-assign]
    scene.runner.poll()

    assert scene.runner.jobs[8].status is JobStatus.DONE
    assert scene.runner.jobs[7].end is not None
    assert scene.runner.jobs[7].end.status is JobStatus.FAILED


def test_a_poll_for_which_the_node_has_no_descriptors_ends_nothing(scene: Scene) -> None:
    scene.match()
    scene.ce.poll = full  # type: ignore[assignment, method-assign]

    scene.runner.poll()

    assert scene.job.end is None


@pytest.mark.parametrize("error", [CEBroken("x"), CEMisconfigured("x"), NodeUnfit("x")])
def test_what_would_fail_for_every_job_ends_none(scene: Scene, error: Exception) -> None:
    scene.match()

    with pytest.raises(type(error)), scene.runner.belonging_to(7):
        raise error
    assert scene.job.end is None


def test_a_task_that_cannot_be_looked_at_is_ended_and_the_others_are_looked_at(tmp_path: Path) -> None:
    tasks = [SimpleNamespace(stamp=stamp, directory=None, cell=None) for stamp in ("odd", "fine")]
    looked: list[str] = []

    class Seen:
        next_processes_s = next_disk_s = float("inf")
        activity = disk = None

        def __init__(self, task: SimpleNamespace) -> None:
            self.task = task

        def trim_output(self, cap: object) -> None:
            looked.append(self.task.stamp)
            if self.task.stamp == "odd":
                odd()

        def is_refused_processes(self) -> bool:
            return False

    ended: list[tuple[str, Excess]] = []
    looks = monitor.Monitor(
        tmp_path, monitor.USUAL, tasks=list, end=lambda stamp, excess: ended.append((stamp, excess))
    )
    looks._observations = {task.stamp: Seen(task) for task in tasks}  # type: ignore[misc]
    looks.go(tasks)  # type: ignore[arg-type]

    assert looked == ["odd", "fine"]
    assert ended == [("odd", Excess(Limit.FAULT, "internal error: TypeError: what nobody foresaw"))]


def test_a_task_that_was_ended_for_a_fault_of_ours_fails_its_job(scene: Scene) -> None:
    scene.match()
    reason = "internal error: TypeError: x"
    scene.ce.states[scene.job.task_id] = TaskStatus(state=TaskState.FAILED, limit=Limit.FAULT, reason=reason)
    scene.runner.poll()

    assert scene.said()[-1] == FAILED


# ---- death at a job ----


def die_at(scene: Scene, times: int) -> None:
    """Let so many agents take the job up and die at it."""
    for _ in range(times):
        scene.restart()
        scene.runner.recover()
        scene.runner.confirmed()


def test_a_job_at_which_the_agent_has_died_twice_is_given_up_before_it_is_touched(scene: Scene) -> None:
    scene.match(SANDBOX)
    die_at(scene, 1)
    assert len(scene.workers.waiting) == 1

    die_at(scene, 1)

    assert scene.workers.waiting == []
    assert scene.said()[-1] == FAILED
    assert scene.job.end is not None
    assert "died 2 times" in scene.job.end.application_status


def test_an_agent_that_dies_while_it_asks_whose_a_job_is_has_not_died_at_it(scene: Scene) -> None:
    scene.match(SANDBOX)
    for _ in range(5):
        scene.restart()
        scene.runner.recover()

    assert (scene.job.phase, scene.job.deaths) == (Phase.STAGING, 1)


def test_of_several_jobs_the_one_that_kills_the_agent_is_found_out(scene: Scene) -> None:
    scene.match(SANDBOX, job_id=7)
    scene.match(SANDBOX, job_id=8)
    die_at(scene, 1)  # both were in work
    assert [job.job_id for _, (job, *_) in scene.workers.waiting] == [7]

    die_at(scene, 1)  # only the first was

    assert scene.runner.jobs[7].status is JobStatus.FAILED
    assert [job.job_id for _, (job, *_) in scene.workers.waiting] == [8]


def test_outputs_that_wait_for_their_store_are_not_what_the_agent_died_at(scene: Scene) -> None:
    scene.match('OutputSandbox = "out";')
    scene.end(0)
    scene.runner.endings.undelivered(Undelivered(7, "the store is away"))
    die_at(scene, 1)

    assert (scene.job.phase, scene.job.deaths) == (Phase.DELIVERING, 0)


def test_an_agent_that_ends_in_order_has_not_died_at_a_job(scene: Scene) -> None:
    scene.match(SANDBOX)
    for _ in range(5):
        scene.runner.endings.let_go()
        scene.restart()
        scene.runner.recover()

    assert (scene.job.phase, scene.job.deaths) == (Phase.STAGING, 0)


def test_a_job_whose_payload_runs_is_not_what_the_agent_died_at(scene: Scene) -> None:
    scene.match()
    die_at(scene, 5)

    assert (scene.job.phase, scene.job.deaths, scene.job.end) == (Phase.RUNNING, 0, None)


def test_outputs_at_which_the_agent_has_died_twice_are_left(scene: Scene) -> None:
    scene.match('OutputSandbox = "out";')
    scene.end(0)
    die_at(scene, 2)

    assert scene.workers.waiting == []
    assert scene.said()[-1] == FAILED


# ---- threads ----


def test_work_for_a_job_that_crashes_is_told_with_its_job() -> None:
    events = Events()
    Workers(events).start(odd, of=7)  # type: ignore[arg-type]

    event = events.next(PATIENCE_S)

    assert isinstance(event, Crashed)
    assert (event.job_id, type(event.error)) == (7, TypeError)


def test_what_any_thread_does_not_expect_reaches_the_main_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    events = Events()
    process.bring_home(events)
    threading.Thread(target=odd).start()

    event = events.next(PATIENCE_S)

    assert isinstance(event, Crashed)
    assert (event.job_id, type(event.error)) == (None, TypeError)


def test_an_error_of_no_job_ends_the_agent(agent_scene: AgentScene) -> None:
    agent_scene.events.put(Crashed(TypeError("x")))

    with pytest.raises(TypeError):
        agent_scene.run()


def test_an_error_of_a_job_ends_the_job_and_the_agent_goes_on(agent_scene: AgentScene) -> None:
    agent_scene.matcher.answers = [match_of(1), match_of(2)]
    submit, tried = agent_scene.ce.submit, []

    def submit_but_one(tasks: list[object]) -> object:
        tried.append(tasks)
        return odd() if len(tried) == 1 else submit(tasks)  # type: ignore[arg-type, func-returns-value]

    agent_scene.ce.submit = submit_but_one  # type: ignore[assignment, method-assign]
    ending = agent_scene.run()

    assert (ending.tally.failed, ending.tally.done, ending.exit_code) == (1, 1, ExitCode.ENDED)
    assert (1, "Failed") in agent_scene.wms.statuses


def test_an_error_that_ends_the_reporter_reaches_the_main_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    events = Events()
    process.bring_home(events)
    ledger = SimpleNamespace(open_jobs=list, unsent=odd)
    Reporter(ledger, None, lambda _: None, lambda *_: None).start()  # type: ignore[arg-type] # the border

    event = events.next(PATIENCE_S)

    assert isinstance(event, Crashed)
    assert (event.job_id, type(event.error)) == (None, TypeError)


@pytest.mark.parametrize("thread", ["_watcher", "_monitor"])
def test_an_error_that_ends_a_thread_of_a_pool_reaches_whoever_polls(
    thread: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = replace(monitor.USUAL, round_s=0.01)
    pool = Pool(tmp_path / "pool", processors=1, bounds=bounds)
    told = threading.Event()
    pool.notify(told.set)
    monkeypatch.setattr(getattr(pool, thread)._loop, "_turn", odd)

    pool.slots()

    assert told.wait(PATIENCE_S)
    with pytest.raises(CEBroken, match="has ended: TypeError: what nobody foresaw"):
        pool.poll([])
    pool.close()


# ---- exit codes ----


def chained(cause: Exception) -> Exception:
    try:
        try:
            raise cause
        finally:
            raise RuntimeError("cannot join thread before it is started")
    except RuntimeError as error:
        return error


LACKS: list[Exception] = [
    OSError(errno.EMFILE, "x"),
    OSError(errno.ENFILE, "x"),
    BlockingIOError(errno.EAGAIN, "x"),
    OSError(errno.ENOMEM, "x"),
    OSError(errno.ENOSPC, "x"),
    OSError(errno.EDQUOT, "x"),
    PermissionError(errno.EACCES, "x"),
    MemoryError(),
    RuntimeError("can't start new thread"),
    ImportError("libssl.so.3: failed to map segment from shared object: Cannot allocate memory"),
]


@pytest.mark.parametrize("error", LACKS, ids=repr)
def test_what_a_node_lacks_is_the_nodes_fault_also_where_taking_apart_hides_it(error: Exception) -> None:
    assert lack(error)
    assert command_line._verdict(error)[1] is ExitCode.NODE_UNFIT
    assert command_line._verdict(chained(error))[1] is ExitCode.NODE_UNFIT


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (TypeError("x"), ExitCode.INTERNAL),
        (ConnectionResetError(errno.ECONNRESET, "x"), ExitCode.INTERNAL),
        (ImportError("no module named x"), ExitCode.INTERNAL),
        (CEBroken("x"), ExitCode.INTERNAL),
        (CEMisconfigured("x"), ExitCode.CONFIGURATION),
        (ConfigurationError("x"), ExitCode.CONFIGURATION),
        (NodeUnfit("x"), ExitCode.NODE_UNFIT),
    ],
    ids=repr,
)
def test_other_errors_say_what_they_are(error: Exception, exit_code: ExitCode) -> None:
    assert command_line._verdict(error)[1] is exit_code
    assert command_line._verdict(chained(error))[1] in (exit_code, ExitCode.INTERNAL)
