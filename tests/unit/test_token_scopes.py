"""A token that says itself that it is not good for an operation is told before anything is asked of a CE."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from ce_backends.arc.rest import Credential, Rest
from ce_backends.batch.options import Needs
from ce_backends.batch.system import BatchJob
from ce_backends.batch.systems.htcondor import Condor
from ce_backends.batch.systems.htcondor_schedd import Schedd
from ce_backends.batch.transport import Done
from ce_backends.errors import CEUnavailable
from ce_backends.untrusted.token_scopes import CANCEL, CREATE, READ, lacking
from tests.unit.answering import Answering

STAMP = "a" * 32
JOB = BatchJob(name=STAMP, size=1, script="/a/jobs/s", log="/a/l", processors=1, memory_mb=0, gpus=0, wall_s=0)


def token(claims: object) -> str:
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b"{}", text(claims), b"x"))


def text(claims: object) -> bytes:
    return claims if isinstance(claims, bytes) else json.dumps(claims).encode()


def file(place: Path, scope: str) -> Path:
    (place / "token").write_text(token({"scope": scope}))
    return place / "token"


@pytest.mark.parametrize(
    ("scopes", "good_for"),
    [
        ("compute.create compute.read compute.cancel compute.modify", {CREATE, READ, CANCEL}),
        ("compute.read", {READ}),
        ("openid compute.create:/vo compute.cancel", {CREATE, CANCEL}),
        ("condor:/READ condor:/WRITE", {CREATE, READ, CANCEL}),
        ("condor:/READ", {READ}),
        ("storage.read:/", set()),
        ("compute.createx compute.created", set()),
        ("openid profile wlcg.groups", {CREATE, READ, CANCEL}),  # of a person: the CE goes by groups
        ("", {CREATE, READ, CANCEL}),
    ],
)
def test_scopes_of_a_token_tell_what_it_is_good_for(scopes: str, good_for: set[str]) -> None:
    assert {scope for scope in (READ, CREATE, CANCEL) if not lacking(token({"scope": scopes}), scope)} == good_for


@pytest.mark.parametrize("claims", [{}, [], 3, {"scope": 3}, {"scope": ["compute.read"]}, b"{", b"\xff", b"[" * 9999])
def test_of_a_token_that_does_not_say_nothing_is_held(claims: object) -> None:
    assert lacking(token(claims), CREATE) == ""


@pytest.mark.parametrize("odd", ["", "opaque", "a.b.c", "a.!!!!.c", "..", "." * 70_000, "a.\u0661.c"])
def test_what_is_no_json_web_token_is_left_to_the_ce(odd: str) -> None:
    assert lacking(odd, CREATE) == ""


def test_what_a_token_says_cannot_spoil_a_sentence() -> None:
    said = lacking(token({"scope": "compute.read\x1b[2Jx " + "storage.y " * 9999}), CREATE)

    assert said.isprintable()
    assert len(said) < 300


@pytest.mark.parametrize(
    ("request_line", "lacks"),
    [
        ("POST /jobs?action=new", "it is good for storage.read:/, not for compute.create"),
        ("POST /jobs?action=kill", "it is good for storage.read:/, not for compute.cancel"),
        ("POST /jobs?action=status", "it is good for storage.read:/, not for compute.read"),
        ("GET /jobs", "it is good for storage.read:/, not for compute.read"),
    ],
)
def test_arc_is_not_asked_for_what_the_token_is_not_good_for(tmp_path: Path, request_line: str, lacks: str) -> None:
    credential = Credential(proxy=Path("/none"), token=file(tmp_path, "storage.read:/"), ca_directory=Path("/none"))
    method, _, path = request_line.partition(" ")

    with pytest.raises(CEUnavailable, match=f"token {tmp_path}/token cannot be used: {lacks}"):
        Rest("https://nowhere.invalid", credential, timeout_s=1).call(method, path)


@pytest.mark.parametrize(
    ("scope", "commands", "refused"),
    [
        ("compute.read", [], "compute.create"),
        ("compute.create", ["condor_submit"], ""),
        ("condor:/WRITE", ["condor_submit"], ""),
    ],
)
def test_htcondor_is_not_asked_for_what_the_token_is_not_good_for(
    tmp_path: Path, scope: str, commands: list[str], refused: str
) -> None:
    answers: Mapping[str, Done] = {"condor_submit": Done(0, "42.0 - 42.0\n", "")}
    transport = Answering(answers)
    condor = Condor(transport, Needs(), schedd=Schedd(name="ce", pool="ce:1", token=str(file(tmp_path, scope))))

    said = ""
    try:
        condor.submit(JOB)
    except CEUnavailable as error:
        said = str(error)

    assert [command[0] for command in transport.commands] == commands
    assert (refused in said) if refused else said == ""
