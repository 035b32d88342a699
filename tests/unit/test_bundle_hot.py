"""What the bundle has ready for each start: it is what Python would make itself, and the same in each bundle."""

import subprocess
import sys
import sysconfig
from ast import literal_eval
from pathlib import Path

import pytest

from tools.bundle import hot

ROOT = Path(__file__).parents[2]
# A module of the library, with what the bundle adds to it, beside an os.py of its own; then what is asked of it.
LOADED = """
import builtins, os, re, sys, types
name, source, beside = sys.argv[1:]
os.__file__ = beside + "/os.py"
module = types.ModuleType(name)
module.__package__ = name.rpartition(".")[0]
sys.modules[name] = module
compiled_here = []
real = compile
exec(real(open(source).read(), name, "exec"), module.__dict__)
"""
OF_METHODS = """
def noted(code, *names):
    compiled_here.append(isinstance(code, str))
    real_exec(code, *names)
real_exec, builtins.exec = exec, noted
@module.dataclass(frozen=True, slots=True)
class Known:
    number: int = 1
known = list(compiled_here)
@module.dataclass(frozen=True, slots=True)
class Other:
    word: str = "a"
print(any(known), all(compiled_here[len(known):]), Known(), Known() == Known(1), Other())
"""
TEXTS_OF_KNOWN = """
import builtins, dataclasses
texts = []
dataclasses.exec = lambda text, *names: (texts.append(text), builtins.exec(text, *names))
@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    number: int = 1
print(repr(texts))
"""
OF_PATTERNS = """
parsed, module._parser.parse = [], (lambda text, *rest, of=module._parser.parse: parsed.append(text) or of(text, *rest))
known, bytes_, other = module.compile(r"(?P<a>x+)y?", 2), module.compile(rb"\\d+", 0), module.compile(r"x+", 0)
print(known.fullmatch("XXy")["a"], bytes_.fullmatch(b"12"), other.fullmatch("xx") is not None, parsed)
"""


@pytest.fixture(scope="module")
def loaded():
    return hot.found(ROOT)


def run(code, *arguments):
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def with_prepared(tmp_path, prepared, inside, name, code):
    """Return what code prints about a module that finds this ready."""
    for file, content in prepared.items():
        (tmp_path / file).write_bytes(content)
    stdlib = Path(sysconfig.get_path("stdlib"))
    source = tmp_path / Path(inside).name
    source.write_text((stdlib / inside).read_text() + hot.added(Path(inside)))
    return run(LOADED + code, name, str(source), str(tmp_path))


def test_methods_that_are_ready_are_not_compiled_and_others_are(tmp_path):
    ready = hot.Hot(frozenset(), literal_eval(run(TEXTS_OF_KNOWN)), {})

    said = with_prepared(tmp_path, ready.files(), "dataclasses.py", "dataclasses", OF_METHODS)

    assert said == "False True Known(number=1) True Other(word='a')"


def test_without_the_file_all_is_compiled_as_ever(tmp_path):
    said = with_prepared(tmp_path, {}, "dataclasses.py", "dataclasses", OF_METHODS)

    assert said == "True True Known(number=1) True Other(word='a')"


def test_patterns_that_are_ready_are_not_parsed_and_others_are(tmp_path):
    find = hot._FIND.replace(hot._FIND[hot._FIND.index("import pilot") : hot._FIND.index("print(")], "")
    more = r'compiler.compile(r"(?P<a>x+)y?", 2); compiler.compile(rb"\d+", 0)' + "\n"
    _, _, patterns = literal_eval(run(find.replace("print(", more + "print(")))

    ready = hot.Hot(frozenset(), [], patterns)

    said = with_prepared(tmp_path, ready.files(), "re/_compiler.py", "re._compiler", OF_PATTERNS)

    assert said == "XX <re.Match object; span=(0, 2), match=b'12'> True ['x+']"


def test_what_pilot_and_agent_load_is_found(loaded):
    assert {"pilot.__main__", "agents.wiring", "requests.sessions", "ssl", "apscheduler"} <= loaded.modules
    assert loaded.holds(Path("agents/wiring.py"))
    assert loaded.holds(Path("requests/__init__.py"))
    assert not loaded.holds(Path("agents/site_director/director.py"))
    assert len(loaded.texts) > 100
    assert len(loaded.patterns) > 50


def test_two_bundles_have_the_same_ready(loaded):
    assert hot.found(ROOT).files() == loaded.files()
