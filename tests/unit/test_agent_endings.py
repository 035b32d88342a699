"""How jobs are ended: by limits, by a signal first, and what is done about processors that cannot be freed."""

import signal
from collections.abc import Collection
from dataclasses import replace

import pytest

from agents.errors import Blame, ExitCode
from agents.jobs import outcome
from agents.jobs.jdl import JdlError, Request, StopSignal, describe
from agents.jobs.job import Grant, JobStatus, Minor
from agents.runner.heartbeat import Heartbeats
from agents.runner.tasks import Tasks
from agents.slot.allocation import Slot
from agents.wms.job_state import Heartbeat
from ce_backends.base import Activity, Limit, TaskState, TaskStatus
from tests.unit.agent_scene import Ce as AgentCe
from tests.unit.agent_scene import Scene as AgentScene
from tests.unit.agent_scene import job
from tests.unit.agent_scene import scene as agent_scene
from tests.unit.runner_scene import SANDBOX, Ce, Scene, scene

__all__ = ["agent_scene", "scene"]

STOP = StopSignal(regex="python", number=signal.SIGUSR1, lead_s=600)
WANTS_SIGNAL = 'StopSigRegex = "python"; StopSigNumber = 10; StopSigFinishSeconds = 600;'


class SignallingCe(Ce):
    """A CE that passes signals on; `hears` says whether a process is there that wants them."""

    def __init__(self, *, hears: bool = True) -> None:
        super().__init__()
        self.hears = hears
        self.signalled: list[tuple[str, int, str]] = []
        self.seen: Activity | None = None

    def signal(self, task_id: str, number: int, matching: str) -> int:
        self.signalled.append((task_id, number, matching))
        return int(self.hears)

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        return {one: replace(status, activity=self.seen) for one, status in super().poll(task_ids).items()}


class StuckCe(AgentCe):
    """A CE that cannot end what it has begun."""

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        return {one: replace(status, is_stuck=True) for one, status in super().poll(task_ids).items()}


class Now:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


# ---- limits ----


@pytest.mark.parametrize("limit", Limit)
def test_there_is_no_limit_without_a_minor_status(limit: Limit) -> None:
    end = outcome.of_task(TaskStatus(state=TaskState.FAILED, limit=limit, reason="too much"))

    assert end.minor_status in list(Minor)


@pytest.mark.parametrize(
    ("limit", "status", "minor_status", "blame"),
    [
        (Limit.CPU, JobStatus.FAILED, "Job has exceeded maximum CPU time limit", Blame.USER),
        (Limit.WALL, JobStatus.FAILED, "Job has exceeded maximum wall clock time", Blame.USER),
        (Limit.DISK, JobStatus.FAILED, "Job has insufficient disk space to continue", Blame.USER),
        (Limit.NODE_DISK, JobStatus.RESCHEDULED, "Job has insufficient disk space to continue", Blame.SITE),
        (Limit.OUTPUT, JobStatus.FAILED, Minor.OUTPUT, Blame.USER),
        (Limit.PROCESSES, JobStatus.FAILED, Minor.PROCESSES, Blame.USER),
        (Limit.MEMORY, JobStatus.FAILED, Minor.MEMORY, Blame.USER),
    ],
)
def test_limit_that_ended_a_task_decides_the_jobs_end(
    limit: Limit, status: JobStatus, minor_status: str, blame: Blame
) -> None:
    end = outcome.of_task(TaskStatus(state=TaskState.FAILED, reason="why", limit=limit))

    assert end == outcome.Outcome(status, minor_status, "why", blame)


# ---- before the start ----


def test_job_that_waits_for_its_inputs_is_given_back_at_once_and_its_download_leaves_nothing(scene: Scene) -> None:
    scene.match(SANDBOX)
    ((download, arguments),) = scene.workers.waiting
    scene.runner.hand_back_all("the slot goes away")

    given_back, orders = scene.said()[-1], scene.orders()
    scene.accept_reports()
    download(*arguments)

    assert given_back == "JobWrapper: Rescheduled / the slot goes away"
    assert orders == [7]
    assert list((scene.work_dir / "jobs").iterdir()) == []


# ---- a signal before the end ----


def test_stop_signal_is_read_from_the_jdl() -> None:
    assert describe(f"[ JobID = 1; {WANTS_SIGNAL} ]").stop_signal == StopSignal(regex="python", number=10, lead_s=600)


def test_stop_signal_has_diracs_defaults() -> None:
    described = describe('[ JobID = 1; StopSigRegex = "x" ]').stop_signal

    assert described == StopSignal(regex="x", number=signal.SIGINT, lead_s=1800)


def test_without_a_regex_there_is_no_stop_signal() -> None:
    assert describe("[ JobID = 1; StopSigNumber = 10 ]").stop_signal is None


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ('StopSigRegex = "(";', "JDL attribute StopSigRegex is '(', expected a regular expression"),
        ('StopSigRegex = "x"; StopSigNumber = 4711;', "StopSigNumber is 4711, expected the number of a signal"),
    ],
)
def test_stop_signal_that_makes_no_sense_is_told_in_a_sentence(attributes: str, sentence: str) -> None:
    with pytest.raises(JdlError) as told:
        describe(f"[ JobID = 1; {attributes} ]")

    assert sentence in str(told.value)


def test_payload_that_is_handed_back_gets_its_signal_first_and_the_end_later() -> None:
    ce, now = SignallingCe(), Now()
    tasks = Tasks(ce, now)  # type: ignore[arg-type] # the border

    tasks.wind_down("t", STOP, 5.0)
    now.s = 4.9
    tasks.poll({"t": "stamp"})
    before = list(ce.cancelled)
    now.s = 5.0
    tasks.poll({"t": "stamp"})

    assert ce.signalled == [("t", signal.SIGUSR1, "python")]
    assert before == []
    assert ce.cancelled == ["t"]


@pytest.mark.parametrize(
    ("ce", "stop", "within_s"),
    [
        (SignallingCe(hears=False), STOP, 5.0),
        (SignallingCe(), None, 5.0),
        (SignallingCe(), STOP, 0.0),
        (Ce(), STOP, 5.0),
    ],
    ids=["no such process", "none wanted", "no time", "a CE without signals"],
)
def test_payload_that_gets_no_signal_is_ended_at_once(ce: Ce, stop: StopSignal | None, within_s: float) -> None:
    Tasks(ce).wind_down("t", stop, within_s)  # type: ignore[arg-type] # the border

    assert ce.cancelled == ["t"]


def test_payload_that_had_its_signal_is_ended_at_once_when_the_slot_ends() -> None:
    ce = SignallingCe()
    tasks = Tasks(ce)  # type: ignore[arg-type] # the border

    tasks.ask_to_stop("t", STOP)
    tasks.wind_down("t", STOP, 5.0)

    assert len(ce.signalled) == 1
    assert ce.cancelled == ["t"]


def signalling(scene: Scene) -> SignallingCe:
    scene.ce = ce = SignallingCe()
    scene.restart()
    scene.match(WANTS_SIGNAL)
    return ce


def test_running_payload_gets_its_signal_so_long_before_the_slot_ends_and_only_once(scene: Scene) -> None:
    ce = signalling(scene)

    scene.runner.ask_to_stop(601)
    early = list(ce.signalled)
    scene.runner.ask_to_stop(600)
    scene.runner.ask_to_stop(595)

    assert early == []
    assert ce.signalled == [(scene.job.task_id, 10, "python")]
    assert scene.job.end is None


def test_payload_that_ends_well_on_its_signal_is_done(scene: Scene) -> None:
    signalling(scene)
    scene.runner.hand_back_all("the slot ends", 5.0)

    scene.end(0)

    assert scene.said()[-1] == "JobWrapper: Done / Execution Complete"


def test_payload_that_does_not_heed_its_signal_is_handed_back(scene: Scene) -> None:
    signalling(scene)
    scene.runner.hand_back_all("the slot ends", 5.0)

    scene.end(None, TaskState.ABORTED)

    assert scene.said()[-1] == "JobWrapper: Rescheduled / the slot ends"


# ---- processors that cannot be freed ----


def test_what_a_broken_grant_held_is_given_to_nobody() -> None:
    slot = Slot(range(4), 4000, gpu_ids=["a", "b"])
    grant = slot.take(Request(min_processors=2, max_processors=2, memory_mb=1000, gpus=1))
    assert grant is not None

    slot.mark_broken(grant)
    slot.give_back(grant)

    assert (slot.processors, slot.broken_processors, slot.free_processors) == (2, 2, 2)
    assert (slot.free_memory_mb, slot.free_gpus) == (3000, 1)
    rest = slot.take(Request(min_processors=2, max_processors=2))
    assert rest is not None
    assert not set(rest.processor_ids) & set(grant.processor_ids)


def test_job_for_the_whole_node_gets_what_is_not_broken() -> None:
    slot = Slot(range(4))
    slot.mark_broken(Grant(processor_ids=(1,)))

    grant = slot.take(Request(whole_node=True))

    assert grant is not None
    assert grant.processor_ids == (0, 2, 3)


def test_processors_of_a_stuck_task_are_not_offered_again(scene: Scene) -> None:
    scene.match()
    scene.ce.states[scene.job.task_id] = TaskStatus(state=TaskState.FAILED, reason="processes 7", is_stuck=True)

    scene.runner.poll()

    assert scene.slot.free_processors == 1
    assert scene.slot.broken_processors == 1


def test_agent_whose_processors_are_all_broken_ends_and_says_so(agent_scene: AgentScene) -> None:
    agent_scene.matcher.answers = [job(1)]
    agent_scene.ce = StuckCe(agent_scene.events)

    ending = agent_scene.run()

    assert ending.exit_code is ExitCode.NODE_UNFIT
    assert ending.reason == "Processes that cannot be killed hold every processor"


def test_agent_with_a_broken_processor_offers_the_others_and_says_so_at_its_end(agent_scene: AgentScene) -> None:
    agent_scene.processors = 2
    agent_scene.matcher.answers = [job(1)]
    agent_scene.ce = StuckCe(agent_scene.events)

    ending = agent_scene.run()

    assert ending.exit_code is ExitCode.ENDED
    assert ending.reason.endswith("; 1 processors are held by processes that cannot be killed")
    assert {offer["NumberOfProcessors"] for offer in agent_scene.matcher.offers[2:]} == {1}


# ---- signs of life ----


def test_heartbeat_tells_what_the_payload_uses_in_diracs_units(scene: Scene) -> None:
    ce = signalling(scene)
    ce.seen = Activity(at_s=1.0, cpu_s=12.5, memory_mb=300.0, virtual_mb=1024.0)
    scene.runner.poll()
    voice = Voice()

    Heartbeats(scene.runner, voice, ce, 0, activity=scene.runner.activity).send()  # type: ignore[arg-type] # the borders

    (beat,) = voice.beats
    used = {name: beat.dynamic[name] for name in ("MemoryUsed", "Vsize", "CPUConsumed")}
    assert used == {"MemoryUsed": 300.0, "Vsize": 1e6, "CPUConsumed": 12.5}


def test_heartbeat_leaves_out_what_nobody_knows(scene: Scene) -> None:
    ce = signalling(scene)
    scene.runner.poll()
    voice = Voice()

    Heartbeats(scene.runner, voice, ce, 0, activity=scene.runner.activity).send()  # type: ignore[arg-type] # the borders

    (beat,) = voice.beats
    assert set(beat.dynamic) == {"LoadAverage", "AvailableDiskSpace", "WallClockTime"}


class Voice:
    """The reporter's place."""

    def __init__(self) -> None:
        self.beats: list[Heartbeat] = []

    def beat(self, beat: Heartbeat) -> None:
        self.beats.append(beat)
