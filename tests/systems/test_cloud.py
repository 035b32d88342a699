"""CE type Cloud on real machines: qemu boots them, real cloud-init runs what they are told. All of it: `make cloud`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.local_wms.client import Client, connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from ce_backends.base import Accepted, TaskState, TaskStatus
from ce_backends.batch.ce import BatchCE
from ce_backends.registry import create
from tests.end_to_end.director import SECTION, SiteDirector
from tests.systems import machines
from tests.systems.machines import LEAN, WHOLE
from tests.systems.sharing import web_server
from tests.waiting import until

ROOT = Path(__file__).parents[2]
BOOT_S = 900.0
ONE_JOB = "--MaxCycles 1"
SITE = """
Resources {{ Sites {{ LOCAL {{ LOCAL.Demo.ch {{ CEs {{
    cloud.ce {{
        CEType = Cloud
{options}
        Queues {{ machines {{
            MaxTotalJobs = {most}
            MaxWaitingJobs = {most}
            ExtraPilotOptions = {pilot}
        }} }}
    }}
}} }} }} }} }}
"""
QUEUE = "cloud.ce/machines"


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest) -> Path:
    return machines.image(request)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("bundle")
    subprocess.run([sys.executable, "-m", "tools.bundle", "--into", str(into)], cwd=ROOT, check=True)
    return into / "gridpilot.pyz"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wms")


@pytest.fixture(scope="module")
def endpoint(home: Path) -> Iterator[Endpoint]:
    with running(home) as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    machines.end_all(tmp_path)


def submit(client: Client, folder: Path, number: int, script: str) -> list[int]:
    jdl = f'Executable = "/bin/sh"; Arguments = "-c \'{script}\'"; StdOutput = "out"; OutputSandbox = {{"out"}};'
    (folder / "job.jdl").write_text(f"{jdl} Parameters = {number};", encoding="utf-8")
    return client.submit(folder / "job.jdl")


def statuses(client: Client, job_ids: list[int]) -> Counter[str]:
    summary: dict[str, Any] = client.call("JobMonitoring", "getJobsSummary", job_ids)
    return Counter(job["Status"] for job in summary.values())


def director(
    folder: Path, home: Path, endpoint: Endpoint, bundle: Path, options: dict[str, str], most: int
) -> SiteDirector:
    port = endpoint.url.rsplit(":", 1)[1].split("/")[0]
    (folder / "relay.yaml").write_text(machines.RELAY.format(port=port), encoding="utf-8")
    options = {**options, "Context_Template": str(folder / "relay.yaml")}
    lines = "\n".join(f"        {name} = {value}" for name, value in options.items())
    (folder / "sites.cfg").write_text(SITE.format(options=lines, most=most, pilot=ONE_JOB), encoding="utf-8")
    words = ["--local", str(home), "--cfg", str(folder / "sites.cfg"), "-o", f"{SECTION}/CEs=cloud.ce"]
    return SiteDirector(folder, [*words, "-o", f"{SECTION}/Bundle={bundle}"])


def runs_jobs_and_is_gone(
    folder: Path, home: Path, endpoint: Endpoint, bundle: Path, options: dict[str, str], number: int
) -> None:
    """Boot machines for jobs that each need one of their own at the same time; nothing of them stays."""
    client = connect(endpoint)
    ce_folder = folder / "director/ces" / QUEUE.replace("/", "%")
    with director(folder, home, endpoint, bundle, options, number) as factory:
        job_ids = submit(client, folder, number, "hostname; sleep 5")
        until(lambda: len(_pids(ce_folder)) == number, "machines are created", BOOT_S)
        pids, names = _pids(ce_folder), {machine.name for machine in machines.machines(ce_folder)}
        until(lambda: statuses(client, job_ids) == {"Done": number}, "the jobs are done", BOOT_S)
        until(lambda: factory.pilots(QUEUE) == {"Done": number}, "the pilots have ended", BOOT_S)
        until(lambda: machines.machines(ce_folder) == [], "the machines are gone", BOOT_S)
        code = factory.stop()

    assert code == 0
    assert not any(map(machines.lives, pids))
    assert {printed(client, job_id, folder) for job_id in job_ids} == names


def _pids(ce_folder: Path) -> list[int]:
    """Return the processes of the machines whose qemu has written its number."""
    found = machines.machines(ce_folder)
    return [machines.pid_of(machine) for machine in found if _size(machine / "pid")]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def printed(client: Client, job_id: int, folder: Path) -> str:
    client.output(job_id, folder / str(job_id))
    return (folder / str(job_id) / "out").read_text().strip()


def test_one_machine_boots_runs_a_job_and_is_gone(
    image: Path, endpoint: Endpoint, home: Path, bundle: Path, folder: Path
) -> None:
    runs_jobs_and_is_gone(folder, home, endpoint, bundle, machines.options(image, LEAN), 1)


@pytest.mark.slow
def test_a_machine_as_clouds_have_it_runs_a_job_and_is_gone(
    image: Path, endpoint: Endpoint, home: Path, bundle: Path, folder: Path
) -> None:
    """All of systemd's and cloud-init's stages."""
    runs_jobs_and_is_gone(folder, home, endpoint, bundle, machines.options(image, WHOLE), 1)


@pytest.mark.slow
def test_ten_machines_each_run_a_job_and_are_gone(
    image: Path, endpoint: Endpoint, home: Path, bundle: Path, folder: Path
) -> None:
    runs_jobs_and_is_gone(folder, home, endpoint, bundle, machines.options(image, LEAN), 10)


# ---- without a WMS: what happens to single machines


@pytest.fixture
def made(image: Path, folder: Path) -> Iterator[Callable[..., BatchCE]]:
    """Return what makes the CE, over and over in the same work directory."""
    opened: list[BatchCE] = []

    def make(**more: object) -> BatchCE:
        opened.append(create("Cloud", machines.options(image, LEAN, **more), folder / "ce"))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    for ce in opened:
        ce.close()


def state(ce: BatchCE, task_id: str) -> TaskState:
    return ce.poll([task_id])[task_id].state


def ended(ce: BatchCE, task_id: str) -> TaskStatus:
    until(lambda: state(ce, task_id).is_final, "it has ended", BOOT_S)
    return ce.poll([task_id])[task_id]


@pytest.mark.slow
def test_a_machine_that_hangs_while_it_boots_is_ended_and_told_so(made: Callable[..., BatchCE], folder: Path) -> None:
    ce = made(Context_BootTime=15)
    task = machines.task("true")

    answer = ce.submit([task])[task.stamp]
    assert isinstance(answer, Accepted)
    (machine,) = machines.machines(folder / "ce")
    pid = machines.pid_of(machine)
    os.kill(pid, signal.SIGSTOP)  # it boots no further
    is_there = machines.lives(pid)
    end = ended(ce, answer.task_id)
    until(lambda: not machines.machines(folder / "ce"), "it is deleted")

    assert is_there
    assert (end.state, end.reason.split(":")[0]) == (TaskState.FAILED, "its machine has hung")
    assert not machines.lives(pid)


@pytest.mark.slow
def test_a_machine_whose_task_never_ends_goes_off_by_itself(made: Callable[..., BatchCE], folder: Path) -> None:
    """Nobody looks from outside: the deadline is the machine's own."""
    ce = made(Context_MaxLifetime=60, StatusInterval=100000)
    task = machines.task("sleep 100000")

    answer = ce.submit([task])[task.stamp]
    assert isinstance(answer, Accepted)
    (machine,) = machines.machines(folder / "ce")
    pid = machines.pid_of(machine)
    until(lambda: ":began" in machines.console(machine), "its task runs", BOOT_S)
    until(lambda: not machines.lives(pid), "it is off", BOOT_S)
    said = machines.console(machine)
    until(lambda: ce.look() or state(ce, answer.task_id).is_final, "it is seen when it is looked for")
    end = ce.poll([answer.task_id])[answer.task_id]

    assert "failed:it has reached its deadline of 60 s" in said
    assert (end.state, end.reason) == (TaskState.FAILED, "it has reached its deadline of 60 s")
    assert machines.machines(folder / "ce") == []


@pytest.mark.slow
def test_a_machine_fetches_what_a_web_server_shows(made: Callable[..., BatchCE], folder: Path) -> None:
    """What is too large for user data. The machine trusts the server by what the site adds to its user data."""
    number = 100_000
    (folder / "large").write_text("x" * number)
    with web_server(folder, "10.0.2.2") as shown:
        (folder / "trust.yaml").write_text(_trusting(shown.authority), encoding="utf-8")
        ce = made(Context_Template=folder / "trust.yaml", Context_FilesDir=shown.folder, Context_FilesURL=shown.url)
        task = machines.task("stat -c %s large", inputs=[folder / "large"])
        answer = ce.submit([task])[task.stamp]
        assert isinstance(answer, Accepted)
        end = ended(ce, answer.task_id)
        ce.fetch(answer.task_id, folder / "out")

    assert (end.state, end.exit_code) == (TaskState.DONE, 0), end.reason
    assert (folder / "out/stdout").read_text() == f"{number}\n"
    assert shown.asked.total() == 1


def _trusting(authority: str) -> str:
    lines = "".join(f"    {line}\n" for line in authority.splitlines())
    head = "#cloud-config\nwrite_files:\n- path: /etc/ssl/certs/ca-certificates.crt\n  append: true\n  content: |\n"
    return f"{head}{lines}"


@pytest.mark.slow
def test_a_machine_that_nobody_knows_is_found_by_its_name_and_removed(
    made: Callable[..., BatchCE], folder: Path
) -> None:
    first = made()
    task = machines.task("sleep 100000")
    first.submit([task])
    first.close()
    (machine,) = machines.machines(folder / "ce")
    pid = machines.pid_of(machine)
    for path in (folder / "ce").glob("tasks.sqlite*"):
        path.unlink()  # all that was known of it

    ce = made()
    ce.look()
    young = machines.lives(pid)
    long_ago = time.time() - 3600
    os.utime(machine / "started", (long_ago, long_ago))
    stranger = folder / "ce/machines" / machine.name.replace(machine.name[10:22], "0" * 12)
    stranger.mkdir()
    ce.look()

    assert young, "its creation might be under way"
    assert not machines.lives(pid)
    assert machines.machines(folder / "ce") == [stranger]


@pytest.mark.slow
def test_a_machine_whose_create_answer_was_lost_is_found_and_not_made_twice(
    image: Path, made: Callable[..., BatchCE], folder: Path
) -> None:
    """The process dies between the creation and its answer: the next one finds the machine by its name."""
    task = machines.task("cat /proc/sys/kernel/hostname")
    dies = (
        "import sys, os, json; from pathlib import Path; from ce_backends.registry import create; "
        "from ce_backends.base import TaskSpec; from ce_backends.cloud.qemu import Qemu; made = Qemu.create; "
        "Qemu.create = lambda *a: (made(*a), os._exit(9)); "
        "create('Cloud', json.loads(sys.argv[1]), Path(sys.argv[2])).submit("
        "[TaskSpec(stamp=sys.argv[3], script=sys.argv[4])])"
    )
    argv = [sys.executable, "-c", dies, json.dumps(machines.options(image)), str(folder / "ce")]
    done = subprocess.run([*argv, task.stamp, task.script], cwd=ROOT, check=False)
    there = [machines.pid_of(machine) for machine in machines.machines(folder / "ce")]

    ce = made()
    found = ce.find([task.stamp])
    again = ce.submit([task])[task.stamp]
    pids = [machines.pid_of(machine) for machine in machines.machines(folder / "ce")]
    end = ended(ce, found[task.stamp])
    ce.fetch(found[task.stamp], folder / "out")

    assert done.returncode == 9
    assert len(there) == 1
    assert pids == there
    assert again == Accepted(found[task.stamp])
    assert (end.state, end.exit_code) == (TaskState.DONE, 0)
    assert (folder / "out/stdout").read_text().strip() == found[task.stamp]
