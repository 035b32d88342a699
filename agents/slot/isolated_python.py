"""Running a module of ours in a Python of its own, which does not outlive us."""

import os
import sys
from pathlib import Path
from types import ModuleType

# Killed by the kernel with the thread that has started it (PR_SET_PDEATHSIG), which therefore waits for it. If that is
# gone before it has asked for this, it has another parent by then.
_CODE = """\
import ctypes, os, runpy, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != int(sys.argv.pop(1)):
    sys.exit(1)
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module(sys.argv.pop(1), run_name="__main__")
"""


def alone(module: ModuleType, *arguments: str) -> tuple[str, ...]:
    """Return the command line for it, which finds no other code of ours or anybody's than it imports itself.

    Whether our packages are folders or in a zip, as in the bundle, is the same to it. It ends at once when the thread
    that starts it does, killed perhaps, and so can only be started by this process itself.
    """
    packages = Path(str(module.__file__)).parents[module.__name__.count(".")]
    return (sys.executable, "-I", "-c", _CODE, str(os.getpid()), str(packages), module.__name__, *arguments)
