"""DIRAC's configuration text, read and written.

The rules are those of the `diraccfg` package (1.0), which DIRAC reads with, but that a byte order mark is no part of a
name, and that an option may follow a brace. `ce_backends/cfg.py` has the same rules: one table tries both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Union

from pilot.errors import UsageError

Section = dict[str, Union[str, "Section"]]
DEEPEST = 50  # sections in each other; what walks through them has an end


def parse(text: str, source: str) -> Section:
    """Return the nested sections of a CFG text.

    Args:
        text: what the file or the Configuration service holds.
        source: its name, for messages.

    Raises:
        UsageError: a section is left open, closed twice, or said twice.
    """
    root: Section = {}
    open_sections, opened = [root], list[int]()
    name = ""
    for number, line in enumerate(text.lstrip("\ufeff").split("\n"), start=1):
        for part in _parts(line.strip()):
            where = f"{source}, line {number}"
            if part == "{":
                if len(open_sections) > DEEPEST:
                    raise UsageError(f"{where}: sections are nested more than {DEEPEST} deep")
                open_sections.append(_enter(open_sections[-1], name, where))
                opened.append(number)
            elif part == "}":
                _leave(open_sections, where)
                opened.pop()
            elif "=" in part:
                _put_line(open_sections[-1], part, where)
            name = part if part not in "{}" and "=" not in part else ""
    if len(open_sections) > 1:
        raise UsageError(f"{source}: the section that opens in line {opened[-1]} is never closed; a '}}' is missing")
    return root


def _parts(line: str) -> Iterable[str]:
    """Split a line into section names, braces, and one assignment at its end; braces in a value belong to it."""
    head, equals, value = line.partition("=")
    *before, last = re.split(r"([{}])", head)
    for part in (*before, last + equals + value):
        if part.strip().startswith("#"):
            return
        if part.strip():
            yield part.strip()


def _enter(parent: Section, name: str, where: str) -> Section:
    if not name:
        raise UsageError(f"{where}: '{{' without a section name before it")
    if name in parent:
        raise UsageError(f"{where}: section {name}: that name stands there already")
    child: Section = {}
    parent[name] = child
    return child


def _leave(open_sections: list[Section], where: str) -> None:
    if len(open_sections) == 1:
        raise UsageError(f"{where}: '}}' closes a section that was never opened")
    open_sections.pop()


def _put_line(section: Section, line: str, where: str) -> None:
    name, _, value = line.partition("=")
    appends = name.endswith("+")
    name, value = (name[:-1] if appends else name).strip(), value.strip()
    if not name:
        raise UsageError(f"{where}: expected 'option = value', got {line!r}")
    before = section.get(name, "")
    if appends and isinstance(before, str) and before:
        value = f"{before}, {value}"
    section[name] = value


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
            inner = here.get(parent)
            if not isinstance(inner, dict):  # an option of the same name came first
                inner = here[parent] = {}
            here = inner
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
