"""`python -m tools.floor_plan`: the rooms of each package by floors, and the imports between them that run up.

With `--figures`: the table of docs/decisions/0018-the-house.md, as the tree is now.

A room is a folder seen from outside, or a file beside the folders. It imports rooms of floors below its own, none of
its own floor. Rooms that are foreseen stand here before they are built.
"""

import ast
import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS: Mapping[str, Sequence[Sequence[str]]] = {  # from the ground up
    "ce_backends": (
        ("errors", "counted", "readers", "screen"),
        ("base", "options", "cfg", "parser", "places", "untrusted"),
        ("registry", "linux"),
        ("task",),
        ("containment",),
        ("containers",),
        ("pool", "batch"),
        ("arc", "cloud"),
        ("ce_types",),
        ("configuration",),
        ("conformance",),
        ("cli",),
        ("__main__",),
    ),
    "agents": (
        ("errors", "clock", "redact", "pacing"),
        ("redaction", "private"),
        ("log", "pages"),
        ("last_word", "settings"),
        ("credentials", "jobs"),
        ("wms", "slot"),
        ("reporting", "data"),
        ("process",),
        ("runner",),
        ("observability", "parts"),
        ("reasons", "asking", "cli"),
        ("job_agent", "site_director", "data_cli"),
        ("wiring",),
        ("command_line", "check", "local_wms"),
        ("__main__",),
    ),
    "pilot": (
        ("errors", "counted", "strict_json", "redact", "readers"),
        ("private", "cfg", "log", "node"),
        ("settings",),
        ("pilot_json", "cli", "usage", "wms"),
        ("agent",),
        ("steps",),
        ("explain", "ending", "dry_run"),
        ("doctor",),
        ("__main__",),
    ),
    "gridpilot": (
        ("command",),
        ("table",),
        ("described", "nearest", "packages"),
        ("help_text", "completion", "man", "ask", "top"),
        ("__main__",),
    ),
}
FORESEEN: Mapping[str, Sequence[str]] = {}  # see docs/decisions/0018-the-house.md
Arrow = tuple[str, str]


def rooms_of(package: str) -> set[str]:
    """Return the rooms that there are."""
    inside = (ROOT / package).iterdir()
    return {path.stem for path in inside if path.suffix == ".py" or (path / "__init__.py").exists()} - {"__init__"}


@functools.cache
def tree(path: Path) -> ast.Module:
    """Return what a file of ours says to Python; each is read once."""
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def arrows(package: str) -> dict[Arrow, list[str]]:
    """Return the imports from one room to another of a package, each with the files in which it stands."""
    found: dict[Arrow, list[str]] = {}
    rooms = rooms_of(package)
    for path in sorted((ROOT / package).rglob("*.py")):
        room = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        for other in _imported(path, package):
            if room != other and room in rooms and other in rooms:
                found.setdefault((room, other), []).append(str(path.relative_to(ROOT)))
    return found


def _imported(path: Path, package: str) -> Iterator[str]:
    """Yield the rooms of a package that a file imports from."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            first, *rest = node.module.split(".")
            if first == package:
                yield from rest[:1] or (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith(f"{package}."))


def upwards(package: str) -> list[str]:
    """Return the imports that do not run down, each as a sentence."""
    floor = {room: at for at, rooms in enumerate(FLOORS[package]) for room in rooms}
    return [
        f"{package}: {room} imports {other} ({files[0]})"
        for (room, other), files in arrows(package).items()
        if floor[other] >= floor[room]
    ]


def storeys(package: str) -> int:
    """Return how many floors the imports ask for; `FLOORS` also keeps rooms apart that import neither way."""
    below = {room: {to for at, to in arrows(package) if at == room} for room in rooms_of(package)}

    def height(room: str) -> int:
        return 1 + max((height(other) for other in below[room]), default=0)

    return max(map(height, below))


def lengths(package: str) -> tuple[dict[str, int], dict[str, int]]:
    """Return the lines of each function, and of each file."""
    functions, files = {}, {}
    for path in sorted((ROOT / package).rglob("*.py")):
        name = str(path.relative_to(ROOT))
        files[name] = path.read_bytes().count(b"\n")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                functions[f"{name}:{node.name}"] = node.end_lineno - node.lineno + 1
    return functions, files


def figures() -> str:
    """Return what can be counted of the house, as rows of a table."""
    packages = list(FLOORS)
    functions, files = zip(*map(lengths, packages), strict=True)
    rows: dict[str, Sequence[object]] = {
        f"rooms: {', '.join(f'`{package}`' for package in packages)}": [len(rooms_of(p)) for p in packages],
        "floors": [storeys(package) for package in packages],
        "arrows (imports from one room to another)": [len(arrows(package)) for package in packages],
        "arrows that run up": [len(upwards(package)) for package in packages],
        "longest function (lines)": [max(of.values()) for of in functions],
        "longest file (lines)": [max(of.values()) for of in files],
    }
    return "\n".join(f"| {what} | {', '.join(map(str, found))} |" for what, found in rows.items())


def main(argv: Sequence[str] = ()) -> int:
    """Print each package, from the top floor down; the exit code is 1 where an import runs up."""
    if "--figures" in argv:
        print(figures())
        return 0
    for package, floors in FLOORS.items():
        rooms = rooms_of(package)
        print(f"{package}: {len(rooms)} rooms on {len(floors)} floors, {len(arrows(package))} arrows, ", end="")
        print(f"{len(upwards(package))} upwards")
        for number, names in reversed([*enumerate(floors, 1)]):
            print(f"  {number:2}  {'  '.join(name for name in names if name in rooms)}")
        for sentence in upwards(package):
            print(f"  !!  {sentence}")
    return 1 if any(map(upwards, FLOORS)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
