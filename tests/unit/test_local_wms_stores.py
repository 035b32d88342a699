"""Sandboxes, configuration, pilot logs: the services called directly."""

import base64
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.local_wms.direct import STRANGER, THE_ADMIN, THE_PILOT, THE_USER, DirectWms
from agents.local_wms.registry import SANDBOX_SE, VO
from agents.local_wms.services.base import Caller, Refusal


@pytest.fixture
def wms(tmp_path: Path) -> Iterator[DirectWms]:
    wms = DirectWms(tmp_path)
    yield wms
    wms.close()


def upload(wms: DirectWms, who: Caller, content: bytes, uses: dict[str, str]) -> str:
    name = f"{hashlib.md5(content).hexdigest()}.tar.bz2"
    stored: str = wms.call(who, "SandboxStore.streamFromClient", [name, uses], "", len(content), content)
    return stored


def test_an_output_sandbox_uploaded_by_the_pilot_is_read_by_the_owner(wms: DirectWms) -> None:
    job_id = wms.running()
    name = upload(wms, THE_PILOT, b"content", {f"Job:{job_id}": "Output"})

    found = wms.call(THE_USER, "SandboxStore.getSandboxesAssignedToEntity", f"Job:{job_id}")

    assert found == {"Output": [name]}
    assert name.startswith(f"SB:{SANDBOX_SE}|/SandBox/l/localpilot.localvo_pilot/")
    for where in (
        name.partition("|")[2],
        ["https://localhost/x/TornadoSandboxStore" + name.partition("|")[2], "CheckSum"],
    ):
        assert wms.call(THE_USER, "SandboxStore.streamToClient", where).content == b"content"


def test_strangers_see_no_sandbox(wms: DirectWms) -> None:
    job_id = wms.submit()
    name = upload(wms, THE_USER, b"content", {f"Job:{job_id}": "Input"})

    assert wms.call(STRANGER, "SandboxStore.getSandboxesAssignedToEntity", f"Job:{job_id}") == {}
    with pytest.raises(Refusal, match="not authorized"):
        wms.call(STRANGER, "SandboxStore.streamToClient", name.partition("|")[2])


@pytest.mark.parametrize(
    ("name", "size", "sentence"),
    [
        ("0" * 32 + ".tar.bz2", 3, "Hashes don't match!"),
        ("0" * 32 + ".tar.bz2", 11 * 2**20, "Sandbox is too big"),
        ("../../etc/passwd.tar", 3, "is not the md5"),
    ],
)
def test_a_bad_upload_is_refused(wms: DirectWms, name: str, size: int, sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        wms.call(THE_USER, "SandboxStore.streamFromClient", name, "", size, b"abc")


@pytest.mark.parametrize("path", ["/SandBox/../../etc/passwd", "/etc/passwd", "/SandBox/l/none.tar"])
def test_a_path_that_was_never_stored_is_refused(wms: DirectWms, path: str) -> None:
    with pytest.raises(Refusal):
        wms.call(THE_ADMIN, "SandboxStore.streamToClient", path)


def test_nobody_assigns_a_sandbox_to_a_job_of_somebody_else(wms: DirectWms) -> None:
    job_id = wms.submit()

    with pytest.raises(Refusal, match=f"Not authorized to assign a sandbox to Job:{job_id}"):
        upload(wms, STRANGER, b"content", {f"Job:{job_id}": "Input"})


def test_the_configuration_is_sent_only_when_newer(wms: DirectWms) -> None:
    fresh = wms.call(THE_USER, "Server.getCompressedDataIfNewer", "0")

    text = zlib.decompress(base64.b64decode(fresh["data"])).decode()
    assert "      Matcher = https://localhost:1/WorkloadManagement/TornadoMatcher\n" in text
    assert wms.call(THE_USER, "Server.getCompressedDataIfNewer", fresh["newestVersion"]) == {"newestVersion": "1"}


def test_a_pilot_log_is_appended_and_capped(wms: DirectWms) -> None:
    stamp = "0123456789abcdef0123456789abcdef"
    wms.call(THE_PILOT, "PilotLogging.sendMessage", '["one\\n", "two"]', stamp, VO)
    wms.call(THE_PILOT, "PilotLogging.finaliseLogs", {"retCode": "0"}, stamp, VO)

    log = wms.call(THE_PILOT, "PilotLogging.getLogs", stamp, VO)

    assert log == {"StdOut": "one\ntwo\n-- pilot ended, return code 0\n"}
    with pytest.raises(Refusal, match="Pilot UUID is invalid"):
        wms.call(THE_PILOT, "PilotLogging.sendMessage", "[]", "../x", VO)


@pytest.mark.parametrize(
    ("who", "permitted"),
    [(THE_USER, False), (THE_PILOT, True), (THE_ADMIN, True), (Caller(dn="/CN=nobody"), False)],
)
def test_pilot_methods_ask_for_a_property(wms: DirectWms, who: Caller, permitted: bool) -> None:
    assert wms.methods["PilotManager"]["addPilotReferences"].permits(who) is permitted
