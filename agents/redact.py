"""Secrets taken out of text before anybody sees it.

`pilot/redact.py` and `agents/redact.py` are the same file but for HIDDEN; a test compares them, and tries one table of
secrets on both. Too much is taken rather than too little, in a time that is linear in the text: what repeats in a
pattern is bounded, or nothing has to follow it.
"""

from __future__ import annotations

import re

HIDDEN = "[redacted]"

_NAMES = (
    r"passw(?:or)?d|passphrase|passcode|secret|token|signature|authorization|cookie|credentials?"
    r"|(?:api|access|private|account|auth|session|storage)[_-]?key"
)
_HARMLESS_ENDS = ("file", "path", "dir", "directory", "location", "type", "url", "endpoint", "lifetime", "count")
_NAME = re.compile(_NAMES, re.IGNORECASE)
_BETWEEN = r"[\\\"']{0,17}\s{0,4}(?:=>|[=:]|(?:%22)?%3[AD](?:%22)?)\s{0,4}"
_NAMED = re.compile(
    rf"(?P<name>(?:{_NAMES})[\w.-]{{0,40}}){_BETWEEN}"  # name=value, "name": "value", name%3Dvalue
    r"|(?<![A-Za-z])(?P<word>pwd|pass|sig)(?:[\\\"']{1,6}\s{0,4}:|=)\s{0,4}"
    r"|(?<![\w-])--?(?P<flag>[\w-]{1,60})[ \t]{1,4}(?=[^\s-])",
    re.IGNORECASE,
)
_LONGEST = 65536  # of a value in quotes
_QUOTE = re.compile(r"\\{0,15}[\"']")
_CLOSING = {"{": "}", "[": "]", "(": ")"}
_PLAIN = re.compile(r"(?:[^\s,;&\"'})\]<\\]|\\+(?=[^\s\"'\\nrt]))*")
_HEADER = re.compile(r"[^\"'\n\\]*")  # of a cookie, a credential of any scheme: all that follows
_LINE = re.compile(r"[^\"\n]*")
_SCHEME = re.compile(r"(?:bearer|basic|negotiate|digest|token|apikey|ntlm|aws4-hmac-sha256)\s+", re.IGNORECASE)

_PEM = re.compile(  # whole, or without its end: then to the end of the text that it stands in
    r"-----BEGIN [A-Z0-9 ]{1,40}-----(?:[^\"\\-]|\\+[nrt]|-(?!----END))*(?:-----END(?: [A-Z0-9 ]{1,40}-----)?)?"
)
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{1,40}-----")
_LINE_END = re.compile(r"(\r?\n|\\n)")
_KEY_LINE = re.compile(r"\r?\n|\\n|[A-Za-z0-9+/=]*")
_KEY_WORD = re.compile(r"[A-Za-z0-9+/=]{16,76}\Z")
_PEM_LINES = re.compile(r"(?:(?:^|(?<=\n)|(?<=\\n))[A-Za-z0-9+/]{64}(?:\r?\n|\\n|\Z)){2,}")
_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"eyJ[\w-]{8,}(?:\.[\w-]*){0,4}"  # JWT: base64 of '{"', a dot, the claims, a dot, the signature
    r"|(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}(?![0-9A-Za-z])"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|gl[a-z]{2,6}-[\w-]{20,}"  # GitHub, GitLab
    r"|xox[a-z]-[\w-]{10,}|xapp-[\w-]{10,}|hooks\.slack\.com/services/[\w/]{10,}"  # Slack
    r"|AIza[\w-]{30,}|ya29\.[\w.-]{20,}|GOCSPX-[\w-]{20,}|1//0[\w-]{30,}"  # Google
    r"|sk[-_](?:ant-|proj-|live_|test_)?[A-Za-z0-9]{20}[\w-]*|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{30,}"
    r"|dckr_pat_[\w-]{20,}|hv[sb]\.[\w-]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}|pypi-[\w-]{50,}"
    r"|MDA[A-Za-z0-9][\w+/=-]{60,}|AgE[\w+/=-]{60,}"  # macaroons: base64 of the first packet's length, or of version 2
    r")"
)
_BEARER = re.compile(
    r"(?<![A-Za-z0-9])(bearer|basic|negotiate)((?:\s|\\{1,4}[nrt]|%20|[\"'+:=]){1,8})([\w.~+/=:-]{8,})", re.IGNORECASE
)
_IN_URL = re.compile(r"(?<=://)([^\s/:@\"']{0,200}):([^\s/@\"']{1,400})(?=@)")
_ONLY_USER_IN_URL = re.compile(r"(?<=://)[^\s/:@\"']{20,200}(?=@)")
_IN_PACKED_URL = re.compile(r"(?<=%3A%2F%2F)([^\s/:@\"'%]{0,200})(%3A|:)([^\s/@\"'%]{1,400})(?=%40|@)", re.IGNORECASE)
_XML = re.compile(rf"((?:{_NAMES})[\w.-]{{0,40}}>)([^<>]{{1,2000}})(?=</)", re.IGNORECASE)
_NETRC = re.compile(r"(\blogin\s{1,4}\S{1,100}\s{1,4}password\s{1,4})([^\s\"'\\]+)", re.IGNORECASE)
_OF_TOOLS = (
    (("mysql", "mariadb", "sshpass"), re.compile(r"(\s-p[ \t]{0,2}[\"']?)([^\s\"'-][^\s\"']*)")),
    (("curl", "wget"), re.compile(r"(\s(?:-u|-U|--user|--proxy-user)[ \t=]{0,2}[\"']?[^\s:\"']{1,200}:)([^\s\"']+)")),
    (("ldap",), re.compile(r"(\s-w[ \t]{0,2}[\"']?)([^\s\"']+)")),
)
_HINTS = (
    *("-----", "eyj", "bearer", "basic", "negotiate", "://", "%3a", "akia", "asia", "aroa", "aida", "gh", "gl", "mda"),
    *(
        "age",
        "xox",
        "xapp",
        "slack",
        "aiza",
        "ya29",
        "gocspx",
        "1//0",
        "sk",
        "hf_",
        "npm_",
        "dckr",
        "hv",
        "sg.",
        "pypi",
    ),
    *("pass", "pwd", "sig", "secret", "token", "key", "authorization", "cookie", "credential", "mysql", "mariadb"),
    *("curl", "wget", "ldap"),
)
_SHORT = 8  # too short to hold a secret and the name that tells it
_LONG = 128


def is_secret_name(name: str) -> bool:
    """Tell whether what is named so is a secret itself, and not where one is kept."""
    return bool(_NAME.search(name)) and not name.lower().endswith(_HARMLESS_ENDS)


def redacted(text: str) -> str:
    """Return a text without the secrets in it; JSON stays JSON."""
    if len(text) < _SHORT:
        return text
    lowered = text.lower()
    if not (len(text) > _LONG or any(hint in lowered for hint in _HINTS)):
        return text
    text = _PEM.sub(HIDDEN, text)
    text = _without_cut_pem(text) if "-----END" in text else text
    text = _PEM_LINES.sub(HIDDEN, text) if len(text) > _LONG else text
    text = _without_named(text)
    text = _BEARER.sub(_hide_random, text)
    text = _SHAPES.sub(HIDDEN, text)
    if "://" in text:
        text = _ONLY_USER_IN_URL.sub(HIDDEN, _IN_URL.sub(rf"\1:{HIDDEN}", text))
    text = _IN_PACKED_URL.sub(rf"\1\2{HIDDEN}", text) if "%3a%2f%2f" in lowered else text
    text = _XML.sub(_hide_second, text) if "</" in text else text
    text = _NETRC.sub(_hide_second, text) if "login" in lowered else text
    return _without_arguments(text, lowered)


def _without_cut_pem(text: str) -> str:
    """Hide blocks of which only the end is in the text: the lines of base64 before it go too."""
    *before, after = _PEM_END.split(text)
    return HIDDEN.join([*map(_without_key_lines, before), after])


def _without_key_lines(text: str) -> str:
    pieces = _LINE_END.split(text)
    while pieces and _KEY_LINE.fullmatch(pieces[-1]):
        pieces.pop()
    return "".join([*pieces[:-1], *(_KEY_WORD.sub("", piece) for piece in pieces[-1:])])


def _without_named(text: str) -> str:
    """Hide the values of whatever is named like a secret. Each search begins behind the last name, or its value."""
    kept, at = [], 0
    while found := _NAMED.search(text, at):
        start, end = _value(text, found) if _names_a_secret(found) else (found.end(), found.end())
        is_path = bool(found["word"]) and text[start : start + 1] in ("/", ".", "~", "$")  # PWD is a directory mostly
        if end == start or is_path or text.startswith(HIDDEN, start):
            kept.append(text[at : found.end()])
            at = found.end()
        else:
            kept += [text[at:start], HIDDEN]
            at = end
    return "".join([*kept, text[at:]])


def _names_a_secret(found: re.Match[str]) -> bool:
    return bool(found["word"]) or is_secret_name(found["name"] or found["flag"])


def _value(text: str, found: re.Match[str]) -> tuple[int, int]:
    """Return where the value begins and ends that stands behind a name."""
    at = found.end()
    quote = _QUOTE.match(text, at)
    if quote:
        return quote.end(), _closed(text, quote[0], quote.end())
    name = (found["name"] or "").lower()
    if name.startswith(("cookie", "authorization")) and ":" in text[found.end("name") : at]:
        scheme = _SCHEME.match(text, at)
        start = scheme.end() if scheme else at
        return start, _end(_HEADER, text, start)
    if text[at : at + 1] in _CLOSING and not text.startswith(HIDDEN, at):
        end = text.find(_CLOSING[text[at]], at, at + _LONGEST)
        if end > 0:
            return at + 1, end
    return at, _end(_PLAIN, text, at)


def _closed(text: str, quote: str, start: int) -> int:
    """Return where a value in quotes ends; one without its end ends with the line, or with the text it stands in."""
    depth, at = len(quote) - 1, start - 1
    while (at := text.find(quote[-1], at + 1, start + _LONGEST)) >= 0:
        slashes = 0
        while at - slashes > start and text[at - slashes - 1] == "\\":
            slashes += 1
        if slashes <= depth or (depth == 0 and slashes % 2 == 0):
            return at - min(slashes, depth)
    return _end(_LINE, text, start)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _hide_random(found: re.Match[str]) -> str:
    """Hide what follows the name of a scheme unless it is a word of a sentence."""
    scheme, between, value = found.groups()
    is_random = any(letter.isdigit() for letter in value) or value[1:] != value[1:].lower() or value.endswith("=")
    is_long = scheme.lower() == "bearer" and len(value) >= 16
    return f"{scheme}{between}{HIDDEN}" if is_random or is_long else found[0]


def _hide_second(found: re.Match[str]) -> str:
    return f"{found[1]}{HIDDEN}"


def _without_arguments(text: str, lowered: str) -> str:
    """Hide what well-known commands take as passwords, on the lines where they are."""
    for tools, pattern in _OF_TOOLS:
        if any(tool in lowered for tool in tools):
            lines = text.split("\n")
            text = "\n".join(
                pattern.sub(_hide_second, line) if any(tool in line.lower() for tool in tools) else line
                for line in lines
            )
    return text
