"""How settings are read: yes or no, numbers with bounds, comma lists, and the name that was meant.

`ce_backends/readers.py` reads alike for CEs and agent; one table of cases tries both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

MOST_WHOLE = 10**15  # bytes of a petabyte
MOST_PROCESSORS = 100_000  # of a slot
MOST = 1e9  # seconds of some thirty years
_YES = ("yes", "true", "y", "1", "on")
_NO = ("no", "false", "n", "0", "off", "")


class TooMuch(ValueError):
    """A number is greater than any that makes sense; the text says what is expected."""

    def __init__(self, most: float) -> None:
        super().__init__(f"a number of at most {most:.0f}")


def yes_no(value: object) -> bool:
    """Read DIRAC's words for true and false, in any case; nothing at all is false, as it is for DIRAC.

    Raises:
        ValueError: it is another word.
    """
    word = str(value).strip().lower()
    if word not in (*_YES, *_NO):
        raise ValueError("True or False")
    return word in _YES


def whole_number(value: object, least: int | None = None, most: int = MOST_WHOLE) -> int:
    """Read a whole number, as Python's `int` reads a text.

    Raises:
        ValueError: it is none, has a fraction, or is less than `least`; TooMuch of it where it is more than `most`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError("a whole number")  # noqa: TRY004 - readers have one error
    number = int(value)
    if abs(number) > most:
        raise TooMuch(most)
    if least is not None and number < least:
        raise ValueError(f"a whole number, {least} or more")
    return number


def number(value: object, least: float | None = None, most: float = MOST) -> float:
    """Read a number, as Python's `float` reads a text; never infinite, nor none.

    Raises:
        ValueError: it is none, or less than `least`; TooMuch of it where it is more than `most`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("a number")  # noqa: TRY004 - readers have one error
    try:
        read = float(value)
    except OverflowError as error:
        raise ValueError("a number") from error
    if math.isfinite(read) and abs(read) > most:
        raise TooMuch(most)
    if not math.isfinite(read) or (least is not None and read < least):
        raise ValueError("a number")
    return read


def comma_list(text: str) -> tuple[str, ...]:
    """Return the elements of a comma list in their order, without the blanks around them and without empty ones."""
    return tuple(element for element in (part.strip() for part in text.split(",")) if element)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the right name that is nearest in spelling, whatever its case; "" for none."""
    import difflib  # noqa: PLC0415 - 10 ms that only a mistake has to pay

    folded = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.strip().casefold(), folded, n=1)
    return folded[near[0]] if near else ""
