"""The conformance suite, and what is ARC's own, on a real ARC CE: by proxy and by token; jobs are its own processes.

A job takes ten seconds to be seen as ended, whatever it does: so the checks run some at a time.
"""

import pytest

from ce_backends.conformance.suite import CHECKS
from tests.systems.conftest import Have, of
from tests.systems.manifest import generations
from tests.systems.real_system import RealSystem
from tests.systems.sharing import SIZE_BYTES, shared, shown_to

WORDS = [check.__name__.replace("_", " ") for check in CHECKS]
CLAUSES_AT_ONCE = 8
DEADLINE_S = 600  # the checks that run beside it make each other wait
BOTH_AT_ONCE = ("--quick", "--at-once", "2", "--deadline", str(DEADLINE_S))


@pytest.fixture(scope="module")
def arc(have: Have) -> RealSystem:
    return have("arc")


def options(system: RealSystem, **more: object) -> dict[str, object]:
    env = system.env
    usual = {"CEName": env["GRIDPILOT_ARC_CE"], "Port": env["GRIDPILOT_ARC_PORT"], "Queue": env["GRIDPILOT_ARC_QUEUE"]}
    return {**usual, "StatusInterval": 1, "MaxTotalJobs": 4, **more}


@pytest.fixture(scope="module", params=generations("arc", "fork"))
def generation(request: pytest.FixtureRequest, have: Have) -> RealSystem:
    return of(request.param, have)


@pytest.fixture(scope="module")
def of_fork(generation: RealSystem) -> dict[str, str]:
    return verdicts(generation)


@pytest.mark.parametrize("check", WORDS)
def test_arc_with_fork_conforms(check: str, of_fork: dict[str, str]) -> None:
    assert of_fork[check] == ""


def test_a_token_lets_us_into_every_generation(generation: RealSystem) -> None:
    token, port = generation.env["GRIDPILOT_ARC_TOKEN"], generation.env["GRIDPILOT_ARC_PORT"]
    more = ("-o", f"Token={token}", "-o", "Proxy=/none", "-o", f"Port={port}")
    done = generation.ce("test", str(generation.config("arc.cfg")), *BOTH_AT_ONCE, *more)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("who", ["token.expired", "token.forged", "proxy.stranger"])
def test_no_generation_lets_strangers_in_and_each_is_told_so(who: str, generation: RealSystem) -> None:
    kind, port = who.partition(".")[0], generation.env["GRIDPILOT_ARC_PORT"]
    more = ("-o", f"{kind.capitalize()}={generation.folder}/user/{who}", "-o", f"Port={port}")
    done = generation.ce("test", str(generation.config("arc.cfg")), "--quick", *more)

    assert done.returncode == 3, done.stdout + done.stderr
    assert f"does not let us in with this {kind}: HTTP " in done.stderr


def test_ce_test_of_the_example_is_all_green(arc: RealSystem) -> None:
    done = arc.ce("test", str(arc.config("arc.cfg")), *BOTH_AT_ONCE)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 clauses kept" in done.stdout


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("Token=/no/such/token", "token /no/such/token cannot be read"),
        ("Port=9", "cannot be reached"),
        ("CADirectory=/etc/ssl", "cannot be reached"),
    ],
)
def test_what_keeps_us_out_is_told_in_a_sentence(arc: RealSystem, wrong: str, sentence: str) -> None:
    done = arc.ce("test", str(arc.config("arc.cfg")), "--quick", "-o", wrong)

    assert done.returncode == 3, done.stdout + done.stderr
    assert sentence in done.stderr


def test_a_wrong_queue_is_refused_in_a_sentence(arc: RealSystem) -> None:
    done = arc.ce("test", str(arc.config("arc.cfg")), "--quick", "-o", "Queue=nowhere")

    assert done.returncode == 1
    assert "the CE refuses a small task: ARC: " in done.stderr


@pytest.mark.slow
def test_what_tasks_share_is_fetched_by_arc_once_for_all_of_them(arc: RealSystem) -> None:
    number = 3
    with shown_to(arc) as shown:
        came = shared(arc, "AREX", options(arc, **shown.options), number)
        fetched = shown.asked["GET", next(shown.folder.iterdir()).name]

    assert came.states == ["Done"] * number, shown.asked
    assert [said.split()[0] for said in came.said] == [str(SIZE_BYTES)] * number
    assert max(came.archives_bytes, default=0) < SIZE_BYTES / 10
    assert fetched == 1


def test_a_stopped_arc_is_told_in_a_sentence(arc: RealSystem) -> None:
    port = arc.env["GRIDPILOT_ARC_PORT"]
    arc.script("down")
    try:
        done = arc.ce("test", str(arc.config("arc.cfg")), "--quick")
    finally:
        arc.script("up")

    assert done.returncode == 3, done.stdout + done.stderr
    assert "gridpilot ce: the CE cannot be used now: the proxy could not be delegated: " in done.stderr
    assert f"https://localhost:{port}/arex/rest/1.0 cannot be reached" in done.stderr


def verdicts(system: RealSystem) -> dict[str, str]:
    return system.verdicts("AREX", options(system), at_once=CLAUSES_AT_ONCE, deadline_s=DEADLINE_S)
