"""JEncode, DIRAC's JSON with three tagged types, in both directions (Core/Utilities/JEncode; captured from 9.1.22)."""

import base64
import json
from datetime import date, datetime
from typing import Any

from ce_backends.untrusted import strict_json

TAG = "__dCls"
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
DATE_FORMAT = "%Y-%m-%d"


def encode(value: Any) -> str:
    """Return the wire text; tuples become lists, integer keys become strings, as on the real one."""
    return json.dumps(value, default=_tagged)


def decode(text: str) -> Any:
    """Return what the text stands for.

    Raises:
        ValueError: not JSON, or a tag that nobody knows.
    """
    return strict_json.read(text, _untagged)


def _tagged(value: object) -> dict[str, str]:
    match value:
        case datetime():
            return {TAG: "dt", "obj": value.strftime(TIME_FORMAT)}
        case date():
            return {TAG: "date", "obj": value.strftime(DATE_FORMAT)}
        case bytes():
            return {TAG: "b64", "obj": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} has no JEncode form")


def _untagged(found: dict[str, Any]) -> Any:
    if TAG not in found:
        return found
    if not isinstance(found.get("obj"), str):
        raise ValueError(f"JEncode tag {found[TAG]!r} without a text")  # noqa: TRY004 - bad JSON, whatever it is
    match found[TAG]:
        case "dt":
            return datetime.strptime(found["obj"], TIME_FORMAT)  # noqa: DTZ007 - JEncode has no time zone: UTC by agreement
        case "date":
            return datetime.strptime(found["obj"], DATE_FORMAT).date()  # noqa: DTZ007 - a date has none either
        case "b64":
            return base64.b64decode(found["obj"])
    raise ValueError(f"unknown JEncode tag {found[TAG]!r}")
