"""All sources, asked one after another."""

from collections.abc import Mapping, Sequence

from agents.slot.ends.features import features
from agents.slot.ends.grid_engine import grid_engine
from agents.slot.ends.htcondor import htcondor
from agents.slot.ends.lsf import lsf
from agents.slot.ends.oar import oar
from agents.slot.ends.pbs import pbs
from agents.slot.ends.slurm import slurm
from agents.slot.ends.source import Node, SlotEnd, Source

SOURCES: Mapping[str, Source] = {
    "features": features,
    "HTCondor": htcondor,
    "OAR": oar,
    "Slurm": slurm,
    "PBS": pbs,
    "Grid Engine": grid_engine,
    "LSF": lsf,
}
_FILES = ("features", "HTCondor")  # what these say may change at any moment, and costs nothing to read
_ANSWERED_BY_COMMANDS = ("SLURM_JOB_ID", "SLURM_JOBID", "PBS_JOBID", "SGE_TASK_ID", "LSB_JOBID")


def survey(node: Node) -> dict[str, Sequence[SlotEnd]]:
    """Return what each source knows; a source that is not there, or did not answer, is left out."""
    return {name: ends for name, source in SOURCES.items() if (ends := source(node)) is not None}


def read_again(node: Node) -> dict[str, Sequence[SlotEnd]]:
    """Return what the sources know that are files, where a notice of an early end appears."""
    return {name: ends for name in _FILES if (ends := SOURCES[name](node)) is not None}


def waits_for_commands(environ: Mapping[str, str]) -> bool:
    """Tell whether this is the job of a batch system that only its own commands can speak for."""
    return any(environ.get(name) for name in _ANSWERED_BY_COMMANDS)
