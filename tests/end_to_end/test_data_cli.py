"""The data commands over HTTPS with nothing faked but the WMS behind it: catalogue and elements of the local WMS."""

import json
import os
import signal
import subprocess
import sys
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from tests import forked
from tests.end_to_end import stopping_register
from tests.end_to_end.test_data import OWN, Storage
from tests.waiting import ended, until

ROOT = Path(__file__).parents[2]
LONGEST_S = 120.0
Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    home = tmp_path_factory.mktemp("wms")
    with running(home) as endpoint:
        yield Storage(endpoint, home)


def environment(endpoint: Endpoint) -> dict[str, str]:
    ours = {"X509_USER_PROXY": endpoint.user_proxy, "X509_CERT_DIR": endpoint.ca_dir, "PYTHONPATH": str(ROOT)}
    return {name: text for name, text in os.environ.items() if name != "DIRACSYSCONFIG"} | ours


def argv(endpoint: Endpoint, command: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "pilot", "data", command, "-C", endpoint.configuration, *arguments]


@pytest.fixture
def data(storage: Storage, tmp_path: Path) -> Callable[..., Done]:
    def run(command: str, *arguments: str) -> Done:
        words = (command, "-C", storage.endpoint.configuration, *arguments)
        return forked.run("agents.data_cli", *words, cwd=tmp_path, env=environment(storage.endpoint))

    return run


@pytest.fixture
def by_pilot(storage: Storage, tmp_path: Path) -> Callable[..., Done]:
    """The same by the pilot's command line, which passes it on."""

    def run(command: str, *arguments: str) -> Done:
        line = argv(storage.endpoint, command, *arguments)
        environ = environment(storage.endpoint)
        return subprocess.run(
            line, check=False, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=LONGEST_S
        )

    return run


def test_a_file_is_put_seen_and_brought_back(
    data: Callable[..., Done], by_pilot: Callable[..., Done], tmp_path: Path
) -> None:
    folder = f"{OWN}/cli/{uuid.uuid4().hex}"
    content = os.urandom(300_000)
    (tmp_path / "a.root").write_bytes(content)

    assert (
        by_pilot("put", "a.root", f"{folder}/a.root", "LOCAL-disk").stdout
        == f"{folder}/a.root: 300000 bytes on LOCAL-disk\n"
    )
    again = data("put", "a.root", f"{folder}/a.root", "LOCAL-disk")
    assert (again.returncode, "knows it already" in again.stdout) == (0, True)
    (tmp_path / "b.root").write_bytes(b"other")
    clash = data("put", "b.root", f"{folder}/a.root")
    assert (clash.returncode, "other content" in clash.stderr) == (1, True)

    told = json.loads(data("ls", folder, "--json").stdout)
    assert told["files"][0]["adler32"] == f"{zlib.adler32(content):08x}"
    listed = data("ls", f"{OWN}/cli").stdout
    assert f"folder  {folder.rpartition('/')[2]}/" in listed
    assert max(map(len, data("ls", folder).stdout.splitlines())) < 80

    where = json.loads(data("replicas", f"LFN:{folder}/a.root", f"{folder}/none", "--json").stdout)["files"]
    assert list(where[f"{folder}/a.root"]["replicas"]) == ["LOCAL-disk"]
    assert "error" in where[f"{folder}/none"]

    (tmp_path / "into").mkdir()
    (tmp_path / "into" / ".a.root.part").write_bytes(content[:100_000])  # as a killed command leaves it
    brought = by_pilot("get", f"{folder}/a.root", f"{folder}/none", "-o", "into")
    assert brought.returncode == 1
    assert "none: " in brought.stderr
    assert (tmp_path / "into" / "a.root").read_bytes() == content
    assert data("get", f"{folder}/a.root", "-o", "into").returncode == 0


def test_in_a_payloads_directory_pilot_cfg_is_enough(storage: Storage, tmp_path: Path) -> None:
    servers = f"DIRAC\n{{\n  Configuration\n  {{\n    Servers = {storage.endpoint.configuration}\n  }}\n}}\n"
    (tmp_path / "pilot.cfg").write_text(servers)
    line = [sys.executable, "-m", "agents.data_cli", "ls", "/localvo/none"]
    done = subprocess.run(
        line, cwd=tmp_path, env=environment(storage.endpoint), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "data: /localvo/none: Directory does not exist\n")


def test_errors_are_one_sentence_with_their_exit_code(data: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    for arguments, code, words in [
        (("put", "a", f"{OWN}/x", "NONE"), 2, "there is no such element that may be written; expected one of"),
        (("put", "none", f"{OWN}/x"), 2, "none: it cannot be read"),
        (("put", "a", "/other/x"), 2, "is not of localvo"),
        (("get", f"{OWN}/1/a", f"{OWN}/2/a"), 2, "would both be a"),
        (("ls", "/", "--proxy", "none"), 3, "none"),
        (("register", "NONE", OWN), 2, "there is no such element"),
        (("register", "LOCAL-disk", f"{OWN}/none"), 1, "HTTP 404"),
    ]:
        done = data(*arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1


def filled(storage: Storage, count: int) -> str:
    """Lay files in folders of the element's disk, of which the catalogue knows nothing; return their LFN."""
    directory = f"{OWN}/reg/{uuid.uuid4().hex}"
    for number in range(count):
        path = storage.file(f"{directory}/f{number % 7}/in & {number % 3}/{number}.root")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"content {number}".encode())
    return directory


def known(storage: Storage, directory: str, count: int) -> dict[str, dict[str, object]]:
    lfns = [f"{directory}/f{number % 7}/in & {number % 3}/{number}.root" for number in range(count)]
    found: dict[str, dict[str, object]] = storage.call("FileCatalog", "getFileMetadata", lfns)["Successful"]
    return found


def test_a_directory_is_registered_once_and_what_the_catalogue_knew_is_told_apart(
    data: Callable[..., Done], storage: Storage
) -> None:
    directory = filled(storage, 60)
    same, other = (f"{directory}/f{n}/in & {n}/{n}.root" for n in (1, 2))
    for lfn, content, element in ((same, b"content 1", "FAR-disk"), (other, b"what was there", "LOCAL-disk")):
        info = {"PFN": "", "Size": len(content), "SE": element, "Checksum": f"{zlib.adler32(content):08x}"}
        storage.call("FileCatalog", "addFile", {lfn: {**info, "GUID": str(uuid.uuid4())}})
    storage.file(f"{directory}/x.part-0a1b2c3d").write_text("an upload that is under way")

    done = data("register", "LOCAL-disk", directory, "--json")

    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert told["registered_now"] == 59
    assert told["files"]["clash"] == 1
    assert [one["lfn"] for one in told["not_registered"]] == [other]
    assert f"{other}: the catalogue knows it with other content: 14 bytes" in done.stderr
    found = known(storage, directory, 60)
    assert len(found) == 60
    content = b"content 41"
    assert found[f"{directory}/f6/in & 2/41.root"]["Checksum"] == f"{zlib.adler32(content):08x}"
    assert storage.replicas(same) == {"LOCAL-disk", "FAR-disk"}
    again = data("register", "LOCAL-disk", directory)
    assert again.stdout.splitlines()[1] == "59 before"
    assert again.stdout.startswith("0 registered now")


def test_a_registration_that_is_killed_or_interrupted_goes_on_and_none_is_missing_or_twice(
    data: Callable[..., Done], storage: Storage, tmp_path: Path
) -> None:
    count = 5 * stopping_register.BULK
    directory = filled(storage, count)
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        seen = len(known(storage, directory, count))
        words = ("-m", "tests.end_to_end.stopping_register", "-C", storage.endpoint.configuration)
        line = [sys.executable, *words, "LOCAL-disk", directory]
        process = subprocess.Popen(line, cwd=tmp_path, env=environment(storage.endpoint))
        until(lambda pid=process.pid: os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG), "a batch is registered")  # type: ignore[misc]
        assert seen < len(known(storage, directory, count)) < count
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        assert ended(process) == code
        assert seen < len(known(storage, directory, count)) < count

    done = data("register", "LOCAL-disk", directory, "--json")

    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)["files"]
    assert told["done"] + told["known"] == count
    found = known(storage, directory, count)
    assert len(found) == count
    assert len({one["GUID"] for one in found.values()}) == count
