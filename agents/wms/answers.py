"""Answers of services, read strictly: whatever is not as it should be is a BadAnswer that names call and value."""

from collections.abc import Mapping, Sequence

from agents.errors import BadAnswer

_MOST_DIGITS = 18  # of a job number; the WMS's column is a 32 bit integer
_SHOWN = 80  # characters of a value in a message


def mapping(answer: object, call: str, expected: str = "a mapping") -> Mapping[str, object]:
    """Return an answer that is a mapping; JSON's keys are texts.

    Raises:
        BadAnswer: it is none.
    """
    if not isinstance(answer, Mapping):
        raise BadAnswer(f"{call}: expected {expected}, got {_shown(answer)}")
    return answer


def sequence(answer: object, call: str, expected: str) -> Sequence[object]:
    """Return an answer that is a list.

    Raises:
        BadAnswer: it is none.
    """
    if not isinstance(answer, list | tuple):
        raise BadAnswer(f"{call}: expected {expected}, got {_shown(answer)}")
    return answer


def text(answer: object, call: str, expected: str) -> str:
    """Return an answer that is a text.

    Raises:
        BadAnswer: it is none.
    """
    if not isinstance(answer, str):
        raise BadAnswer(f"{call}: expected {expected}, got {_shown(answer)}")
    return answer


def job_number(value: object, call: str, name: str = "") -> int:
    """Return a job number; some servers send it as a text, and as the key of a mapping it always is one.

    Raises:
        BadAnswer: it is no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise BadAnswer(f"{call}: {name}{_shown(value)} is not a job number")
    digits = value if isinstance(value, str) else "" if abs(value) >= 10**_MOST_DIGITS else str(value)
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS):
        raise BadAnswer(f"{call}: {name}{_shown(value)} is not a job number")
    return int(digits)


def jobs(answer: object, call: str) -> dict[int, Mapping[str, object]]:
    """Return what an answer says of each job, by its number.

    Raises:
        BadAnswer: it is not a mapping of job numbers to mappings.
    """
    rows = mapping(answer, call, "jobs")
    return {job_number(key, call): mapping(row, f"{call}: job {str(key)[:_SHOWN]}") for key, row in rows.items()}


def _shown(value: object) -> str:
    """Return a value as a message shows it: its beginning is enough; of what holds others its type is."""
    if isinstance(value, str | bytes):
        return repr(value[:_SHOWN])
    is_short = isinstance(value, int | float | None) and (not isinstance(value, int) or abs(value) < 10**_SHOWN)
    return repr(value) if is_short else type(value).__name__
