"""One table of hostile answers against all clients: each ends with its own error, in its time, within its memory."""

import ssl
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from agents.errors import ServiceError
from agents.local_wms.authority import Authority, open_authority, write_private
from agents.wms.dips import DipsTransport
from agents.wms.dips import tls as agents_tls
from agents.wms.https import HttpsTransport, session
from agents.wms.service import Retry, Service
from ce_backends.arc.rest import Answer, Credential, NoAnswer, Rest, jobs
from ce_backends.batch.options import Needs
from ce_backends.batch.systems.htcondor import Condor
from ce_backends.batch.systems.oar import Oar
from ce_backends.batch.transport import Done
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.untrusted import strict_json as agents_json
from ce_backends.untrusted.bounded_http import Limits
from pilot import strict_json as pilots_json
from pilot.errors import PilotError
from pilot.wms import client as services
from tests.unit import hostile_server as hostile
from tests.unit.captured import Captured
from tests.unit.hostile_server import BELOW_TLS, DISET, GOOD, HTTP, JSON, Act, http, serving
from tests.waiting import PATIENCE_S

WHOLE_S = 0.2
AT_MOST_S = PATIENCE_S  # a client that has no end of it stays for ever, however busy the machine is
AT_MOST_MB = 5


class Setting:
    """A CA, the server's context, and whom the clients are."""

    within_s = WHOLE_S  # how long clients wait for an answer that is none

    def __init__(self, authority: Authority) -> None:
        self.ca = authority.certificates
        self.proxy = authority.folder / "pilot.proxy.pem"
        write_private(self.proxy, authority.delegate(authority.issue("Lab Pilot"), "lab_pilot").pem())
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(authority.host())

    @property
    def limits(self) -> Limits:
        """The same for those that take them apart."""
        return Limits(connect_s=self.within_s, read_s=self.within_s, whole_s=self.within_s, body_mb=1)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return Setting(open_authority(tmp_path_factory.mktemp("ca"), lambda: datetime.now(UTC)))


@pytest.fixture(autouse=True)
def _small_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a megabyte be too much for all of them, as it is for the agent by its limits."""
    for constant in ("pilot.wms.client.ANSWER_LIMIT_BYTES", "pilot.wms.dips.ANSWER_LIMIT_BYTES"):
        monkeypatch.setattr(constant, 10**6)
    monkeypatch.setattr("ce_backends.arc.rest._ANSWER_MB", 1)
    monkeypatch.setattr("ce_backends.arc.rest.FILE_MB", 1)


def agent(setting: Setting, port: int) -> object:
    with session(setting.proxy, setting.ca) as kept:
        transport = HttpsTransport(kept, vo="lab", limits=setting.limits)
        return Service("X/Y", [f"https://localhost:{port}/X/Y"], transport, Retry(attempts=1)).call("m", "secret")


def agent_dips(setting: Setting, port: int) -> object:
    transport = DipsTransport(lambda: agents_tls(setting.proxy, setting.ca), vo="lab", limits=setting.limits)
    return Service("X/Y", [f"dips://localhost:{port}/X/Y"], transport, Retry(attempts=1)).call("m", "secret")


def _pilot(setting: Setting, url: str) -> object:
    shown = SimpleNamespace(certificate=setting.proxy, key=setting.proxy)
    caller = services.Services(services.tls(shown, setting.ca), vo="lab", setup="s", is_host=False)  # type: ignore[arg-type]
    return caller.call(url, "m", "secret", timeout_s=setting.within_s)


def pilot(setting: Setting, port: int) -> object:
    return _pilot(setting, f"https://localhost:{port}/X/Y")


def pilot_dips(setting: Setting, port: int) -> object:
    return _pilot(setting, f"dips://localhost:{port}/X/Y")


@contextmanager
def _arc(setting: Setting, port: int) -> Iterator[Rest]:
    token = setting.proxy.with_name("token")
    token.write_text("secret-token")
    credential = Credential(proxy=setting.proxy, token=token, ca_directory=setting.ca)
    rest = Rest(f"https://localhost:{port}/arex/rest/1.0", credential, timeout_s=setting.within_s)
    try:
        yield rest
    finally:
        rest.close()


def arc(setting: Setting, port: int) -> object:
    with _arc(setting, port) as rest:
        return rest.act("status", ["1"])["1"]["x"]


def arc_upload(setting: Setting, port: int) -> object:
    with _arc(setting, port) as rest, setting.proxy.open("rb") as file:
        return jobs(rest.call("PUT", "/jobs/1/session/task", body=file))[0]["x"]


def arc_download(setting: Setting, port: int) -> object:
    into = setting.proxy.with_name("coming")
    with _arc(setting, port) as rest:
        assert rest.download("/jobs/1/session/result", into, most_mb=1)
    return into.read_bytes()


Client = Callable[[Setting, int], object]
OVER_HTTPS: tuple[tuple[Client, type[Exception]], ...] = ((agent, ServiceError), (pilot, PilotError), (arc, CEError))
OVER_DIPS: tuple[tuple[Client, type[Exception]], ...] = ((agent_dips, ServiceError), (pilot_dips, PilotError))


def by_name(value: object) -> str:
    return value.__name__ if callable(value) and hasattr(value, "__name__") else str(value)


def table(acts: Mapping[str, Act], *clients: tuple[Client, type[Exception]]) -> pytest.MarkDecorator:
    rows = [
        pytest.param(act, client, error, id=f"{name}-{client.__name__}")
        for name, act in acts.items()
        for client, error in clients
    ]
    return pytest.mark.parametrize(("act", "client", "error"), rows)


def ended_by(setting: Setting, client: Client, error: type[Exception], port: int) -> Exception:
    """Return the client's error, which came in time, in one line, and took no memory to speak of."""
    tracemalloc.start()
    began = time.monotonic()
    try:
        with pytest.raises(error) as caught:
            client(setting, port)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < AT_MOST_S
    assert peak < AT_MOST_MB * 10**6
    assert len(str(caught.value)) < 1000
    return caught.value


@pytest.mark.parametrize("client", [agent, pilot, arc], ids=by_name)
def test_the_good_answer_is_taken(setting: Setting, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setting, "within_s", PATIENCE_S)
    with serving(http(GOOD), setting.context) as server:
        assert client(setting, server.port) == 7


@pytest.mark.parametrize("client", [agent_dips, pilot_dips], ids=by_name)
def test_the_good_frames_are_taken(setting: Setting, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setting, "within_s", PATIENCE_S)
    frame = b"%d:%b" % (len(GOOD), GOOD)
    with serving(hostile.raw(frame, frame), setting.context) as server:
        assert client(setting, server.port) == 7


@table(HTTP, *OVER_HTTPS)
def test_a_hostile_answer_over_https_ends_in_the_clients_own_error(
    setting: Setting, act: Act, client: Client, error: type[Exception]
) -> None:
    with serving(act, setting.context) as server:
        ended_by(setting, client, error, server.port)


@table(DISET, *OVER_DIPS)
def test_a_hostile_answer_over_dips_ends_in_the_clients_own_error(
    setting: Setting, act: Act, client: Client, error: type[Exception]
) -> None:
    with serving(act, setting.context) as server:
        ended_by(setting, client, error, server.port)


@table(BELOW_TLS, *OVER_HTTPS, *OVER_DIPS)
def test_what_is_no_tls_ends_in_the_clients_own_error(
    setting: Setting, act: Act, client: Client, error: type[Exception]
) -> None:
    with serving(act, None) as server:
        ended_by(setting, client, error, server.port)


VALUES_OF_JSON = (
    "a refusal in many words",
    "a refusal in no words",
    "a word for yes",
    "a list",
    "a text",
    "null",
    "a number",
    "a list in place of an object",
)  # for others to refuse
NO_VALUES = tuple(name for name in JSON if name not in VALUES_OF_JSON)
ENDLESS = {name: act for name, act in HTTP.items() if name not in JSON and "none" not in name}


@table(ENDLESS, (arc_download, CEError))
def test_a_hostile_answer_to_a_download_ends_in_an_error(
    setting: Setting, act: Act, client: Client, error: type[Exception]
) -> None:
    with serving(act, setting.context) as server:
        ended_by(setting, client, error, server.port)


@pytest.mark.parametrize("job_id", ['"a/../b"', '"a,b"', '"\\u00e9"', "[1]", "null", '""', '"' + "a" * 300 + '"'])
def test_a_jobs_id_is_a_word_or_the_answer_is_none(job_id: str) -> None:
    with pytest.raises(CEError):
        jobs(Answer(201, b'{"job": {"id": %b}}' % job_id.encode()))


def test_a_good_download_is_whole(setting: Setting) -> None:
    with serving(http(b"result"), setting.context) as server:
        assert arc_download(setting, server.port) == b"result"


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "500 User can't be assigned configuration"])
def test_an_arc_of_any_generation_that_does_not_know_us_has_surely_done_nothing(setting: Setting, status: str) -> None:
    with serving(http(b"", status=status), setting.context) as server:
        refusal = ended_by(setting, arc, CEUnavailable, server.port)

    assert str(refusal).endswith(f"does not let us in with this token: HTTP {status}")


def test_an_arc_that_fails_in_another_way_may_have_done_what_was_asked(setting: Setting) -> None:
    with serving(http(b"", status="500 Internal Server Error"), setting.context) as server:
        ended_by(setting, arc, NoAnswer, server.port)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("client", [agent, pilot, arc, arc_upload, arc_download], ids=by_name)
def test_nobody_goes_where_a_redirect_points(setting: Setting, client: Client, status: int) -> None:
    with serving(http(GOOD), None) as elsewhere:
        away = http(b"", f"Location: http://localhost:{elsewhere.port}/", status=f"{status} Moved")
        with serving(away, setting.context) as server, pytest.raises((ServiceError, PilotError, CEError)):
            client(setting, server.port)

        assert len(server.requests) == 1
        assert elsewhere.connections == []


@pytest.mark.parametrize("client", [agent, arc, arc_upload], ids=by_name)
def test_no_cookie_of_a_server_is_kept(setting: Setting, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[object] = []
    monkeypatch.setattr("requests.cookies.RequestsCookieJar.set_cookie", lambda _jar, cookie: kept.append(cookie))
    with serving(http(GOOD, *(f"Set-Cookie: c{n}={'x' * 1000}" for n in range(90))), setting.context) as server:
        assert client(setting, server.port) == 7

    assert kept == []


@pytest.mark.parametrize("body", [JSON[name] for name in NO_VALUES], ids=NO_VALUES)
@pytest.mark.parametrize("read", [agents_json.read, pilots_json.read], ids=["agent", "pilot"])
def test_both_readers_of_json_refuse_alike(read: Callable[[bytes], object], body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\A.{5,200}\Z") as caught:
        read(body)

    assert type(caught.value) in (agents_json.NotJson, pilots_json.NotJson)


@pytest.mark.parametrize("read", [agents_json.read, pilots_json.read], ids=["agent", "pilot"])
@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'\xef\xbb\xbf{"a": [1, 2.5, true, null, "\xc3\xa9"]}', {"a": [1, 2.5, True, None, "\u00e9"]}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'["\\ud800", "\\\\ud800"]', ["?", "\\ud800"]),
        (b"[" * 64 + b"]" * 64, None),
        (b"9" * 100, int("9" * 100)),
        (b"-1.5e300", -1.5e300),
    ],
)
def test_both_readers_of_json_take_alike(read: Callable[[bytes], object], text: bytes, value: object) -> None:
    assert value is None or read(text) == value


def condor(answer: str) -> object:
    return Condor(Captured("htcondor", {"condor": Done(0, answer, "")}), Needs()).states(["1.0"])


def condor_finding(answer: str) -> object:
    return Condor(Captured("htcondor", {"condor": Done(0, answer, "")}), Needs()).find(["a"])


def oar(answer: str) -> object:
    return Oar(Captured("oar", {"oarstat": Done(0, answer, "")}), Needs()).states(["1"])


def oar_finding(answer: str) -> object:
    return Oar(Captured("oar", {"oarstat": Done(0, answer, "")}), Needs()).find(["a"])


NOT_JSON = (
    "a list without end",
    "an object without end",
    "half",
    "no JSON",
    "two values",
    "a number",
    "a text",
    "null",
)
VALUES = ("[" * 900 + "]" * 900, "1" * 5000, "0." + "1" * 5000, "NaN", "-Infinity", "1e999")


@pytest.mark.parametrize("answered", [condor, condor_finding, oar, oar_finding], ids=by_name)
@pytest.mark.parametrize(
    "answer",
    [
        *(pytest.param(JSON[name].decode(), id=name) for name in NOT_JSON),
        *(pytest.param(f'[{{"ClusterId": 1, "ProcId": 0, "x": {value}}}]', id=value[:12]) for value in VALUES),
        *(pytest.param(f'{{"1": {{"name": "a", "x": {value}}}}}', id=value[:12]) for value in VALUES),
    ],
)
def test_a_hostile_answer_of_a_batch_system_is_a_ce_error(answered: Callable[[str], object], answer: str) -> None:
    with pytest.raises(CEError):
        answered(answer)


@pytest.mark.parametrize(
    "events", ["5", "[5]", '[{"type": []}]', '{"a": 1}', '[{"type": "RESUBMIT_JOB_AUTOMATICALLY"}]']
)
@pytest.mark.parametrize("state", ["Error", "Terminated", "Running", "?"])
def test_events_of_any_form_are_read(events: str, state: str) -> None:
    assert oar(f'{{"1": {{"state": "{state}", "events": {events}, "startTime": "x", "exit_code": "x"}}}}')
