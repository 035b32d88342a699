"""Scenarios 18, 19, 22, 23: payloads that take more than they were given."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults import invariants
from tests.faults.box import mounted_cgroups, read_proc, rss_mb
from tests.faults.payloads import sleeps, waits_for
from tests.faults.scene import AGENT, Options, Scene
from tests.faults.test_containment import hostile

LIMIT_MB = 100
MEMORY = f"MaxRAM = {LIMIT_MB}; MinRAM = {LIMIT_MB};"
SLOT = {"/Resources/Computing/CEDefaults/MaxRAM": "4000"}
Need = Callable[[str, bool, str], None]


def need_memory_limit(need: Need) -> None:
    need("memory-cgroup", bool({"memory", "v2"} & set(mounted_cgroups())), "a memory controller is needed")


def can_protect() -> bool:
    """Tell whether a process here may be protected from the OOM killer."""
    argv = ["/bin/sh", "-c", "echo -500 >/proc/self/oom_score_adj"]
    return subprocess.run(argv, capture_output=True, check=False, timeout=10).returncode == 0


HOGS = {
    "at once": f"x = bytearray({3 * LIMIT_MB} * 10**6)",
    "slowly": "import time; x = []\nwhile True: x.append(bytearray(4 * 10**6)); time.sleep(0.02)",
}


@pytest.mark.scenario(18, "a payload takes 3 times its memory limit, at once or little by little")
@pytest.mark.parametrize("kind", [pytest.param("at once", marks=pytest.mark.quick), "slowly"])
def test_job_over_its_memory_limit_dies_alone_with_the_reason(scene: Scene, need: Need, kind: str) -> None:
    need_memory_limit(need)
    hog = scene.submit(f"exec {shlex.join([sys.executable, '-c', HOGS[kind]])}", MEMORY)
    other = scene.submit(sleeps(2))

    agent = scene.agent(Options(more=SLOT))

    assert agent.ended() == 0
    assert scene.status(hog)["Status"] == "Failed"
    assert f"memory limit of {LIMIT_MB} MB exceeded" in scene.status(hog)["ApplicationStatus"]
    assert "peak" in scene.status(hog)["ApplicationStatus"]
    assert scene.statuses()[other] == "Done"
    invariants.check(scene)


@pytest.mark.scenario(18, "a payload in a container fills /dev/shm over its memory limit, and leaves the file there")
def test_shared_memory_counts_and_is_gone_with_its_job(scene: Scene, need: Need) -> None:
    need_memory_limit(need)
    need("bwrap", bool(shutil.which("bwrap")), "without a container all jobs of the node share its /dev/shm")
    left = Path("/dev/shm", f"left-by-{scene.name}")
    job_id = scene.submit(f"head -c {3 * LIMIT_MB}M /dev/zero >{left}", MEMORY, sandbox=True)

    assert scene.agent(Options(more=SLOT | {"/LocalSite/LocalCE": "Pool/Bubblewrap"})).ended() == 0

    assert scene.status(job_id)["Status"] == "Failed"
    assert "memory limit" in scene.status(job_id)["ApplicationStatus"]
    invariants.check(scene)


@pytest.mark.scenario(18, "the agent is protected from the OOM killer")
def test_payload_does_not_inherit_the_agents_protection(scene: Scene, need: Need) -> None:
    shown = scene.folder / "score"
    scene.submit(f"cat /proc/self/oom_score_adj >{shown}")
    need("resource-capability", can_protect(), "CAP_SYS_RESOURCE is needed to lower an OOM score")
    protect = ["/bin/sh", "-c", 'echo -500 >/proc/self/oom_score_adj && exec "$@"', "sh"]

    assert scene.agent(Options(before=protect)).ended() == 0

    assert int(shown.read_text(encoding="ascii")) == 0
    invariants.check(scene)


@pytest.mark.scenario(19, "four busy processes in a job that was granted one processor of two")
def test_busy_job_stays_on_its_processor(scene: Scene) -> None:
    shown, busy = scene.folder / "allowed", 'timeout 2 sh -c "while :; do :; done" &\n'
    show = f"grep Cpus_allowed_list /proc/self/status >>{shown}"
    both = f"{show}\nuntil [ $(wc -l <{shown}) -ge 2 ]; do sleep 0.1; done"
    hog = scene.submit(f"{busy * 4}{both}\nwait")
    other = scene.submit(both)

    assert scene.agent().ended() == 0

    allowed = shown.read_text(encoding="ascii").split("\n")[:-1]
    assert len(set(allowed)) == 2, allowed
    assert all("," not in line and "-" not in line for line in allowed), allowed
    assert scene.statuses() == {hog: "Done", other: "Done"}
    invariants.check(scene)


@pytest.mark.scenario(19, "a job that was granted one processor sets its own affinity to all of them")
def test_job_cannot_widen_its_grant(scene: Scene) -> None:
    shown = scene.folder / "allowed"
    body = "import os; os.sched_setaffinity(0, range(2)); print(os.sched_getaffinity(0))"
    scene.submit(f'{sys.executable} -c "{body}" >{shown}')

    assert scene.agent().ended() == 0

    assert len(shown.read_text(encoding="ascii").split(",")) == 1, shown.read_text(encoding="ascii")
    invariants.check(scene)


OUTPUT_MB = 200
WRAPPER = "/Systems/WorkloadManagement/JobWrapper"
WATCHED = {f"{AGENT}/HeartBeatPeriod": "0.3"}


@pytest.mark.scenario(22, "200 MB of output without a line end, with NUL, invalid UTF-8 and ANSI sequences")
def test_agent_does_not_grow_with_a_payloads_output_and_can_still_peek(scene: Scene) -> None:
    go = scene.folder / "go"
    job_id = scene.submit(f"{hostile('babbles', OUTPUT_MB)}; {waits_for(go)}")
    agent = scene.agent(Options(more=WATCHED))
    scene.until(lambda: scene.is_running(job_id), "the payload runs")
    before, most = rss_mb(agent.pid), 0.0

    def is_peeked() -> bool:
        nonlocal most
        most = max(most, rss_mb(agent.pid))
        return "last words" in scene.status(job_id).get("StandardOutput", "")

    scene.until(is_peeked, "its last words are seen")
    go.touch()
    assert agent.ended() == 0, agent.written()
    assert most - before < 20, f"the agent grew from {before:.0f} to {most:.0f} MB"
    invariants.check(scene)


@pytest.mark.scenario(22, "200 MB of output, declared as output sandbox")
def test_owner_gets_head_and_tail_of_too_much_output(scene: Scene) -> None:
    job_id = scene.submit(hostile("babbles", OUTPUT_MB), 'OutputSandbox = {"std.out"};')

    assert scene.agent().ended() == 0

    names = scene.client.call("SandboxStore", "getSandboxesAssignedToEntity", f"Job:{job_id}")
    assert names.get("Output"), "there is no output sandbox"
    (path,) = scene.client.output(job_id, scene.folder / "output")
    content = path.read_bytes()
    assert content.startswith(b"first words")
    assert content.rstrip().endswith(b"last words")
    invariants.check(scene)


@pytest.mark.scenario(22, "a payload writes more to its disk than the job may hold")
def test_disk_of_a_job_has_a_limit(scene: Scene) -> None:
    job_id = scene.submit(f"head -c {OUTPUT_MB}M /dev/zero >data; sleep 600")

    assert scene.agent(Options(more=WATCHED | {f"{WRAPPER}/DiskLimit": "50"})).ended() == 0

    told = scene.status(job_id)
    assert told["Status"] == "Failed", told
    assert told["MinorStatus"] == "Job has insufficient disk space to continue", told
    assert told["ApplicationStatus"].startswith("disk limit of 50 MB exceeded (used "), told
    invariants.check(scene)


@pytest.mark.long
@pytest.mark.scenario(22, "10 GB of standard output in one line")
def test_10_gb_of_output_take_little_disk_and_the_owner_gets_head_and_tail(scene: Scene) -> None:
    body = "echo first words; head -c 10G /dev/zero; echo last words; touch written; sleep 3"
    job_id = scene.submit(body, 'OutputSandbox = {"std.out"};')
    agent = scene.agent(Options(more=WATCHED))
    most = 0
    while not agent.is_over:
        with suppress(FileNotFoundError):  # removed at this moment
            most = max(most, sum(file.stat().st_blocks * 512 for file in scene.work_dir.glob("tasks/*/work/std.out")))
        scene.look()

    assert agent.ended() == 0
    (path,) = scene.client.output(job_id, scene.folder / "output")
    content = path.read_bytes()
    assert content.startswith(b"first words\n")
    assert content.endswith(b"last words\n")
    assert b" bytes left out]\n" in content
    assert most < 8 * 10**9, f"{most} bytes on disk"
    invariants.check(scene)


# what the payload does to its directories; `outside` is a directory of somebody else
MISTREATMENTS = {
    "deleted": "rm -rf -- * .[!.]* ../work; true",
    "unreadable": "mkdir -p a/b && touch a/b/c && chmod 0 a/b a . ../tmp ..; true",
    "replaced": "cd .. && mv work elsewhere && ln -s {outside} work; rm -f stdout; mkfifo stdout; true",
    "many files": "for d in $(seq 200); do mkdir d$d; (cd d$d; seq 100 | xargs touch); done",
    "deep": "{python} -c \"import os\nfor n in range(3000): os.mkdir('d'*10); os.chdir('d'*10)\"",
    "links out": "ln -s / root; ln -s {outside} out; ln -s loop loop; ln {outside}/kept hard; mkdir x; ln -s / x/y",
    "immutable": "mkdir stone; touch stone/file; chattr +i stone stone/file",
    "sockets and pipes": "mkfifo pipe; {python} -c \"import socket; socket.socket(socket.AF_UNIX).bind('s')\"",
}


@pytest.mark.scenario(23, "the payload deletes, locks, replaces, fills its directories; deep paths, links")
@pytest.mark.parametrize("kind", MISTREATMENTS)
def test_directory_is_removed_in_60_s_and_nothing_outside_is_touched(scene: Scene, kind: str, need: Need) -> None:
    need("chattr", kind != "immutable" or bool(shutil.which("chattr")), "it makes files immutable")
    outside = scene.folder / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept", encoding="ascii")
    scene.submit(MISTREATMENTS[kind].format(outside=outside, python=sys.executable))

    agent = scene.agent()

    assert agent.ended(60) == 0, agent.written()
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert (outside / "kept").read_text(encoding="ascii") == "kept"
    assert read_proc(scene.canary.process.pid, "stat")
    invariants.check(scene)
