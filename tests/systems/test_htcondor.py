"""The conformance suite, and what is HTCondor's own, on a real one: the schedd of this machine and a remote one."""

import json
from collections.abc import Mapping

import pytest

from ce_backends.conformance.suite import CHECKS
from tests.systems.conftest import Have, of
from tests.systems.manifest import generations
from tests.systems.real_system import PYTHON, RealSystem
from tests.systems.renewing import renewal
from tests.systems.sharing import SIZE_BYTES, shared, shown_to

WORDS = [check.__name__.replace("_", " ") for check in CHECKS]
CLAUSES_AT_ONCE = 4  # of the node's 16 processors each may use four


@pytest.fixture(scope="module")
def htcondor(have: Have) -> RealSystem:
    return have("htcondor")


def local(system: RealSystem, **more: object) -> dict[str, object]:
    usual = {"BatchSystem": "Condor", "StatusInterval": 0.3, "SharedArea": f"{system.home}/area", "MaxTotalJobs": 4}
    return {**usual, **more}


def remote(system: RealSystem, **more: object) -> dict[str, object]:
    host, _, port = system.env["GRIDPILOT_HTCONDOR_POOL"].partition(":")
    tokens, schedd = system.env["GRIDPILOT_HTCONDOR_TOKENS"], system.env["GRIDPILOT_HTCONDOR_SCHEDD"]
    usual = {"CEName": host, "Port": port, "Schedd": schedd, "TokenDirectory": tokens}
    return {**usual, "StatusInterval": 0.3, "MaxTotalJobs": 4, **more}


@pytest.fixture(scope="module", params=generations("htcondor"))
def verdicts(request: pytest.FixtureRequest, have: Have) -> dict[str, dict[str, str]]:
    system = of(request.param, have)
    return {
        "local": system.verdicts("Local", local(system), at_once=CLAUSES_AT_ONCE),
        "remote": system.verdicts("HTCondorCE", remote(system), at_once=CLAUSES_AT_ONCE),
    }


@pytest.mark.parametrize("schedd", ["local", "remote"])
@pytest.mark.parametrize("check", WORDS)
def test_htcondor_conforms(check: str, schedd: str, verdicts: dict[str, dict[str, str]]) -> None:
    assert verdicts[schedd][check] == ""


def test_ce_test_of_the_example_is_all_green(htcondor: RealSystem) -> None:
    done = htcondor.ce("test", str(htcondor.config("htcondor.cfg")), "--quick")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 clauses kept" in done.stdout


def test_a_job_that_is_held_is_failed_with_the_reason_and_leaves_the_queue(htcondor: RealSystem) -> None:
    end = ended(htcondor, "Local", local(htcondor, ExtraSubmitString="hold = true"))

    assert (end["state"], end["reason"]) == ("Failed", "held: submitted on hold at user's request")
    assert htcondor.run(["condor_q", "-json", "-attributes", "ClusterId"]).stdout.strip() == ""


def test_our_own_memory_limit_is_told(htcondor: RealSystem) -> None:
    hold = "periodic_hold = JobStatus == 2\nperiodic_hold_subcode = 4711"
    end = ended(htcondor, "Local", local(htcondor, ExtraSubmitString=hold), script="sleep 60")

    assert (end["state"], end["limit"]) == ("Failed", "memory")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("TokenDirectory=/no/such/directory", "Failed to authenticate"),
        ("Schedd=nobody@localhost", "Can't find address of schedd nobody@localhost"),
        ("CEName=no.such.host", "the collector asked is no.such.host:"),
        ("Port=9", "Can't find address of schedd"),
    ],
)
def test_what_cannot_be_reached_is_told_in_a_sentence(htcondor: RealSystem, wrong: str, sentence: str) -> None:
    done = htcondor.ce("test", str(htcondor.config("htcondor.cfg")), "--quick", "-o", wrong)

    assert done.returncode == 3, done.stdout + done.stderr
    assert sentence in done.stderr


def test_a_job_that_can_never_be_described_is_refused_in_a_sentence(htcondor: RealSystem) -> None:
    nonsense = "ExtraSubmitString=request_disk = many bytes"
    done = htcondor.ce("test", str(htcondor.config("htcondor.cfg")), "--quick", "-o", nonsense)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "the CE refuses a small task: condor_submit: " in done.stderr


def test_a_stopped_htcondor_is_told_in_a_sentence(htcondor: RealSystem) -> None:
    htcondor.script("down")
    try:
        done = htcondor.ce("test", str(htcondor.config("htcondor.cfg")), "--quick")
    finally:
        htcondor.script("up")

    assert done.returncode == 3
    assert "Can't find address of schedd" in done.stderr


@pytest.mark.parametrize("is_remote", [False, True])
def test_a_credential_is_renewed_in_the_queue_of_a_schedd_that_reads_our_files(
    is_remote: bool, htcondor: RealSystem
) -> None:
    """It waits until one of its attributes is changed. To a remote schedd nothing can be sent after it."""
    ce_type, usual = ("HTCondorCE", remote) if is_remote else ("Local", local)
    waits = usual(htcondor, ExtraSubmitString="My.MayGo = False\\nrequirements = MY.MayGo")

    def release(task_id: str) -> None:
        assert htcondor.run(["condor_qedit", task_id, "MayGo", "True"]).returncode == 0

    came = renewal(htcondor, ce_type, waits, release)

    if is_remote:
        assert "was sent with its credential" in came.waiting
        assert came.seen == ["old", "old"]
    else:
        assert came.waiting == ""
        assert came.seen == ["second", "second"]
    assert came.running


@pytest.mark.parametrize("is_remote", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_what_tasks_share_travels_with_none_of_them(is_remote: bool, htcondor: RealSystem) -> None:
    """A schedd that reads our files has it once; nodes of a remote one fetch it, and look at what has come."""
    number = 3
    with shown_to(htcondor) as shown:
        if is_remote:
            came = shared(htcondor, "HTCondorCE", remote(htcondor, **shown.options), number)
            spoiled = shared(htcondor, "HTCondorCE", remote(htcondor, **shown.options), 1, spoiled=shown.folder)
        else:
            came = shared(htcondor, "Local", local(htcondor), number)
            spoiled = None
        asked = shown.asked.total()

    assert came.states == ["Done"] * number
    assert [said.split()[0] for said in came.said] == [str(SIZE_BYTES)] * number
    assert len(set(came.said)) == 1
    assert max(came.archives_bytes, default=0) < SIZE_BYTES / 10
    assert asked == (number + 1 if is_remote else 0)
    if spoiled:
        assert (spoiled.states, spoiled.said) == (["Failed"], [""])  # it came, and the script did not run


ONE_TASK = """\
import json, pathlib, sys, time, uuid
from dataclasses import asdict
from ce_backends.base import TaskSpec
from ce_backends.registry import create
ce = create(sys.argv[1], json.loads(sys.argv[2]), pathlib.Path(f"state-{uuid.uuid4().hex}"))
task = TaskSpec(stamp=uuid.uuid4().hex, script=sys.argv[3])
task_id = ce.submit([task])[task.stamp].task_id
give_up = time.monotonic() + 600
while not (status := ce.poll([task_id])[task_id]).state.is_final:
    assert time.monotonic() < give_up, f"not ended in 600 s: {status}"
    time.sleep(0.1)
print(json.dumps(asdict(status)))
ce.close()
"""


def ended(system: RealSystem, ce_type: str, options: Mapping[str, object], script: str = ":") -> dict[str, object]:
    """Run one task as the unprivileged user and return its last status."""
    done = system.run([PYTHON, "-c", ONE_TASK, ce_type, json.dumps(options), script])
    assert done.returncode == 0, done.stderr
    status: dict[str, object] = json.loads(done.stdout)
    return status
