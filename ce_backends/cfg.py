"""DIRAC's CFG text: nested sections of `option = value` lines. Every value keeps where it came from.

The rules are those of the `diraccfg` package (1.0), which DIRAC reads with, but that a byte order mark is no part of a
name, and that an option may follow a brace. `pilot/cfg.py` has the same rules: one table tries both.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ce_backends.errors import CfgError, plain_word

DEEPEST = 50  # sections in each other; what walks through them has an end


@dataclass(frozen=True, slots=True)
class Value:
    """One option's text and its origin, as `pilot.cfg:12`."""

    text: str
    origin: str


@dataclass(slots=True)
class Section:
    """Options and sections by name. Paths are written `/Section/Sub/option`.

    Attributes:
        content: what stands directly in it.
        slips: sentences about what DIRAC reads over without a word: an option set twice, a line that says nothing.
        origin: where it begins.
    """

    content: "dict[str, Value | Section]" = field(default_factory=dict)
    slips: list[str] = field(default_factory=list)
    origin: str = ""

    def all_slips(self) -> list[str]:
        """Return the slips of this section and of all below it."""
        return [*self.slips, *(slip for _, inner in self.sections() for slip in inner.all_slips())]

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
        return Section(merged, [*self.slips, *over.slips], self.origin or over.origin)


_YAML = re.compile(r"(?:- )?[\w./-]+:(?: [^=]*)?$|- \S")
_INI = re.compile(r"\[[\w./ -]+\]")


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
    name_waiting = _Name("", "")  # a section's name, its brace still to come
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        for part in _parts(raw.strip()):
            where = f"{origin}:{number}"
            here = open_sections[-1]
            if part == "{":
                if len(open_sections) > DEEPEST:
                    raise CfgError(f"{where}: sections are nested more than {DEEPEST} deep")
                open_sections.append(_open(here, name_waiting, where))
                name_waiting = _Name("", "")
                continue
            here.slips += name_waiting.slip()
            name_waiting = _Name("", "")
            if part == "}":
                _close(open_sections, where)
            elif "=" in part:
                _assign(here, part, where)
            else:
                name_waiting = _Name(part, where)
    open_sections[-1].slips += name_waiting.slip()
    if len(open_sections) > 1:
        raise CfgError(f"{open_sections[-1].origin}: a section is opened here and never closed; a '}}' is missing")
    return root


@dataclass(frozen=True, slots=True)
class _Name:
    """A line that may be the name of a section."""

    text: str
    where: str

    def slip(self) -> list[str]:
        if not self.text:
            return []
        return [f"{self.where}: {self.text!r} says nothing: expected 'option = value', or a section's name and '{{'"]


def _parts(line: str) -> Iterator[str]:
    """Split a line into section names, braces, and one assignment at its end; braces in a value belong to it."""
    head, equals, value = line.partition("=")
    *before, last = re.split(r"([{}])", head)
    for part in (*before, last + equals + value):
        if part.strip().startswith("#"):
            return
        if part.strip():
            yield part.strip()


def _open(parent: Section, name: _Name, where: str) -> Section:
    if not name.text:
        raise CfgError(f"{where}: '{{' without a section name before it")
    before = parent.content.get(name.text)
    if before is not None:
        kind = "a section" if isinstance(before, Section) else "an option"
        raise CfgError(f"{name.where}: section {name.text}: there is {kind} of that name in {before.origin} already")
    inner = parent.content[name.text] = Section(origin=name.where)
    return inner


def _close(open_sections: list[Section], where: str) -> None:
    if len(open_sections) == 1:
        raise CfgError(f"{where}: '}}' closes nothing")
    open_sections.pop()


def _assign(section: Section, line: str, where: str) -> None:
    name, _, text = line.partition("=")
    appends = name.endswith("+")
    name, text = name.removesuffix("+").strip(), text.strip()
    if not name:
        raise CfgError(f"{where}: expected 'option = value', got {line!r}")
    before = section.content.get(name)
    if isinstance(before, Value) and appends:
        text = f"{before.text}, {text}" if before.text else text
    elif before is not None:
        section.slips.append(f"{where}: {name} is set again: it stands in {before.origin} already")
    section.content[name] = Value(text, where)


def read(path: Path) -> Section:
    """Read a CFG file.

    Raises:
        CfgError: it cannot be read, is malformed, or is written in another language.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CfgError(f"{path}: cannot be read: {plain_word(error)}") from error
    language = other_language(text)
    try:
        tree = parse(text, path.name)
    except CfgError as error:
        raise CfgError(f"{error}{_not_cfg(language)}") from error
    if language and not any(tree.sections()):
        raise CfgError(f"{path.name}: there is nothing in it that could be read{_not_cfg(language)}")
    return tree


def _not_cfg(language: str) -> str:
    return (
        f"; this looks like {language}, expected DIRAC's CFG: NAME {{ option = value }}, each on its own line"
        if language
        else ""
    )


def other_language(text: str) -> str:
    """Return what a text seems to be that is no CFG: JSON, YAML, XML, TOML or INI; "" for none of them."""
    lines = [line.strip() for line in text.removeprefix("\ufeff").split("\n")]
    said = [line for line in lines if line and not line.startswith(("#", "//", ";"))]
    if not said:
        return ""
    if said[0] == "---" or sum(bool(_YAML.match(line)) for line in said) > len(said) / 2:
        return "YAML"
    if said[0].startswith(("{", "[{", '["')):
        return "JSON"
    if said[0].startswith("<"):
        return "XML or HTML"
    return "INI or TOML" if any(_INI.fullmatch(line) for line in said) else ""


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
