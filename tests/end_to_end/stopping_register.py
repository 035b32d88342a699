"""`python -m tests.end_to_end.stopping_register`: `gridpilot data register`, which stops once a batch is registered.

Whoever is to kill it amid its work needs not be quicker than it is. Its batches are smaller than ours.
"""

import os
import signal
import sys
from collections.abc import Sequence

from agents.data_cli import register
from agents.data_cli.__main__ import main
from agents.data_cli.journal import Found

BULK = 100
_register = register.Registration._register


def _and_stop(registration: register.Registration, files: Sequence[Found]) -> None:
    _register(registration, files)
    os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    register._BULK = BULK
    register.Registration._register = _and_stop  # type: ignore[method-assign]
    sys.exit(main(["register", *sys.argv[1:]]))
