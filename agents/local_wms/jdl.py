"""Reads and prints JDL on the server's side; what is no plain value, list or record stays text."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

MAX_DEPTH = 50
TOKEN = re.compile(
    r"""
    (?P<skip>   \s+ | //[^\n]* | /\*.*?\*/ | ^\#[^\n]* )
  | (?P<string> "(?:[^"\\]|\\.)*" )
  | (?P<number> [+-]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?(?![\w.]) )
  | (?P<word>   (?:is|isnt)\b )
  | (?P<name>   [A-Za-z_][\w.]* )
  | (?P<mark>   [\[\]{}=;,] )
  | (?P<other>  . )
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
OPERANDS = ("string", "number", "name")
OPEN = {"[": "]", "{": "}", "(": ")"}
ESCAPE = re.compile(r"\\(.)", re.DOTALL)
ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


class JdlError(ValueError):
    """The text is no JDL; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Expression:
    """What is neither a plain value nor a list: kept as the user wrote it."""

    text: str


@dataclass(slots=True)
class Record:
    """Attributes; names differ by more than case."""

    attributes: dict[str, tuple[str, "Value"]] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self.attributes

    def __iter__(self) -> Iterator[tuple[str, "Value"]]:
        return iter(self.attributes.values())

    def get(self, name: str) -> "Value | None":
        """Return the value, None when there is no such attribute."""
        return self.attributes.get(name.lower(), ("", None))[1]

    def put(self, name: str, value: "Value") -> None:
        """Set an attribute; an earlier one of that name is replaced."""
        self.attributes[name.lower()] = (name, value)

    def drop(self, name: str) -> None:
        """Remove an attribute, if it is there."""
        self.attributes.pop(name.lower(), None)

    def map_text(self, change: Callable[[str], str]) -> "Record":
        """Return a copy with every string and expression changed."""
        return Record({key: (name, _map_text(value, change)) for key, (name, value) in self.attributes.items()})


Value = str | int | float | bool | Expression | Record | list["Value"]


def _map_text(value: Value, change: Callable[[str], str]) -> Value:
    match value:
        case str():
            return change(value)
        case Expression(text):
            return Expression(change(text))
        case list():
            return [_map_text(item, change) for item in value]
        case Record():
            return value.map_text(change)
    return value


@dataclass(frozen=True, slots=True)
class Token:
    """A word of the text and where it stands."""

    kind: str
    text: str
    start: int
    end: int


class _Reader:
    """Walks over the words of one JDL."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = [
            Token(found.lastgroup or "", found.group(), found.start(), found.end())
            for found in TOKEN.finditer(source)
            if found.lastgroup != "skip"
        ]
        self.tokens.append(Token("end", "", len(source), len(source)))
        self.at = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    @property
    def before(self) -> Token:
        return self.tokens[self.at - 1]

    def take(self) -> Token:
        token = self.token
        self.at += token.kind != "end"
        return token

    def expect(self, text: str) -> None:
        if self.token.text != text:
            raise self.error(f"'{text}'")
        self.take()

    def error(self, wanted: str) -> JdlError:
        found = f"'{self.token.text}'" if self.token.text else "the end of the text"
        line = self.source.count("\n", 0, self.token.start) + 1
        return JdlError(f"JDL line {line}: {wanted} was expected, not {found}")

    def record(self, closing: str) -> Record:
        record = Record()
        while self.token.text != closing:
            if self.token.kind != "name":
                raise self.error("an attribute name")
            name = self.take().text
            self.expect("=")
            record.put(name, self.value())
            if self.token.text != closing:
                self.expect(";")
        self.take()
        return record

    def value(self) -> Value:
        """Read one value; where more than a plain one stands, the text up to the next separator."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise JdlError(f"JDL: lists and records stand in each other more than {MAX_DEPTH} deep")
        start = self.at
        value = self.plain_value()
        if value is None or self.token.text not in (";", ",", "]", "}", ""):
            self.at = start
            value = self.expression()
        self.depth -= 1
        return value

    def plain_value(self) -> Value | None:
        token = self.take()
        if token.kind == "string":
            return ESCAPE.sub(lambda found: ESCAPED.get(found[1], found[1]), token.text[1:-1])
        if token.kind == "number":
            return int(token.text) if re.fullmatch(r"[+-]?\d+", token.text) else float(token.text)
        if token.text.lower() in ("true", "false"):
            return token.text.lower() == "true"
        if token.text == "{":
            return self.items()
        return self.record("]") if token.text == "[" else None

    def items(self) -> list[Value]:
        items: list[Value] = []
        while self.token.text != "}":
            items.append(self.value())
            if self.token.text != "}":
                self.expect(",")
        self.take()
        return items

    def expression(self) -> Expression:
        start, closing = self.token.start, list[str]()
        while closing or self.token.text not in (";", ",", "]", "}", ""):
            if self.token.kind == "end" or self.token.text == '"':
                raise self.error("the closing of a string, list or record")
            if self.token.kind in OPERANDS and self.token.start > start and self.before.kind in OPERANDS:
                raise self.error("an operator or a separator")
            text = self.take().text
            if text in OPEN:
                closing.append(OPEN[text])
            elif closing and text == closing[-1]:
                closing.pop()
        text = self.source[start : self.tokens[self.at - 1].end]
        if not text.strip() or self.token.start == start:
            raise self.error("a value")
        return Expression(text)


def parse(text: str) -> Record:
    """Read a JDL with or without its outer brackets.

    Raises:
        JdlError: one sentence with the line and what was expected.
    """
    reader = _Reader(text)
    closing = ""
    if reader.token.text == "[":
        reader.take()
        closing = "]"
    record = reader.record(closing)
    if reader.token.kind != "end":
        raise reader.error("the end of the text")
    if not record.attributes:
        raise JdlError("the JDL is empty: at least one attribute was expected")
    return record


def show(record: Record, indent: str = "") -> str:
    """Print a record as DIRAC does: sorted, one attribute a line; a list of one is its only item."""
    inner = indent + "  "
    lines = [
        f"{inner}{name} ={_gap(value, inner)}{_show(value, inner)};" for name, value in sorted(record, key=_name_of)
    ]
    return "\n".join(["[", *lines, f"{indent}]"])


def _name_of(attribute: tuple[str, Value]) -> str:
    return attribute[0]


def _gap(value: Value, indent: str) -> str:
    """Return what stands between the sign and a value: a line end before what takes several lines."""
    is_long = isinstance(value, Record) or (isinstance(value, list) and len(value) != 1)
    return f"\n{indent}" if is_long else " "


def _show(value: Value, indent: str) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _quoted(value)
        case Expression(text):
            return text
        case Record():
            return show(value, indent)
        case [only]:
            return _show(only, indent)
        case list():
            items = ",\n".join(f"{indent}  {_show(item, indent + '  ')}" for item in value)
            return f"{{\n{items}\n{indent}}}"
    return str(value)


def _quoted(text: str) -> str:
    for char, escape in (("\\", r"\\"), ('"', r"\""), ("\n", r"\n"), ("\r", r"\r"), ("\t", r"\t")):
        text = text.replace(char, escape)
    return f'"{text}"'


def texts(value: Value | None) -> list[str]:
    """Return a list attribute's items as text; DIRAC also writes such lists as one string with commas."""
    if value is None:
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    items = value if isinstance(value, list) else [value]
    return [item.text if isinstance(item, Expression) else str(item) for item in items]


def text_of(record: Record, name: str, default: str) -> str:
    """Return an attribute as text, the default when it is absent or empty."""
    value = record.get(name)
    return value.text if isinstance(value, Expression) else str(value or default)


def whole_number(record: Record, name: str, default: int) -> int:
    """Return an integer attribute, also when it was written as text ("2") or as 2.0.

    Raises:
        JdlError: it is there and no whole number.
    """
    value = record.get(name)
    match value:
        case None:
            return default
        case bool():
            pass
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if re.fullmatch(r"\s*[+-]?\d+\s*", value):
            return int(value)
    shown = " ".join(_show(value, "").split())  # one sentence, on one line
    raise JdlError(f"JDL attribute {name} is {shown}: a whole number was expected")
