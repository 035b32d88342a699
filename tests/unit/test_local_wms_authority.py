import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import socketpair

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from agents.local_wms.authority import Authority, Holder, open_authority, write_private
from agents.local_wms.credentials import caller_of, certified
from agents.local_wms.registry import ADMIN, DEFAULT_GROUP, HOST, HOSTS_GROUP, PILOT, USER, VO
from agents.local_wms.server import tls_context
from tests.kept_keys import MAKE_AUTHORITY_KEY
from tests.waiting import PATIENCE_S

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = open_authority(tmp_path_factory.mktemp("authority"), lambda: NOW)
    authority.make_all()
    return authority


@pytest.fixture(scope="module")
def person(authority: Authority) -> Holder:
    return authority.issue(USER.common_name)


def chain(holder: Holder) -> list[bytes]:
    return [link.public_bytes(Encoding.DER) for link in (holder.certificate, *holder.chain)]


def shake_hands(authority: Authority, host_pem: Path, client_pem: Path | None) -> None:
    """Do a TLS handshake in memory, the server in a thread; raises what the client gets."""
    client = ssl.create_default_context(capath=str(authority.certificates))
    if client_pem:
        client.load_cert_chain(client_pem)
    here, there = socketpair()
    here.settimeout(PATIENCE_S)
    there.settimeout(PATIENCE_S)
    with here, there:
        server = threading.Thread(target=_answer, args=(tls_context(host_pem, authority.certificates), there))
        server.start()
        try:
            with client.wrap_socket(here, server_hostname="localhost") as secured:
                secured.recv(1)  # in TLS 1.3 a refused client certificate shows at the first read
        finally:
            here.close()
            server.join(PATIENCE_S)


def _answer(context: ssl.SSLContext, there: object) -> None:
    try:
        with context.wrap_socket(there, server_side=True) as secured:  # type: ignore[arg-type]
            secured.sendall(b"x")
    except OSError:
        pass  # the client hears of it


@pytest.fixture
def proxy_file(tmp_path: Path) -> Path:
    return tmp_path / "proxy.pem"


def test_the_ca_is_published_under_openssls_hash(authority: Authority) -> None:
    # `openssl x509 -hash` for /O=Gridpilot local WMS/CN=Throw-away CA, OpenSSL 3.0
    assert [file.name for file in authority.certificates.iterdir()] == ["67d68a45.0"]


def test_keys_are_for_their_owner_only(authority: Authority) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in authority.folder.glob("*.pem")}

    assert {name for name, mode in modes.items() if mode != 0o600} == {"ca.pem"}


@pytest.mark.parametrize("who", [USER, ADMIN, PILOT])
def test_a_proxy_is_accepted_by_the_tls_of_the_server(authority: Authority, who: object) -> None:
    shake_hands(authority, authority.host(), authority.proxy(who))  # type: ignore[arg-type]


def test_no_certificate_is_no_tls_error(authority: Authority) -> None:
    shake_hands(authority, authority.host(), None)


def test_an_expired_proxy_is_a_tls_error(authority: Authority, person: Holder, proxy_file: Path) -> None:
    write_private(proxy_file, authority.delegate(person, DEFAULT_GROUP, life=timedelta(hours=-1)).pem())

    with pytest.raises(ssl.SSLError, match="certificate expired"):
        shake_hands(authority, authority.host(), proxy_file)


def test_a_proxy_of_another_ca_is_a_tls_error(authority: Authority, proxy_file: Path, tmp_path: Path) -> None:
    stranger = open_authority(tmp_path / "other", lambda: NOW, "Another CA")
    write_private(proxy_file, stranger.delegate(stranger.issue("Local User"), DEFAULT_GROUP).pem())

    with pytest.raises(ssl.SSLError, match="unknown ca"):
        shake_hands(authority, authority.host(), proxy_file)


def test_a_host_certificate_without_names_is_refused_by_clients(authority: Authority, tmp_path: Path) -> None:
    nameless = tmp_path / "host.pem"
    write_private(nameless, authority.issue("localhost", host_names=["elsewhere"]).pem())

    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(authority, nameless, None)


def test_keys_are_new_and_of_2048_bits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("agents.local_wms.authority._new_key", MAKE_AUTHORITY_KEY)
    authority = open_authority(tmp_path, lambda: NOW)

    keys = [authority.issue("Somebody").key.public_key() for _ in range(2)]

    assert keys[0] != keys[1]
    assert [key.key_size for key in keys] == [2048, 2048]


def test_what_is_valid_is_kept_and_what_nears_its_end_is_made_anew(tmp_path: Path) -> None:
    moments = [NOW]
    authority = open_authority(tmp_path, lambda: moments[-1])
    first = authority.proxy(USER).read_bytes()
    assert authority.proxy(USER).read_bytes() == first

    moments.append(NOW + timedelta(days=6))

    assert authority.proxy(USER).read_bytes() != first
    assert open_authority(tmp_path, lambda: moments[-1]).folder == tmp_path
    assert authority.proxy(USER).read_bytes() != first


def test_a_proxy_of_a_proxy_is_still_the_person_with_the_first_group(authority: Authority, person: Holder) -> None:
    proxy = authority.delegate(authority.delegate(person, DEFAULT_GROUP), None)

    proof = certified(chain(proxy))

    assert (proof.dn, proof.group, proof.is_proxy, proof.is_limited) == (USER.dn, DEFAULT_GROUP, True, False)


def test_a_limited_proxy_anywhere_makes_the_caller_limited(authority: Authority, person: Holder) -> None:
    proxy = authority.delegate(authority.delegate(person, DEFAULT_GROUP, limited=True), None)

    assert caller_of(certified(chain(proxy)), "").is_limited


@pytest.mark.parametrize(
    ("group", "username", "group_seen"),
    [(DEFAULT_GROUP, "localuser", DEFAULT_GROUP), (None, "localuser", DEFAULT_GROUP), (f"{VO}_admin", "", "")],
)
def test_a_person_is_known_in_own_groups_only(
    authority: Authority, person: Holder, group: str | None, username: str, group_seen: str
) -> None:
    caller = caller_of(certified(chain(authority.delegate(person, group))), "")

    assert (caller.username, caller.group) == (username, group_seen)


def test_a_plain_certificate_may_choose_its_group(authority: Authority) -> None:
    admin = certified(chain(authority.issue(ADMIN.common_name)))

    assert caller_of(admin, f"{VO}_admin").group == f"{VO}_admin"
    assert caller_of(admin, "").group == DEFAULT_GROUP


@pytest.mark.parametrize(("asked_for", "username"), [(HOSTS_GROUP, HOST.username), ("", "")])
def test_a_host_is_known_only_as_a_host(authority: Authority, asked_for: str, username: str) -> None:
    host = certified(chain(authority.issue(HOST.common_name, host_names=["localhost"])))

    assert caller_of(host, asked_for).username == username


def test_a_valid_certificate_of_a_stranger_proves_no_more_than_a_name(authority: Authority) -> None:
    caller = caller_of(certified(chain(authority.issue("Somebody"))), "")

    assert (caller.dn.endswith("/CN=Somebody"), caller.username, caller.properties) == (True, "", frozenset())
