"""JEncode: JSON with tagged objects for dates and bytes, as DIRAC's services speak it.

Source: `Core/Utilities/JEncode.py` of DIRAC 8 and 9 as seen on the wire. Tuples become lists; integer keys
become strings. The tag that names a class to import (`__dMod`) is not decoded on purpose.
"""

import base64
import binascii
import json
from datetime import UTC, date, datetime

from agents.errors import BadAnswer
from ce_backends.untrusted import strict_json

_TAG, _VALUE = "__dCls", "obj"
_DATETIME, _DATE, _BYTES = "dt", "date", "b64"
_TIME_FORMAT, _DAY_FORMAT = "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"


def encode(value: object) -> str:
    """Return the text DIRAC expects. Aware datetimes are sent as UTC, in whole seconds."""
    return json.dumps(value, default=_tagged, separators=(",", ":"))


def _tagged(value: object) -> dict[str, str]:
    if isinstance(value, datetime):
        utc = value.astimezone(UTC) if value.tzinfo else value
        return {_TAG: _DATETIME, _VALUE: utc.strftime(_TIME_FORMAT)}
    if isinstance(value, date):
        return {_TAG: _DATE, _VALUE: value.strftime(_DAY_FORMAT)}
    if isinstance(value, bytes):
        return {_TAG: _BYTES, _VALUE: base64.b64encode(value).decode("ascii")}
    raise TypeError(f"JEncode has no form for {type(value).__name__}")


def decode(text: str | bytes) -> object:
    """Return the value of a service's answer; datetimes are aware, in UTC.

    Raises:
        BadAnswer: the text is not JEncode.
    """
    try:
        return strict_json.read(text, _untagged)
    except strict_json.NotJson as error:
        raise BadAnswer(f"the answer is not JSON ({error}): {_start(text)}") from error


def _untagged(found: dict[str, object]) -> object:
    tag, value = found.get(_TAG), found.get(_VALUE)
    if not isinstance(value, str):
        return found
    if tag == _DATETIME:
        return datetime.strptime(value, _TIME_FORMAT).replace(tzinfo=UTC)
    if tag == _DATE:
        return datetime.strptime(value, _DAY_FORMAT).replace(tzinfo=UTC).date()
    if tag == _BYTES:
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise ValueError(f"bytes that are not base64: {error}") from error
    return found


def _start(text: str | bytes) -> str:
    shown = text if isinstance(text, str) else text.decode("utf-8", "replace")
    return repr(shown[:80])
