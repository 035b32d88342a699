#!/usr/bin/env python3
"""Takes the place of DIRAC's dirac-pilot.py: the same options, the wrapper's log on standard input.

Starts the gridpilot.pyz beside it. Runs on the node's Python, 3.6 or later.
"""

import os
import runpy
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

if __name__ == "__main__":
    os.environ["GRIDPILOT_DIRAC_PILOT"] = HERE  # where a VO's own commands lie; and there is a log to be read
    runpy.run_path(os.path.join(HERE, "gridpilot.pyz"), run_name="__main__")
    sys.exit(6)
