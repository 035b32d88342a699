"""The storage elements of the local WMS, as WebDAV's clients meet them."""

import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running

OWN = "/localvo/user/l/localuser"
Send = Callable[..., requests.Response]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running(tmp_path_factory.mktemp("wms")) as started:
        yield started


@pytest.fixture
def send(endpoint: Endpoint) -> Send:
    """Send a request as somebody; a path begins behind the element."""

    def sent(method: str, path: str, who: str = "user", **more: object) -> requests.Response:
        session = requests.Session()
        session.trust_env, session.verify = False, endpoint.ca_dir
        cert = None if who == "nobody" else getattr(endpoint, f"{who}_proxy")
        url = f"{endpoint.url}/storage/LOCAL-disk{path}"
        return session.request(method, url, cert=cert, timeout=30, **more)  # type: ignore[arg-type]

    for parent in ("/localvo/user", "/localvo/user/l", OWN):
        sent("MKCOL", parent)
    return sent


def test_a_file_is_put_told_of_and_read_back(send: Send) -> None:
    content = bytes(range(256)) * 10_000

    assert send("PUT", f"{OWN}/a.root", data=content).status_code == 201
    assert send("PUT", f"{OWN}/a.root", data=content).status_code == 204

    told = send("HEAD", f"{OWN}/a.root", headers={"Want-Digest": "adler32"})
    assert told.headers["Content-Length"] == str(len(content))
    assert told.headers["Digest"] == f"adler32={zlib.adler32(content):08x}"
    assert send("GET", f"{OWN}/a.root").content == content


def test_a_part_of_a_file_is_asked_for(send: Send) -> None:
    send("PUT", f"{OWN}/part.root", data=b"0123456789")

    rest = send("GET", f"{OWN}/part.root", headers={"Range": "bytes=7-"})

    assert (rest.status_code, rest.content, rest.headers["Content-Range"]) == (206, b"789", "bytes 7-9/10")
    assert send("GET", f"{OWN}/part.root", headers={"Range": "bytes=10-"}).status_code == 416


def test_nothing_is_replaced_by_who_says_so(send: Send) -> None:
    send("PUT", f"{OWN}/once.root", data=b"first")

    again = send("PUT", f"{OWN}/once.root", data=b"other", headers={"If-None-Match": "*"})

    assert (again.status_code, send("GET", f"{OWN}/once.root").content) == (412, b"first")


def test_folders_are_made_one_by_one(send: Send) -> None:
    assert send("PUT", f"{OWN}/new/deep/x", data=b"x").status_code == 409
    assert send("MKCOL", f"{OWN}/new/deep").status_code == 409
    assert [send("MKCOL", f"{OWN}/new").status_code for _ in range(2)] == [201, 405]


def test_a_file_gets_another_name_unless_that_is_taken(send: Send, endpoint: Endpoint) -> None:
    send("PUT", f"{OWN}/from", data=b"moved")
    to = {"Destination": f"{endpoint.url}/storage/LOCAL-disk{OWN}/to", "Overwrite": "F"}

    assert send("MOVE", f"{OWN}/from", headers=to).status_code == 201
    send("PUT", f"{OWN}/from", data=b"second")

    assert send("MOVE", f"{OWN}/from", headers=to).status_code == 412
    assert send("GET", f"{OWN}/to").content == b"moved"


def test_what_is_removed_is_gone(send: Send) -> None:
    send("PUT", f"{OWN}/gone", data=b"x")

    assert [send("DELETE", f"{OWN}/gone").status_code for _ in range(2)] == [204, 404]
    assert send("GET", f"{OWN}/gone").status_code == 404


def test_a_pilot_adds_no_file_to_the_catalogue(endpoint: Endpoint) -> None:
    session = requests.Session()
    session.trust_env, session.verify = False, endpoint.ca_dir
    form = {"method": "hasAccess", "args": json.dumps([{f"{OWN}/x": True}, "addFile"])}
    url = f"{endpoint.url}/DataManagement/TornadoFileCatalog"

    def answered(cert: str) -> object:
        reply = session.post(url, data=form, cert=cert, headers={"Connection": "close"}, timeout=30)
        return reply.json()["Value"]["Successful"]

    answers = [answered(cert) for cert in (endpoint.user_proxy, endpoint.pilot_proxy)]

    assert answers == [{f"{OWN}/x": True}, {f"{OWN}/x": False}]


@pytest.mark.parametrize(
    ("who", "path", "code"),
    [
        ("nobody", f"{OWN}/x", 401),
        ("pilot", f"{OWN}/x", 403),  # data moves with the owner's credential
        ("user", "/localvo/user/l/localadmin/x", 403),
        ("user", "/othervo/x", 403),
        ("user", f"{OWN}/../../l/localadmin/x", 403),
        ("user", f"{OWN}/%2e%2e/%2e%2e/l/localadmin/x", 403),
    ],
)
def test_who_may_not_write_is_refused(send: Send, who: str, path: str, code: int, tmp_path: Path) -> None:
    assert send("PUT", path, who, data=b"x").status_code == code
