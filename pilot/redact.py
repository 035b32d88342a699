"""Secrets taken out of text that leaves the pilot."""

from __future__ import annotations

import re

HIDDEN = "***"
_NAME = r"[\w.-]*(?:password|passwd|secret|token|api_?key|private_?key|credential)[\w.-]*"
_PATTERNS = (
    # a JSON Web Token, wherever it stands
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), HIDDEN),
    # what an HTTP header has
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    # the password in a URL
    (re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"), HIDDEN),
    # name=value and "name": "value"; a value that is a path only says where the secret is
    (re.compile(rf"(?i)\b({_NAME})(\"?\s*[=:]\s*)(\"[^\"]*\"|(?![/\"])[^\s,;&\"]+)"), rf"\1\2{HIDDEN}"),
    # a key in one line, as \n in a JSON text or a variable leaves it
    (re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END|$)", re.DOTALL), rf"\1{HIDDEN}\2"),
)


def redacted(text: str) -> str:
    """Return the text without passwords, tokens and keys."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text
