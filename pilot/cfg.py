"""DIRAC's configuration text, read and written.

The rules are those of the `diraccfg` package: one option, section name or brace a line; `#` is a comment only as the
first character of a line; `+=` appends to a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Union

from pilot.errors import UsageError

Section = dict[str, Union[str, "Section"]]


def split_list(text: str) -> tuple[str, ...]:
    """Return the elements of a comma list, without blanks and empty ones."""
    return tuple(element for element in (part.strip() for part in text.split(",")) if element)


def parse(text: str, source: str) -> Section:
    """Return the nested sections of a CFG text.

    Args:
        text: what the file or the Configuration service holds.
        source: its name, for messages.
    """
    root: Section = {}
    open_sections = [root]
    name = ""
    for number, line in enumerate((raw.strip() for raw in text.splitlines()), start=1):
        if not line or line.startswith("#"):
            continue
        if "=" in line:
            _put_line(open_sections[-1], line)
        elif line == "}":
            open_sections.pop()
            if not open_sections:
                raise UsageError(f"{source}, line {number}: '}}' closes a section that was never opened")
        elif line.endswith("{"):
            open_sections.append(_enter(open_sections[-1], line[:-1].strip() or name))
        else:
            name = line
    if len(open_sections) > 1:
        raise UsageError(f"{source}: {len(open_sections) - 1} section(s) are not closed; expected as many '}}' as '{{'")
    return root


def _put_line(section: Section, line: str) -> None:
    name, _, value = line.partition("=")
    name, value = name.strip(), value.strip()
    if name.endswith("+"):
        name = name[:-1].rstrip()
        before = section.get(name, "")
        value = f"{before}, {value}" if isinstance(before, str) and before else value
    section[name] = value


def _enter(parent: Section, name: str) -> Section:
    child = parent.setdefault(name, {})
    if isinstance(child, str):  # an option of the same name came first; the section wins, as in DIRAC
        child = parent[name] = {}
    return child


def section(root: Section, path: str) -> Section:
    """Return the section at an absolute path; an empty one if there is none."""
    here = root
    for name in path.strip("/").split("/"):
        child = here.get(name, {})
        here = child if isinstance(child, dict) else {}
    return here


def option(root: Section, path: str) -> str:
    """Return the option at an absolute path, "" if there is none."""
    parent, _, name = path.rpartition("/")
    value = section(root, parent).get(name, "") if parent else root.get(name, "")
    return value if isinstance(value, str) else ""


def options(here: Section) -> dict[str, str]:
    """Return the options directly in a section, without its subsections."""
    return {name: value for name, value in here.items() if isinstance(value, str)}


def nest(flat: Mapping[str, str]) -> Section:
    """Return the sections that hold these options, given by absolute path."""
    root: Section = {}
    for path, value in flat.items():
        *parents, name = path.strip("/").split("/")
        here = root
        for parent in parents:
            here = _enter(here, parent)
        here[name] = value
    return root


def render(root: Section) -> str:
    """Return the CFG text of these sections; a line break inside a value becomes a blank."""
    return "".join(f"{line}\n" for line in _lines(root, ""))


def _lines(here: Section, indent: str) -> Iterable[str]:
    for name, value in here.items():
        if isinstance(value, str):
            yield f"{indent}{name} = {' '.join(value.split())}".rstrip()
    for name, value in here.items():
        if isinstance(value, dict):
            yield f"{indent}{name}"
            yield f"{indent}{{"
            yield from _lines(value, indent + "  ")
            yield f"{indent}}}"
