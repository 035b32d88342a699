"""Programs of the node that move files: what each is called with, and what it says means. Pure functions."""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from agents.data import checksum
from agents.data.errors import (
    Damaged,
    ElementDown,
    Exists,
    NoRoom,
    NoSpaceHere,
    NotAllowed,
    NotHere,
    TransferError,
    Transient,
)

Words = Sequence[tuple[re.Pattern[str], type[TransferError]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """How a program copies, and how its neighbours look at a file, sum it up and remove it.

    Attributes:
        name: for sentences.
        get: the command that brings URL to a path; with True it goes on after what is there.
        put: the command that brings a path to URL, and never replaces what is there; with an Adler32 to be compared.
        stat: the command that tells a file's size.
        sum: the command that tells a file's Adler32.
        remove: the command that removes it.
        size: finds the size in what `stat` says.
        adler32: finds the checksum in what `sum` says.
        unfinished: what `stat` says of a file whose upload goes on, or broke off when its server ended.
        words: what errors look like, in the order to look for them.
        has_resume: whether `get` goes on.
        has_compared: whether `put` compares the server's checksum with the Adler32 that it was given.
    """

    name: str
    get: Callable[[str, str, bool], list[str]]
    put: Callable[[str, str, int | None], list[str]]
    stat: Callable[[str], list[str]]
    sum: Callable[[str], list[str]]
    remove: Callable[[str], list[str]]
    size: re.Pattern[str]
    adler32: re.Pattern[str]
    unfinished: re.Pattern[str]
    words: Words
    has_resume: bool
    has_compared: bool

    def error(self, said: str) -> type[TransferError]:
        """Return what to do next after this was said."""
        return next((kind for word, kind in self.words if word.search(said)), Transient)

    def size_in(self, said: str) -> int | None:
        """Return the size that stands in what was said."""
        found = self.size.search(said)
        return int(found[1]) if found else None

    def adler32_in(self, said: str) -> int | None:
        """Return the checksum that stands in what was said."""
        found = self.adler32.search(said)
        return checksum.number_of(found[1]) if found else None


def find(family: str) -> Tool | None:
    """Return the program of this node for a family of protocols, None when it has none."""
    if family == "root" and shutil.which("xrdcp") and shutil.which("xrdfs"):
        return _XRD
    if family in ("root", "srm", "gsiftp") and all(
        map(shutil.which, ("gfal-copy", "gfal-stat", "gfal-sum", "gfal-rm"))
    ):
        return _GFAL
    return None


def _words(*rows: tuple[str, type[TransferError]]) -> Words:
    return [(re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in rows]


def _xrdfs(*question: str) -> Callable[[str], list[str]]:
    def command(url: str) -> list[str]:
        place = urlsplit(url)
        return ["xrdfs", f"{place.scheme}://{place.netloc}", *question, re.sub("^/+", "/", place.path)]

    return command


def _xrdcp(*arguments: str) -> list[str]:
    return ["xrdcp", "--nopbar", "--silent", *arguments]


def _compared(adler32: int | None) -> list[str]:
    return [] if adler32 is None else ["--cksum", f"adler32:{checksum.text_of(adler32)}"]


_XRD = Tool(
    name="xrdcp",
    get=lambda url, path, goes_on: _xrdcp(*(["--continue"] if goes_on else []), url, path),
    put=lambda path, url, adler32: _xrdcp("--posc", *_compared(adler32), path, url),  # never with --force
    stat=_xrdfs("stat"),
    sum=_xrdfs("query", "checksum"),
    remove=_xrdfs("rm"),
    size=re.compile(r"^Size:\s+(\d{1,18})$", re.MULTILINE),
    adler32=re.compile(r"^adler32\s+([0-9a-fA-F]{1,8})\s*$", re.MULTILINE),
    unfinished=re.compile(r"POSCPending"),
    words=_words(  # kXR_ numbers of the protocol, then words of the client
        (r"\[3018\]|file exists", Exists),
        (r"\[3010\]|\[3030\]|\[3032\]|Auth failed|permission denied|not authorized", NotAllowed),
        (r"\[3011\]|no such file", NotHere),
        (r"\[3009\]|\[3021\]|\[3025\]|no space left on device.*\(destination\)|quota|read-only", NoRoom),
        (r"\[3019\]|checksum error", Damaged),
        (r"Local error.*no space|no space left on device", NoSpaceHere),
        (r"Connection error|Invalid address|Invalid session|Unable to (connect|resolve)|TLS error", ElementDown),
    ),
    has_resume=True,
    has_compared=True,
)
_GFAL = Tool(
    name="gfal-copy",
    get=lambda url, path, _goes_on: ["gfal-copy", "--force", url, f"file://{path}"],
    put=lambda path, url, _adler32: ["gfal-copy", "--parent", f"file://{path}", url],
    stat=lambda url: ["gfal-stat", url],
    sum=lambda url: ["gfal-sum", url, "ADLER32"],
    remove=lambda url: ["gfal-rm", url],
    size=re.compile(r"^\s*Size:\s+(\d{1,18})\b", re.MULTILINE),
    adler32=re.compile(r"\s([0-9a-fA-F]{1,8})\s*$"),
    unfinished=re.compile(r"(?!)"),
    words=_words(  # gfal2 says errno's own words
        (r"file exists|error: 17\b", Exists),
        (r"permission denied|not authori[sz]ed|authentication|error: 13\b|error: 1\b|\b403\b", NotAllowed),
        (r"no such file|error: 2\b|\b404\b", NotHere),
        (r"no space left|quota|read-only|error: 28\b|error: 30\b|error: 122\b", NoRoom),
        (r"checksum", Damaged),
        (r"connection refused|could not connect|failed to connect|resolve|communication error", ElementDown),
    ),
    has_resume=False,
    has_compared=False,
)
