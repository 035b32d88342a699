"""Two chains of processes, each link of which forks the next one and ends, for ever."""

import os
import time


def chain() -> None:
    """Be the next link; a short sleep keeps the machine usable."""
    os.setsid()
    while True:
        if os.fork():
            os._exit(0)
        time.sleep(0.002)


for _ in range(2):
    if os.fork() == 0:
        chain()
time.sleep(600)
