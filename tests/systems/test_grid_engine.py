"""The conformance suite, and what is Grid Engine's own, on a real Grid Engine."""

import json
import os
import shlex
import signal
import subprocess
import sys
from typing import Any

import psutil
import pytest

from ce_backends.conformance.suite import CHECKS
from tests.systems.conftest import Have, of
from tests.systems.manifest import generations
from tests.systems.real_system import PYTHON, ROOT, RealSystem

WORDS = [check.__name__.replace("_", " ") for check in CHECKS]
CLAUSES_AT_ONCE = 4  # of the node's 16 slots each may use four


@pytest.fixture(scope="module")
def grid_engine(have: Have) -> RealSystem:
    return have("grid_engine")


def options(system: RealSystem, **more: object) -> dict[str, object]:
    usual = {"BatchSystem": "GE", "StatusInterval": 0.3, "SharedArea": f"{system.home}/area", "MaxTotalJobs": 4}
    return {**usual, **more}


@pytest.fixture(scope="module", params=generations("grid_engine"))
def verdicts(request: pytest.FixtureRequest, have: Have) -> dict[str, str]:
    system = of(request.param, have)
    return system.verdicts("Local", options(system), at_once=CLAUSES_AT_ONCE)


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
        ("SubmitOptions=-l mem_total=999T", "mem_total=999T) cannot run"),
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


def test_a_task_that_an_administrator_deletes_is_failed_by_that_signal(grid_engine: RealSystem) -> None:
    task_id = submitted(grid_engine, "sleep 100")
    followed(grid_engine, task_id, until="Running")
    by_root(grid_engine, "qdel", task_id)

    end = followed(grid_engine, task_id)

    assert (end["state"], end["limit"]) == ("Failed", None)
    assert "killed by signal 9" in end["reason"]


def test_a_task_whose_node_was_lost_is_failed_and_was_no_success(grid_engine: RealSystem) -> None:
    task_id = submitted(grid_engine, "sleep 100")
    followed(grid_engine, task_id, until="Running")
    for process in [execd := daemon(grid_engine, "execd"), *execd.children(recursive=True)]:
        process.kill()
    grid_engine.script("up")

    end = followed(grid_engine, task_id)

    assert end["state"] == "Failed"
    assert "before writing exit_status" in end["reason"]


def test_a_qmaster_that_does_not_answer_ends_no_task(grid_engine: RealSystem) -> None:
    task_id = submitted(grid_engine, "sleep 5; exit 3")
    followed(grid_engine, task_id, until="Running")
    daemon(grid_engine, "qmaster").suspend()
    try:
        unheard = followed(grid_engine, task_id, until="Unknown", about="no answer", CommandTimeout=2)
    finally:
        daemon(grid_engine, "qmaster").resume()

    end = followed(grid_engine, task_id)

    assert unheard["reason"] == "no answer from GE: qstat: no answer in time"
    assert (end["state"], end["exit_code"]) == ("Done", 3)


CLIENT = """\
import json, pathlib, sys, time, uuid
from dataclasses import asdict
from ce_backends.base import Accepted, TaskSpec
from ce_backends.registry import create
what, options = sys.argv[1], json.loads(sys.argv[2])
ce = create("Local", options, pathlib.Path(options["SharedArea"] + "-state"))
if what == "submit":
    task = TaskSpec(stamp=uuid.uuid4().hex, script=sys.argv[3])
    answer = ce.submit([task])[task.stamp]
    assert isinstance(answer, Accepted), answer
    print(answer.task_id)
else:
    task_id, until, about = sys.argv[3:]
    give_up = time.monotonic() + 600  # a lost node is found out late; who is in time does not wait for it
    while True:
        status = ce.poll([task_id])[task_id]
        is_it = status.state == until if until else status.state.is_final
        if is_it and about in status.reason:
            break
        assert time.monotonic() < give_up, f"not {until or 'ended'} in 600 s: {status}"
        time.sleep(0.1)
    print(json.dumps(asdict(status)))
ce.close()
"""


def submitted(system: RealSystem, script: str, **more: object) -> str:
    """Submit a task as the unprivileged user, who then forgets about it; return its id."""
    done = system.run([PYTHON, "-c", CLIENT, "submit", json.dumps(options(system, **more)), script])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def followed(system: RealSystem, task_id: str, *, until: str = "", about: str = "", **more: object) -> dict[str, Any]:
    """Follow a task to a state, or to its end; return the status."""
    done = system.run([PYTHON, "-c", CLIENT, "follow", json.dumps(options(system, **more)), task_id, until, about])
    assert done.returncode == 0, done.stderr
    status: dict[str, Any] = json.loads(done.stdout)
    return status


def ended(system: RealSystem, *, script: str, **more: object) -> dict[str, Any]:
    return followed(system, submitted(system, script, **more), **more)


def daemon(system: RealSystem, name: str) -> psutil.Process:
    return psutil.Process(system.pid_of(name))


def by_root(system: RealSystem, *argv: str) -> None:
    subprocess.run(argv, env={**os.environ, **system.env}, check=True, capture_output=True)


def test_the_lab_says_how_to_try_a_ce_against_it(grid_engine: RealSystem) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "ce_backends", "lab", "grid_engine", "up"],
        cwd=ROOT,
        check=True,
        text=True,
        capture_output=True,
        timeout=120,
    ).stdout.splitlines()
    words = shlex.split(said[2])
    assert words[:3] == ["gridpilot", "ce", "test"]

    done = grid_engine.ce("test", words[3], *words[4:6], "-o", f"SharedArea={grid_engine.home}/lab", "--quick")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 clauses kept" in done.stdout
