"""Whom a call over HTTPS trusts, and who does not trust it: authorities, names, certificates, web proxies."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes

from agents.errors import NoAnswer, Unreachable
from agents.local_wms.authority import Authority, Holder, write_private
from tests.unit.agent_https_scene import HOST_NAMES, asked, authority, client, failed, host, proxy, sentence, stranger
from tests.unit.https_server import OK, serving

__all__ = ["authority", "host", "proxy", "stranger"]


def test_a_server_of_another_ca_is_not_trusted(
    authority: Authority, stranger: Authority, host: Holder, proxy: Path
) -> None:
    with serving(OK, host) as server:
        error = failed(server, proxy, stranger)

    assert isinstance(error, Unreachable)
    assert sentence(error, server).startswith("the server's certificate is not trusted: ")
    assert server.forms == []


def test_a_server_with_anothers_name_is_not_trusted(authority: Authority, proxy: Path) -> None:
    other = authority.issue("elsewhere", host_names=("elsewhere.example",))
    with serving(OK, other) as server:
        error = failed(server, proxy, authority)

    assert isinstance(error, Unreachable)
    assert sentence(error, server) == (
        "the server's certificate is not trusted: IP address mismatch, certificate is not valid for '127.0.0.1'; "
        "that name must stand in its subjectAltName, the CN does not count (RFC 6125)"
    )


def test_a_server_whose_certificate_has_no_san_is_not_trusted_and_the_sentence_says_so(
    authority: Authority, proxy: Path
) -> None:
    own = authority.issue("127.0.0.1", host_names=("127.0.0.1",))
    builder = authority._builder(own.certificate.subject, authority._ca, own.key.public_key(), timedelta(days=1))
    bare = Holder(builder.sign(authority._ca.key, hashes.SHA256()), own.key)
    with serving(OK, bare) as server:
        error = failed(server, proxy, authority)

    assert isinstance(error, Unreachable)
    assert "must stand in its subjectAltName, the CN does not count" in sentence(error, server)


def test_a_server_whose_certificate_has_expired_is_not_trusted(authority: Authority, proxy: Path) -> None:
    old = authority.issue("localhost", host_names=HOST_NAMES, life=timedelta(days=-1))
    with serving(OK, old) as server:
        error = failed(server, proxy, authority)

    assert isinstance(error, Unreachable)
    assert sentence(error, server) == "the server's certificate is not trusted: certificate has expired"


def test_a_server_that_refuses_our_certificate_after_the_call_was_written_may_have_got_it(
    authority: Authority, stranger: Authority, host: Holder, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign.pem"
    write_private(foreign, stranger.issue("Pilot").pem())
    with serving(OK, host, trusted=authority) as server:
        error = failed(server, foreign, authority)

    assert isinstance(error, NoAnswer)
    assert "alert unknown ca" in sentence(error, server)
    assert server.forms == []


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_environment_does_not_replace_our_cas(
    authority: Authority, stranger: Authority, host: Holder, proxy: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(stranger.folder / "ca.pem"))
    with serving(OK, host) as server:
        assert asked(server, proxy, authority) == {"OK": True, "Value": 7}


def test_the_environment_does_not_add_to_our_cas(
    authority: Authority, stranger: Authority, host: Holder, proxy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.folder / "ca.pem"))
    with serving(OK, host) as server:
        assert isinstance(failed(server, proxy, stranger), Unreachable)


def test_no_call_to_this_machine_goes_through_a_web_proxy(
    authority: Authority, host: Holder, proxy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with serving(OK, host) as server:
        assert asked(server, proxy, authority) == {"OK": True, "Value": 7}


def test_a_proxy_file_that_has_gone_is_unreachable_with_its_name(
    authority: Authority, host: Holder, tmp_path: Path
) -> None:
    with serving(OK, host) as server:
        error = failed(server, tmp_path / "gone.pem", authority)

    assert isinstance(error, Unreachable)
    assert "gone.pem" in sentence(error, server)


def test_a_ca_bundle_without_certificates_is_unreachable(
    authority: Authority, host: Holder, proxy: Path, tmp_path: Path
) -> None:
    (tmp_path / "bundle.pem").write_text("nothing")
    with serving(OK, host) as server, client(proxy, tmp_path / "bundle.pem") as transport:
        with pytest.raises(Unreachable):
            transport.call(server.url, "m", [])

        assert server.forms == []
