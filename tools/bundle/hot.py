"""What every pilot and every agent loads, found by loading it here: the bundle has that ready.

Two things make a start slow. What is packed has to be unpacked, in the pilot and again in the agent. And each process
compiles again what is the same each time: the methods that `dataclasses` writes as text, which is half of the time that
our own modules take to load, and regular expressions.

Compiled here is what was asked for while loading. Whatever else is asked for is compiled as ever.
"""

import _imp
import ast
import marshal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

METHODS, PATTERNS = "dataclasses.prepared", "patterns.prepared"  # beside os.py
KEY = 7  # of Python's own hash for the sources of modules: 64 bits, always the same
_FIND = """
import _sre, builtins, re, sys
texts, patterns = set(), {}
class Noted:
    def __getattr__(self, name):
        return getattr(_sre, name)
    def compile(self, pattern, flags, code, *rest):
        self.made = (pattern, int(flags), [int(word) for word in code], *rest)
        return _sre.compile(*self.made)
compiler, noted = re._compiler, Noted()
def compile(pattern, flags=0, of=compiler.compile):
    found = of(pattern, flags)
    patterns[pattern, int(flags)] = noted.made
    return found
compiler._sre, compiler.compile = noted, compile
def execute(text, *names):
    texts.add(text)
    builtins.exec(text, *names)
import dataclasses
dataclasses.exec = execute
import pilot.__main__, agents.__main__, agents.command_line, agents.process.ticks, ce_backends.pool.ce
import encodings.ascii, encodings.idna, encodings.utf_8_sig, _strptime
print(repr((sorted(sys.modules), sorted(texts), patterns)))
"""
# each goes to the end of a module of Python's own library
_OF_DATACLASSES = """

def _prepared():
    import marshal, os
    try:
        fd = os.open(os.path.join(os.path.dirname(os.__file__), "{name}"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1, {{}}
    return fd, marshal.loads(os.pread(fd, int.from_bytes(os.pread(fd, 4, 0), "big"), 4))


def exec(text, *names, _file=_prepared()):
    import _imp, builtins, marshal, os
    fd, places = _file
    place = places.pop(_imp.source_hash({key}, text.encode()), None)
    builtins.exec(marshal.loads(os.pread(fd, place[1], place[0])) if place else text, *names)
"""
_OF_RE = """

def _prepared():
    import marshal, os
    try:
        with open(os.path.join(os.path.dirname(os.__file__), "{name}"), "rb") as file:
            return marshal.load(file)
    except OSError:
        return {{}}


def compile(p, flags=0, _anew=compile, _known=_prepared()):
    import marshal
    made = _known.pop((p, flags), None) if isstring(p) else None
    return _sre.compile(*marshal.loads(made)) if made else _anew(p, flags)
"""
_ADDED = {
    "dataclasses.py": _OF_DATACLASSES.format(name=METHODS, key=KEY),
    "re/_compiler.py": _OF_RE.format(name=PATTERNS),
}


@dataclass(frozen=True, slots=True)
class Hot:
    """What is loaded.

    Attributes:
        modules: their names.
        texts: what `dataclasses` has compiled meanwhile.
        patterns: regular expressions with their flags, and what they were compiled to.
    """

    modules: frozenset[str]
    texts: Sequence[str]
    patterns: Mapping[tuple[str | bytes, int], tuple[object, ...]]

    def holds(self, inside: Path) -> bool:
        """Tell whether a module's file, by its place in what is searched, is loaded at each start."""
        parts = inside.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) in self.modules

    def files(self) -> dict[str, bytes]:
        """Return the files, to lie beside Python's os.py, that have it ready."""
        patterns = {asked: marshal.dumps(made, 2) for asked, made in self.patterns.items()}
        return {METHODS: _methods(self.texts), PATTERNS: marshal.dumps(patterns, 2)}


def found(root: Path) -> Hot:
    """Load pilot and agent of this project in a Python of their own, and see what that takes."""
    done = subprocess.run([sys.executable, "-c", _FIND], cwd=root, check=True, capture_output=True, text=True)
    modules, texts, patterns = ast.literal_eval(done.stdout)
    return Hot(frozenset(modules), texts, patterns)


def added(inside: Path) -> str:
    """Return what a module of Python's library, by its place there, ends with in the bundle: "" for most."""
    return _ADDED.get(inside.as_posix(), "")


def _methods(texts: Sequence[str]) -> bytes:
    """Return the compiled texts, behind a list that has their places by their hashes; no two have the same one."""
    codes = {_imp.source_hash(KEY, text.encode()): _dumped(text) for text in texts}
    assert len(codes) == len(texts), "two texts with one hash: change KEY"
    sizes = list(map(len, codes.values()))
    list_bytes = len(_list(codes, sizes, 0))
    return b"".join([list_bytes.to_bytes(4, "big"), _list(codes, sizes, 4 + list_bytes), *codes.values()])


def _list(hashes: Iterable[int], sizes: Sequence[int], first: int) -> bytes:
    starts = accumulate(sizes, initial=first)
    return marshal.dumps(dict(zip(hashes, zip(starts, sizes, strict=False), strict=True)), 2)


def _dumped(text: str) -> bytes:
    return marshal.dumps(compile(text, "<string>", "exec"), 2)  # 2: the same bytes each time
