"""OpenStack and EC2 by the real Libcloud, over TLS, against answers as their documentation has them.

No real cloud was asked: see tests/unit/cloud_answers.py.
"""

import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import certifi
import libcloud.security
import pytest

from ce_backends.cloud.account import Account
from ce_backends.cloud.ec2 import Ec2
from ce_backends.cloud.library import Wishes
from ce_backends.cloud.machines import Machine, Power, Refused, name_of
from ce_backends.cloud.openstack import OpenStack
from ce_backends.errors import CEError, CEMisconfigured, CEUnavailable
from tests.unit.cloud_answers import (
    RecordedCloud,
    ec2_console,
    ec2_error,
    ec2_instances,
    ec2_run,
    keystone,
    listening,
    server,
)

NAME = name_of("0123456789ab", "f" * 32)
WHO = Account("pilot", "word-of-a-test")
WISHES = Wishes(image="image-1", flavor="name:m1.small", networks=["net-1"], ssh_key="people")
FLAVORS = {"flavors": [{"id": "1", "name": "m1.tiny", "links": []}, {"id": "2", "name": "m1.small", "links": []}]}
SERVERS, CONSOLE = "/nova/servers", "POST /nova/servers/m1/action"


@pytest.fixture(scope="module")
def listens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RecordedCloud, Path]]:
    cloud = RecordedCloud()
    with listening(cloud, tmp_path_factory.mktemp("cloud")) as authority:
        yield cloud, authority


@pytest.fixture
def cloud(listens: tuple[RecordedCloud, Path], monkeypatch: pytest.MonkeyPatch) -> RecordedCloud:
    cloud, authority = listens
    cloud.forget()
    monkeypatch.setattr(libcloud.security, "CA_CERTS_PATH", str(authority))
    return cloud


@pytest.fixture
def openstack(cloud: RecordedCloud) -> OpenStack:
    cloud.answers |= keystone(cloud.url)
    cloud.answers["GET /nova/flavors"] = (200, FLAVORS)
    driver = {
        "ex_force_auth_url": cloud.url,
        "ex_force_auth_version": "3.x_password",
        "ex_tenant_name": "grid",
        "ex_force_service_region": "here",
    }
    return OpenStack(WHO, driver, WISHES, timeout_s=10)


@pytest.fixture
def ec2(cloud: RecordedCloud) -> Ec2:
    port = cloud.url.rsplit(":", 1)[1]
    driver = {"region": "us-east-1", "host": "localhost", "port": port}
    return Ec2(WHO, driver, Wishes(image="ami-1", flavor="t3.small"), timeout_s=10)


def test_openstack_creates_a_machine_by_one_request(cloud: RecordedCloud, openstack: OpenStack) -> None:
    cloud.answers[f"POST {SERVERS}"] = (202, {"server": {"id": "m1", "links": [], "adminPass": "x"}})

    assert openstack.create(NAME, b"\x1f\x8buser data", None) == "m1"

    (body,) = (b for line, b in zip(cloud.asked, cloud.bodies, strict=True) if line == f"POST {SERVERS}")
    told = base64.b64encode(b"\x1f\x8buser data").decode()
    assert body["server"] == {
        "name": NAME,
        "imageRef": "image-1",
        "flavorRef": "2",
        "user_data": told,
        "config_drive": True,
        "key_name": "people",
        "networks": [{"uuid": "net-1"}],
    }
    assert "word-of-a-test" not in json.dumps(cloud.asked)


def test_a_flavor_is_looked_up_by_its_name_once(cloud: RecordedCloud, openstack: OpenStack) -> None:
    cloud.answers[f"POST {SERVERS}"] = (202, {"server": {"id": "m1"}})

    for _ in range(3):
        openstack.create(NAME, b"", None)

    assert sum(line.startswith("GET /nova/flavors") for line in cloud.asked) == 1
    assert sum(line.startswith("POST /v3/auth/tokens") for line in cloud.asked) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((400, {"badRequest": {"message": "Invalid imageRef provided.", "code": 400}}), Refused),
        ((403, {"forbidden": {"message": "Quota exceeded for cores", "code": 403}}), CEUnavailable),
        ((413, {"overLimit": {"message": "Quota exceeded", "code": 413}}), CEUnavailable),
        ((429, {"overLimit": {"message": "This request was rate-limited.", "code": 429}}), CEUnavailable),
        ((503, {"x": {"message": "no", "code": 503}}), CEUnavailable),
        ((500, {"computeFault": {"message": "Unexpected API Error.", "code": 500}}), CEError),
        ((504, {"x": {"message": "gateway", "code": 504}}), CEError),
        ((202, {"server": {}}), CEError),
        ((202, {"server": {"id": 7}}), CEError),
    ],
)
def test_a_creation_is_refused_impossible_now_or_uncertain(
    cloud: RecordedCloud, openstack: OpenStack, answer: tuple[int, object], error: type[CEError]
) -> None:
    cloud.answers[f"POST {SERVERS}"] = answer

    with pytest.raises(CEError) as raised:
        openstack.create(NAME, b"", None)

    assert type(raised.value) is error


def test_what_fails_before_the_creation_is_no_doubt(cloud: RecordedCloud, openstack: OpenStack) -> None:
    cloud.answers["GET /nova/flavors"] = (500, {"x": {"message": "no", "code": 500}})

    with pytest.raises(CEUnavailable):
        openstack.create(NAME, b"", None)


def test_a_wrong_word_is_no_doubt_and_is_not_shown(cloud: RecordedCloud, openstack: OpenStack) -> None:
    cloud.answers["POST /v3/auth/tokens"] = (401, {"error": {"message": "who are you", "code": 401}})

    with pytest.raises(CEUnavailable) as raised:
        openstack.create(NAME, b"", None)

    assert "word-of-a-test" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "more", "power"),
    [
        ("BUILD", {}, Power.COMING),
        ("ACTIVE", {}, Power.ON),
        ("ACTIVE", {"OS-EXT-STS:task_state": "deleting"}, Power.GOING),
        ("REBOOT", {}, Power.ON),
        ("SHUTOFF", {}, Power.OFF),
        ("ERROR", {}, Power.BROKEN),
        ("SOFT_DELETED", {}, Power.GOING),
        ("A_WORD_OF_TOMORROW", {}, Power.ON),
    ],
)
def test_openstacks_words(
    cloud: RecordedCloud, openstack: OpenStack, status: str, more: dict[str, object], power: Power
) -> None:
    strangers = [server("somebody-elses", "m9"), server("gridpilot-x", "m8")]
    cloud.answers[f"GET {SERVERS}/detail"] = (200, {"servers": [server(NAME, status=status, **more), *strangers]})

    (machine,) = openstack.machines()

    assert (machine.machine_id, machine.name, machine.power, machine.native) == ("m1", NAME, power, status)
    assert machine.age_s >= 0


def test_a_list_of_several_pages_is_read_to_its_end(cloud: RecordedCloud, openstack: OpenStack) -> None:
    names = [name_of("0123456789ab", f"{number:032x}") for number in range(3)]
    first = {"servers": [server(names[0], "a"), server(names[1], "b")], "servers_links": [{"rel": "next"}]}
    cloud.answers[f"GET {SERVERS}/detail"] = (200, first)
    cloud.answers[f"GET {SERVERS}/detail?name=%5Egridpilot-&marker=b"] = (200, {"servers": [server(names[2], "c")]})

    assert [machine.name for machine in openstack.machines()] == names


def test_a_list_without_an_end_is_given_up(cloud: RecordedCloud, openstack: OpenStack) -> None:
    cloud.answers[f"GET {SERVERS}/detail"] = (200, {"servers": [server(NAME)], "servers_links": [{"rel": "next"}]})

    with pytest.raises(CEError, match="pages"):
        openstack.machines()


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"servers": [{"id": "m1"}]}),
        (200, {"servers": [server(NAME, created="yesterday")]}),
        (200, {"servers": 7}),
        (200, []),
        (500, {"x": {"message": "no", "code": 500}}),
        (200, "<html>"),
    ],
)
def test_a_list_that_is_none_says_nothing_of_machines(
    cloud: RecordedCloud, openstack: OpenStack, answer: tuple[int, object]
) -> None:
    cloud.answers[f"GET {SERVERS}/detail"] = answer

    with pytest.raises(CEError):
        openstack.machines()


def test_a_console_is_read_and_one_that_is_not_there_yet_is_empty(cloud: RecordedCloud, openstack: OpenStack) -> None:
    cloud.answers[CONSOLE] = (200, {"output": "x" * 50 + "the end"})
    read = openstack.console("m1", 7)
    cloud.answers[CONSOLE] = (409, {"conflictingRequest": {"message": "not ready", "code": 409}})
    early = openstack.console("m1", 7)
    cloud.answers[CONSOLE] = (500, {"x": {"message": "no", "code": 500}})

    assert (read, early) == ("the end", "")
    with pytest.raises(CEError):
        openstack.console("m1", 7)


def test_deleting_what_is_gone_is_no_error(cloud: RecordedCloud, openstack: OpenStack) -> None:
    openstack.delete("m1")
    cloud.answers["DELETE /nova/servers/m1"] = (409, {"x": {"message": "is locked", "code": 409}})

    with pytest.raises(CEError, match="is locked"):
        openstack.delete("m1")
    assert cloud.asked.count("DELETE /nova/servers/m1") == 2


def test_a_cloud_that_is_not_there_is_unavailable_for_a_creation_only_if_that_is_sure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    away = OpenStack(
        WHO, {"ex_force_auth_url": f"https://localhost:{port}", "ex_tenant_name": "g"}, WISHES, timeout_s=5
    )

    with pytest.raises(CEUnavailable):
        away.create(NAME, b"", None)
    with pytest.raises(CEError):
        away.machines()


def test_a_certificate_of_a_stranger_is_not_trusted(
    cloud: RecordedCloud, openstack: OpenStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libcloud.security, "CA_CERTS_PATH", certifi.where())

    with pytest.raises(CEUnavailable, match="cannot be reached"):
        openstack.machines()
    assert cloud.asked == []


def test_ec2_creates_one_machine_for_one_token(cloud: RecordedCloud, ec2: Ec2) -> None:
    cloud.answers["GET /"] = (200, ec2_run("i-1"))

    assert ec2.create(NAME, b"told", None) == "i-1"

    (line,) = cloud.asked
    assert f"ClientToken={NAME}" in line
    assert f"TagSpecification.1.Tag.1.Value={NAME}" in line
    assert "InstanceInitiatedShutdownBehavior" not in line, "a terminated machine shows no console"


@pytest.mark.parametrize(
    ("code", "word", "error"),
    [
        (400, "InvalidAMIID.NotFound", Refused),
        (400, "InstanceLimitExceeded", CEUnavailable),
        (400, "InsufficientInstanceCapacity", CEUnavailable),
        (401, "AuthFailure", CEUnavailable),
        (500, "InternalError", CEError),
    ],
)
def test_what_ec2_says_to_a_creation(
    cloud: RecordedCloud, ec2: Ec2, code: int, word: str, error: type[CEError]
) -> None:
    cloud.answers["GET /"] = (code, ec2_error(word))

    with pytest.raises(CEError) as raised:
        ec2.create(NAME, b"", None)

    assert type(raised.value) is error, raised.value


@pytest.mark.parametrize(
    ("state", "power"),
    [
        ("pending", Power.COMING),
        ("running", Power.ON),
        ("stopping", Power.ON),
        ("stopped", Power.OFF),
        ("shutting-down", Power.ON),
        ("terminated", Power.GOING),
    ],
)
def test_ec2s_words(cloud: RecordedCloud, ec2: Ec2, state: str, power: Power) -> None:
    cloud.answers["GET /"] = (200, ec2_instances(("i-1", NAME, state), ("i-2", "others", "running")))

    machines: list[Machine] = list(ec2.machines())

    assert [(machine.machine_id, machine.power) for machine in machines] == [("i-1", power)]


def test_ec2s_console_is_decoded_and_what_is_gone_is_no_error(cloud: RecordedCloud, ec2: Ec2) -> None:
    text = base64.b64encode(b"words of a machine").decode()
    cloud.answers["GET /"] = (200, ec2_console(text))
    said = ec2.console("i-1", 10)
    cloud.answers["GET /"] = (400, ec2_error("InvalidInstanceID.NotFound"))
    ec2.delete("i-1")

    assert said == " a machine"


@pytest.mark.parametrize(
    ("driver", "said"),
    [
        ({"ex_force_auth_url": "http://cloud.example.org:5000"}, "expected TLS"),
        ({"secure": "no"}, "expected TLS"),
        ({"port": "many"}, "expected a number"),
        ({"ex_force_auth_version": "17"}, "does not take"),
    ],
)
def test_options_that_cannot_be_are_told_before_anything_is_asked(driver: dict[str, str], said: str) -> None:
    with pytest.raises(CEMisconfigured, match=said):
        OpenStack(WHO, driver, WISHES, timeout_s=5)
