"""The DIRACX block of a proxy file: as DIRAC's client writes it, and read strictly."""

import base64
import json
import re

import pytest

from agents.credentials import diracx_block
from agents.errors import CredentialError
from agents.redaction import redacted
from tests.unit.diracx_stand_in import jwt, tokens

PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def block(**kept: object) -> str:
    body = base64.b64encode(json.dumps(kept).encode()).decode()
    lines = "\n".join(re.findall(".{1,64}", body))
    return f"-----BEGIN DIRACX-----\n{lines}\n-----END DIRACX-----\n"


def test_what_is_written_is_read_again_and_stands_once_at_the_end() -> None:
    first, second = tokens("a"), tokens("b")

    text = diracx_block.with_block(diracx_block.with_block(PEM, first), second)

    assert text.startswith(PEM)
    assert text.count("BEGIN DIRACX") == 1
    assert max(map(len, text.splitlines())) <= 64
    found = diracx_block.read(text, "proxy")
    assert found is not None
    assert (found.access_token, found.refresh_token) == (second.access_token, second.refresh_token)
    assert diracx_block.read(diracx_block.with_block(text, None), "proxy") is None
    assert diracx_block.read(PEM, "proxy") is None


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN DIRACX-----\nnot base64!\n-----END DIRACX-----\n",
        "-----BEGIN DIRACX-----\nAAAA\n",
        "-----BEGIN DIRACX-----\n" + base64.b64encode(b"[1]").decode() + "\n-----END DIRACX-----\n",
        block(access_token="x", refresh_token=jwt(), expires_on=1),
        block(access_token=jwt(), refresh_token=jwt(), expires_on="soon"),
        block(access_token=jwt(), refresh_token=jwt(), expires_on=True),
        block(access_token=jwt(), refresh_token="a.b.c\nX: y", expires_on=1),
        block(access_token=jwt(long="x" * 20_000), refresh_token=jwt(), expires_on=1),
        block(access_token=jwt(), refresh_token=jwt(), expires_on=1) * 2,
    ],
)
def test_a_block_that_is_not_whole_and_alone_is_refused(text: str) -> None:
    with pytest.raises(CredentialError) as caught:
        diracx_block.read(PEM + text, "proxy.pem")

    assert "proxy.pem" in str(caught.value)
    assert "eyJ" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "a.b", "a.!!.c", "a." + "W1" * 50_000 + ".c", jwt(), "a.W10.c"])
def test_claims_of_anything_are_a_mapping(token: str) -> None:
    assert isinstance(diracx_block.claims(token), dict)


def test_a_refresh_token_rotates_unless_it_says_that_it_does_not() -> None:
    assert tokens(rotates=True).rotates
    assert not tokens(rotates=False).rotates
    assert diracx_block.TokenPair("a.b.c", jwt(exp=1), 0.0).rotates


def test_no_token_is_shown_by_its_pair_or_left_in_a_log() -> None:
    pair = tokens()

    assert "eyJ" not in repr(pair)
    assert "eyJ" not in redacted(f"Bearer {pair.access_token} and {pair.refresh_token}")
    shown = redacted(f"in {diracx_block.with_block(PEM, pair)}")
    assert not re.search(r"[A-Za-z0-9+/]{40}", shown)
    assert "deadbeef" not in redacted("https://s3/b?X-Amz-Credential=deadbeefdead&X-Amz-Signature=deadbeefdeadbeef")
