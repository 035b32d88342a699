"""The machine in words: figures mean nothing without it."""

import os
import platform
from pathlib import Path


def in_words() -> str:
    """Return processors, memory, kernel and Python, no name of the machine."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cores = len(os.sched_getaffinity(0))
    kernel = platform.release().partition("-")[0]
    return f"{cores} cores of {_processor()}, {memory_gb:.0f} GB, Linux {kernel}, Python {platform.python_version()}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def load() -> str:
    """Return how busy it is with other things now."""
    return f"{os.getloadavg()[0]:.1f}"
