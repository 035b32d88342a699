"""`gridpilot version`, and whether another distribution has put its files where ours are.

`pilot` is also the name of PanDA's package, `agents` that of an SDK for language models: pip installs both into one
folder and lets the later overwrite the earlier without a word.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

UNFIT = 6  # pilot.errors: the node cannot run it
OURS = {"pilot": "agent", "agents": "wms", "ce_backends": "base", "jobexec": "workflow"}  # each with a module of it
_EXTRAS = {"prometheus_client": "metrics", "opentelemetry": "otel"}
_REMEDY = (
    "give gridpilot an environment of its own: python3 -m venv gridpilot-env && gridpilot-env/bin/pip install gridpilot"
)


def parser() -> argparse.ArgumentParser:
    """Return the options of `version`."""
    made = argparse.ArgumentParser(prog="gridpilot version", description="The version of gridpilot.")
    made.add_argument("--json", action="store_true", help="for programs")
    return made


def main(words: Sequence[str]) -> int:
    """Print the version; what is in the way is said besides."""
    asked = parser().parse_args(words)
    found = clashes()
    told = {
        "version": version(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "place": str(_place()),
        "clashes": found,
    }
    print(json.dumps(told, indent=1) if asked.json else told["version"], flush=True)
    for sentence in () if asked.json else found:
        complain(sentence)
    return UNFIT if found else 0


def complain(sentence: str) -> None:
    """Say a sentence to whoever started the program."""
    print(f"gridpilot: {sentence}", file=sys.stderr, flush=True)


def version() -> str:
    """Return the version that is installed."""
    try:
        return metadata.version("gridpilot")
    except metadata.PackageNotFoundError:
        return "not installed: a source tree"


def clashes() -> list[str]:
    """Return a sentence for each of our packages that is not, or not only, ours."""
    found = []
    for package, module in OURS.items():
        if sentence := _stranger(package, module):
            found.append(sentence)
        elif others := sorted(set(_owners(package)) - {"gridpilot"}):
            found.append(f"{_place() / package}: {', '.join(others)} has files in this package too; {_REMEDY}")
    return found


def trouble(error: Exception) -> str:
    """Return why a part of gridpilot could not be loaded, and what to do about it; "" where that is not known."""
    if found := clashes():
        return found[0]
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing in _EXTRAS:
        return f"this needs {missing}: pip install 'gridpilot[{_EXTRAS[missing]}]'"
    if missing and missing not in OURS:
        return f"this needs {missing}, which is not installed for {sys.executable}: pip install {missing}"
    return ""


def _place() -> Path:
    return Path(__file__).parents[1]


def _stranger(package: str, module: str) -> str:
    """Return a sentence where Python would take this package from elsewhere, or a part of it was overwritten."""
    spec = PathFinder.find_spec(package)
    inside = list(spec.submodule_search_locations or ()) if spec else []
    if not inside:
        return f"{_place()}: there is no package {package} beside gridpilot; install gridpilot again"
    if Path(inside[0]) != _place() / package:
        return f"{inside[0]}: this package {package} is not gridpilot's and comes before it; {_REMEDY}"
    if PathFinder.find_spec(module, inside) is None:
        return f"{inside[0]}: this package {package} is not gridpilot's; {_REMEDY}"
    return ""


def _owners(package: str) -> Iterator[str]:
    """Yield the distributions that have installed files into a package of ours."""
    for distribution in metadata.distributions(path=[str(_place())]):
        text = distribution.read_text("RECORD") or ""
        if text.startswith(f"{package}/") or f"\n{package}/" in text:
            yield distribution.metadata["Name"].lower()
