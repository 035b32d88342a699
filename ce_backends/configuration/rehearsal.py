"""Would this CE work? One answer for `validate`, `plan`, `test`, the agent and the pilot's doctor."""

import os
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
        notes: sentences about what is right, and probably not meant.
        remark: what keeps tasks apart here, empty where the CE does not tell.
    """

    mistakes: Sequence[str] = ()
    trouble: str = ""
    notes: Sequence[str] = ()
    remark: str = ""


def rehearse(ce_type: str, options: Mapping[str, OptionValue]) -> Rehearsal:
    """Make the CE in an empty folder, ask it for its trouble, and let go of it; nothing is submitted."""
    with tempfile.TemporaryDirectory(prefix="gridpilot-try-", ignore_cleanup_errors=True) as scratch:
        try:
            return _tried(ce_type, options, Path(scratch))
        except CEMisconfigured as error:
            return Rehearsal(mistakes=[str(error)])
        except CEError as error:
            return Rehearsal(trouble=str(error))
        except Exception as error:  # noqa: BLE001 - a CE type may be anybody's
            return Rehearsal(mistakes=[f"CE type {ce_type} cannot be made: {type(error).__name__}: {error}"])


def _tried(ce_type: str, options: Mapping[str, OptionValue], work_dir: Path) -> Rehearsal:
    ce = create(ce_type, options, work_dir)
    try:
        if not isinstance(ce, CanTell):
            return Rehearsal()
        trouble = ce.trouble()
        notes = _more_than_here(ce.slots().free_processors)
        return Rehearsal(trouble=trouble, notes=notes, remark=ce.remark())
    finally:
        ce.close()


def _more_than_here(places: int) -> Sequence[str]:
    """Return a sentence about a CE that shares more processors than the machine gives it."""
    here = len(os.sched_getaffinity(0))
    return [f"NumberOfProcessors is {places}, and this machine gives {here}: tasks share them"] if places > here else []
