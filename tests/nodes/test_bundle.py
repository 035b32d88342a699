"""The bundle on bare Debian nodes: nothing but the node's Python, no compiler, no pip, no network but loopback."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes.bare_node import ROOT, Node, Wms, tree, wms_on_loopback

SUITES = {"bullseye": ("3.9", "2.31"), "bookworm": ("3.11", "2.36"), "trixie": ("3.13", "2.41")}
JDL = 'Executable = "/bin/sh"; Arguments = "-c \'cat /etc/debian_version\'"; StdOutput = "o"; OutputSandbox = {"o"};'


@pytest.fixture(scope="session")
def wms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wms]:
    tree("bookworm")  # installs what namespaces are made with
    with wms_on_loopback(tmp_path_factory.mktemp("wms") / "home") as running:
        yield running


@pytest.fixture(params=SUITES)
def node(request: pytest.FixtureRequest, bundle: Path, wms: Wms, tmp_path: Path) -> Node:
    return Node(tree(request.param), tmp_path, bundle, wms)


def submit(wms: Wms, folder: Path) -> int:
    path = folder / "job.jdl"
    path.write_text(JDL, encoding="utf-8")
    job = int(wms.command("submit", str(path)).split()[-1])
    path.unlink()
    return job


def suite_of(node: Node) -> str:
    return node.tree.name


def test_the_node_is_bare(node: Node) -> None:
    asked = "import sys, importlib.util as u; print('%d.%d' % sys.version_info[:2], u.find_spec('pip'))"

    python = node.run("python3", "-c", asked)
    others = node.run(
        "sh", "-c", "command -v cc gcc curl wget openssl; ls /sys/class/net 2>/dev/null; cat /proc/net/dev"
    )

    assert python.stdout.split() == [SUITES[suite_of(node)][0], "None"]
    assert [line.split(":")[0].strip() for line in others.stdout.splitlines()[2:]] == ["lo"]


@pytest.mark.parametrize("start", ["/opt/gridpilot.pyz", "/opt/gridpilot/start.py"])
def test_a_job_is_done_from_the_one_file_and_from_the_read_only_folder(node: Node, start: str) -> None:
    job = submit(node.wms, node.work)

    ended = node.pilot(start)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert node.wms.job(job)["status"] == "Done", ended.stdout
    version, libc = SUITES[suite_of(node)]
    assert f'why="came with the bundle; /usr/bin/python3 is Python {version}"' in ended.stdout
    assert f"Architecture = Linux_x86_64_glibc-{libc}" in (node.work / "pilot.cfg").read_text()
    assert not list(node.work.glob(".gridpilot*"))
    assert (node.work / "left").read_text() == ""


def test_a_job_of_dirac_s_job_api_runs_on_the_nodes_python(node: Node) -> None:
    job = int(node.wms.command("submit", str(ROOT / "configs/demo/workflow.jdl")).split()[-1])

    ended = node.pilot("/opt/gridpilot.pyz")

    found = node.wms.job(job)
    assert (found["status"], found["application status"]) == ("Done", "echo successful"), ended.stdout


def test_a_cache_is_filled_once_and_kept(node: Node) -> None:
    first = node.run("python3", "/opt/gridpilot.pyz", "--explain", GRIDPILOT_CACHE="/mnt/cache")
    (made,) = (node.work / "cache").iterdir()
    before = made.stat().st_ctime_ns
    again = node.run("python3", "/opt/gridpilot.pyz", "--explain", GRIDPILOT_CACHE="/mnt/cache")

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert f"/mnt/cache/{made.name}/python/bin/python3" in again.stdout
    assert made.stat().st_ctime_ns == before


@pytest.mark.parametrize("node", ["bullseye"], indirect=True)
def test_a_damaged_bundle_runs_nothing_and_leaves_nothing(node: Node) -> None:
    content = bytearray((node.bundle / "gridpilot.pyz").read_bytes())
    content[len(content) // 2] ^= 1
    (node.work / "damaged.pyz").write_bytes(content)

    ended = node.run("python3", "/mnt/damaged.pyz", "--explain")

    assert ended.returncode == 6
    assert ended.stdout == ""
    assert ended.stderr.startswith("gridpilot: ")
    assert [path.name for path in node.work.iterdir()] == ["damaged.pyz"]


@pytest.mark.parametrize("node", ["bullseye"], indirect=True)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tree: next(tree.rglob("packages.zip")).write_bytes(b"changed"), "packages.zip: damaged"),
        (
            lambda tree: (tree / "python/lib/sitecustomize.py").write_text("print('new')"),
            "does not belong to this bundle",
        ),
        (lambda tree: next(tree.rglob("libcrypto.so.*")).unlink(), "No such file"),
        (lambda tree: (tree / "manifest.json").write_text("{}"), "manifest.json is not the one of this bundle"),
    ],
)
def test_a_changed_folder_runs_nothing(node: Node, change, said: str) -> None:
    tree = node.work / "gridpilot"
    shutil.copytree(node.bundle / "gridpilot", tree)
    change(tree)

    ended = node.run("python3", "/mnt/gridpilot/start.py", "--explain")

    assert (ended.returncode, ended.stdout) == (6, "")
    assert said in ended.stderr


def test_the_doctor_finds_that_a_bare_node_has_no_cgroup(node: Node) -> None:
    ended = node.pilot("/opt/gridpilot/start.py", "--json", word="doctor")

    found = {each["step"]: each for each in json.loads(ended.stdout)["findings"]}
    assert found["cgroups"]["severity"] == "warning", ended.stdout
    assert found["cgroups"]["says"].startswith(
        "no cgroup can be used: payloads are held by session, sub-reaper and cookie"
    )
    assert found["Matcher"]["severity"] == "ok"
    assert ended.returncode == 1


@pytest.mark.parametrize("node", ["bullseye"], indirect=True)
def test_the_doctor_finds_a_full_disk(node: Node) -> None:
    full = dataclasses.replace(node, disk_bytes=500_000)

    ended = full.pilot("/opt/gridpilot/start.py", "--disk", "0", word="doctor")

    told = " ".join(ended.stdout.split())  # lines are as long as 80 columns allow
    assert ended.returncode == 2
    assert "/mnt: cannot be written: No space left on device" in told
    assert "-> free space or inodes there, or name another --work-dir" in told
