"""Reading what a machine said on its console about its task; whatever else is written there is passed over.

The task cannot write there; a broken or hostile image can. Nothing is believed but what is whole.
"""

import base64
import binascii
import hashlib
import re
import zlib
from dataclasses import dataclass

from ce_backends.cloud.context import MARK
from ce_backends.task.record import MAX_REASON
from ce_backends.untrusted.text import printable

_MOST_BYTES = 64_000_000  # of a result that is no longer compressed


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a machine has said.

    Attributes:
        has_begun: the task is about to run, or has run.
        why_failed: why there will be no result; empty where nothing is said of it.
        result: the archive that the task has left; None where it is not whole.
    """

    has_begun: bool
    why_failed: str
    result: bytes | None


def said(console: str, stamp: str) -> Said:
    """Read a console's text about one task."""
    begins = f"{MARK}:{re.escape(stamp)}:"
    failed = re.findall(rf"{begins}failed:([^\r\n]*)", console)
    end = re.findall(rf"{begins}end:(\d{{1,6}}):([0-9a-f]{{64}})", console, re.ASCII)
    has_begun = f"{MARK}:{stamp}:began" in console or bool(end)
    result = _result(console, begins, int(end[-1][0]), end[-1][1]) if end else None
    why = printable(failed[-1], MAX_REASON) if failed and result is None else ""
    return Said(has_begun=has_begun, why_failed=why, result=result)


def _result(console: str, begins: str, number: int, sha256: str) -> bytes | None:
    """Return what the numbered lines hold, None if one is missing, or they are not what was sent."""
    found = re.findall(rf"{begins}line:(\d{{1,6}}):([A-Za-z0-9+/=]{{1,100}})", console, re.ASCII)
    lines = {int(at): text for at, text in found}
    if any(at not in lines for at in range(1, number + 1)):
        return None
    text = "".join(f"{lines[at]}\n" for at in range(1, number + 1)).encode("ascii")
    if hashlib.sha256(text).hexdigest() != sha256:
        return None
    try:
        unpacker = zlib.decompressobj(wbits=31)
        whole = unpacker.decompress(base64.b64decode(text), _MOST_BYTES)
    except (binascii.Error, zlib.error):
        return None
    return whole if unpacker.eof else None
