"""Sandboxes by presigned URLs: checked by their names, and every refusal of the store told apart."""

import hashlib
from email import message_from_bytes

import pytest

from agents.errors import BadAnswer, NoAnswer, Refused, ServiceError
from agents.wms.diracx.sandboxes import DiracXSandboxes
from tests.unit.diracx_scene import Scene, authority, scene
from tests.unit.diracx_stand_in import Asked, Said

__all__ = ["authority", "scene"]

PACKED = b"packed files" * 100
NAME = f"/S3/bucket/lab/lab_user/user/sha256:{hashlib.sha256(PACKED).hexdigest()}.tar.zst"
REFERENCE = f"SB:SE|{NAME}"
URL, STORE, FORM = "GET /api/jobs/sandbox", "GET /bucket/object", "POST /bucket"
ANNOUNCE, ASSIGN = "POST /api/jobs/sandbox", "PATCH /api/jobs/7/sandbox/output"
OUTPUT = f"SB:SE|/S3/bucket/lab/lab_user/user/sha256:{hashlib.sha256(PACKED).hexdigest()}.tar.bz2"


def s3_error(status: int, code: str, message: str = "") -> Said:
    return Said(
        status, f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    )


EXPIRED = s3_error(403, "AccessDenied", "Request has expired")


def sandboxes(scene: Scene) -> DiracXSandboxes:
    scene.diracx.on(
        URL, Said(200, {"url": f"{scene.diracx.url}/bucket/object?X-Amz-Signature=SECRETSECRET", "expires_in": 300})
    )
    scene.diracx.on(
        ANNOUNCE,
        Said(200, {"pfn": OUTPUT, "url": f"{scene.diracx.url}/bucket", "fields": {"key": "k", "policy": "p"}}),
    )
    scene.diracx.on(ASSIGN, Said(200, b"null"))
    return DiracXSandboxes(scene.rest, scene.trust, scene.retry, scene.times.clock)


def test_the_store_gets_no_token_and_diracx_the_path_alone(scene: Scene) -> None:
    kept = sandboxes(scene)
    scene.diracx.on(STORE, Said(200, PACKED))

    assert kept.download(REFERENCE) == PACKED

    (url,), (store,) = scene.diracx.of(URL), scene.diracx.of(STORE)
    assert (url.token, url.query) == ("first", {"pfn": [NAME]})
    assert "Authorization" not in store.headers


def test_what_is_not_what_its_name_says_is_fetched_once_more(scene: Scene) -> None:
    kept = sandboxes(scene)
    scene.diracx.on(STORE, Said(200, PACKED[:-1] + b"x"), Said(200, PACKED))
    assert kept.download(REFERENCE) == PACKED

    scene.diracx.on(STORE, Said(200, b"something else"))
    with pytest.raises(BadAnswer, match="not the sandbox of that name"):
        kept.download(REFERENCE)


def test_for_an_expired_url_a_new_one_is_asked(scene: Scene) -> None:
    kept = sandboxes(scene)
    scene.diracx.on(STORE, EXPIRED, Said(200, PACKED))

    assert kept.download(REFERENCE) == PACKED
    assert len(scene.diracx.of(URL)) == 2


@pytest.mark.parametrize("answer", [s3_error(404, "NoSuchKey"), s3_error(403, "AccessDenied", "Access Denied")])
def test_what_was_announced_and_never_stored_is_refused_with_that_sentence(scene: Scene, answer: Said) -> None:
    kept = sandboxes(scene)
    scene.diracx.on(STORE, answer)

    with pytest.raises(Refused, match="announced to DiracX and never stored"):
        kept.download(REFERENCE)


@pytest.mark.parametrize(
    "answer",
    [
        EXPIRED,
        s3_error(403, "SignatureDoesNotMatch"),
        s3_error(403, "RequestTimeTooSkewed"),
        s3_error(404, "Strange"),
        Said(307, b"", {"Location": "https://elsewhere"}),
        s3_error(503, "SlowDown"),
        Said(500, b""),
        Said(cut=True),
        Said(200, PACKED, cut=True),
    ],
)
def test_a_store_in_trouble_is_not_the_owner_s_fault(scene: Scene, answer: Said) -> None:
    kept = sandboxes(scene)
    scene.diracx.on(STORE, answer)

    with pytest.raises(ServiceError) as caught:
        kept.download(REFERENCE)

    assert not isinstance(caught.value, Refused)
    assert "SECRETSECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "trouble", [s3_error(503, "SlowDown"), Said(500, b""), Said(cut=True), Said(200, PACKED, cut=True)]
)
def test_a_store_that_comes_back_is_waited_for(scene: Scene, trouble: Said) -> None:
    kept = sandboxes(scene)
    scene.diracx.on(STORE, trouble, Said(200, PACKED))

    assert kept.download(REFERENCE) == PACKED


@pytest.mark.parametrize(
    "url", ["http://example.org/b?x=y", "ftp://h/b", "file:///etc/passwd", "http://127.0.0.1:80@example.org/"]
)
def test_a_url_that_is_no_store_s_is_not_followed(scene: Scene, url: str) -> None:
    kept = sandboxes(scene)
    scene.diracx.on(URL, Said(200, {"url": url, "expires_in": 300}))

    with pytest.raises(ServiceError):
        kept.download(REFERENCE)


def test_a_name_without_its_hash_is_refused(scene: Scene) -> None:
    with pytest.raises(Refused, match="sha256"):
        sandboxes(scene).download("SB:SE|/S3/bucket/lab/lab_user/user/other.tar")
    assert not scene.diracx.asked


def test_an_output_is_announced_stored_and_assigned(scene: Scene) -> None:
    kept = sandboxes(scene)
    scene.diracx.on(FORM, Said(204))

    assert kept.upload_output(7, PACKED) == OUTPUT

    (announced,), (stored,), (assigned,) = (scene.diracx.of(route) for route in (ANNOUNCE, FORM, ASSIGN))
    assert announced.json == {
        "checksum_algorithm": "sha256",
        "checksum": hashlib.sha256(PACKED).hexdigest(),
        "size": len(PACKED),
        "format": "tar.bz2",
    }
    assert _form(stored) == {"key": b"k", "policy": b"p", "file": PACKED}
    assert "Authorization" not in stored.headers
    assert assigned.json == OUTPUT


def test_an_output_that_is_there_already_is_assigned_only(scene: Scene) -> None:
    kept = sandboxes(scene)
    scene.diracx.on(ANNOUNCE, Said(200, {"pfn": OUTPUT}))

    assert kept.upload_output(7, PACKED) == OUTPUT
    assert not scene.diracx.of(FORM)


@pytest.mark.parametrize("trouble", [EXPIRED, s3_error(400, "BadDigest"), s3_error(503, "SlowDown"), Said(cut=True)])
def test_an_output_that_the_store_did_not_take_is_stored_again(scene: Scene, trouble: Said) -> None:
    kept = sandboxes(scene)
    scene.diracx.on(FORM, trouble, Said(204))

    assert kept.upload_output(7, PACKED) == OUTPUT
    assert len(scene.diracx.of(ANNOUNCE)) == (2 if trouble is EXPIRED else 1)


def test_an_assignment_that_was_made_already_is_one_if_the_sandbox_is_ours(scene: Scene) -> None:
    kept = sandboxes(scene)
    scene.diracx.on(FORM, Said(204))
    scene.diracx.on(ASSIGN, Said(400, {"detail": "Sandbox already assigned"}))
    scene.diracx.on("GET /api/jobs/7/sandbox/output", Said(200, [OUTPUT.removeprefix("SB:SE|")]))
    assert kept.upload_output(7, PACKED) == OUTPUT

    scene.diracx.on("GET /api/jobs/7/sandbox/output", Said(200, ["/S3/bucket/other"]))
    with pytest.raises(Refused, match="already assigned"):
        kept.upload_output(7, PACKED)


def test_a_store_that_is_away_for_long_is_an_outage(scene: Scene) -> None:
    kept = sandboxes(scene)
    scene.diracx.on(FORM, Said(cut=True))

    with pytest.raises(NoAnswer):
        kept.upload_output(7, PACKED)


def _form(asked: Asked) -> dict[str, bytes]:
    head = f"Content-Type: {asked.headers['Content-Type']}\n\n".encode()
    parts = message_from_bytes(head + asked.body).get_payload()
    return {str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True) for part in parts}  # type: ignore[union-attr]
