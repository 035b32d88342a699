"""What every page is made of: the document with its policy, and parts in which a stranger's words stay words."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

from agents.redaction import redacted
from ce_backends.untrusted.text import visible


class Html(str):
    """HTML that goes into a page as it is; every other text is escaped."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a table's column; numbers stand at its right."""

    name: str
    is_number: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A document that needs nothing from elsewhere.

    Attributes:
        title: of the window.
        body: what is seen.
        styles: what this page adds to the style sheet of all pages.
        script: what this page adds to the script of all pages; empty for a page without any.
        told: what the script reads as `told`.
        is_live: its script may ask the server that it came from.
    """

    title: str
    body: Html
    styles: str = ""
    script: str = ""
    told: Mapping[str, object] | None = None
    is_live: bool = False

    @property
    def policy(self) -> str:
        """What a browser lets this page do: its own styles, its own script, nothing else."""
        checksum = base64.b64encode(hashlib.sha256(self._whole_script().encode()).digest()).decode()
        script = f"; script-src 'sha256-{checksum}'" if self.script else ""
        live = "; connect-src 'self'" if self.is_live else ""
        return f"default-src 'none'; style-src 'unsafe-inline'{script}{live}; base-uri 'none'; form-action 'none'"

    def text(self) -> str:
        """Return the document."""
        script = f'<div id="tip" hidden></div><script>{self._whole_script()}</script>' if self.script else ""
        told = "" if self.told is None else f'<script type="application/json" id="told">{_json(self.told)}</script>'
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{self.policy}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{text(self.title)}</title><style>{part('agents.pages', 'style.css')}{self.styles}</style></head>\n"
            f"<body><main>{self.body}</main>{told}{script}</body></html>\n"
        )

    def _whole_script(self) -> str:
        return part("agents.pages", "base.js") + self.script


def part(package: str, name: str) -> str:
    """Return a file that lies in a package."""
    return (resources.files(package) / name).read_text(encoding="utf-8")


def _json(told: Mapping[str, object]) -> str:
    """Return JSON that may stand in a script element whatever is in it."""
    return json.dumps(told, separators=(",", ":")).replace("<", "\\u003c")


def text(value: object) -> Html:
    """Return a value as HTML: without secrets, with what is not printed escaped; `Html` as it is."""
    return value if isinstance(value, Html) else Html(escape(visible(redacted(str(value)))))


def joined(pieces: Iterable[object], between: str = "") -> Html:
    """Return pieces one after another, those that are no `Html` escaped."""
    return Html(between.join(map(text, pieces)))


def section(heading: str, inner: Html, kind: str = "") -> Html:
    """Return a card with a heading; of the kind `long` it may go on over the end of a printed sheet."""
    return Html(f'<section class="{text(kind)}"><h2>{text(heading)}</h2>{inner}</section>')


def tiles(told: Iterable[tuple[object, object, object]]) -> Html:
    """Return figures in a row: the name, the value and a few words of each."""
    each = (
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd><dd class=more>{text(more)}</dd></div>"
        for name, value, more in told
    )
    return Html(f"<dl class=tiles>{''.join(each)}</dl>")


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]], kind: str = "") -> Html:
    """Return a table; where it is too wide for a window it scrolls in its own place."""
    marks = [" class=n" if column.is_number else "" for column in columns]
    heads = "".join(f"<th{mark}>{text(column.name)}</th>" for column, mark in zip(columns, marks, strict=True))
    lines = ("".join(f"<td{mark}>{text(cell)}</td>" for cell, mark in zip(row, marks, strict=True)) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return Html(
        f'<div class=scroll><table class="{text(kind)}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'
        "</div>"
    )


def facts(told: Iterable[tuple[str, object]]) -> Html:
    """Return names and values, one pair to a line; without those that have no value."""
    rows = "".join(f"<tr><th>{text(name)}</th><td>{text(value)}</td></tr>" for name, value in told if value != "")
    return Html(f"<table class=facts>{rows}</table>")


def quiet(words: object) -> Html:
    """Return a line that stands back: a reason why there is nothing to see, a hint."""
    return Html(f"<p class=more>{text(words)}</p>")
