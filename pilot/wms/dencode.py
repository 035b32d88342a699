"""DEncode, in which DIRAC 7.3 and 8 answer over dips: a letter, then the value. `agents/wms/dencode.py` reads alike.

It is read only: these releases understand JEncode as well. What JEncode cannot say is read as JEncode would say it:
tuples are lists, integer keys texts. A string that is not UTF-8 is bytes.
"""

from __future__ import annotations

import math
import re

BEGINNING = b"d"  # of every message: all are S_OK or S_ERROR, a dictionary
_DEEPEST = 64
_MOST_VALUES = 2_000_000
_WHOLE = re.compile(rb"(-?[0-9]{1,100})e")
_REAL = re.compile(rb"(-?[0-9]{1,100}(?:\.[0-9]{1,100})?(?:e[+-]?[0-9]{1,4})?)e")
_LENGTH = re.compile(rb"([0-9]{1,9}):")


def decode(text: bytes) -> object:
    """Return the value of a service's answer; of a moment the list of its numbers.

    Raises:
        ValueError: the text is not DEncode, or deeper or of more values than anything we ask for.
    """
    reader = _Reader(text)
    try:
        value = reader.value(0)
    except (ValueError, TypeError) as error:
        raise ValueError(f"the answer is not DEncode ({error}): {text[:80]!r}") from error
    if reader.at != len(text):
        raise ValueError(f"the answer goes on after its end at byte {reader.at}: {text[:80]!r}")
    return value


class _Reader:
    """One text, read from the front."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._left = _MOST_VALUES
        self.at = 0

    def value(self, depth: int) -> object:
        """Read one value and go behind it."""
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise ValueError("too deep, or too many values")
        kind = self._letter()
        if kind in b"iI":
            return int(self._taken(_WHOLE))
        if kind in b"su":
            return self._string()
        if kind in b"lt":
            return self._items(depth)
        if kind == b"d":
            return self._pairs(depth)
        if kind == b"n":
            return None
        if kind == b"b":
            return self._letter() != b"0"
        if kind == b"f":
            return self._real()
        if kind == b"z":
            self._letter()
            return self.value(depth + 1)
        raise ValueError(f"no kind of value is called {kind!r}")

    def _letter(self) -> bytes:
        self.at += 1
        if self.at > len(self._text):
            raise ValueError("it is cut short")
        return self._text[self.at - 1 : self.at]

    def _taken(self, form: re.Pattern[bytes]) -> bytes:
        found = form.match(self._text, self.at)
        if found is None:
            raise ValueError(f"expected a number at byte {self.at}")
        self.at = found.end()
        return found[1]

    def _ends(self) -> bool:
        if self._text[self.at : self.at + 1] != b"e":
            return False
        self.at += 1
        return True

    def _string(self) -> str | bytes:
        length = int(self._taken(_LENGTH))
        piece = self._text[self.at : self.at + length]
        if len(piece) < length:
            raise ValueError("it is cut short")
        self.at += length
        try:
            return piece.decode()
        except UnicodeDecodeError:
            return piece

    def _real(self) -> float:
        real = float(self._taken(_REAL))
        if math.isinf(real):
            raise ValueError("a number that cannot be held")
        return real

    def _items(self, depth: int) -> list[object]:
        items = []
        while not self._ends():
            items.append(self.value(depth + 1))
        return items

    def _pairs(self, depth: int) -> dict[str, object]:
        pairs = {}
        while not self._ends():
            key = self.value(depth + 1)
            if isinstance(key, bool) or not isinstance(key, (str, int)):
                raise TypeError(f"{str(key)[:40]!r} is no key")
            pairs[str(key)] = self.value(depth + 1)
        return pairs
