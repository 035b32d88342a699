"""`python -m tools.changed_tests`: the fast tests that import what has changed since the last commit, and changed ones.

Where nothing has changed, what the last commit changed counts.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FAST = ("tests/unit", "tests/contract")


def changed() -> set[str]:
    """Return the files, from the root of the repository, that were changed."""
    now = _git("diff", "--name-only", "HEAD") | _git("ls-files", "--others", "--exclude-standard")
    return now or _git("diff", "--name-only", "HEAD~1", "HEAD")


def tests_of(files: set[str]) -> list[str]:
    """Return the test files that are among the files, or import a module of one of them."""
    modules = {path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in files}
    return [path for path in _tests() if path in files or modules & {*_imported(ROOT / path)}]


def _tests() -> Iterator[str]:
    for folder in FAST:
        yield from sorted(str(path.relative_to(ROOT)) for path in (ROOT / folder).glob("test_*.py"))


def _imported(path: Path) -> Iterator[str]:
    """Yield what a file imports: modules, and names that may be modules."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _git(*arguments: str) -> set[str]:
    told = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(told.stdout.split("\n")) - {""}


def main() -> int:
    """Print the test files, a line each."""
    print("\n".join(tests_of(changed())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
