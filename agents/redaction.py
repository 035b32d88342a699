"""Takes secrets out of text before anybody sees it: the log, statuses, the page of the slot, metrics, traces.

What looks like a secret goes: PEM blocks (proxies and keys, whole or cut), bearer tokens and JWTs, passwords in URLs,
the well-known forms of cloud keys, and the value of whatever is named like a secret. Too much is taken rather than too
little. Nothing here needs more than time linear in the text.
"""

import functools
import re
from collections.abc import Mapping

HIDDEN = "[redacted]"

_NAMES = r"passw(?:or)?d|passwd|passphrase|passcode|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|signature"
_NAMES += r"|authorization|cookie|credentials"
_HARMLESS_ENDS = ("file", "path", "dir", "directory", "location", "type", "url", "endpoint", "lifetime", "count")
_NAME = re.compile(_NAMES, re.I)

_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{1,40}-----.*?(?:-----END [A-Z0-9 ]{1,40}-----|\Z)", re.S)
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{1,40}-----")
_LINE_END = re.compile(r"(\r?\n|\\n)")
_KEY_LINE = re.compile(r"\r?\n|\\n|[A-Za-z0-9+/=]*")
_KEY_WORD = re.compile(r"[A-Za-z0-9+/=]{16,76}\Z")
_PEM_LINES = re.compile(r"(?:(?:^|(?<=\n)|(?<=\\n))[A-Za-z0-9+/]{64}(?:\r?\n|\\n|\Z)){2,}")
_SHAPES = re.compile(
    r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"  # JWT: base64 of '{"', a dot, the claims, a dot, the signature
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"  # AWS
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{30,}|\bglpat-[\w-]{20,}"  # GitHub, GitLab
    r"|\bMDA[A-Za-z0-9][\w+/=-]{60,}"  # macaroon of dCache: base64 of its first packet's length, '00..'
)
_BEARER = re.compile(r"\b(bearer|basic|negotiate)(\s+)([\w.~+/=:-]{12,})", re.I)
_IN_URL = re.compile(r"(?<=://)([^\s/:@\"']{0,200}):([^\s/@\"']{1,400})(?=@)")
_FLAG = re.compile(rf"(--?[\w-]{{0,40}}(?:{_NAMES})[\w-]{{0,40}})(\s+)(\"[^\"]*\"|'[^']*'|[^\s-]\S*)", re.I)
_PAIR = re.compile(
    rf"((?:{_NAMES})[\w.-]{{0,40}})([\\\"']{{0,2}}\s{{0,4}}(?:=>|=|:)\s{{0,4}})"
    r"(\\\"(?:[^\"\\]|\\\\\\\"|\\\\(?!\\\")|\\[^\"\\])*\\\"|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\s,;&\"'})\]]+)",
    re.I,
)
_HINTS: tuple[str, ...] = (
    *("-----", "eyj", "bearer", "basic", "negotiate", "://", "akia", "asia", "gh", "glpat-", "mda"),
    *("passw", "passphrase", "passcode", "secret", "token", "key", "signature", "authorization", "cookie"),
    "credentials",
)
_SHORT = 8  # too short to hold a secret and the name that tells it
_LONG = 128


@functools.lru_cache(maxsize=1024)  # names of fields come again and again
def is_secret_name(name: str) -> bool:
    """Tell whether what is named so is a secret itself, and not where one is kept."""
    return bool(_NAME.search(name)) and not name.lower().endswith(_HARMLESS_ENDS)


def redacted(text: str) -> str:
    """Return a text without the secrets in it."""
    if len(text) < _SHORT:
        return text
    lowered = text.lower()
    if not (len(text) > _LONG or any(hint in lowered for hint in _HINTS)):
        return text
    text = _PEM.sub(HIDDEN, text)
    text = _without_cut_pem(text) if "-----END" in text else text
    text = _PEM_LINES.sub(HIDDEN, text) if len(text) > _LONG else text
    text = _BEARER.sub(rf"\1\2{HIDDEN}", text)
    text = _SHAPES.sub(HIDDEN, text)
    text = _IN_URL.sub(rf"\1:{HIDDEN}", text) if "://" in text else text
    text = _FLAG.sub(_hide_value, text) if "-" in text else text
    return _PAIR.sub(_hide_value, text)


def _without_cut_pem(text: str) -> str:
    """Hide blocks of which only the end is in the text: the lines of base64 before it go too."""
    *before, after = _PEM_END.split(text)
    return HIDDEN.join([*map(_without_key_lines, before), after])


def _without_key_lines(text: str) -> str:
    pieces = _LINE_END.split(text)
    while pieces and _KEY_LINE.fullmatch(pieces[-1]):
        pieces.pop()
    return "".join([*pieces[:-1], *(_KEY_WORD.sub("", piece) for piece in pieces[-1:])])


def _hide_value(found: re.Match[str]) -> str:
    name, between, value = found.groups()
    if not is_secret_name(name) or HIDDEN.startswith(value):
        return found[0]
    quote = value[0] if value[0] in "\"'" else '\\"' if value.startswith('\\"') else ""
    return f"{name}{between}{quote}{HIDDEN}{quote}"


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
