"""The block of a proxy file that holds a token of DiracX and the one that renews it, as DIRAC's client writes it.

What is in a token is read for its times and its kind only; whether it is good, DiracX decides.
"""

import base64
import binascii
import json
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

from agents.errors import CredentialError
from ce_backends.untrusted import strict_json

_BEGIN, _END = "-----BEGIN DIRACX-----", "-----END DIRACX-----"
_BLOCK = re.compile(rf"{_BEGIN}\r?\n([A-Za-z0-9+/=\r\n]{{0,60000}}){_END}\r?\n?")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_LONGEST_TOKEN = 16_384
_COLUMNS = 64
_EARLY_S = 15  # so long before an access token's end DIRAC's clients take it for ended


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What DiracX gives: both are secrets, and never shown.

    Attributes:
        access_token: is shown to DiracX, for some minutes.
        refresh_token: gets the next pair.
        expires_on: end of the access token, in seconds since the epoch.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_on: float

    @property
    def rotates(self) -> bool:
        """Tell whether the refresh token may be used once only: whatever does not say that it may be used again."""
        return claims(self.refresh_token).get("legacy_exchange") is not True

    @property
    def refresh_ends(self) -> float:
        """The refresh token's last second since the epoch; 0 when it does not say."""
        ends = claims(self.refresh_token).get("exp")
        return float(ends) if isinstance(ends, int | float) and not isinstance(ends, bool) else 0.0


def pair(answer: object, now: float, origin: str) -> TokenPair:
    """Return what a service gave: `access_token`, `refresh_token`, and `expires_in` seconds from now.

    Raises:
        CredentialError: it is something else.
    """
    given = answer if isinstance(answer, Mapping) else {}
    life_s = given.get("expires_in")
    if isinstance(life_s, bool) or not isinstance(life_s, int | float) or not 0 <= life_s < 10**9:
        raise CredentialError(f"{origin}: expected a token of DiracX with expires_in, got something else")
    return TokenPair(
        _token(given.get("access_token"), origin), _token(given.get("refresh_token"), origin), now + life_s - _EARLY_S
    )


def read(text: str, origin: str) -> TokenPair | None:
    """Return the pair in a proxy file's text, None when there is no block.

    Raises:
        CredentialError: more than one block, or one that holds something else.
    """
    if _BEGIN not in text:
        return None
    found = _BLOCK.findall(text)
    if len(found) != 1 or text.count(_BEGIN) != 1:
        raise CredentialError(f"{origin}: expected one whole DIRACX block, got {text.count(_BEGIN)} beginnings")
    try:
        kept = strict_json.read(base64.b64decode("".join(found[0].split()), validate=True))
    except (binascii.Error, strict_json.NotJson) as error:
        raise CredentialError(f"{origin}: its DIRACX block is not base64 of JSON") from error
    kept = kept if isinstance(kept, dict) else {}
    ends = kept.get("expires_on")
    if isinstance(ends, bool) or not isinstance(ends, int | float) or not 0 <= ends < 10**11:
        raise CredentialError(f"{origin}: its DIRACX block has no expires_on, a time since the epoch")
    return TokenPair(_token(kept.get("access_token"), origin), _token(kept.get("refresh_token"), origin), float(ends))


def with_block(text: str, tokens: TokenPair | None) -> str:
    """Return a proxy file's text with this pair at its end, and no other; without any for None."""
    bare = _BLOCK.sub("", text)
    if tokens is None:
        return bare
    kept = {
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "expires_on": int(tokens.expires_on),
    }
    lines = "\n".join(textwrap.wrap(base64.b64encode(json.dumps(kept).encode()).decode("ascii"), _COLUMNS))
    return f"{bare.rstrip()}\n{_BEGIN}\n{lines}\n{_END}\n"


def claims(token: str) -> Mapping[str, object]:
    """Return what a token says of itself, unverified; nothing when it cannot be read."""
    middle = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        found = strict_json.read(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (binascii.Error, strict_json.NotJson, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _token(value: object, origin: str) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TOKEN or not _TOKEN.fullmatch(value):
        raise CredentialError(f"{origin}: expected a token (JWT) of at most {_LONGEST_TOKEN} characters")
    return value
