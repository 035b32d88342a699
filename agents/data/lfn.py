"""Logical file names as owners, payloads and catalogues write them, checked before they meet a server or the disk."""

from agents.errors import AgentError
from ce_backends.untrusted import names

MOST_NAME_CHARACTERS = 128  # of the last part: the FileCatalog's column
_MOST_CHARACTERS = 1024
_PREFIX = "LFN:"


class BadLfn(AgentError):
    """A text that is no LFN; the message says why."""


def is_lfn(text: str) -> bool:
    """Tell whether a text says of itself that it is an LFN: `LFN:/vo/…`, in any case."""
    return text[: len(_PREFIX)].upper() == _PREFIX


def plain(text: str) -> str:
    """Return a name without `LFN:`, whatever it is worth otherwise."""
    return text[len(_PREFIX) :] if is_lfn(text) else text


def lfn_of(text: str, vo: str) -> str:
    """Return the absolute path that `LFN:/vo/a/b` or `/vo/a/b` means.

    Args:
        text: as somebody wrote it.
        vo: the virtual organisation, which the first part has to be; empty for any.

    Raises:
        BadLfn: it is none: not absolute, of another VO, leads upwards, has empty parts, control characters, or is too
            long.
    """
    path = plain(text)
    parts = path.split("/")
    if parts[0] or len(parts) < 3:
        raise BadLfn(f"{names.shown(text)!r} is no LFN, expected /{vo or 'vo'}/…")
    if vo and parts[1] != vo:
        raise BadLfn(f"{names.shown(text)!r} is not of {vo}: an LFN begins with /{vo}/")
    if any(part in ("", ".", "..") for part in parts[1:]):
        raise BadLfn(f"{names.shown(text)!r} has an empty part, or one that leads elsewhere")
    if any(not letter.isprintable() for letter in path):
        raise BadLfn(f"{names.shown(text)!r} holds a character that nobody can see")
    if len(parts[-1]) > MOST_NAME_CHARACTERS or len(path) > _MOST_CHARACTERS:
        raise BadLfn(
            f"{names.shown(text)!r} is too long: {MOST_NAME_CHARACTERS} characters are allowed after the last slash, "
            f"{_MOST_CHARACTERS} in all"
        )
    return path
