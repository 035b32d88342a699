"""Payloads that do nothing are warned of and ended with evidence; those that are suspended, or told to, are not."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from agents.errors import Blame
from agents.jobs.job import JobStatus, Minor, Outcome
from agents.jobs.ledger import ReportKind
from agents.runner.staging import STACKS
from agents.runner.watchdog import DISABLED, Sample, Watchdog
from agents.settings.watchdog import WatchdogSettings
from ce_backends.base import Activity, TaskSpec, TaskState, TaskStatus
from tests.unit.runner_scene import Ce, Scene, scene

__all__ = ["scene"]

IDLE = Activity(at_s=0.0, cpu_s=10.0, io_bytes=10**6, file_changes=1)
SETTINGS = WatchdogSettings(sample_s=100.0, quiet_samples=2)


@dataclass
class SeeingCe(Ce):
    """A CE that shows what its tasks do, as a test wants it."""

    activity: Activity | None = IDLE
    files: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        Ce.__init__(self)

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        running = TaskStatus(state=TaskState.RUNNING, activity=self.activity)
        return {one: self.states.get(one, running) for one in task_ids}

    def stacks(self, task_id: str) -> str:
        return f"stacks of {task_id}"

    def has_file(self, task_id: str, name: str) -> bool:
        return name in self.files


class Trial:
    """A running job of which a watchdog sees what a test lets it."""

    def __init__(self, scene: Scene, attributes: str, settings: WatchdogSettings, environ: dict[str, str]) -> None:
        self.scene, self.ce = scene, SeeingCe()
        scene.ce = self.ce
        scene.restart()
        scene.match(attributes)
        self.outputs = scene.work_dir / "outputs"
        self.dog = Watchdog(scene.runner, self.ce, settings, environ, lambda _: self.outputs)  # type: ignore[arg-type] # the border
        self.at_s = 0.0

    def look(self, after_s: float = 60.0, **seen: object) -> None:
        """Let time go by, in which the payload does this."""
        self.at_s += after_s
        self.ce.activity = replace(self.ce.activity or IDLE, at_s=self.at_s, **seen)
        self.scene.runner.poll()
        self.dog.look()

    def remarks(self) -> list[str]:
        """Return what the owner was told on the way."""
        said = [one.body.get("ApplicationStatus", "") for one in self.scene.ledger.unsent()]
        return [words for words in said if words.startswith("Watchdog: ")]

    @property
    def end(self) -> Outcome | None:
        return self.scene.job.end


def trial(
    scene: Scene, attributes: str = "", settings: WatchdogSettings = SETTINGS, environ: dict[str, str] | None = None
) -> Trial:
    made = Trial(scene, attributes, settings, environ or {})
    made.look()
    return made


def test_payload_that_does_nothing_is_first_warned_of_then_ended_with_the_evidence(scene: Scene) -> None:
    tried = trial(scene)

    tried.look()
    tried.look()
    warned, ended_by_then = tried.remarks(), tried.end
    tried.look()
    tried.look()

    evidence = "in 120 s 0.0 % CPU, 0 bytes read or written, no file changed"
    assert warned == [f"Watchdog: no sign of life: {evidence}"]
    assert ended_by_then is None
    assert tried.end == Outcome(JobStatus.FAILED, Minor.STALLED, f"Stalled: {evidence}", Blame.USER)
    assert tried.ce.cancelled == [tried.scene.job.task_id]


def test_what_a_stalled_payload_did_lies_where_its_outputs_will_be(scene: Scene) -> None:
    tried = trial(scene)

    for _ in range(4):
        tried.look()

    assert (tried.outputs / STACKS).read_text() == f"stacks of {tried.scene.job.task_id}"


@pytest.mark.parametrize(
    "life",
    [{"cpu_s": 6.0}, {"io_bytes": 10**5}, {"file_changes": 1}],
    ids=["a twentieth of the time on a processor", "something read or written", "a file changed"],
)
def test_each_sign_of_life_alone_is_enough(scene: Scene, life: dict[str, float]) -> None:
    tried = trial(scene)

    for number in range(1, 9):
        tried.look(**{name: getattr(IDLE, name) + number * step for name, step in life.items()})

    assert tried.end is None
    assert tried.remarks() == []


def test_sign_of_life_after_a_warning_makes_all_good(scene: Scene) -> None:
    tried = trial(scene)

    for number in (1, 1, 2, 2, 2, 2):  # quiet, alive, quiet
        tried.look(file_changes=number)

    assert len(tried.remarks()) == 2
    assert tried.end is None


def test_shell_that_sleeps_in_a_loop_reads_too_little_to_be_alive(scene: Scene) -> None:
    tried = trial(scene)

    for number in range(4):
        tried.look(io_bytes=10**6 + 1000 * number)

    assert tried.end is not None


def test_time_in_which_the_payload_is_suspended_does_not_count(scene: Scene) -> None:
    tried = trial(scene)

    for _ in range(20):
        tried.look(is_suspended=True)

    assert tried.remarks() == []


def test_ten_minutes_in_which_the_agent_was_suspended_count_as_two(scene: Scene) -> None:
    tried = trial(scene, settings=replace(SETTINGS, sample_s=200.0))

    tried.look(after_s=600.0)

    assert tried.remarks() == []


def test_old_picture_of_a_payload_is_no_evidence(scene: Scene) -> None:
    tried = trial(scene)

    for _ in range(20):
        tried.look(after_s=0.0)

    assert tried.remarks() == []


def test_payload_of_which_nothing_is_known_is_left_alone(scene: Scene) -> None:
    tried = trial(scene)

    for _ in range(5):
        tried.look(cpu_s=None, io_bytes=None)

    assert tried.end is None


@pytest.mark.parametrize(
    ("attributes", "settings", "environ"),
    [
        ('DisableCPUCheck = "1";', SETTINGS, {}),
        ("JobType = Test;", SETTINGS, {}),
        (f'ExecutionEnvironment = "{DISABLED}=1";', SETTINGS, {}),
        ("", replace(SETTINGS, ends_stalled=False), {}),
        ("", SETTINGS, {DISABLED: ""}),
    ],
)
def test_watchdog_lets_a_payload_alone_that_it_was_told_to(
    scene: Scene,
    attributes: str,
    settings: WatchdogSettings,
    environ: dict[str, str],
) -> None:
    tried = trial(scene, attributes, settings, environ)

    for _ in range(5):
        tried.look()

    assert tried.end is None
    assert tried.remarks() == []


def test_file_of_the_payload_switches_the_watchdog_off(scene: Scene) -> None:
    tried = trial(scene)
    tried.ce.files = [DISABLED]

    for _ in range(5):
        tried.look()

    assert tried.end is None


def test_stalled_job_is_failed_when_its_task_has_ended(scene: Scene) -> None:
    tried = trial(scene)
    for _ in range(4):
        tried.look()

    scene.end(None, TaskState.ABORTED)

    last = [one for one in scene.ledger.unsent() if one.kind is ReportKind.STATUS][-1]
    assert (last.body["Status"], last.body["MinorStatus"]) == ("Failed", "Watchdog identified this job as stalled")


def test_cpu_share_is_counted_over_the_sample_only(tmp_path: Path) -> None:
    sample = Sample(IDLE, IDLE)

    sample.look(replace(IDLE, at_s=50.0, cpu_s=12.0))

    assert sample.cpu_percent == 4.0


@pytest.mark.parametrize(
    ("settings", "asked_s", "limit_s"),
    [
        (WatchdogSettings(), 1000, 0),
        (WatchdogSettings(limits_cpu_time=True), 1000, 1200),
        (WatchdogSettings(limits_cpu_time=True, cpu_margin_percent=0.0), 1000, 1000),
        (WatchdogSettings(limits_cpu_time=True), None, 0),
    ],
)
def test_cpu_limit_is_what_the_job_asked_for_and_the_margin(
    settings: WatchdogSettings, asked_s: int | None, limit_s: int
) -> None:
    assert settings.cpu_limit_s(asked_s) == limit_s


def test_wall_time_elsewhere_is_for_the_queue_to_say() -> None:
    settings = WatchdogSettings(limits_cpu_time=True, most_disk_mb=50)

    here, elsewhere = (
        settings.limited(TaskSpec(stamp="0" * 32, script=""), 1000, is_remote=it) for it in (False, True)
    )

    assert (here.wall_s, here.cpu_s, here.disk_mb) == (259_200, 1200, 50)
    assert (elsewhere.wall_s, elsewhere.cpu_s, elsewhere.disk_mb) == (0, 1200, 50)


def test_limits_of_the_site_and_of_the_job_reach_the_task(scene: Scene) -> None:
    scene.match('StdOutput = "out"; StdError = "err";')

    (task,) = scene.ce.tasks.values()

    assert (task.wall_s, task.cpu_s, task.disk_mb) == (259_200, 0, 0)
    assert task.capped == ("out", "err")


# ---- busy without end ----

LOOPING = replace(SETTINGS, looping_s=300.0)
BUSY = "in 360 s 99.0 % CPU, 0 bytes read or written, no file changed"


def computes(tried: Trial, times: int, **seen: object) -> None:
    for _ in range(times):
        before = tried.ce.activity or IDLE
        tried.look(cpu_s=(before.cpu_s or 0.0) + 59.4, **seen)


def test_payload_that_only_computes_is_told_of_once_and_goes_on(scene: Scene) -> None:
    tried = trial(scene, settings=LOOPING)

    computes(tried, 5)
    before = tried.remarks()
    computes(tried, 10)

    assert before == []
    assert tried.remarks() == [f"Watchdog: it computes, and nothing comes of it: {BUSY}"]
    assert tried.end is None


def test_payload_that_only_computes_is_ended_where_that_is_wanted(scene: Scene) -> None:
    tried = trial(scene, settings=replace(LOOPING, ends_looping=True))

    computes(tried, 6)

    assert tried.end == Outcome(JobStatus.FAILED, Minor.LOOPING, f"Looping: {BUSY}", Blame.USER)
    assert (tried.outputs / STACKS).read_text() == f"stacks of {tried.scene.job.task_id}"


@pytest.mark.parametrize("life", [{"io_bytes": 10**7}, {"file_changes": 9}], ids=["writes", "changes a file"])
def test_payload_that_computes_and_shows_something_begins_anew(scene: Scene, life: dict[str, object]) -> None:
    tried = trial(scene, settings=LOOPING)

    computes(tried, 4)
    computes(tried, 1, **life)
    computes(tried, 4)

    assert tried.remarks() == []


@pytest.mark.parametrize(
    ("attributes", "settings"),
    [('JobType = "Test";', LOOPING), ("DisableCPUCheck = true;", LOOPING), ("", replace(LOOPING, looping_s=0.0))],
)
def test_payload_that_may_compute_for_ever_is_not_told_of(
    scene: Scene, attributes: str, settings: WatchdogSettings
) -> None:
    tried = trial(scene, attributes, settings)

    computes(tried, 20)

    assert tried.remarks() == []
