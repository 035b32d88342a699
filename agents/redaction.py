"""Takes secrets out of values before anybody sees them: the log, statuses, the page of the slot, metrics, traces.

What looks like a secret in a text is `agents.redact`'s; here are values with names, and secrets that are known.
"""

import functools
from collections.abc import Mapping

from agents import redact
from agents.redact import HIDDEN, redacted

__all__ = ["HIDDEN", "is_secret_name", "redacted", "secrets_of", "without", "without_secrets"]


@functools.lru_cache(maxsize=1024)  # names of fields come again and again
def is_secret_name(name: str) -> bool:
    """Tell whether what is named so is a secret itself, and not where one is kept."""
    return redact.is_secret_name(name)


def without_secrets(value: object, name: str = "") -> object:
    """Return a value as JSON takes it, without the secrets in it: numbers as they are, all else as redacted text.

    Args:
        value: of a field; mappings, lists and tuples are gone through.
        name: of the field: what is named like a secret is hidden whatever it is.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str | int | float):
        if name and is_secret_name(name):
            return HIDDEN
        return redacted(str(value)) if isinstance(value, str) else value
    if isinstance(value, Mapping):
        return {str(key): without_secrets(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [without_secrets(each, name) for each in value]
    return without_secrets(str(value), name)


def secrets_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of variables that are named like secrets: they are hidden wherever they appear."""
    found = [value for name, value in environ.items() if is_secret_name(name) and len(value) >= _LEAST]
    return tuple(sorted(found, key=len, reverse=True))


_LEAST = 8  # a shorter value would be found in innocent words


def without(text: str, known: tuple[str, ...]) -> str:
    """Return a text without these very secrets."""
    for secret in known:
        text = text.replace(secret, HIDDEN)
    return text
