"""Leave many orphans that end at once: `orphans.py NUMBER`."""

import os
import sys

for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            os._exit(0)
        os._exit(0)
    os.wait()
