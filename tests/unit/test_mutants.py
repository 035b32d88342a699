"""What `make mutants` changes, and that a change is what the tests get to see."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.changes import mutants
from tests.mutants.modules import EQUIVALENT, TESTS

REPOSITORY = Path(__file__).parents[2]


def whats(source: str) -> set[str]:
    return {f"{mutant.line} {mutant.place}: {mutant.what}" for mutant in mutants("m.py", source)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("A = 1", {"1 : 1 -> 2"}),
        ("A = ('--x', 'a sentence', 'b=')", {"1 : '--x' -> '--xX'", "1 : 'b=' -> 'b=X'"}),
        ("a < b", {"1 : a < b -> a <= b"}),
        ("x = a and not b", {"1 : a and (not b) -> a or not b"}),
        ("def f(a: int = 1) -> int:\n    return a", {"2 f: return a -> return None"}),
        ("f(a, b)", {"1 : f(a, b) -> None", "1 : f(a, b) -> f(b, a)"}),
        ("class A:\n    def f(self):\n        raise X('text', 5)", {"3 A.f: raise X('text', 5) -> pass"}),
        ("x = y - y\nz = y - y", {"1 : y - y -> y + y", "2 : y - y -> y + y #2"}),
        ("log.info('event', n=1)", set()),
        ('"""Words."""\nimport a', set()),
    ],
)
def test_what_is_changed(source: str, expected: set[str]) -> None:
    assert whats(source) == expected


def test_a_mutant_differs_from_its_module_by_what_it_says() -> None:
    source = "A = 1\nB = 1\n"
    second = next(mutant for mutant in mutants("m.py", source) if mutant.line == 2)
    names: dict[str, int] = {}

    exec(compile(second.tree(source), "m.py", "exec"), names)

    assert (names["A"], names["B"]) == (1, 2)


TRIAL = """
import ast
from tests.mutants.changes import mutants
from tests.mutants.trial import Trial, tried

source = open("tried_module.py").read()
(changed,) = mutants("tried_module.py", source)
trees = {"unchanged": ast.parse(source), "changed": changed.tree(source)}
print(sorted(tried((name, Trial("tried_module.py", tree, ["test_it.py"])) for name, tree in trees.items())))
"""


def test_tests_get_the_changed_module_and_the_file_stays(tmp_path: Path) -> None:
    (tmp_path / "tried_module.py").write_text("A = 1\n")
    (tmp_path / "test_it.py").write_text("import tried_module\n\ndef test_it():\n    assert tried_module.A == 1\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    env = {**os.environ, "PYTHONPATH": f"{REPOSITORY}:{tmp_path}"}

    done = subprocess.run([sys.executable, "-c", TRIAL], cwd=tmp_path, env=env, capture_output=True, check=True)

    assert done.stdout.decode() == "[('changed', 1), ('unchanged', 0)]\n"
    assert (tmp_path / "tried_module.py").read_text() == "A = 1\n"


def test_every_module_and_test_of_the_table_is_there_and_every_equivalent_mutant_too() -> None:
    assert [
        path
        for path in (*TESTS, *(test for tests in TESTS.values() for test in tests))
        if not (REPOSITORY / path).exists()
    ] == []
    for name in EQUIVALENT:
        path = name.partition(" ")[0]
        assert name in {mutant.name for mutant in mutants(path, (REPOSITORY / path).read_text(encoding="utf-8"))}
