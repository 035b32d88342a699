"""What a bearer token says that it is good for: told before a CE refuses it. Nothing is verified here, only the CE can.

Source: WLCG Common JWT Profiles 1.2 (scopes `compute.*`); HTCondor's manual for `condor:/READ` and `condor:/WRITE`.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from ce_backends.untrusted import strict_json
from ce_backends.untrusted.text import printable

READ, CREATE, CANCEL = "compute.read", "compute.create", "compute.cancel"
_ALSO = {READ: ("condor:/READ",), CREATE: ("condor:/WRITE",), CANCEL: ("condor:/WRITE",)}
_CAPABILITY = re.compile(r"compute\.|storage\.|condor:/")
_MOST_BYTES = 65_536
_MOST_SHOWN = 200


def lacking(token: str, scope: str) -> str:
    """Return in a sentence what a token lacks for an operation, empty where it has it or does not say.

    A token without any such scope is one of groups or of a person, and what it may do the CE alone knows.
    """
    told = _claims(token).get("scope")
    scopes = told.split() if isinstance(told, str) else []
    capabilities = [word for word in scopes if _CAPABILITY.match(word)]
    if not capabilities or any(_grants(word, scope) for word in capabilities):
        return ""
    return f"it is good for {printable(' '.join(capabilities), _MOST_SHOWN)}, not for {scope}"


def _grants(word: str, scope: str) -> bool:
    return word.partition(":")[0] == scope or word in _ALSO[scope]


def _claims(token: str) -> Mapping[str, Any]:
    """Return what a JSON web token says (RFC 7519); empty of what is none."""
    parts = token.strip().split(".")
    if len(parts) != 3 or len(token) > _MOST_BYTES:
        return {}
    try:
        claims = strict_json.read(
            base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True)
        )
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
