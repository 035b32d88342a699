"""`gridpilot data` against a real FileCatalog of DIRAC's, XRootD, Apache and DIRAC's element; DIRAC's client looks."""

import json
import os
import signal
import subprocess
import sys
import uuid
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.system.data_scene import start_again
from tests.system.dirac_stack import Stack
from tests.system.storage import DiracData, Registered

ROOT = Path(__file__).parents[2]
LONGEST_S = 300.0
ODD_NAMES = ("a b.root", "x&y.root", "p%20q.root", "ü.root")
Done = subprocess.CompletedProcess[str]


class Shell:
    """A user's terminal."""

    def __init__(self, stack: Stack, data: DiracData, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        ours = {"X509_USER_PROXY": stack.endpoint["user_proxy"], "X509_CERT_DIR": data.storage.endpoint["ca_dir"]}
        kept = {name: text for name, text in os.environ.items() if name != "DIRACSYSCONFIG"}
        self.environ = kept | ours | {"PYTHONPATH": str(ROOT), "XrdSecGSISRVNAMES": "localhost|127.0.0.1"}

    def argv(self, command: str, *arguments: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "agents.data_cli",
            command,
            "-C",
            self._stack.endpoint["configuration"],
            *arguments,
        ]

    def run(self, *arguments: str) -> Done:
        return subprocess.run(
            self.argv(*arguments),
            check=False,
            cwd=self._folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )

    def told(self, *arguments: str, code: int = 0) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def shell(stack: Stack, data: DiracData, tmp_path: Path) -> Shell:
    return Shell(stack, data, tmp_path)


def lay(data: DiracData, element: str, directory: str, names: list[str]) -> dict[str, bytes]:
    """Lay files on an element's disk, of which nobody knows; return them by LFN."""
    files = {f"{directory}/{name}": f"content of {name}".encode() for name in names}
    top = data.path(element, directory)
    made = [parent for parent in (top, *top.parents) if not parent.exists()]
    for lfn, content in files.items():
        path = data.path(element, lfn)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    owner = (made[-1].parent if made else top).stat()
    for folder, _, inside in os.walk(made[-1] if made else top):
        for path in (Path(folder), *(Path(folder, name) for name in inside)):
            os.chown(path, owner.st_uid, owner.st_gid)
    return files


@pytest.mark.parametrize("element", ["XRD-https", "DAV-disk", "LAB-disk"])
def test_what_is_registered_dirac_knows_and_reads(shell: Shell, data: DiracData, tmp_path: Path, element: str) -> None:
    directory = f"/labvo/data/{uuid.uuid4().hex}"
    names = [*(f"f{number % 3}/sub/{number}.root" for number in range(30)), *ODD_NAMES]
    files = lay(data, element, directory, names)
    if element == "DAV-disk":
        refused = shell.run("register", element, directory)
        assert (refused.returncode, "--checksum=read" in refused.stderr) == (1, True)

    told = shell.told("register", element, directory, *(["--checksum=read"] if element == "DAV-disk" else []))

    assert told["registered_now"] == len(files), told
    known = data.look(*files)
    for lfn, content in files.items():
        assert known[lfn]["Size"] == len(content)
        assert int(known[lfn]["Checksum"], 16) == zlib.adler32(content)
        assert known[lfn]["Replicas"] == [element]
    assert data.client("user2", "get", f"{directory}/f0/sub/0.root", "--into", str(tmp_path), "--element", element)
    again = shell.told("register", element, directory)
    assert (again["registered_now"], again["files"]["done"]) == (0, len(files))
    anew = shell.told("register", element, directory, "--journal", "other.sqlite", "--checksum=read")
    assert anew["files"]["known"] + anew["files"]["done"] == len(files)  # another journal: the same content is done


def test_other_content_is_named_and_a_further_replica_is_added(shell: Shell, data: DiracData, tmp_path: Path) -> None:
    directory = f"/labvo/data/{uuid.uuid4().hex}"
    (tmp_path / "a").write_bytes(b"content of same")
    (tmp_path / "b").write_bytes(b"what was there before")
    data.put(f"{directory}/same", tmp_path / "a", "LAB-disk")
    data.put(f"{directory}/other", tmp_path / "b", "LAB-disk")
    lay(data, "XRD-https", directory, ["same", "other", "new"])

    told = shell.told("register", "XRD-https", directory, code=1)

    assert [one["lfn"] for one in told["not_registered"]] == [f"{directory}/other"]
    known = data.look(f"{directory}/same", f"{directory}/other", f"{directory}/new")
    assert known[f"{directory}/same"]["Replicas"] == ["LAB-disk", "XRD-https"]
    assert known[f"{directory}/other"]["Size"] == len(b"what was there before")
    assert known[f"{directory}/new"]["Replicas"] == ["XRD-https"]


DYING = """
import os, signal, sys
from agents.data_cli import command_line
from agents.wms.file_catalogue import FileCatalog
really_added, has_told, count = FileCatalog.add_files, sys.argv.pop(1) == "told", 0
def added(catalog, files):
    global count
    count += 1
    said = really_added(catalog, files) if count < 2 or has_told else None
    if count == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return said
FileCatalog.add_files = added
sys.exit(command_line.main(sys.argv[1:]))
"""


def test_a_registration_that_is_killed_goes_on_and_none_is_missing_or_twice(
    shell: Shell, data: DiracData, tmp_path: Path
) -> None:
    """SIGKILL in the second call of each process: once the catalogue has answered, and before it is told."""
    directory, count = f"/labvo/data/{uuid.uuid4().hex}", 5000
    lay(data, "XRD-https", directory, [f"d{number % 20}/{number}.root" for number in range(count)])

    for death in ("told", "telling"):
        argv = [sys.executable, "-c", DYING, death, *shell.argv("register", "XRD-https", directory)[3:]]
        assert subprocess.run(argv, check=False, cwd=tmp_path, env=shell.environ).returncode == -signal.SIGKILL
        start_again()  # XRootD 5.5 may end itself where a client dies in the midst of its answers
        assert 2000 <= data.registered(directory).files < count
    told = shell.told("register", "XRD-https", directory)

    assert told["files"]["done"] + told["files"]["known"] == count
    assert data.registered(directory) == Registered(files=count, guids=count, replicas=count)
    found = data.client("user", "list", directory)
    assert (len(found), len(set(found))) == (count, count)


@pytest.mark.parametrize("element", ["LAB-disk", "XRD-https", "XRD-root", "DAV-disk"])
def test_a_file_is_put_seen_and_brought_back(shell: Shell, data: DiracData, tmp_path: Path, element: str) -> None:
    directory = f"/labvo/data/{uuid.uuid4().hex}"
    content = os.urandom(200_000)
    (tmp_path / "a.root").write_bytes(content)

    told = shell.told("put", "a.root", f"{directory}/a.root", element)

    assert (told["se"], told["size"]) == (element, len(content))
    known = data.look(f"{directory}/a.root")[f"{directory}/a.root"]
    assert (known["Size"], known["Replicas"]) == (len(content), [element])
    assert shell.told("put", "a.root", f"{directory}/a.root", element)["is_known"]
    assert [one["lfn"] for one in shell.told("ls", directory)["files"]] == [f"{directory}/a.root"]
    assert directory in shell.told("ls", "/labvo/data")["folders"]
    assert list(shell.told("replicas", f"{directory}/a.root")["files"][f"{directory}/a.root"]["replicas"]) == [element]
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / ".a.root.part").write_bytes(content[:50_000])
    shell.told("get", f"{directory}/a.root", "-o", "into")
    assert (tmp_path / "into" / "a.root").read_bytes() == content
    (tmp_path / "a.root").write_bytes(b"other")
    assert shell.run("put", "a.root", f"{directory}/a.root", element).returncode == 1
    assert shell.run("ls", f"{directory}/none").returncode == 1
