"""What a benchmark found: one chapter, shown as text, as a page or as JSON."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One figure next to the figure we want.

    Attributes:
        what: of which thing, with its unit.
        measured: the figure in words, spread included.
        target: what we want, in words.
        is_met: whether the figure is as we want it.
    """

    what: str
    measured: str
    target: str
    is_met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """All that one benchmark found.

    Attributes:
        title: what was measured.
        how: the method, in a few sentences.
        columns: of the table.
        rows: of the table.
        findings: the figures for which there is a target.
        notes: what a reader has to know, such as who could not take part.
    """

    title: str
    how: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    findings: Sequence[Finding] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of one thing: the median counts, the extremes say how far to trust it."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def shown(self, digits: int) -> str:
        """Return `median (least-most)`."""
        least, most = min(self.values), max(self.values)
        return f"{self.median:.{digits}f} ({least:.{digits}f}–{most:.{digits}f})"


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest value that so many percent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def as_text(chapter: Chapter) -> str:
    """Return a chapter for a terminal."""
    parts = [chapter.title, "", _text_table([chapter.columns, *chapter.rows])]
    if chapter.findings:
        parts += ["", _text_table(_findings(chapter))]
    return "\n".join([*parts, *(f"note: {note}" for note in chapter.notes)])


def as_markdown(chapter: Chapter) -> str:
    """Return a chapter of a page."""
    parts = [f"## {chapter.title}", chapter.how, _markdown_table([chapter.columns, *chapter.rows])]
    if chapter.findings:
        parts.append(_markdown_table(_findings(chapter)))
    if chapter.notes:
        parts.append("\n".join(f"- {note}" for note in chapter.notes))
    return "\n\n".join(parts) + "\n"


def _findings(chapter: Chapter) -> list[Sequence[str]]:
    words = {True: "met", False: "missed"}
    rows = [(one.what, one.measured, one.target, words[one.is_met]) for one in chapter.findings]
    return [("figure", "measured", "target", ""), *rows]


def _text_table(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _markdown_table(lines: Sequence[Sequence[str]]) -> str:
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([rows[0], "|" + "---|" * len(lines[0]), *rows[1:]])
