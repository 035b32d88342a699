"""`python -m tools.moved FILE…`: adapts scripts to modules and names that have moved since they were written.

Reads docs/decisions/moves.tsv: `old module, new module`; `module, old name, new name` of something in a module as it is
called now; or `call, expression, replacement` for a call that has got another form. Files are changed in place; what
is adapted already stays as it is.
"""

import argparse
import ast
import io
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

TABLE = Path(__file__).parents[1] / "docs/decisions/moves.tsv"
PACKAGES = ("agents", "ce_backends", "pilot")
_ROOT = "|".join(PACKAGES)
_DOTTED = re.compile(rf"(?<![\w./-])(?:{_ROOT})(?:\.[A-Za-z_]\w*)+")
_PATH = re.compile(rf"(?<![\w.-])((?:{_ROOT})(?:/\w+)+)(\.py\b|/)")
_ALIAS = r"\w+(?: as \w+)?"
_IMPORT_IN_TEXT = re.compile(rf"\bfrom (?:{_ROOT})(?:\.\w+)* import {_ALIAS}(?:, {_ALIAS})*")
_SAYS = (tokenize.STRING, tokenize.COMMENT)  # elsewhere `pilot.credential` may be an attribute of somebody's `pilot`
_CALL = "call"
Position = tuple[int, int]


class Moves:
    """The table.

    Attributes:
        modules: old module to new module, packages too.
        names: module, as it is called now, to old names to new names.
        calls: what old calls of programs look like on their line, and what stands for them.
    """

    def __init__(self, rows: Iterable[Sequence[str]]) -> None:
        self.modules: dict[str, str] = {}
        self.names: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self.calls: list[tuple[re.Pattern[str], str]] = []
        for first, *rest in rows:
            if first == _CALL:
                self.calls.append((re.compile(rest[0]), rest[1]))
            elif len(rest) == 1:
                self.modules[first] = rest[0]
            else:
                self.names[first][rest[0]] = rest[1]
        self._now = {*self.modules.values(), *self.names}

    def dotted(self, words: str) -> str:
        """Return a module, with what may stand behind it, as it is called now."""
        parts = words.split(".")
        for end in range(len(parts), 1, -1):
            name = ".".join(parts[:end])
            if name in self._now and name.count(".") > 1:  # adapted already
                return self._with_name(name, parts[end:])
            if name in self.modules:
                return self._with_name(self.modules[name], parts[end:])
        return words

    def _with_name(self, module: str, behind: Sequence[str]) -> str:
        known = self.names.get(module, {})
        return ".".join([module, *(known.get(name, name) for name in behind[:1]), *behind[1:]])


def read(path: Path = TABLE) -> Moves:
    """Return the table of a file."""
    lines = path.read_text("utf-8").splitlines()
    return Moves(line.split("\t") for line in lines if line and not line.startswith("#"))


def adapted(text: str, moves: Moves, *, module: str | None = None) -> str:
    """Return a text with its imports, dotted names and paths as they are now.

    Args:
        text: of a program if `module` is not None, else anything.
        moves: the table.
        module: what the program is imported as; empty for a script.

    Raises:
        SyntaxError: it is no program.
    """
    if module is None:
        return "".join(_mentions(line, moves) for line in text.splitlines(keepends=True))
    imports = [*_imports(ast.parse(text))]
    here, behind = dict(moves.names.get(module, {})), {}
    for node in imports:
        for alias in node.names:
            whole = moves.dotted(f"{node.module}.{alias.name}")
            if whole in moves.names:
                behind[alias.asname or alias.name] = moves.names[whole]
            elif (
                not alias.asname
                and (new := whole.rpartition(".")[2]) != alias.name
                and f"{node.module}.{alias.name}" not in moves.modules
            ):
                here[alias.name] = new
    lines = text.splitlines(keepends=True)
    for (row, begin), old, new in reversed([*_changes(text, moves, here, behind)]):
        line = lines[row - 1]
        lines[row - 1] = line[:begin] + new + line[begin + len(old) :]
    for node in reversed(imports):
        tail = re.search(r"\s+#.*$", lines[node.lineno - 1]) if node.lineno == node.end_lineno else None
        made = [f"{' ' * node.col_offset}{line}{tail[0].rstrip() if tail else ''}\n" for line in _import(node, moves)]
        lines[node.lineno - 1 : node.end_lineno] = made
    done = "".join(lines)
    for old, replacement in moves.calls:
        done = old.sub(replacement, done)
    return done


def _imports(tree: ast.Module) -> Iterator[ast.ImportFrom]:
    """Yield a program's imports from our packages, in their order."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level]
    yield from sorted((node for node in found if (node.module or "").split(".")[0] in PACKAGES), key=lambda n: n.lineno)


def _changes(
    text: str, moves: Moves, here: Mapping[str, str], behind: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[Position, str, str]]:
    """Yield where something has to be changed, what stands there and what shall stand there."""
    before: list[str] = ["", ""]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in _SAYS:
            for at, old in enumerate(token.string.split("\n")):
                column = token.start[1] if at == 0 else 0
                if (new := _mentions(old, moves)) != old:
                    yield (token.start[0] + at, column), old, new
        elif token.type == tokenize.NAME:
            names = behind.get(before[0], {}) if before[1] == "." else here
            if token.string in names:
                yield token.start, token.string, names[token.string]
        before = [before[1], token.string]


def _import(node: ast.ImportFrom, moves: Moves) -> Sequence[str]:
    """Return the lines that stand for an import of names or of modules."""
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    for alias in node.names:
        old = f"{node.module}.{alias.name}"
        parent, _, name = moves.dotted(old).rpartition(".")
        known_as = alias.asname or (alias.name if old in moves.modules else name)
        wanted[parent].append(name if name == known_as else f"{name} as {known_as}")
    return [f"from {module} import {', '.join(names)}" for module, names in wanted.items()]


def _mentions(line: str, moves: Moves) -> str:
    """Return a line with modules and paths that it mentions as they are now."""
    if found := _IMPORT_IN_TEXT.search(line):
        (node,) = _imports(ast.parse(found[0]))
        return line[: found.start()] + "; ".join(_import(node, moves)) + line[found.end() :]
    line = _DOTTED.sub(lambda found: moves.dotted(found[0]), line)
    return _PATH.sub(lambda found: _path(found[1], found[2], moves), line)


def _path(path: str, end: str, moves: Moves) -> str:
    return f"{moves.modules.get(path.replace('/', '.'), path).replace('.', '/')}{end}"


def main(argv: Sequence[str] | None = None) -> int:
    """Adapt files; print which of them have changed."""
    parser = argparse.ArgumentParser(prog="python -m tools.moved", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    moves = read()
    for path in parser.parse_args(argv).files:
        text = path.read_text("utf-8")
        if (new := adapted(text, moves, module="" if path.suffix == ".py" else None)) != text:
            path.write_text(new, "utf-8")
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
