"""How many pilots the batch system starts at the same moment as this one, and when it is this one's turn to ask.

A pilot that is one of many does not ask the servers in the same second as the others. Pilots of separate batch jobs,
arrays among them, are spread by their queue as a rule, so that one on its own never waits; where they are not, an admin
sets --StartSpread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

PILOTS_PER_S = 20.0  # that begin to ask together, on average
LONGEST_S = 60.0
# tasks of one parallel job, which surely begin together: who this one is, and of how many
TASKS = (
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # srun; the batch script itself has no step's number
    ("PMI_RANK", "PMI_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
)
NUMBER = re.compile(r"[0-9]{1,7}")


def pilots(environ: Mapping[str, str]) -> int:
    """Return how many were started together, 1 where nothing says so."""
    found = (environ[of] for one, of in TASKS if NUMBER.fullmatch(environ.get(one, "")) and of in environ)
    return max((int(text) for text in found if NUMBER.fullmatch(text)), default=1) or 1


def wait_s(together: int, told_s: float, chance: Callable[[], float]) -> float:
    """Return how long to wait before the first request.

    Args:
        together: as of `pilots`.
        told_s: the longest wait that an admin wants (--StartSpread); 0 to go by the number of pilots.
        chance: returns a number from 0 to 1.
    """
    by_number_s = min(LONGEST_S, together / PILOTS_PER_S) if together > 1 else 0.0
    return chance() * (told_s or by_number_s)
