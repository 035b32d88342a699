"""The conformance suite, and what is ARC's own, on a real ARC CE: by proxy and by token, by fork and through Slurm.

A job takes half a minute to be seen as ended, whatever it does: so the checks run some at a time.
"""

import json

import pytest

from ce_backends.conformance import CHECKS
from tests.systems.conftest import Have
from tests.systems.real_system import PYTHON, RealSystem

WORDS = [check.__name__.replace("_", " ") for check in CHECKS]
AT_ONCE = 8
DEADLINE_S = 200


@pytest.fixture(scope="module")
def arc(have: Have) -> RealSystem:
    return have("arc")


def options(system: RealSystem, **more: object) -> dict[str, object]:
    env = system.env
    usual = {"CEName": env["GRIDPILOT_ARC_CE"], "Port": env["GRIDPILOT_ARC_PORT"], "Queue": env["GRIDPILOT_ARC_QUEUE"]}
    return {**usual, "StatusInterval": 1, "MaxTotalJobs": 4, **more}


@pytest.fixture(scope="module")
def of_fork(arc: RealSystem) -> dict[str, str]:
    return verdicts(arc, options(arc))


@pytest.fixture(scope="module")
def of_slurm(have: Have) -> dict[str, str]:
    have("slurm")
    arc = have("arc", GRIDPILOT_ARC_LRMS="slurm")
    return verdicts(arc, options(arc))


@pytest.mark.parametrize("check", WORDS)
def test_arc_with_fork_conforms(check: str, of_fork: dict[str, str]) -> None:
    assert of_fork[check] == ""


@pytest.mark.parametrize("check", WORDS)
def test_arc_with_slurm_conforms(check: str, of_slurm: dict[str, str]) -> None:
    assert of_slurm[check] == ""


def test_ce_test_of_the_example_is_all_green(arc: RealSystem) -> None:
    done = arc.ce("test", str(arc.config("arc.cfg")), "--quick", "--deadline", str(DEADLINE_S))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 clauses kept" in done.stdout


def test_a_token_lets_us_in(arc: RealSystem) -> None:
    token = f"Token={arc.env['GRIDPILOT_ARC_TOKEN']}"
    done = arc.ce(
        "test", str(arc.config("arc.cfg")), "--quick", "--deadline", str(DEADLINE_S), "-o", token, "-o", "Proxy=/none"
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("Token={0}.expired", "does not let us in with this token"),
        ("Token={0}.forged", "does not let us in with this token"),
        ("Token=/no/such/token", "token /no/such/token cannot be read"),
        ("Proxy={1}.stranger", "does not let us in with this proxy"),
        ("Port=9", "cannot be reached"),
        ("CADirectory=/etc/ssl", "cannot be reached"),
    ],
)
def test_what_keeps_us_out_is_told_in_a_sentence(arc: RealSystem, wrong: str, sentence: str) -> None:
    option = wrong.format(arc.env["GRIDPILOT_ARC_TOKEN"], arc.env["X509_USER_PROXY"])
    done = arc.ce("test", str(arc.config("arc.cfg")), "--quick", "-o", option)

    assert done.returncode == 3, done.stdout + done.stderr
    assert sentence in done.stderr


def test_a_wrong_queue_is_refused_in_a_sentence(arc: RealSystem) -> None:
    done = arc.ce("test", str(arc.config("arc.cfg")), "--quick", "-o", "Queue=nowhere")

    assert done.returncode == 1
    assert "the CE refuses a small task: ARC: " in done.stderr


SOME_AT_A_TIME = """\
import json, pathlib, sys
from multiprocessing import Pool
from ce_backends import conformance
from ce_backends.registry import create
from ce_backends.subject import Subject
options, at_once, deadline_s = json.loads(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
def run(check):
    base = pathlib.Path.cwd() / check.__name__
    base.mkdir(exist_ok=True)
    subject = Subject(lambda: create("AREX", options, base / "state"), base, deadline_s)
    return next(iter(conformance.run(subject, [check])))
if __name__ == "__main__":
    with Pool(at_once) as pool:
        print(json.dumps({r.check: r.problem for r in pool.map(run, conformance.CHECKS, chunksize=1)}))
"""


def verdicts(system: RealSystem, given: dict[str, object]) -> dict[str, str]:
    """Run the conformance suite as the unprivileged user; return the problem of each check, empty if none."""
    script = system.home / "suite.py"
    script.write_text(SOME_AT_A_TIME)
    script.chmod(0o644)
    done = system.run([PYTHON, str(script), json.dumps(given), str(AT_ONCE), str(DEADLINE_S)])
    assert done.returncode == 0, done.stderr
    problems: dict[str, str] = json.loads(done.stdout)
    return problems
