#!/usr/bin/env python3
"""Counts the primes below a limit, on as many processors as the job was given: count_primes.py LIMIT RESULT."""

import json
import os
import sys
from multiprocessing import Pool


def count(bounds):
    """Count the primes in a range of numbers, by trial division."""
    low, high = bounds
    return sum(1 for n in range(max(2, low), high) if all(n % d for d in range(2, int(n**0.5) + 1)))


def main(limit, result):
    """Share the range out to one worker for each processor granted."""
    processors = int(os.environ["DIRAC_JOB_PROCESSORS"])
    step = -(-limit // (processors * 8))
    shares = [(low, min(limit, low + step)) for low in range(0, limit, step)]
    with Pool(processors) as workers:
        primes = sum(workers.map(count, shares))
    with open(result, "w", encoding="ascii") as file:
        json.dump(
            {"limit": limit, "primes": primes, "workers": processors, "may_use": len(os.sched_getaffinity(0))}, file
        )
    print(f"{primes} primes below {limit}, counted by {processors} workers")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
