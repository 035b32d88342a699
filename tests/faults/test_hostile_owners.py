"""Scenario 46: owners and payloads that mean harm, beside a job that does not."""

import hashlib
import lzma
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import invariants
from tests.faults.payloads import sleeps, waits_for
from tests.faults.scene import AGENT, BACK, Options, Scene
from tests.faults.small_disk import can_mount
from tests.faults.test_disks import check_without_disk, disk
from tests.unit.archive_members import header, packed, path_longer_than_any

__all__ = ["disk"]

Need = Callable[[str, bool, str], None]


def member_of(depth: int) -> bytes:
    return packed((tarfile.TarInfo("d/" * depth + "x"), b""))


ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "leads out by a path longer than any": (lambda: packed(*path_longer_than_any()), "leads through a link"),
    "has a name of 2000 levels": (lambda: member_of(2000), "levels"),
    "has a name of 300 MB": (lambda: header(tarfile.GNUTYPE_LONGNAME, 3 * 10**8) + bytes(3 * 10**8), "a header of"),
    "has 100 000 members": (lambda: tarfile.TarInfo("x").tobuf() * 100_000, "members"),
}


def submit_archive(scene: Scene, archive: bytes) -> int:
    """Submit a job with an input sandbox that no client packs."""
    content = lzma.compress(archive, preset=0)
    name = f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}.tar.xz"
    reference = scene.client.call("SandboxStore", "streamFromClient", [name, {}], "", len(content), content)
    path = scene.folder / f"hostile-{len(scene.jobs)}.jdl"
    tag = f'Tags = {{"{scene.name}"}};'
    path.write_text(f'Executable = "/bin/true"; InputSandbox = {{"{reference}"}}; {tag}', encoding="ascii")
    (job_id,) = scene.client.submit(path)
    scene.jobs.append(job_id)
    return int(job_id)


@pytest.mark.scenario(
    46, "input sandboxes that lead out of their directory, or have too many, too long, too deep names"
)
def test_hostile_sandbox_fails_its_own_job_and_touches_nothing(scene: Scene) -> None:
    victim = scene.folder / "secret"
    victim.write_text("before")
    hostile = {submit_archive(scene, make()): word for make, word in ARCHIVES.values()}
    other = scene.submit(sleeps(2))

    agent = scene.agent()

    assert agent.ended() == 0, agent.written()
    assert "Traceback" not in agent.written()
    told = {job_id: scene.status(job_id) for job_id in hostile}
    assert {job_id: status["Status"] for job_id, status in told.items()} == dict.fromkeys(hostile, "Failed")
    for job_id, word in hostile.items():
        assert word in told[job_id]["ApplicationStatus"]
    assert scene.statuses()[other] == "Done"
    assert victim.read_text() == "before"
    invariants.check(scene)


@pytest.mark.quick
@pytest.mark.scenario(
    46, "SIGTERM while jobs run whose StopSigRegex goes back and forth for ever on their own command line"
)
def test_expression_without_end_keeps_nobody_from_the_end(scene: Scene) -> None:
    wants = 'StopSigRegex = "(a+)+$"; StopSigFinishSeconds = 999999999;'
    hostile = [scene.submit(f"sh -c 'sleep 60; :' {'a' * 40}!", wants) for _ in range(2)]
    agent = scene.agent()
    scene.until(lambda: all(map(scene.has_begun, hostile)), "the payloads run")

    agent.signal(signal.SIGTERM)

    assert agent.ended(20) == 0, agent.written()
    assert agent.written().count("payload.asked_to_stop") == 2
    assert set(scene.statuses().values()) <= set(BACK)
    invariants.check(scene)


@pytest.mark.quick
@pytest.mark.scenario(46, "outputs: links to themselves under a pattern of stars, a sparse file of a terabyte, a pipe")
def test_hostile_outputs_are_named_and_the_others_come(scene: Scene) -> None:
    body = "for i in 1 2 3 4 5 6 7 8; do ln -s . l$i; done; truncate -s 1T sparse; mkfifo pipe; echo good >good"
    outputs = 'OutputSandbox = {"*/*/*/*/*/*/good", "sparse", "pipe", "good"};'
    job_id = scene.submit(body, outputs)

    agent = scene.agent()

    assert agent.ended(40) == 0, agent.written()
    assert scene.statuses()[job_id] == "Done"
    problem = scene.status(job_id)["OutputSandboxError"]
    assert "sparse" in problem
    assert "pipe" in problem
    brought = scene.client.output(job_id, scene.folder / "brought")
    assert [path.name for path in brought] == ["good"]
    invariants.check(scene)


@pytest.mark.scenario(46, "a payload fills the disk by a file without a name, next to a modest one")
def test_who_fills_the_disk_without_a_name_is_ended_for_it_alone(scene: Scene, disk: Path, need: Need) -> None:
    need("loop", can_mount(), "root, loop devices and mkfs.ext4 are needed")
    go = scene.folder / "go"
    other = scene.submit(f"head -c 2M /dev/zero >data; {waits_for(go)}")
    agent = scene.agent(Options(more={f"{AGENT}/StopAfterFailedMatches": "1000", f"{AGENT}/PollingTime": "6"}))
    scene.until(lambda: scene.has_begun(other), "the modest one runs")
    hostile = scene.submit("exec 3>big; rm big; head -c 60M /dev/zero >&3; sleep 20")

    scene.until(lambda: scene.statuses()[hostile] not in (*BACK, "Running", "Matched"), "the hog is ended", 60)
    go.touch()
    scene.until(lambda: scene.statuses()[other] == "Done", "the modest one is done", 20)

    agent.signal(15)
    agent.ended(20)
    assert scene.status(hostile)["Status"] == "Failed"
    assert "its share is" in scene.status(hostile)["ApplicationStatus"]
    check_without_disk(scene, disk)  # type: ignore[arg-type] # a fixture by its other name
