"""DISET against a small real TLS server that speaks DIRAC's frames, well and badly; agent and pilot alike."""

import functools
import socket
import ssl
import time
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agents.errors import AccessDenied, BadAnswer, CredentialError, NoAnswer, ServiceError, Unreachable
from agents.local_wms.authority import Authority, open_authority, write_private
from agents.wms.dips import DipsTransport, tls
from agents.wms.https import Limits
from pilot.wms import dips as pilot_dips
from tests.unit.dips_server import Peer, Script, frame, server_context, serving
from tests.waiting import PATIENCE_S

SILENT_S = 2.0  # a server that has said nothing for so long will say nothing; an answer has more time
LIMITS = Limits(connect_s=PATIENCE_S, read_s=PATIENCE_S, whole_s=PATIENCE_S, body_mb=1)
IMPATIENT = replace(LIMITS, read_s=SILENT_S)
ACCEPTED = {"OK": True, "Value": None}
UNAUTHORIZED = {"OK": False, "Errno": 1111, "Message": "Unauthorized query ( 1111 : Unauthorized query)"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("ca"), lambda: datetime.now(UTC))


@pytest.fixture(scope="module")
def proxy(authority: Authority) -> Path:
    path = authority.folder / "pilot.proxy.pem"
    write_private(path, authority.delegate(authority.issue("Lab Pilot"), "lab_pilot").pem())
    return path


def transport(proxy: Path, authority: Authority, **options: Any) -> DipsTransport:
    secure = functools.partial(tls, proxy, authority.certificates)
    return DipsTransport(secure, **{"vo": "labvo", "limits": LIMITS, **options})


def call(proxy: Path, authority: Authority, url: str, *arguments: object) -> object:
    return transport(proxy, authority).call(url, "requestJob", arguments)


def answering(*answers: object) -> Script:
    """Accept the proposal, take the arguments, then say this."""

    def script(peer: Peer) -> None:
        peer.read()
        peer.say(ACCEPTED)
        peer.read()
        peer.say(*answers)

    return script


def test_a_call_is_four_frames_as_dirac_sends_them(authority: Authority, proxy: Path) -> None:
    read: list[Any] = []

    def script(peer: Peer) -> None:
        read.append(peer.read()[1])
        peer.say(ACCEPTED)
        read.append(peer.read()[1])
        peer.say({"OK": True, "Value": {"2": "two"}})

    with serving(authority, script) as url:
        answer = call(proxy, authority, url, {"Site": "LAB"}, 7)

    assert answer == {"OK": True, "Value": {"2": "two"}}
    proposal, arguments = read
    assert proposal["OK"] is True
    assert proposal["Value"][:3] == [["WorkloadManagement/Matcher", "None", "labvo"], ["RPC", "requestJob"], ""]
    assert arguments == {"OK": True, "Value": [{"Site": "LAB"}, 7]}


def test_a_host_certificate_says_hosts_in_the_proposal(authority: Authority, proxy: Path) -> None:
    read: list[Any] = []

    def script(peer: Peer) -> None:
        read.append(peer.read()[1])

    with serving(authority, script) as url, pytest.raises(Unreachable):
        transport(proxy, authority, extra="hosts", setup="LAB").call(url, "ping", [])

    assert read[0]["Value"][0] == ["WorkloadManagement/Matcher", "LAB", "labvo"]
    assert read[0]["Value"][2] == "hosts"


def test_an_s_error_is_an_answer(authority: Authority, proxy: Path) -> None:
    refusal = {"OK": False, "Errno": 1510, "Message": "No match found", "CallStack": ["a"]}

    with serving(authority, answering(refusal)) as url:
        assert call(proxy, authority, url) == refusal


def test_dates_and_bytes_come_through(authority: Authority, proxy: Path) -> None:
    tagged = {"OK": True, "Value": {"__dCls": "b64", "obj": "AAE="}}

    with serving(authority, answering(tagged)) as url:
        assert call(proxy, authority, url) == {"OK": True, "Value": b"\x00\x01"}


def test_a_keep_alive_is_answered_and_is_no_answer(authority: Authority, proxy: Path) -> None:
    read: list[Any] = []

    def script(peer: Peer) -> None:
        peer.read()
        peer.say(ACCEPTED)
        peer.read()
        peer.say(frame({"OK": True, "Value": {"id": "x1", "kaping": True}}, b"dka"))
        read.append(peer.read())
        peer.say({"OK": True, "Value": 7})

    with serving(authority, script) as url:
        assert call(proxy, authority, url) == {"OK": True, "Value": 7}

    assert read == [(b"dka", {"OK": True, "Value": {"id": "x1", "kaping": False}})]


def test_the_answer_to_a_keep_alive_is_passed_over(authority: Authority, proxy: Path) -> None:
    pong = frame({"OK": True, "Value": {"id": "x1", "kaping": False}}, b"dka")

    with serving(authority, answering(pong + pong, {"OK": True, "Value": 7})) as url:
        assert call(proxy, authority, url) == {"OK": True, "Value": 7}


def refusing(answer: object) -> Script:
    def script(peer: Peer) -> None:
        peer.read()
        peer.say(answer)

    return script


def silent_after(frames: int) -> Script:
    def script(peer: Peer) -> None:
        for number in range(frames):
            peer.read()
            if number < frames - 1:
                peer.say(ACCEPTED)
        peer.read()  # until the client gives up

    return script


def closing_after_arguments(peer: Peer) -> None:
    peer.read()
    peer.say(ACCEPTED)
    peer.read()


# What may go wrong, one table for both clients: the agent's error and its words; the pilot's, or None for an answer.
WRONG: list[tuple[Script, type[ServiceError], str, type[Exception] | None]] = [
    (refusing(UNAUTHORIZED), AccessDenied, "no access to requestJob with this credential", None),
    (
        refusing({"OK": False, "Errno": 0, "Message": "W/X is not up in this server"}),
        Unreachable,
        "is not up in this server",
        None,
    ),
    (refusing([1]), Unreachable, "answered the proposal with '[1]'", None),
    (refusing(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Unreachable, "expected a frame", ValueError),
    (silent_after(1), Unreachable, "timed out", TimeoutError),
    (silent_after(2), NoAnswer, "no answer to requestJob", TimeoutError),
    (closing_after_arguments, NoAnswer, "the server closed the connection", ConnectionResetError),
    (answering(b"12:{"), NoAnswer, "the server closed the connection", ConnectionResetError),
    (answering(b"3:{a}"), BadAnswer, "is not JSON", ValueError),
    (answering(b"3:NaN"), BadAnswer, "is not JSON", ValueError),
    (answering(b"x:{}"), BadAnswer, "expected a frame's length, got b'x'", ValueError),
    (answering(b"-4:{}"), BadAnswer, "expected a frame's length, got b'-4'", ValueError),
    (answering(b":{}"), BadAnswer, "expected a frame's length, got b''", ValueError),
    (answering(b"9" * 40), BadAnswer, "expected a frame, got", ValueError),
    (answering(b"200000000:{}"), BadAnswer, "200000000 bytes, more than 1 MB", ValueError),
]


@pytest.mark.parametrize(("script", "kind", "words", "of_pilot"), WRONG)
def test_what_goes_wrong_says_whether_the_call_was_sent(
    authority: Authority,
    proxy: Path,
    script: Script,
    kind: type[ServiceError],
    words: str,
    of_pilot: type[Exception] | None,
) -> None:
    limits = IMPATIENT if of_pilot is TimeoutError else LIMITS
    with serving(authority, script) as url, pytest.raises(kind) as caught:
        transport(proxy, authority, limits=limits).call(url, "requestJob", ())

    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_drips_is_given_up_at_the_whole_deadline(authority: Authority, proxy: Path) -> None:
    def script(peer: Peer) -> None:
        with suppress(OSError):
            peer.read()
            peer.say(ACCEPTED)
            peer.read()
            peer.say(b"100:")
            while True:
                peer.say(b" ")
                time.sleep(0.1)

    with serving(authority, script) as url, pytest.raises(NoAnswer, match=r"not complete in 1 s|timed out"):
        transport(proxy, authority, limits=replace(LIMITS, whole_s=1.0)).call(url, "requestJob", ())


def test_a_proposal_longer_than_the_server_reads_is_not_sent(authority: Authority, proxy: Path) -> None:
    with serving(authority, answering(ACCEPTED)) as url, pytest.raises(Unreachable, match="are too many for one frame"):
        transport(proxy, authority, vo="v" * 1100).call(url, "ping", [])


def test_nobody_listens(authority: Authority, proxy: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"dips://127.0.0.1:{taken.getsockname()[1]}/W/X"
    with pytest.raises(Unreachable, match="Connection refused"):
        call(proxy, authority, url)


@pytest.mark.parametrize("url", ["dips:///W/X", "dips://host/W/X", "dips:W/X"])
def test_a_url_without_a_place_is_named(authority: Authority, proxy: Path, url: str) -> None:
    with pytest.raises(Unreachable, match="expected dips://host:port/System/Service"):
        call(proxy, authority, url)


def test_a_server_of_another_ca_is_not_trusted(authority: Authority, proxy: Path, tmp_path: Path) -> None:
    other = open_authority(tmp_path / "other", lambda: datetime.now(UTC), "another CA")

    with (
        serving(other, answering(ACCEPTED), server_context(other, "localhost", asks_for_proxy=False)) as url,
        pytest.raises(Unreachable, match="the server's certificate is not trusted"),
    ):
        call(proxy, authority, url)


@pytest.mark.parametrize("host_names", [(), ("elsewhere.example",)])
def test_a_server_whose_name_is_not_in_its_san_is_not_trusted(
    authority: Authority, proxy: Path, host_names: tuple[str, ...]
) -> None:
    context = server_context(authority, *host_names)
    with serving(authority, answering(ACCEPTED), context) as url, pytest.raises(Unreachable, match="not trusted"):
        call(proxy, authority, url)


def test_a_server_that_does_not_accept_our_ca_says_so(authority: Authority, proxy: Path, tmp_path: Path) -> None:
    other = open_authority(tmp_path / "other", lambda: datetime.now(UTC), "another CA")
    stranger = tmp_path / "stranger.pem"
    write_private(stranger, other.issue("Stranger").pem())

    with serving(authority, answering(ACCEPTED)) as url, pytest.raises(AccessDenied, match="does not accept our"):
        call(stranger, authority, url)


def test_a_proxy_that_has_gone_is_one_sentence(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="TLS cannot use them"):
        tls(tmp_path / "none.pem", authority.certificates)


# ---- the pilot's own client, which shares no line with the agent's ----


def pilot_call(
    proxy: Path, authority: Authority, url: str, *arguments: object, within_s: float = PATIENCE_S, vo: str = "labvo"
) -> Any:
    return pilot_dips.exchange(
        tls(proxy, authority.certificates),
        url,
        "setPilotStatus",
        arguments,
        who=("None", vo, ""),
        deadline=time.monotonic() + within_s,
        clock=time.monotonic,
    )


def test_the_pilot_makes_the_same_call(authority: Authority, proxy: Path) -> None:
    read: list[Any] = []

    def script(peer: Peer) -> None:
        read.append(peer.read()[1])
        peer.say(ACCEPTED)
        read.append(peer.read()[1])
        peer.say(frame({"OK": True, "Value": {"id": "x1", "kaping": True}}, b"dka"), {"OK": True, "Value": 1})

    with serving(authority, script) as url:
        assert pilot_call(proxy, authority, url, "ref", "Done") == {"OK": True, "Value": 1}

    assert read[0]["Value"][:3] == [["WorkloadManagement/Matcher", "None", "labvo"], ["RPC", "setPilotStatus"], ""]
    assert read[1] == {"OK": True, "Value": ["ref", "Done"]}


def test_the_pilot_gets_a_refused_proposal_as_the_answer(authority: Authority, proxy: Path) -> None:
    with serving(authority, refusing(UNAUTHORIZED)) as url:
        assert pilot_call(proxy, authority, url) == UNAUTHORIZED


@pytest.mark.parametrize(("script", "kind"), [(case[0], case[3]) for case in WRONG])
def test_the_pilot_tells_silence_from_nonsense(
    authority: Authority, proxy: Path, script: Script, kind: type[Exception] | None
) -> None:
    with serving(authority, script) as url, pytest.raises(kind) if kind else nullcontext():
        pilot_call(proxy, authority, url, within_s=SILENT_S if kind is TimeoutError else PATIENCE_S)


def test_the_pilot_sends_no_proposal_longer_than_the_server_reads_either(authority: Authority, proxy: Path) -> None:
    with (
        serving(authority, answering(ACCEPTED)) as url,
        pytest.raises(ValueError, match="are too many for one frame"),
    ):
        pilot_call(proxy, authority, url, vo="v" * 1100)


def test_a_server_that_does_not_accept_our_ca_says_so_to_the_pilot(authority: Authority, tmp_path: Path) -> None:
    other = open_authority(tmp_path / "other", lambda: datetime.now(UTC), "another CA")
    write_private(tmp_path / "stranger.pem", other.issue("Stranger").pem())

    with serving(authority, answering(ACCEPTED)) as url, pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        pilot_call(tmp_path / "stranger.pem", authority, url)


def test_a_proxy_that_goes_while_the_agent_runs_stops_the_call_only(authority: Authority, tmp_path: Path) -> None:
    with serving(authority, answering(ACCEPTED)) as url, pytest.raises(Unreachable, match="TLS cannot use them"):
        call(tmp_path / "gone.pem", authority, url)
