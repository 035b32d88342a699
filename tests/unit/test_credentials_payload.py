"""Payload proxies: delegated to a key of this node, limited, renewed in time, never half written."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from agents.credentials import proxy
from agents.errors import HandBack, NoAnswer, Unreachable
from agents.jobs.job import MatchedJob
from agents.runner.payload_proxies import FixedProxy
from agents.wms.registry import Registry
from tests.kept_keys import MAKE_PROXY_KEY
from tests.unit.payload_proxies_scene import JOB, LIFE, START, Manager, authority, manager, proxies, registry, stored

__all__ = ["authority", "manager", "stored"]


def test_the_proxy_is_asked_for_by_the_owner_s_name_and_group(manager: Manager, tmp_path: Path) -> None:
    proxies(manager, tmp_path / "proxies").obtain(JOB)

    ((method, (dn, group, request, life_s)),) = manager.transport.asked
    assert (method, dn, group, life_s) == ("getProxy", "/O=Lab/CN=Lab User", "lab_user", 5 * 86400)
    assert x509.load_pem_x509_csr(str(request).encode()).subject.rfc4514_string() == "CN=limited proxy"


def test_a_group_with_a_voms_role_has_it_in_its_proxy(manager: Manager, tmp_path: Path) -> None:
    role = {"/Registry/Groups/lab_user/VOMSRole": "/lab/Role=user"}

    proxies(manager, tmp_path, **role).obtain(JOB)

    assert manager.transport.asked[0][0] == "getVOMSProxy"
    assert manager.transport.asked[0][1][4] == "/lab/Role=user"


@pytest.mark.parametrize("limit", [True, False])
def test_the_proxy_is_limited_where_the_pilot_s_right_is(manager: Manager, tmp_path: Path, limit: bool) -> None:
    held = proxies(manager, tmp_path / "proxies", limit=limit)

    held.obtain(JOB)

    path = held.file(JOB)
    assert path is not None
    found = proxy.load(path, START)
    assert (found.is_limited, found.group) == (limit, "lab_user")
    leaf = x509.load_pem_x509_certificate(found.path.read_bytes())
    information = leaf.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14"))
    assert information.critical, "XRootD's client takes no other (RFC 3820, 3.8)"
    assert found.identity.endswith("CN=Lab User")
    assert found.not_after == START + LIFE
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_keys_are_our_own_new_and_of_2048_bits(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "_new_key", MAKE_PROXY_KEY)
    held = proxies(manager, tmp_path)
    held.obtain(JOB)

    chain = x509.load_pem_x509_certificates(held.file(JOB).read_bytes())  # type: ignore[union-attr]
    limited, delegated = (certificate.public_key() for certificate in chain[:2])
    assert limited != delegated
    assert isinstance(limited, rsa.RSAPublicKey)
    assert isinstance(delegated, rsa.RSAPublicKey)
    assert (limited.key_size, delegated.key_size) == (2048, 2048)


def test_every_certificate_of_the_file_is_signed_by_the_next(manager: Manager, tmp_path: Path) -> None:
    held = proxies(manager, tmp_path)
    held.obtain(JOB)

    chain = x509.load_pem_x509_certificates(held.file(JOB).read_bytes())  # type: ignore[union-attr]

    assert len(chain) == 4
    for certificate, issuer in itertools.pairwise(chain):
        certificate.verify_directly_issued_by(issuer)


def test_one_proxy_serves_all_jobs_of_an_owner_and_group(manager: Manager, tmp_path: Path) -> None:
    held = proxies(manager, tmp_path)

    assert not held.is_ready(JOB)
    held.obtain(JOB)
    held.obtain(MatchedJob(job_id=2, jdl="[]", owner="user", group="lab_user"))

    assert held.is_ready(JOB)
    assert len(manager.transport.calls) == 1


def test_owners_and_groups_do_not_share_a_file(manager: Manager, tmp_path: Path) -> None:
    held = proxies(manager, tmp_path)
    others = [MatchedJob(job_id=2, jdl="[]", owner=o, group=g) for o, g in (("user", "x"), ("userx", ""), ("u", "x"))]

    assert len({held.file(job) for job in (JOB, *others)}) == 4


@pytest.mark.parametrize(("age", "is_renewed"), [(LIFE * 0.6, False), (LIFE * 0.7, True)])
def test_a_proxy_is_renewed_at_two_thirds_of_its_life(
    manager: Manager, tmp_path: Path, age: timedelta, is_renewed: bool
) -> None:
    held = proxies(manager, tmp_path)
    held.obtain(JOB)
    path = held.file(JOB)
    before = path.read_bytes()  # type: ignore[union-attr]
    manager.now = START + age

    renewed = held.renew()

    assert list(renewed) == ([path] if is_renewed else [])
    assert (path.read_bytes() != before) is is_renewed  # type: ignore[union-attr]


def test_a_proxy_that_cannot_be_renewed_stays_and_is_tried_again(manager: Manager, tmp_path: Path) -> None:
    held = proxies(manager, tmp_path)
    held.obtain(JOB)
    manager.now, manager.failure = START + LIFE * 0.7, NoAnswer("h: gone")
    assert list(held.renew()) == []

    manager.failure = None

    assert list(held.renew()) == [held.file(JOB)]


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ({"OK": False, "Errno": 0, "Message": "no proxy of that user"}, "no proxy of that user"),
        (Unreachable("h: refused"), "h: refused"),
        ({"OK": True, "Value": "no pem"}, "the answer holds no certificate"),
        ({"OK": True, "Value": 7}, "expected a PEM chain, got 7"),
    ],
)
def test_a_proxy_that_cannot_be_had_hands_the_job_back(
    manager: Manager, tmp_path: Path, failure: Exception | dict[str, object], words: str
) -> None:
    manager.failure = failure

    with pytest.raises(HandBack, match="Failed to setup proxy") as caught:
        proxies(manager, tmp_path / "proxies").obtain(JOB)

    assert words in str(caught.value)
    assert not (tmp_path / "proxies").exists()


def test_an_owner_whom_the_registry_does_not_know_hands_the_job_back(manager: Manager, tmp_path: Path) -> None:
    stranger = MatchedJob(job_id=2, jdl="[]", owner="nobody", group="lab_user")

    with pytest.raises(HandBack, match="/Registry/Users/nobody/DN"):
        proxies(manager, tmp_path).obtain(stranger)


@pytest.mark.parametrize("path", [None, Path("/tmp/x509up_u0")])
def test_one_fixed_proxy_is_always_ready(path: Path | None) -> None:
    fixed = FixedProxy(path)
    fixed.obtain(JOB)

    assert (fixed.is_ready(JOB), fixed.file(JOB), list(fixed.renew())) == (True, path, [])


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda known: known.owner_dn("user"), "/O=Lab, Inc./CN=User"),
        (lambda known: known.group_properties("pilots"), frozenset({"GenericPilot", "LimitedDelegation"})),
        (lambda known: known.group_properties("none"), frozenset()),
        (lambda known: known.host_properties("/O=Lab/CN=host"), frozenset({"TrustedHost"})),
        (lambda known: known.host_properties("/O=Lab/CN=other"), frozenset()),
        (lambda known: known.default_group("/O=Lab/CN=Other"), "guests"),
        (lambda known: known.default_group("/O=Lab/CN=nobody"), ""),
        (lambda known: known.voms_attribute("pilots"), "/lab"),
    ],
)
def test_the_registry_answers(ask: Callable[[Registry], object], answer: object) -> None:
    known = registry(
        **{
            "Users/user/DN": "/O=Lab, Inc./CN=User",
            "Users/other/DN": "/O=Lab/CN=Other, /O=Lab/CN=Other 2",
            "Groups/pilots/Properties": "GenericPilot, LimitedDelegation",
            "Hosts/host/DN": "/O=Lab/CN=host",
            "Hosts/host/Properties": "TrustedHost",
            "DefaultGroup": "guests",
            "DefaultVOMSAttribute": "/lab",
        }
    )

    assert ask(known) == answer


def test_a_new_agent_goes_on_with_the_proxies_that_a_former_one_left(manager: Manager, tmp_path: Path) -> None:
    proxies(manager, tmp_path).obtain(JOB)
    held = proxies(manager, tmp_path)

    assert held.is_ready(JOB)
    manager.now = START + LIFE * 0.7

    assert list(held.renew()) == [held.file(JOB)]


def test_a_damaged_proxy_of_a_former_agent_is_replaced(manager: Manager, tmp_path: Path) -> None:
    held = proxies(manager, tmp_path)
    held.file(JOB).write_text("torn", encoding="ascii")  # type: ignore[union-attr]

    assert not held.is_ready(JOB)
    held.obtain(JOB)

    assert held.is_ready(JOB)


def test_an_agent_that_ends_leaves_the_proxies_of_jobs_in_hand_alone(manager: Manager, tmp_path: Path) -> None:
    held, other = proxies(manager, tmp_path / "proxies"), replace(JOB, group="lab_prod")
    held.obtain(JOB)
    held.obtain(other)
    (tmp_path / "proxies/half.new").write_text("of an agent that was killed while it wrote")

    held.let_go([JOB])

    assert [*(tmp_path / "proxies").iterdir()] == [held.file(JOB)]

    held.let_go([])

    assert not (tmp_path / "proxies").exists()
    held.let_go([])  # an agent that never had one
