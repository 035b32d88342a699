"""Running a module of ours in a Python of its own."""

import sys
from pathlib import Path
from types import ModuleType

_CODE = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module(sys.argv.pop(1), run_name='__main__')"


def alone(module: ModuleType, *arguments: str) -> tuple[str, ...]:
    """Return the command line for it, which finds no other code of ours or anybody's than it imports itself.

    Whether our packages are folders or in a zip, as in the bundle, is the same to it.
    """
    packages = Path(str(module.__file__)).parents[module.__name__.count(".")]
    return (sys.executable, "-I", "-c", _CODE, str(packages), module.__name__, *arguments)
