"""What cannot be done now: written down, and to be tried again later."""

from collections.abc import Sequence
from dataclasses import replace

from agents.jobs.ledger import Ledger
from agents.jobs.transfer_steps import Upload

PAUSES_S = (10.0, 60.0, 300.0, 600.0)  # DIRAC's own; the last one again and again


class Delayed(Exception):
    """Something could not be done now; the same call is to be made again.

    Attributes:
        again_in_s: from now.
    """

    def __init__(self, message: str, again_in_s: float) -> None:
        super().__init__(message)
        self.again_in_s = again_in_s


def delay(ledger: Ledger, files: Sequence[Upload], why: str, now_s: float) -> Delayed:
    """Write down that files could not be gone on with, and return when to try again."""
    tries = max((file.tries for file in files), default=0)
    pause_s = PAUSES_S[min(tries, len(PAUSES_S) - 1)]
    again = now_s + pause_s
    ledger.save_uploads([replace(file, tries=file.tries + 1, not_before_s=again) for file in files])
    return Delayed(why, pause_s)


def is_waited_for(files: Sequence[Upload]) -> bool:
    """Tell whether all of these were tried often enough to go another way."""
    return all(file.tries >= len(PAUSES_S) for file in files)
