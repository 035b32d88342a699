"""The DB12 benchmark, a program of its own: how fast does one processor draw normal random numbers?

250 divided by the CPU seconds of 12.5 million draws is one processor's power in HS06, as DIRAC defines it. Here
tenths of that are timed one by one, and each is printed as a power, so that a run may be cut short and one slow tenth
does no harm. Only the standard library is needed; memory does not grow.
"""

import os
import random
import resource
import sys
import time

_DRAWS = 1_250_000  # a tenth of DB12's
_POWER = 250 / 10  # HS06 s that a tenth stands for
_NICE = 19
_CPU_LIMIT_S = 60  # whatever happens


def _tenth(draws: int) -> None:
    """Draw, and sum up as often as DB12 does, which is twice: the sums are part of the work that is measured."""
    total = squares = again = squares_again = 0.0
    for _ in range(draws):
        drawn = random.normalvariate(10, 1)
        total += drawn
        squares += drawn * drawn
        again += drawn
        squares_again += drawn * drawn


def main(budget_s: float) -> None:
    """Print powers until so much CPU time is used; at least one."""
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_LIMIT_S, _CPU_LIMIT_S))
    random.seed(1)
    _tenth(_DRAWS // 10)  # until caches and clock speed have settled
    while True:
        before_s = time.process_time()
        _tenth(_DRAWS)
        after_s = time.process_time()
        print(_POWER / (after_s - before_s), flush=True)
        if after_s > budget_s:
            break


if __name__ == "__main__":
    main(float(sys.argv[1]))
