"""How a call comes over HTTP: who may send how much, and what its form says. Tornado would read any form whole."""

import logging
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

from agents.local_wms import jencode
from ce_backends.untrusted.text import printable

# a sandbox of 10 MiB travels as base64 in a form, which makes it at most half as big again
MOST_BYTES = 24 * 1024 * 1024
MOST_BYTES_OF_STRANGERS = 512 * 1024  # of those who show no certificate: enough for any ordinary call to be told so
_MOST_FIELDS = 20
_MOST_EXTRA = 1000  # characters of a group's name
_MOST_VALUES = 200_000  # of all arguments; JSON of more keeps everybody waiting
_SHOWN_CHARACTERS = 200


class BadForm(ValueError):
    """The body is no form, or one of too many fields."""


def form_of(pieces: Iterable[bytes]) -> dict[str, str]:
    """Return the first value of each field of a form.

    Raises:
        BadForm: it is none.
    """
    try:
        found = parse_qs(b"".join(pieces).decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise BadForm(str(error)) from error
    return {name: values[0] for name, values in found.items()}


def arguments_of(form: dict[str, str]) -> list[Any]:
    """Return a call's arguments.

    Raises:
        ValueError: they are no list, or more than anybody needs.
    """
    text = form.get("args", "[]")
    if sum(map(text.count, ",[{")) > _MOST_VALUES:
        raise BadForm(f"more than {_MOST_VALUES} values")
    arguments = jencode.decode(text)
    if not isinstance(arguments, list):
        raise BadForm("the arguments are no list")
    return arguments


def group_of(form: dict[str, str]) -> str:
    """Return the group that the caller asks for, empty for none.

    Raises:
        ValueError: it is no text.
    """
    text = form.get("extraCredentials", "")
    if len(text) > _MOST_EXTRA:
        raise BadForm("extraCredentials is too long for a group")
    asked_for = jencode.decode(text) if text else ""
    return asked_for if isinstance(asked_for, str) else ""


def shown(text: str) -> str:
    """Return what a stranger wrote as it may stand in the log."""
    return printable(text, _SHOWN_CHARACTERS)


class OneEntry(logging.Formatter):
    """Lays a record out so that no line of it can pass for another record: those after the first are set in."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        return "\n    | ".join(printable(line, 2000) for line in super().format(record).split("\n"))
