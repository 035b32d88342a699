"""Faults while files of jobs move, on a real DIRAC and real storage: each transfer is held half-way, then the fault.

Jobs run side by side in one agent. That a fault took effect is shown by what the server's own disk, its port, or
another client says at that moment; what came of a job, by DIRAC's own client and by the elements' disks.
"""

import json
import os
import shutil
import socket
import subprocess
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults.small_disk import SmallDisk, can_mount
from tests.system.agent_at_points import AgentAtPoints
from tests.system.data_scene import kill, stopped
from tests.system.dirac_stack import FINAL, Stack, script
from tests.system.storage import DiracData
from tests.system.storage import script as storage_script
from tests.waiting import until, within

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not can_mount(), reason="only root mounts file systems")

TAG = "datafaults"
PLAIN = f'Executable = "/bin/sh"; StdOutput = "std.out"; OutputSandbox = "std.out"; Tags = "{TAG}"; '
SIZE_BYTES = 8_000_000
RUN_S = 240.0
STOPPED_S, GONE_S = 3.0, 10.0
APACHES = ".davfs.tmp"  # where it writes a body before the file gets its name
OVER = (*FINAL, "Completed")
OUTPUTS = {  # by what happens to it: the element that the job wants
    "killed": "DAV-disk",
    "expired": "DAV-disk",
    "stopped": "XRD-https",
    "full": "LAB-disk",
    "read_only": "LAB-disk",
    "no_catalogue": "XRD-https",
    "clash": "FAR-https",
}
INPUTS = {"source_killed": ("DAV-disk", "FAR-https"), "source_restarted": ("DAV-disk",)}
SERVERS = ("webdav", "catalogue")


@dataclass
class Run:
    """What was done, and what has come of it.

    Attributes:
        home: folder of the outputs in the catalogue.
        content: of the inputs, by name.
        jobs: by name.
        effects: what was seen of each fault at its moment.
        states: what DIRAC says of jobs at the end.
        known: what the catalogue says of each output.
    """

    stack: Stack
    data: DiracData
    home: str
    content: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, int] = field(default_factory=dict)
    effects: dict[str, Any] = field(default_factory=dict)
    states: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    known: Mapping[str, Any] = field(default_factory=dict)

    def lfn(self, name: str) -> str:
        return f"{self.home}/{name}/{name}.root"

    def state(self, name: str) -> Mapping[str, Any]:
        return self.states[self.jobs[name]]

    def ends(self, name: str, status: str, minor: str) -> None:
        state = self.state(name)
        assert (state["Status"], state["MinorStatus"]) == (status, minor), state["History"]

    def is_whole_at(self, name: str, *elements: str) -> None:
        """The catalogue and the disks agree: this content, at these elements and nowhere else."""
        lfn = self.lfn(name)
        known = self.known[lfn]
        assert known is not None, self.state(name)["History"]
        assert known["Replicas"] == sorted(elements)
        for element in (*set(OUTPUTS.values()), "FAR-disk"):
            there = self.there(element, name)
            assert list(there) == ([f"{name}.root"] if element in elements else []), element
        for element in elements:
            content = self.data.path(element, lfn).read_bytes()
            assert (len(content), known["Size"]) == (SIZE_BYTES, SIZE_BYTES)
            assert zlib.adler32(content) == int(known["Checksum"], 16)

    def there(self, element: str, name: str) -> dict[str, int]:
        """What lies in a job's folder at an element, with sizes, but for what a killed Apache leaves."""
        folder = self.data.path(element, self.lfn(name)).parent
        found = sorted(folder.iterdir()) if folder.exists() else []
        own = (path for path in found if path.is_file() and not path.name.startswith(APACHES))
        return {path.name: path.stat().st_size for path in own}

    def half(self, name: str) -> int:
        """The bytes of a file's first half at its element, under whatever name; not those of what fills a disk."""
        folder = self.data.path(OUTPUTS[name], self.lfn(name)).parent
        return max((path.stat().st_size for path in folder.iterdir() if path.name != "filler"), default=0)


def answers(server: str) -> bool:
    """Tell whether somebody listens at a server's port."""
    ports = {"webdav": 4, "catalogue": 6}  # tests/clusters/storage/ports.sh
    port = int(os.environ.get("GRIDPILOT_STORAGE_PORT", "19700")) + ports[server]
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def put_inputs(run: Run, folder: Path) -> None:
    files = []
    for name, elements in INPUTS.items():
        run.content[name] = os.urandom(SIZE_BYTES)
        (folder / f"{name}.in").write_bytes(run.content[name])
        lfn = f"{run.home}/{name}/{name}.in"
        files.append({"lfn": lfn, "file": str(folder / f"{name}.in"), "elements": elements})
    run.data.client("user", "fill", json.dumps(files))


def submit_outputs(run: Run) -> None:
    def jdl(name: str) -> str:
        made = f"head -c {SIZE_BYTES} /dev/urandom >{name}.root"
        data = f'OutputData = "LFN:{run.lfn(name)}"; OutputSE = "{OUTPUTS[name]}";'
        return f"[ {PLAIN} Arguments = \"-c '{made}'\"; {data} ]"

    of_other = ["expired"]
    for who, names in (("user2", of_other), ("user", [name for name in OUTPUTS if name not in of_other])):
        run.jobs |= zip(names, run.stack.client(who, "submit-each", *map(jdl, names)), strict=True)


def submit_inputs(run: Run) -> None:
    """Only now: while their files are held these jobs keep their processors, those of outputs do not."""

    def jdl(name: str) -> str:
        data = f'InputData = "LFN:{run.home}/{name}/{name}.in";'
        return f"[ {PLAIN} Arguments = \"-c 'cksum {name}.in'\"; {data} ]"

    run.jobs |= zip(INPUTS, run.stack.client("user", "submit-each", *map(jdl, INPUTS)), strict=True)


def mount(run: Run, folder: Path, mounts: ExitStack) -> dict[str, SmallDisk]:
    """Give the folders of two outputs at their element a small disk each; one has room for half of a file."""
    disks: dict[str, SmallDisk] = {}
    for name in ("full", "read_only"):
        place = run.data.path(OUTPUTS[name], run.lfn(name)).parent
        place.mkdir(parents=True)
        disks[name] = SmallDisk(folder / f"{name}.img", place)
        mounts.callback(disks[name].close)
        shutil.rmtree(place / "lost+found")
    disks["full"].fill(leave_bytes=SIZE_BYTES * 3 // 4)
    return disks


def make_faults(run: Run, agent: AgentAtPoints, disks: Mapping[str, SmallDisk], folder: Path) -> None:
    """Wait for each transfer to be half-way; then the fault, and what can be seen of it."""
    for name in OUTPUTS:
        agent.held(f"{name}.root")
        run.effects[name] = run.half(name)
    (folder / "stranger.root").write_bytes(b"others wrote this\n")
    run.data.put(run.lfn("clash"), folder / "stranger.root", "FAR-disk")
    agent.let_go("clash.root")
    submit_inputs(run)
    for name in INPUTS:
        agent.held(f"{name}.in")
    disks["read_only"].make_read_only()
    expired = agent.owners_proxy("User Two")
    expired.write_bytes(Path(run.data.storage.proxy("expired")).read_bytes())
    for server in SERVERS:
        kill(server)
        run.effects[server] = within(GONE_S, lambda server=server: not answers(server))
    with stopped("near"):
        agent.let_go("stopped.root")
        before = run.there("XRD-https", "stopped")
        time.sleep(STOPPED_S)
        run.effects["while stopped"] = (before, run.there("XRD-https", "stopped"))
    agent.let_go("no_catalogue.root", "killed.root", "expired.root", "full.root", "read_only.root", "source_killed.in")
    until(lambda: run.there("XRD-https", "no_catalogue").get("no_catalogue.root") == SIZE_BYTES, "the file is stored")
    until(lambda: run.there("FAR-disk", "killed"), "another element is taken")
    run.effects["stored without a catalogue"] = not answers("catalogue")
    agent.let_go("source_restarted.in")
    storage_script("up.sh", "dirac")


@pytest.fixture(scope="module")
def run(stack: Stack, data: DiracData, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    script("publish.sh", "dips")
    script("sweep.sh")
    folder = tmp_path_factory.mktemp("faults")
    made = Run(stack, data, f"/labvo/data/faults-{uuid.uuid4().hex[:8]}")
    data.client("admin", "directories", made.home.removeprefix("/labvo"))
    try:
        put_inputs(made, folder)
        submit_outputs(made)
        with ExitStack() as mounts:
            disks = mount(made, folder, mounts)
            agent = mounts.enter_context(AgentAtPoints(stack, folder, TAG, "-P", "4"))
            agent.hold(*(f"{name}.root" for name in OUTPUTS), *(f"{name}.in" for name in INPUTS))
            agent.start()
            make_faults(made, agent, disks, folder)
            stack.wait(list(made.jobs.values()), lambda status: status in OVER, RUN_S)
            assert agent.end() == 0, agent.said()
            made.effects["left on the full disk"] = made.there("LAB-disk", "full")
            made.effects["left on the read-only disk"] = made.there("LAB-disk", "read_only")
        made.states = stack.status(*made.jobs.values(), full=True)
        made.known = data.look(*map(made.lfn, OUTPUTS))
        yield made
    finally:
        storage_script("up.sh", "dirac")
        stack.client("admin", "delete", *map(str, made.jobs.values()))


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_fault_came_amid_the_transfer(run: Run, name: str) -> None:
    assert 0 < run.effects[name] < SIZE_BYTES


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_is_killed_does_not_answer(run: Run, server: str) -> None:
    assert run.effects[server]


def test_an_element_that_is_killed_in_an_upload(run: Run) -> None:
    run.ends("killed", "Completed", "Pending Requests")
    run.is_whole_at("killed", "FAR-disk")


def test_an_element_that_is_stopped_in_an_upload_and_goes_on(run: Run) -> None:
    before, after = run.effects["while stopped"]
    assert before == after
    run.ends("stopped", "Done", "Execution Complete")
    run.is_whole_at("stopped", "XRD-https")


@pytest.mark.parametrize(("name", "disk"), [("full", "full"), ("read_only", "read-only")])
def test_an_element_that_is_full_or_read_only_in_an_upload(run: Run, name: str, disk: str) -> None:
    run.ends(name, "Completed", "Pending Requests")
    run.is_whole_at(name, "FAR-disk")
    if disk == "full":  # from a read-only one nothing can be taken away
        assert list(run.effects["left on the full disk"]) == ["filler"]


def test_a_catalogue_that_is_down_after_the_put(run: Run) -> None:
    assert run.effects["stored without a catalogue"]
    run.ends("no_catalogue", "Done", "Execution Complete")
    run.is_whole_at("no_catalogue", "XRD-https")


def test_a_proxy_that_expires_in_an_upload(run: Run) -> None:
    run.ends("expired", "Failed", "Uploading Output Data")
    assert "expired" in run.state("expired")["ApplicationStatus"]
    assert run.known[run.lfn("expired")] is None
    assert run.there("FAR-disk", "expired") == {}


def test_a_name_that_somebody_takes_in_an_upload(run: Run) -> None:
    run.ends("clash", "Failed", "Uploading Output Data")
    assert run.state("clash")["ApplicationStatus"].startswith("LFN exists with other content")
    known = run.known[run.lfn("clash")]
    assert (known["Size"], known["Replicas"]) == (len(b"others wrote this\n"), ["FAR-disk"])
    assert run.data.path("FAR-disk", run.lfn("clash")).read_bytes() == b"others wrote this\n"


@pytest.mark.parametrize("name", INPUTS)
def test_a_source_that_is_killed_in_a_download(run: Run, tmp_path: Path, name: str) -> None:
    run.ends(name, "Done", "Execution Complete")
    (tmp_path / "in").write_bytes(run.content[name])
    run.stack.client("user", "output", str(run.jobs[name]), "--into", str(tmp_path))
    said = (tmp_path / "std.out").read_text(encoding="ascii").split()
    assert said[:2] == cksum(tmp_path / "in")


def cksum(path: Path) -> list[str]:
    return subprocess.run(["cksum", str(path)], check=True, capture_output=True, text=True).stdout.split()[:2]
