"""DIRAC's CFG text: nested sections of `option = value` lines. Every value keeps where it came from."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ce_backends.errors import CfgError


@dataclass(frozen=True, slots=True)
class Value:
    """One option's text and its origin, as `pilot.cfg:12`."""

    text: str
    origin: str


@dataclass(slots=True)
class Section:
    """Options and sections by name. Paths are written `/Section/Sub/option`."""

    content: "dict[str, Value | Section]" = field(default_factory=dict)

    def find(self, path: str) -> "Value | Section | None":
        """Return what stands at a path, None when nothing does."""
        node: Value | Section | None = self
        for name in _names(path):
            if not isinstance(node, Section):
                return None
            node = node.content.get(name)
        return node

    def value(self, path: str) -> Value | None:
        """Return the option at a path, None when there is none."""
        node = self.find(path)
        return node if isinstance(node, Value) else None

    def text(self, path: str, default: str = "") -> str:
        """Return an option's text, the default when it is not set."""
        found = self.value(path)
        return found.text if found else default

    def section(self, path: str) -> "Section":
        """Return the section at a path, an empty one when there is none."""
        node = self.find(path)
        return node if isinstance(node, Section) else Section()

    def options(self) -> Iterator[tuple[str, Value]]:
        """Yield the options that stand directly in this section."""
        for name, node in self.content.items():
            if isinstance(node, Value):
                yield name, node

    def sections(self) -> Iterator[tuple[str, "Section"]]:
        """Yield the sections that stand directly in this one."""
        for name, node in self.content.items():
            if isinstance(node, Section):
                yield name, node

    def set(self, path: str, text: str, origin: str) -> None:
        """Set one option, making the sections on its way.

        Raises:
            CfgError: the path names no option, or one of its sections is an option, or the reverse.
        """
        *sections, option = _names(path) or [""]
        if not option:
            raise CfgError(f"{origin}: {path!r} names no option; expected /Section/option")
        node = self
        for name in sections:
            inner = node.content.setdefault(name, Section())
            if not isinstance(inner, Section):
                raise CfgError(f"{origin}: {path}: {name} is an option, not a section")
            node = inner
        if isinstance(node.content.get(option), Section):
            raise CfgError(f"{origin}: {path} is a section, not an option")
        node.content[option] = Value(text, origin)

    def merge(self, over: "Section") -> "Section":
        """Return a new tree in which the options of `over` win."""
        merged = dict(self.content)
        for name, node in over.content.items():
            mine = merged.get(name)
            both = isinstance(mine, Section) and isinstance(node, Section)
            merged[name] = mine.merge(node) if both else node  # type: ignore[union-attr, arg-type] # both tells
        return Section(merged)


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name]


def parse(text: str, origin: str) -> Section:
    """Read CFG text.

    Args:
        text: the file's content.
        origin: its name, for messages and for `--explain`.

    Raises:
        CfgError: file, line and what was expected.
    """
    root = Section()
    open_sections = [root]
    name_waiting = ""  # a section's name, its brace still to come
    for number, raw in enumerate(text.splitlines(), 1):
        for part in _parts(raw.strip()):
            where = f"{origin}:{number}"
            if part == "{":
                open_sections.append(_open(open_sections[-1], name_waiting, where))
                name_waiting = ""
            elif name_waiting:
                raise CfgError(f"{where}: expected '{{' after section name {name_waiting!r}, got {part!r}")
            elif part == "}":
                _close(open_sections, where)
            elif "=" in part:
                _assign(open_sections[-1], part, where)
            else:
                name_waiting = part
    if name_waiting or len(open_sections) > 1:
        raise CfgError(f"{origin}: the text ends inside a section; a '}}' is missing")
    return root


def _parts(line: str) -> Iterator[str]:
    """Split a line into section names, braces, and one assignment at its end; braces in a value belong to it."""
    head, equals, value = line.partition("=")
    *before, last = re.split(r"([{}])", head)
    for part in (*before, last + equals + value):
        if part.strip().startswith("#"):
            return
        if part.strip():
            yield part.strip()


def _open(parent: Section, name: str, where: str) -> Section:
    if not name:
        raise CfgError(f"{where}: '{{' without a section name before it")
    inner = parent.content.setdefault(name, Section())
    if not isinstance(inner, Section):
        raise CfgError(f"{where}: section {name} has the name of an option")
    return inner


def _close(open_sections: list[Section], where: str) -> None:
    if len(open_sections) == 1:
        raise CfgError(f"{where}: '}}' closes nothing")
    open_sections.pop()


def _assign(section: Section, line: str, where: str) -> None:
    name, _, text = line.partition("=")
    name, text = name.strip(), text.strip()
    appends = name.endswith("+")
    name = name.rstrip("+ \t")
    if not name:
        raise CfgError(f"{where}: expected 'option = value', got {line!r}")
    before = section.content.get(name)
    if isinstance(before, Section):
        raise CfgError(f"{where}: option {name} has the name of a section")
    if appends and isinstance(before, Value):
        text = f"{before.text}, {text}"
    section.content[name] = Value(text, where)


def read(path: Path) -> Section:
    """Read a CFG file.

    Raises:
        CfgError: it cannot be read or is malformed.
    """
    try:
        return parse(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise CfgError(f"{path}: cannot be read: {error}") from error


def render(section: Section, depth: int = 0) -> str:
    """Return the CFG text of a tree, as DIRAC's own tools read it."""
    indent = "  " * depth
    lines = [f"{indent}{name} = {value.text}\n" for name, value in section.options()]
    for name, inner in section.sections():
        lines.append(f"{indent}{name}\n{indent}{{\n{render(inner, depth + 1)}{indent}}}\n")
    return "".join(lines)


def from_options(assignments: Mapping[str, str], origin: str) -> Section:
    """Return the tree of `/path/option` → text pairs."""
    root = Section()
    for path, text in assignments.items():
        root.set(path, text, origin)
    return root
