"""Words of strangers, made fit for logs, terminals and the WMS."""

import re
import unicodedata

# ECMA-48: a string that a terminal takes for a title or a command, a control sequence, any other escape.
_ESCAPE = re.compile(r"\x1b(?:[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\[[0-?]*[ -/]*[@-~]?|[ -/]*[0-~]?)")
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))  # controls, bidi and other formats, line separators


def printable(text: str, most: int) -> str:
    """Return one line of it that shows what it says: no control character, terminal escape or change of direction.

    Args:
        text: of a stranger.
        most: this many characters of it are looked at.
    """
    seen = _ESCAPE.sub("", text[:most].replace("\t", " "))
    if not seen.isprintable():  # most is, and there may be much of it
        seen = "".join(c for c in seen if c == " " or unicodedata.category(c) not in _UNSEEN)
    return seen.strip()


def visible(text: str) -> str:
    """Return a text of several lines as a terminal may have it: what is not printed is escaped, but for line ends."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def lines_of(text: str) -> list[str]:
    """Return the lines of a stranger's text, which end at a newline and nowhere else.

    `str.splitlines` would also end them at U+2028, a form feed and more, and so let one line pass for two.
    """
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]
