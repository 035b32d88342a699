"""The ClassAd language of JDL texts: attributes, lists, nested records, and expressions kept as they were written.

Grammar: "Classified Advertisements Language Reference Manual" (HTCondor), read more kindly in four places because the
WMS stores such texts: no outer brackets, a comma after the last list item, `#` comment lines, stray semicolons.
Two neighbouring strings are refused, not joined: in a list that is a forgotten comma.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, NoReturn, TypeAlias

MAX_BYTES = 1 << 20
MAX_DEPTH = 100  # nested records take 6 frames a level, Python allows 1000
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


@dataclass(frozen=True, slots=True)
class Expression:
    """What would have to be evaluated, such as `other.MaxRAM > 3`, as it was written."""

    text: str


class Special(Enum):
    """The two values that stand for no value."""

    UNDEFINED = "undefined"
    ERROR = "error"


class Record(Mapping[str, "Value"]):
    """Attributes in the order of the text. Names match in any case and keep their spelling; the last of two wins."""

    __slots__ = ("_attributes",)

    def __init__(self, attributes: Iterable[tuple[str, Value]] = ()) -> None:
        self._attributes = {name.lower(): (name, value) for name, value in attributes}

    def __getitem__(self, name: str) -> Value:
        return self._attributes[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._attributes.values())

    def __len__(self) -> int:
        return len(self._attributes)

    def __repr__(self) -> str:
        return f"Record({list(self.items())!r})"


Value: TypeAlias = str | int | float | bool | Special | Expression | Record | tuple["Value", ...]


def parse(text: str) -> Record:
    """Read one record, in time linear in the text.

    Args:
        text: at most 1 MiB in UTF-8, nested at most 100 deep; its outer brackets may be absent.

    Raises:
        JdlError: the text is no such record; says where, what was found and what was expected.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        _fail(text, error.start, f"found {_shown(text[error.start])}, expected characters that UTF-8 can hold")
    if size > MAX_BYTES:
        raise JdlError(f"the JDL has {size} bytes, expected at most {MAX_BYTES}")
    tokens = _tokens(text)
    return _Parser(text, tokens, next(tokens)).document()


# Possessive quantifiers (++, *+) where there is nothing to gain from trying again: that keeps reading linear.
_GAP = re.compile(r"(?:\A|\n)[ \t\r]*+#[^\n]*+|[ \t\r\f\v]++|\n|//[^\n]*+|/\*.*?\*/", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<name>[A-Za-z_][A-Za-z0-9_]*+)
      | (?P<number>(?:[0-9]++(?:\.[0-9]++)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?)(?P<rest>[A-Za-z0-9_.]*+)
      | (?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*")
      | (?P<quoted>'[^'\\]*+(?:\\.[^'\\]*+)*')
      | (?P<open>["']|/\*)
      | (?P<operator>=\?=|=!=|==|!=|<=|>=|>>>|>>|<<|&&|\|\||[-+*/%<>&|^])
      | (?P<mark>[!~?:=.;,\[\](){}])""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPE = re.compile(rb"\\([0-3][0-7]{2}|[0-7]{1,2}|.)", re.DOTALL)
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_CLOSED_BY = {'"': "a closing double quote", "'": "a closing single quote", "/*": "a closing */"}
_KEYWORDS: dict[str, Value] = {
    "true": True,
    "false": False,
    "undefined": Special.UNDEFINED,
    "error": Special.ERROR,
}
_SIGNS = frozenset("-+!~")
_WORD_OPERATORS = frozenset(("is", "isnt"))
_NOT_PLAIN = Expression("")  # until _Parser._expression knows the whole text


class _Token(NamedTuple):
    kind: str  # name, number, string, quoted, operator, mark or end
    text: str
    start: int
    end: int


def _tokens(text: str) -> Iterator[_Token]:
    """Cut the text into tokens, one at a time; the last is of kind `end`."""
    position = _after_gap(text, 0)
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            _fail(text, position, f"found {_shown(text[position])}, expected a name, a value or an operator")
        kind = "number" if match["number"] else str(match.lastgroup)
        if kind == "open":
            _fail(text, position, f"found the end of the text, expected {_CLOSED_BY[match[0]]} for this one")
        if match["rest"]:
            _fail(text, position, f"found {_shown(match[0])}, expected a decimal number without a unit")
        yield _Token(kind, match[0], position, match.end())
        position = _after_gap(text, match.end())
    yield _Token("end", "", len(text), len(text))


def _after_gap(text: str, position: int) -> int:
    while gap := _GAP.match(text, position):
        position = gap.end()
    return position


class _Parser:
    """Recursive descent with one token of look-ahead."""

    def __init__(self, text: str, tokens: Iterator[_Token], first: _Token) -> None:
        self._text = text
        self._tokens = tokens
        self._token = first
        self._end = 0  # of the last token taken

    def document(self) -> Record:
        """Read the whole text."""
        bracketed = self._at("[")
        record = self._record(0) if bracketed else self._attributes(0)
        if self._token.kind != "end":
            self._expected("the end of the text" if bracketed else "';'")
        return record

    def _record(self, depth: int) -> Record:
        self._take()
        record = self._attributes(depth)
        self._close("]", "';' or ']'")
        return record

    def _attributes(self, depth: int) -> Record:
        attributes: list[tuple[str, Value]] = []
        while not (self._at("]") or self._token.kind == "end"):
            if not self._skipped(";"):
                attributes.append(self._attribute(depth))
                if not self._skipped(";"):
                    break
        return Record(attributes)

    def _attribute(self, depth: int) -> tuple[str, Value]:
        name = self._name("an attribute name")
        self._close("=", f"'=' after the attribute name {_shown(name)}")
        return name, self._expression(depth)

    def _expression(self, depth: int) -> Value:
        """Read a value. Precedence does not matter here: what has an operator is kept as text."""
        if depth > MAX_DEPTH:
            self._fail(f"found brackets nested more than {MAX_DEPTH} deep, expected fewer")
        start = self._token.start
        value = self._operand(depth)
        while self._operator(depth):
            self._operand(depth)
            value = _NOT_PLAIN
        return Expression(self._text[start : self._end]) if isinstance(value, Expression) else value

    def _operator(self, depth: int) -> bool:
        """Take what stands between two operands, if there is any: an operator, or `? value :`."""
        if self._token.kind == "operator" or self._at_word_operator():
            self._take()
            return True
        if not self._skipped("?"):
            return False
        if not self._at(":"):  # `a ?: b` leaves the middle out
            self._expression(depth + 1)
        self._close(":", "':' of the conditional that '?' began")
        return True

    def _operand(self, depth: int) -> Value:
        signs = ""
        while self._token.text in _SIGNS:
            signs += self._take().text
        value = self._primary(depth)
        if self._selected(depth):
            return _NOT_PLAIN
        if signs in ("-", "+") and type(value) in (int, float):
            return -value if signs == "-" else value  # type: ignore[operator]  # the line above says it is a number
        return _NOT_PLAIN if signs else value

    def _primary(self, depth: int) -> Value:
        token = self._token
        if token.kind == "string":
            return self._unquoted(self._take())
        if token.kind == "number":
            return self._number(self._take())
        if token.kind in ("name", "quoted") and not self._at_word_operator():
            return self._reference(depth)
        if token.text == "{":
            return self._items("}", depth)
        if token.text == "[":
            return self._record(depth + 1)
        if self._skipped("("):
            self._expression(depth + 1)
            self._close(")", "an operator or ')'")
        elif self._skipped("."):
            self._name("an attribute name after '.'")
        else:
            self._expected("a value")
        return _NOT_PLAIN

    def _reference(self, depth: int) -> Value:
        """Read a word that is a value, an attribute's name, or a function's with its arguments."""
        token = self._take()
        if token.kind == "quoted":
            self._unquoted(token)
            return _NOT_PLAIN
        if self._at("("):
            self._items(")", depth)
            return _NOT_PLAIN
        return _KEYWORDS.get(token.text.lower(), _NOT_PLAIN)

    def _selected(self, depth: int) -> bool:
        """Take what picks a part of the operand: `.name` or `[index]`, again and again."""
        before = self._end
        while True:
            if self._skipped("."):
                self._name("an attribute name after '.'")
            elif self._skipped("["):
                self._expression(depth + 1)
                self._close("]", "an operator or ']'")
            else:
                return self._end != before

    def _items(self, closing: str, depth: int) -> tuple[Value, ...]:
        self._take()
        items: list[Value] = []
        while not self._at(closing):
            items.append(self._expression(depth + 1))
            if not self._skipped(","):
                break
        self._close(closing, f"',' or '{closing}'")
        return tuple(items)

    def _number(self, token: _Token) -> int | float:
        # 64 bits as in HTCondor; int() of very many digits is slow and, past 4300 of them, a ValueError
        if token.text.isdigit() and (len(token.text) > 40 or int(token.text) >= 1 << 63):
            _fail(self._text, token.start, f"found {_shown(token.text)}, expected a number that fits in 64 bits")
        number = int(token.text) if token.text.isdigit() else float(token.text)
        if math.isinf(number):
            _fail(self._text, token.start, f"found {_shown(token.text)}, expected a number below 1.8e308")
        return number

    def _name(self, expected: str) -> str:
        if self._token.kind == "quoted":
            return self._unquoted(self._take())
        if self._token.kind != "name":
            self._expected(expected)
        return self._take().text

    def _unquoted(self, token: _Token) -> str:
        r"""Return what stands between the quotes. `\303\251` are two bytes and one letter, as in HTCondor."""
        try:
            content = _ESCAPE.sub(_unescaped, token.text[1:-1].encode()).decode()
        except UnicodeDecodeError:
            _fail(self._text, token.start, f"found {_shown(token.text)}, expected octal escapes that form UTF-8")
        if "\0" in content:
            _fail(self._text, token.start, f"found a NUL in {_shown(token.text)}, expected text without")
        return content

    def _at_word_operator(self) -> bool:
        return self._token.kind == "name" and self._token.text.lower() in _WORD_OPERATORS

    def _at(self, mark: str) -> bool:
        return self._token.kind == "mark" and self._token.text == mark

    def _skipped(self, mark: str) -> bool:
        if self._at(mark):
            self._take()
            return True
        return False

    def _close(self, mark: str, expected: str) -> None:
        if not self._skipped(mark):
            self._expected(expected)

    def _take(self) -> _Token:
        token = self._token
        self._end = token.end
        self._token = next(self._tokens, token)  # only `end` has no next, and nobody takes it
        return token

    def _expected(self, expected: str) -> NoReturn:
        found = _shown(self._token.text) if self._token.text else "the end of the text"
        self._fail(f"found {found}, expected {expected}")

    def _fail(self, sentence: str) -> NoReturn:
        _fail(self._text, self._token.start, sentence)


def _unescaped(match: re.Match[bytes]) -> bytes:
    escape = match[1]
    return bytes([int(escape, 8)]) if escape.isdigit() and escape < b"8" else _ESCAPED.get(escape, escape)


def _shown(text: str) -> str:
    return repr(text) if len(text) <= SHOWN_CHARACTERS else repr(text[:SHOWN_CHARACTERS]) + "…"


def _fail(text: str, position: int, sentence: str) -> NoReturn:
    line = text.count("\n", 0, position) + 1
    raise JdlError(sentence, line, position - text.rfind("\n", 0, position))
