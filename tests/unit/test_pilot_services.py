"""The pilot's calls, and the configuration that it fetches, against a small HTTPS server."""

import base64
import threading
import zlib

import pytest

from pilot import cfg
from pilot.errors import CredentialError, ServiceRefused, ServiceUnreachable, UsageError
from pilot.settings import Settings
from pilot.wms import client as services
from pilot.wms import configuration, credential
from tests.unit.pilot_scene import NOW, PILOT_S, error, keys, ok, packed, serving

__all__ = ["keys"]


def caller(keys, ca="ca.pem", **options):
    ours = credential.load(Settings(), {"X509_USER_PROXY": str(keys / "proxy.pem")}, now=NOW)
    return services.Services(services.tls(ours, keys / ca), **{"vo": "vo", "setup": "", "is_host": False, **options})


def test_a_call_returns_the_value_and_sends_its_arguments(keys):
    with serving(keys, lambda path, method, args: ok([path, method, args])) as url:
        value = caller(keys).call(f"{url}/S/X", "m", "a", 1, {"k": ["v"]}, timeout_s=5)

    assert value == ["/S/X", "m", ["a", 1, {"k": ["v"]}]]


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (error("Pilot x not found", 1550), ServiceRefused, "m: Pilot x not found"),
        ((401, b""), ServiceRefused, "this credential may not call m (HTTP 401)"),
        ((501, b""), ServiceRefused, "there is no method m"),
        ((500, b"<html>"), ServiceUnreachable, "HTTP 500 for m"),
        ((404, b"<html>"), ServiceUnreachable, "HTTP 404 for m"),
        ((200, b"<html>hello"), ServiceUnreachable, "answered m with '<html>hello'; expected JSON"),
        ((200, b'{"OK": tr'), ServiceUnreachable, "expected JSON"),
        ((200, b"[1]"), ServiceUnreachable, "expected an object with OK"),
        ((200, b'{"OK": "yes"}'), ServiceUnreachable, "expected an object with OK"),
    ],
)
def test_every_answer_that_is_no_value_gets_one_sentence(keys, answer, kind, said):
    with serving(keys, lambda *_: answer) as url, pytest.raises(kind) as caught:
        caller(keys).call(f"{url}/S/X", "m", timeout_s=5)

    assert said in str(caught.value)
    assert getattr(caught.value, "errno", 0) in (0, 1550)


def test_a_server_of_another_ca_is_not_trusted(keys):
    with serving(keys, lambda *_: ok(1)) as url, pytest.raises(ServiceUnreachable, match="certificate is not accepted"):
        caller(keys, ca="other-ca.pem").call(f"{url}/S/X", "m", timeout_s=5)


def test_a_host_certificate_without_san_is_not_trusted(keys):
    with serving(keys, lambda *_: ok(1), host="nosan.pem") as url, pytest.raises(ServiceUnreachable) as caught:
        caller(keys).call(f"{url}/S/X", "m", timeout_s=5)

    assert "is not valid for 'localhost'" in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://h:9135/X", "https:///X", "http://h/X", "https://h:port/X", "x"])
def test_an_url_that_cannot_be_called_is_named(keys, url):
    with pytest.raises(ServiceUnreachable, match="expected https://host:port/path"):
        caller(keys).call(url, "m", timeout_s=5)


def test_nobody_listening_is_unreachable(keys):
    with serving(keys, lambda *_: ok(1)) as url:
        pass
    with pytest.raises(ServiceUnreachable, match="no answer to m"):
        caller(keys).call(f"{url}/S/X", "m", timeout_s=5)


def test_a_server_that_does_not_answer_is_left_at_the_deadline(keys):
    released = threading.Event()
    with serving(keys, lambda *_: ok(released.wait(PILOT_S))) as url:
        with pytest.raises(ServiceUnreachable, match="no answer to m"):
            caller(keys).call(f"{url}/S/X", "m", timeout_s=0.3)
        released.set()


def test_an_answer_without_end_is_cut_off_at_the_limit(keys):
    flood = (200, bytes(services.ANSWER_LIMIT_BYTES + 1))

    with serving(keys, lambda *_: flood) as url, pytest.raises(ServiceUnreachable, match="more than"):
        caller(keys).call(f"{url}/S/X", "m", timeout_s=PILOT_S)


def test_a_key_that_does_not_fit_is_refused_before_any_request(keys, tmp_path):
    wrong = tmp_path / "wrong.pem"
    host, proxy = ((keys / file).read_text() for file in ("host.pem", "proxy.pem"))
    wrong.write_text(host[: host.index("-----BEGIN PRIVATE")] + proxy[proxy.index("-----BEGIN PRIVATE") :])
    wrong.chmod(0o600)
    ours = credential.load(Settings(), {"X509_USER_PROXY": str(wrong)}, now=NOW)

    with pytest.raises(CredentialError, match="certificate and key do not work"):
        services.tls(ours, keys / "ca.pem")


def in_order(servers):
    return servers


def test_the_configuration_comes_from_the_first_server_that_gives_it(keys):
    def answer(path, *_):
        return (500, b"") if path == "/broken" else ok(packed("A = 1\n"))

    with serving(keys, answer) as url:
        root = configuration.download(caller(keys), [f"{url}/broken", f"{url}/good"], shuffled=in_order).root

    assert root == {"A": "1"}


@pytest.mark.parametrize("value", ["text", {}, {"data": 3}, {"data": "!"}, {"data": base64.b64encode(b"x").decode()}])
def test_a_configuration_that_cannot_be_unpacked_is_no_configuration(keys, value):
    with serving(keys, lambda *_: ok(value)) as url, pytest.raises(ServiceUnreachable, match="no configuration"):
        configuration.download(caller(keys), [f"{url}/c"])


def test_a_truncated_configuration_is_no_configuration(keys):
    short = base64.b64encode(zlib.compress(b"A = 1\n" * 99)[:-9]).decode()

    with serving(keys, lambda *_: ok({"data": short})) as url, pytest.raises(ServiceUnreachable, match="cut off"):
        configuration.download(caller(keys), [f"{url}/c"])


def test_a_configuration_with_open_sections_is_named(keys):
    with serving(keys, lambda *_: ok(packed("A\n{\n"))) as url, pytest.raises(UsageError, match="never closed"):
        configuration.download(caller(keys), [f"{url}/c"])


def test_refusal_by_every_server_is_a_refusal(keys):
    with serving(keys, lambda *_: (401, b"")) as url, pytest.raises(ServiceRefused, match="no configuration"):
        configuration.download(caller(keys), [f"{url}/c", f"{url}/d"])


def test_urls_are_found_with_and_without_instances_and_main_servers_filled_in():
    old = cfg.nest(
        {
            "/DIRAC/Setups/Prod/WorkloadManagement": "P1",
            "/Systems/WorkloadManagement/P1/URLs/PilotManager": "https://$MAINSERVERS$:1/P",
            "/Systems/WorkloadManagement/P1/FailoverURLs/PilotManager": "https://f/P",
            "/Operations/vo/Prod/MainServers": "h1, h2",
        }
    )
    new = cfg.nest({"/Systems/WorkloadManagement/URLs/PilotManager": "https://h/P"})

    found = [
        configuration.service_urls(root, "WorkloadManagement", "PilotManager", setup="Prod", vo="vo")
        for root in (old, new)
    ]

    assert found == [("https://h1:1/P", "https://h2:1/P", "https://f/P"), ("https://h/P",)]


def test_operations_of_the_vo_win_over_the_defaults():
    root = cfg.nest({"/Operations/Defaults/Pilot/Version": "1", "/Operations/vo/Pilot/Version": "2"})

    found = [configuration.operations(root, "Pilot/Version", setup="", vo=vo) for vo in ("vo", "other", "unknown")]

    assert found == ["2", "1", "1"]
