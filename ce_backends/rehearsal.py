"""Would this CE work? One answer for `validate`, `plan`, `test`, the agent and the pilot's doctor."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ce_backends.base import CanTell
from ce_backends.errors import CEError, CEMisconfigured
from ce_backends.options import OptionValue
from ce_backends.registry import create


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What was found.

    Attributes:
        mistakes: sentences about the options; with any of them the CE cannot be made.
        trouble: why no task can run here now though the options are right, empty if one can.
    """

    mistakes: Sequence[str] = ()
    trouble: str = ""


def rehearse(ce_type: str, options: Mapping[str, OptionValue]) -> Rehearsal:
    """Make the CE in an empty folder, ask it for its trouble, and let go of it; nothing is submitted."""
    with tempfile.TemporaryDirectory(prefix="gridpilot-try-", ignore_cleanup_errors=True) as scratch:
        try:
            ce = create(ce_type, options, Path(scratch))
        except CEMisconfigured as error:
            return Rehearsal(mistakes=[str(error)])
        except CEError as error:
            return Rehearsal(trouble=str(error))
        try:
            return Rehearsal(trouble=ce.trouble() if isinstance(ce, CanTell) else "")
        finally:
            ce.close()
