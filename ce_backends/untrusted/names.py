"""Names as strangers write them: in archives, in links, in patterns. Judged by their text alone, before any use."""

from ce_backends.errors import CEError

MOST_BYTES = 4096  # PATH_MAX: beyond it the kernel resolves nothing, and realpath stops to look (CVE-2025-4517)
MOST_LEVELS = 100
_MOST_PART_BYTES = 255  # NAME_MAX
_SHOWN_CHARACTERS = 80


class BadName(CEError):
    """A name that nothing may be read or written by, with the reason."""


def shown(name: str) -> str:
    """Return a name as it may stand in a sentence: short, and without anything that a terminal would obey."""
    short = name if len(name) <= _SHOWN_CHARACTERS else name[:_SHOWN_CHARACTERS] + "…"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in short)


def parts_of(name: str) -> tuple[str, ...]:
    """Return the parts of a name below some directory, none for its own; a slash at the beginning means it, too.

    Raises:
        BadName: it leads upwards, is too long or too deep, or no name at all.
    """
    parts = _plain_parts(name)
    if ".." in parts:
        raise BadName(f"{shown(name)} leads outside")
    return parts


def check_link(name: str, target: str, levels: int) -> None:
    """Refuse a symbolic link that could lead out of the directory, whatever else is made in there, before or after.

    It may go up only at its beginning, and no further than it lies deep. So each link leads from a place inside to a
    place inside, also through other links.

    Args:
        name: of the link, for the sentence.
        target: what it points to.
        levels: directories between it and the top.

    Raises:
        BadName: it could.
    """
    parts = _plain_parts(target)
    plain = [part for part in parts if part != ".."]
    ups = len(parts) - len(plain)
    if not target or target.startswith("/") or ups > levels or parts[:ups] != ("..",) * ups:
        raise BadName(f"{shown(name)} is a link to {shown(target) or 'nothing'}, expected a path inside the archive")


def _plain_parts(name: str) -> tuple[str, ...]:
    if len(name.encode("utf-8", "surrogateescape")) > MOST_BYTES:
        raise BadName(f"{shown(name)} has more than {MOST_BYTES} bytes")
    if "\0" in name:
        raise BadName(f"{shown(name)} holds a NUL")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if len(parts) > MOST_LEVELS:
        raise BadName(f"{shown(name)} has more than {MOST_LEVELS} levels")
    if any(len(part.encode("utf-8", "surrogateescape")) > _MOST_PART_BYTES for part in parts):
        raise BadName(f"{shown(name)} has a part of more than {_MOST_PART_BYTES} bytes")
    return parts
