"""Scenarios 20 and 21: no space, no inodes, no writing, on real small file systems."""

import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults import invariants
from tests.faults.payloads import SHORT, sleeps
from tests.faults.scene import AGENT, BACK, Options, Scene
from tests.faults.small_disk import SmallDisk, can_mount

Need = Callable[[str, bool, str], None]
# a node that is not fit is looked at three times before it is given up: 1.5 to 3 times PollingTime from the first on
PATIENT = {f"{AGENT}/StopAfterFailedMatches": "1000", f"{AGENT}/PollingTime": "12"}
FULL_S = 4.0  # after the first look; the third one comes 14 s later, or more


@pytest.fixture
def disk(scene: Scene, need: Need) -> Iterator[SmallDisk]:
    """An ext4 of 32 MiB in a file, under the work directory of the agent."""
    need("loop", can_mount(), "root, loop devices and mkfs.ext4 are needed")
    scene.work_dir.mkdir()
    mounted = SmallDisk(scene.folder / "disk.img", scene.work_dir)
    yield mounted
    scene.end_processes()
    mounted.close()


def check_without_disk(scene: Scene, disk: SmallDisk) -> None:
    """Check the invariants; the mount itself is ours."""
    kept = scene.folder / "kept"
    shutil.copytree(scene.work_dir, kept, ignore=shutil.ignore_patterns("lost+found", "filler"))
    disk.close()
    scene.work_dir.rmdir()
    kept.rename(scene.work_dir)
    invariants.check(scene)


@pytest.mark.scenario(20, "the work directory's disk is full before the agent asks for work")
def test_agent_on_a_full_disk_takes_no_job(scene: Scene, disk: SmallDisk) -> None:
    disk.fill(leave_bytes=0)
    job_id = scene.submit(SHORT)

    agent = scene.agent(Options(more=PATIENT))
    scene.until(lambda: "disk" in agent.written(), "it says so", 20)
    time.sleep(2)
    agent.signal(15)

    agent.ended(20)
    assert "Traceback" not in agent.written()
    assert invariants.matches(scene, job_id) == 0
    scene.client.call("JobManager", "killJob", job_id)
    check_without_disk(scene, disk)


@pytest.mark.scenario(20, "a payload fills the disk on which the agent works, and ends")
def test_job_that_fills_the_disk_does_not_take_the_agent_with_it(scene: Scene, disk: SmallDisk) -> None:
    greedy = scene.submit("head -c 60M /dev/zero >big; sleep 3; rm big; exit 7")
    other = scene.submit(sleeps(1))

    # else it is a matter of luck whether it has looked three times meanwhile
    agent = scene.agent(Options(more=PATIENT))
    scene.until(lambda: scene.statuses() == {greedy: "Failed", other: "Done"}, "one has failed, one is done")

    agent.signal(15)
    assert agent.ended() == 0, agent.written()
    assert "Traceback" not in agent.written()
    check_without_disk(scene, disk)


@pytest.mark.scenario(20, "the disk is full while a job runs; it stays so until after the job has ended")
def test_end_of_a_job_on_a_full_disk_is_reported(scene: Scene, disk: SmallDisk) -> None:
    job_id = scene.submit(sleeps(2))
    agent = scene.agent(Options(more=PATIENT))
    scene.until(lambda: scene.is_running(job_id), "the payload runs")

    disk.fill(leave_bytes=0)
    scene.until(lambda: job_id in scene.books.ends(), "the payload ends")
    scene.until(lambda: scene.statuses()[job_id] in ("Done", "Failed"), "its end is told", 20)

    agent.signal(15)
    agent.ended(20)
    assert "Traceback" not in agent.written()
    disk.empty()
    again = scene.agent()
    assert again.ended() == 0, again.written()
    check_without_disk(scene, disk)


@pytest.mark.scenario(20, "the disk is full while inputs are unpacked; space comes back later")
def test_job_whose_inputs_do_not_fit_is_given_back_and_work_goes_on(scene: Scene, disk: SmallDisk) -> None:
    big = scene.folder / "big.bin"
    big.write_bytes(b"\0" * 40 * 10**6)
    script = scene.folder / "job.jdl"
    tag = f'Tags = {{"{scene.name}"}};'
    script.write_text(f'Executable = "/bin/true"; InputSandbox = {{"{big.name}"}}; {tag}', encoding="ascii")
    (job_id,) = scene.client.submit(script)
    scene.jobs.append(job_id)
    agent = scene.agent(Options(more=PATIENT))
    scene.until(lambda: invariants.reported_ends(scene, job_id), "its end is told", 20)
    told = scene.history(job_id)

    scene.client.call("JobManager", "killJob", job_id)
    after = scene.submit(SHORT)
    scene.until(lambda: scene.statuses()[after] == "Done", "it works on", 60)
    agent.signal(15)
    assert agent.ended(20) == 0
    assert any("Sandbox" in minor for _, minor, _, _ in told)
    check_without_disk(scene, disk)


@pytest.mark.scenario(20, "the disk is full when the agent looks at its node, and 4 s later has space again")
def test_agent_takes_work_again_when_space_has_returned(scene: Scene, disk: SmallDisk) -> None:
    agent = scene.agent(Options(more=PATIENT))
    scene.until(lambda: "match.empty" in agent.written(), "it works")
    disk.fill(leave_bytes=0)
    job_id = scene.submit(SHORT)
    scene.until(lambda: "node.unfit" in agent.written(), "it has looked")
    time.sleep(FULL_S)
    disk.empty()

    scene.until(lambda: scene.statuses()[job_id] == "Done", "it works again", 60)

    agent.signal(15)
    assert agent.ended(20) == 0
    assert "Traceback" not in agent.written()
    check_without_disk(scene, disk)


@pytest.mark.scenario(21, "every inode of the disk is used while the agent waits for work")
def test_agent_without_inodes_loses_no_job(scene: Scene, disk: SmallDisk) -> None:
    agent = scene.agent(Options(more=PATIENT))
    scene.until(lambda: "match.empty" in agent.written(), "it works")
    disk.use_all_inodes()
    job_id = scene.submit(SHORT)
    scene.until(lambda: "node.unfit" in agent.written(), "it has looked")
    time.sleep(FULL_S)
    disk.empty()

    scene.until(lambda: scene.statuses()[job_id] in ("Done", *BACK), "it is not lost", 60)

    agent.signal(15)
    agent.ended(20)
    assert "Traceback" not in agent.written()
    scene.client.call("JobManager", "killJob", job_id)
    check_without_disk(scene, disk)


@pytest.mark.scenario(21, "the disk becomes read-only while a job runs")
def test_end_of_a_job_on_a_read_only_disk_is_reported(scene: Scene, disk: SmallDisk) -> None:
    job_id = scene.submit(sleeps(2))
    agent = scene.agent(Options(more=PATIENT))
    scene.until(lambda: scene.is_running(job_id), "the payload runs")

    disk.make_read_only()
    scene.until(lambda: scene.statuses()[job_id] in ("Done", "Failed", *BACK), "its end is told", 20)

    agent.signal(15)
    agent.ended(20)
    disk.make_writable()
    again = scene.agent()
    assert again.ended() == 0, again.written()
    check_without_disk(scene, disk)


@pytest.mark.scenario(21, "fdatasync of the ledger fails with EIO (strace injects it)")
def test_ledger_that_cannot_be_synced_starts_no_job(scene: Scene, need: Need) -> None:
    need("strace", bool(shutil.which("strace")), "it makes system calls fail")
    job_id = scene.submit(SHORT)
    inject = ["strace", "-f", "-q", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]
    inject += ["-e", "inject=fdatasync,fsync:error=EIO"]

    agent = scene.agent(Options(before=inject))

    agent.ended(40)
    assert "Traceback" not in agent.written()
    again = scene.agent()
    assert again.ended() == 0, again.written()
    assert scene.statuses()[job_id] == "Done"
    invariants.check(scene)
