"""Reads JSON that strangers wrote: services, batch systems, computing elements. `pilot/strict_json.py` reads alike.

RFC 8259 to the letter: no NaN, no Infinity, no numbers that a double cannot hold. Every failure is one error.
"""

import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

MOST_BYTES = 128 * 1024 * 1024
DEEPEST = 64
LONGEST_NUMBER = 100  # characters; Python's int() takes time that is quadratic in them
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

Hook = Callable[[dict[str, Any]], object]


class NotJson(ValueError):
    """The text is not JSON, or larger or deeper than anything we ask for."""


def read(text: str | bytes, hook: Hook | None = None) -> Any:
    """Return the value of a text: at most 128 MB, 64 levels deep, its numbers at most 100 characters long.

    Args:
        text: bytes are UTF-8. Half a surrogate pair, which no file or terminal takes, is read as `?`.
        hook: what objects become, as of `json.loads`; a ValueError of it counts as a fault of the text.

    Raises:
        NotJson: anything else.
    """
    if len(text) > MOST_BYTES:
        raise NotJson(f"{len(text)} characters are more than {MOST_BYTES}")
    try:
        shown = text if isinstance(text, str) else text.decode("utf-8-sig")
        if _SURROGATE.search(shown):
            shown = json.dumps(_loaded(shown), ensure_ascii=False).encode("utf-8", "replace").decode()
        value = _loaded(shown, hook)
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from error
    return value


def _loaded(text: str, hook: Hook | None = None) -> Any:
    value = json.loads(text, object_hook=hook, parse_int=_whole, parse_float=_real, parse_constant=_no_number)
    _check_depth(value)
    return value


def _check_depth(value: object) -> None:
    """Go down level by level, since whoever handles the value later may do so by recursion."""
    level: list[object] = [value]
    for _ in range(DEEPEST + 1):
        level = [inner for outer in level for inner in _inner(outer)]
        if not level:
            return
    raise NotJson(f"it is more than {DEEPEST} levels deep")


def _inner(outer: object) -> Iterable[object]:
    if isinstance(outer, dict):
        return outer.values()
    return outer if isinstance(outer, list) else ()


def _whole(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise NotJson(f"a number of {len(digits)} digits")
    return int(digits)


def _real(digits: str) -> float:
    if len(digits) > LONGEST_NUMBER or math.isinf(float(digits)):
        raise NotJson(f"{digits[:20]} is no number that can be held")
    return float(digits)


def _no_number(word: str) -> float:
    raise NotJson(f"{word} is no number")
