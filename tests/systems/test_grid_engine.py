"""The conformance suite, and what is Grid Engine's own, on a real Grid Engine."""

import json
import signal

import pytest

from ce_backends.conformance import CHECKS
from tests.systems.conftest import Have
from tests.systems.real_system import PYTHON, RealSystem

WORDS = [check.__name__.replace("_", " ") for check in CHECKS]


@pytest.fixture(scope="module")
def grid_engine(have: Have) -> RealSystem:
    return have("grid_engine")


def options(system: RealSystem, **more: object) -> dict[str, object]:
    usual = {"BatchSystem": "GE", "StatusInterval": 0.3, "SharedArea": f"{system.home}/area", "MaxTotalJobs": 4}
    return {**usual, **more}


@pytest.fixture(scope="module")
def verdicts(grid_engine: RealSystem) -> dict[str, str]:
    return grid_engine.verdicts("Local", options(grid_engine))


@pytest.mark.parametrize("check", WORDS)
def test_grid_engine_conforms(check: str, verdicts: dict[str, str]) -> None:
    assert verdicts[check] == ""


def test_ce_test_of_the_example_is_all_green(grid_engine: RealSystem) -> None:
    done = grid_engine.ce("test", str(grid_engine.config("grid_engine.cfg")), "--quick")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 clauses kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("Queue=nowhere", 'unknown queue "nowhere"'),
        ("SubmitOptions=-pe smp 500", 'cannot run in PE "smp"'),
    ],
)
def test_what_can_never_run_is_told_in_a_sentence(grid_engine: RealSystem, wrong: str, sentence: str) -> None:
    done = grid_engine.ce("test", str(grid_engine.config("grid_engine.cfg")), "-o", wrong)

    assert done.returncode == 1
    assert "the CE refuses a small task: qsub: " in done.stderr
    assert sentence in done.stderr


def test_a_job_that_cannot_be_started_is_failed_with_the_reason_and_leaves_the_queue(grid_engine: RealSystem) -> None:
    end = ended(grid_engine, script=":", SubmitOptions="-wd /no/such/directory")

    assert end["state"] == "Failed"
    assert "can't chdir to /no/such/directory" in end["reason"]
    assert "gridpilot_" not in grid_engine.run(["qstat", "-r", "-u", "griduser"]).stdout


def test_a_queues_time_limit_is_a_wall_limit(grid_engine: RealSystem) -> None:
    end = ended(grid_engine, script="sleep 100", Queue="short.q")

    assert (end["state"], end["limit"]) == ("Failed", "wall")


def test_a_soft_limit_ends_the_payload_and_its_exit_code_comes_back(grid_engine: RealSystem) -> None:
    end = ended(grid_engine, script="sleep 100", SubmitOptions="-l s_rt=2")

    assert (end["state"], end["exit_code"]) == ("Done", 128 + signal.SIGUSR1)


def test_a_stopped_grid_engine_is_told_in_a_sentence(grid_engine: RealSystem) -> None:
    grid_engine.script("down")
    try:
        done = grid_engine.ce("test", str(grid_engine.config("grid_engine.cfg")), "--quick")
    finally:
        grid_engine.script("up")

    assert done.returncode == 3
    assert "unable to send message to qmaster" in done.stderr


ONE_TASK = """\
import json, pathlib, sys, time, uuid
from dataclasses import asdict
from ce_backends.base import TaskSpec
from ce_backends.registry import create
options = json.loads(sys.argv[1])
ce = create("Local", options, pathlib.Path(options["SharedArea"] + "-state"))
task = TaskSpec(stamp=uuid.uuid4().hex, script=sys.argv[2])
task_id = ce.submit([task])[task.stamp].task_id
give_up = time.monotonic() + 60
while not (status := ce.poll([task_id])[task_id]).state.is_final and time.monotonic() < give_up:
    time.sleep(0.1)
print(json.dumps(asdict(status)))
ce.close()
"""


def ended(system: RealSystem, *, script: str, **more: object) -> dict[str, object]:
    """Run one task as the unprivileged user and return its last status."""
    done = system.run([PYTHON, "-c", ONE_TASK, json.dumps(options(system, **more)), script])
    assert done.returncode == 0, done.stderr
    status: dict[str, object] = json.loads(done.stdout)
    return status
