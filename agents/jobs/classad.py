r"""DIRAC's JDL: attributes, each with a text, a list or a record.

It looks like HTCondor's ClassAds, and is less and more: DIRAC's server keeps every value as text and evaluates nothing,
takes whatever stands before `=` as a name, prints numbers without quotes, and knows no escapes (DIRAC 9.1,
DIRACCommon/Core/Utilities/JDL.py). Ours is `\"`, for a double quote in a text, where DIRAC has no way to write one.

What cannot be read spoils its own attribute only: it is said to whoever asks for that attribute.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NoReturn, TypeAlias

MAX_BYTES = 1 << 20
MAX_DEPTH = 100  # nested records take 4 frames a level, Python allows 1000
MAX_PROBLEMS = 100  # after so many attributes that cannot be read this is no JDL
SHOWN_CHARACTERS = 60


class JdlError(Exception):
    """The JDL of this job can never be run: the job's author must correct it.

    Attributes:
        line: where reading stopped, from 1; None when the text is well formed and a value makes no sense.
        column: in characters, from 1.
    """

    def __init__(self, sentence: str, line: int | None = None, column: int | None = None) -> None:
        where = "" if line is None else f"JDL line {line}, column {column}: "
        super().__init__(where + sentence)
        self.line = line
        self.column = column


class Record(Mapping[str, "Value"]):
    """Attributes in the order of the text. Names match in any case and keep their spelling; the last of two wins.

    Asking for an attribute that could not be read raises its JdlError; it is not among those that are there.
    """

    __slots__ = ("_attributes", "_problems")

    def __init__(self, attributes: Iterable[tuple[str, Value]] = ()) -> None:
        self._attributes = {name.lower(): (name, value) for name, value in attributes}
        self._problems: dict[str, JdlError] = {}

    def put(self, name: str, value: Value | JdlError) -> None:
        """Add an attribute, or why it cannot be read, in the place of an earlier one of that name."""
        key = name.lower()
        self._attributes.pop(key, None)
        self._problems.pop(key, None)
        if isinstance(value, JdlError):
            self._problems[key] = value
        else:
            self._attributes[key] = (name, value)

    @property
    def problems(self) -> list[JdlError]:
        """What could not be read."""
        return list(self._problems.values())

    def __getitem__(self, name: str) -> Value:
        if name.lower() in self._problems:
            raise self._problems[name.lower()]
        return self._attributes[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._attributes.values())

    def __len__(self) -> int:
        return len(self._attributes)

    def __repr__(self) -> str:
        return f"Record({list(self._attributes.values())!r})"


Value: TypeAlias = str | Record | tuple["Value", ...]


def parse(text: str) -> Record:
    """Read one record, in time linear in the text.

    Args:
        text: at most 1 MiB in UTF-8, nested at most 100 deep; its outer brackets may be absent.

    Raises:
        JdlError: the text as a whole is no record, such as one that was cut; says where, and what was expected.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        _fail(text, error.start, f"found {_shown(text[error.start])}, expected characters that UTF-8 can hold")
    if size > MAX_BYTES:
        raise JdlError(f"the JDL has {size} bytes, expected at most {MAX_BYTES}")
    return _Reader(text).document()


# Each text has one way through each of these, so that trying again on failure is short and reading stays linear.
# Possessive quantifiers would say so, but match too much before Python 3.11.5 (gh-106052), which Debian 12 has not.
_GAP = re.compile(r"(?:\A|\n)[ \t\r]*#[^\n]*|\s+|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_WORD = r"(?:(?!//|/\*)[^\s=;\[\]{}\"])+"
_NAME = re.compile(rf"{_WORD}(?:[ \t]+{_WORD})*")
# DIRAC prints a text that ends with a backslash as it is: at the end of a line `\";` closes the string.
_CLOSES = r";[ \t\r]*(?:\n|\Z)"
_QUOTE_WITHIN = rf'"(?!{_CLOSES})'
_STRING = re.compile(rf'"([^"\\]*(?:\\(?:{_QUOTE_WITHIN}|(?!{_QUOTE_WITHIN}))[^"\\]*)*)"')
_CLOSING_QUOTE = re.compile(rf'(?<!\\)"|"(?={_CLOSES})')
_NO_COMMENT = r"(?!(?<=\s)(?://|/\*))"
_BARE = re.compile(rf'(?:\[[^\[\]";\n]*\]|{_NO_COMMENT}[^;\]"])+')  # `b[1]` is one text
_BARE_ITEM = re.compile(rf'(?:{_NO_COMMENT}[^;,}}"])+')
_REST = re.compile(r'[^;\]"]*')
_NEXT_ATTRIBUTE = re.compile(r"\n[ \t]*[A-Za-z_][\w.]*[ \t]*=(?![=?!])")
_UNDEFINED = ("undefined", "Undefined", "UNDEFINED")  # without quotes: as if the attribute were not there


class _Reader:
    """Recursive descent. A quote after which none closes is a character like others."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._problems = 0
        self._last_quote = max((found.start() for found in _CLOSING_QUOTE.finditer(text)), default=-1)

    def document(self) -> Record:
        """Read the whole text."""
        self._skip_gap()
        if not self._skipped("["):
            return self._attributes(0, "")
        record = self._attributes(0, "]")
        self._expect("]", "';' or ']'")
        if self._at < len(self._text):
            self._expected("the end of the text")
        return record

    def _attributes(self, depth: int, closing: str) -> Record:
        record = Record()
        while self._next() and self._next() != closing:
            if not self._skipped(";"):
                self._attribute(record, depth, closing)
        return record

    def _attribute(self, record: Record, depth: int, closing: str) -> None:
        name = ""
        try:
            name = self._name()
            is_quoted = self._next() == '"'
            value = self._value(depth, _BARE)
            if self._next() not in (";", closing):
                self._expected(f"';' or '{closing}'" if closing else "';'")
        except JdlError as error:
            self._problems += 1
            if self._problems > MAX_PROBLEMS:
                raise
            record.put(name, error)
            self._skip_rest(closing)
        else:
            if is_quoted or value not in _UNDEFINED:
                record.put(name, value)

    def _name(self) -> str:
        found = _NAME.match(self._text, self._at)
        if found is None:
            self._expected("an attribute name")
        self._at = found.end()
        self._skip_gap()
        self._expect("=", f"'=' after the attribute name {_shown(found[0])}")
        return found[0]

    def _value(self, depth: int, bare: re.Pattern[str]) -> Value:
        if depth > MAX_DEPTH:
            self._fail(f"found brackets nested more than {MAX_DEPTH} deep, expected fewer")
        if self._skipped("{"):
            return self._items(depth)
        if self._skipped("["):
            record = self._attributes(depth + 1, "]")
            self._expect("]", "';' or ']'")
            return record
        return self._strings() if self._next() == '"' and bare is _BARE else self._plain(bare)

    def _strings(self) -> Value:
        """Read one string, or several with commas between them: DIRAC takes that for a list."""
        texts = [self._string()]
        while self._skipped(","):
            texts.append(self._string())
        return texts[0] if len(texts) == 1 else tuple(texts)

    def _plain(self, bare: re.Pattern[str]) -> str:
        return self._string() if self._next() == '"' else self._unquoted(bare)

    def _items(self, depth: int) -> tuple[Value, ...]:
        items: list[Value] = []
        while not self._skipped("}"):
            if self._skipped(",") or self._skipped_remark():
                continue
            items.append(self._value(depth + 1, _BARE_ITEM))
            self._skipped_remark()
            if self._next() not in (",", "}"):
                self._expected("',' or '}'")
        return tuple(items)

    def _skipped_remark(self) -> bool:
        """Pass a comment behind an item: what stands there is no item, `#` begins none."""
        if self._next() != "#":
            return False
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end
        self._skip_gap()
        return True

    def _string(self) -> str:
        found = _STRING.match(self._text, self._at) if self._at < self._last_quote else None
        if found is None:
            self._fail("found the end of the text, expected a closing double quote for this one")
        text = found[1].replace('\\"', '"')
        if "\0" in text:
            self._fail(f"found a NUL in {_shown(found[0])}, expected text without")
        self._at = found.end()
        self._skip_gap()
        return text

    def _unquoted(self, bare: re.Pattern[str]) -> str:
        """Read what stands without quotes up to the next separator, strings in it whole."""
        start = self._at
        self._pass(bare)
        text = self._text[start : self._at].rstrip()
        if not text or "\0" in text:
            self._at = start
            self._expected("a value")
        if bare is _BARE and (found := _NEXT_ATTRIBUTE.search(text)):
            self._at = start + found.end() - 1
            self._expected("';' before the next attribute")
        self._skip_gap()
        return " ".join(line.strip() for line in text.split("\n"))

    def _skip_rest(self, closing: str) -> None:
        """Go on behind what could not be read: to the next semicolon, or to the end of the record."""
        start = self._at
        self._pass(_REST)
        if self._at == start and self._next() not in ("", closing):
            self._at += 1
            self._skip_gap()

    def _pass(self, characters: re.Pattern[str]) -> None:
        """Go over characters and whole strings."""
        while True:
            if found := characters.match(self._text, self._at):
                self._at = found.end()
            if self._next() != '"':
                return
            string = _STRING.match(self._text, self._at) if self._at < self._last_quote else None
            self._at = string.end() if string else self._at + 1

    def _skip_gap(self) -> None:
        while gap := _GAP.match(self._text, self._at):
            if gap[0].startswith("/*") and not gap[0].endswith("*/"):
                self._fail("found the end of the text, expected a closing */ for this one")
            self._at = gap.end()

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skipped(self, mark: str) -> bool:
        if self._next() != mark:
            return False
        self._at += 1
        self._skip_gap()
        return True

    def _expect(self, mark: str, expected: str) -> None:
        if not self._skipped(mark):
            self._expected(expected)

    def _expected(self, expected: str) -> NoReturn:
        found = _NAME.match(self._text, self._at)
        shown = _shown(found[0] if found else self._next()) if self._next() else "the end of the text"
        self._fail(f"found {shown}, expected {expected}")

    def _fail(self, sentence: str) -> NoReturn:
        _fail(self._text, self._at, sentence)


def _shown(text: str) -> str:
    return repr(text) if len(text) <= SHOWN_CHARACTERS else repr(text[:SHOWN_CHARACTERS]) + "…"


def _fail(text: str, position: int, sentence: str) -> NoReturn:
    line = text.count("\n", 0, position) + 1
    raise JdlError(sentence, line, position - text.rfind("\n", 0, position))
