"""Double the number of processes until nobody lets us, for some seconds: `fork_bomb.py SECONDS`."""

import os
import sys
import time

until = time.monotonic() + float(sys.argv[1])
leader = os.getpid()
while time.monotonic() < until:
    try:
        os.fork()
    except OSError:  # the limit
        time.sleep(0.5)
    time.sleep(0.05)
sys.exit(0 if os.getpid() == leader else 1)
