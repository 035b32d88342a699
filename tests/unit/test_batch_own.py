"""What each dialect has of its own: options, arguments that a site may not set, what a task is told and given."""

from collections.abc import Mapping, Sequence

import pytest

from ce_backends.batch_options import Needs
from ce_backends.batch_types import dialect
from ce_backends.errors import CEMisconfigured, CEUnavailable
from ce_backends.transport import Done
from tests.unit.answering import Answering
from tests.unit.batch_systems import batch_system

CUDA, ROCR, ORDINAL = "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"
OPTIONS: Mapping[str, Sequence[tuple[str, type, object, Sequence[str]]]] = {
    "SLURM": [("Cluster", str, "", ()), ("MemoryPer", str, "node", ("cpu", "node"))],
    "GE": [
        ("ParallelEnvironment", str, "smp", ()),
        ("MemoryResource", str, "h_vmem", ()),
        ("GPUResource", str, "gpu", ()),
        ("Accounting", bool, True, ()),
    ],
    "Torque": [("PBSFlavour", str, "Torque", ("OpenPBS", "Torque"))],
    "LSF": [],
    "OAR": [("ProcessorProperty", str, "core", ())],
    "Condor": [("ExtraSubmitString", str, "", ())],
    "Host": [],
}
GIVEN: Mapping[str, tuple[str, int, Sequence[str], Sequence[str]]] = {
    "SLURM": ("sbatch", 1000, (CUDA, ROCR, ORDINAL), ()),
    "GE": ("qacct", 1000, (CUDA, ROCR, ORDINAL), ("memory_limit_ends_a_task",)),
    "Torque": ("pbsnodes", 1000, (CUDA, ROCR, "PBS_GPUFILE"), ()),
    "LSF": ("bsub", 1000, (CUDA, ROCR), ()),
    "OAR": ("oarsub", 1000, (CUDA, ROCR), ("memory_limit_ends_a_task", "cancel_ends_the_whole_tree")),
    "Condor": ("condor_submit", 1000, (CUDA, ROCR, ORDINAL), ()),
    "Host": ("", 1, (), ("memory_limit_ends_a_task",)),
}
INDEX = {
    "SLURM": "SLURM_ARRAY_TASK_ID:-1",
    "GE": "SGE_TASK_ID:-1",
    "Torque": "PBS_ARRAY_INDEX:-${PBS_ARRAYID:-1}",
    "LSF": "LSB_JOBINDEX:-1",
    "OAR": "OAR_ARRAY_INDEX:-1",
}
OURS = {
    "SLURM": (
        "--requeue --array --job-name --output --error --input --export --cpus-per-task --ntasks --ntasks-per-node"
        " --nodes --time --gpus --gpus-per-node --gpus-per-task --clusters --wrap --wait --test-only"
        " -a -J -o -e -i -c -n -N -t -G -M -W"
    ),
    "GE": "-r -N -t -pe -o -e -j -b -S -sync -now -verify -w",
    "Torque": "-r -N -J -t -o -e -j -k -S -I -X -z",
    "LSF": "-r -Q -J -n -W -cwd -o -oo -e -eo -i -is -K -I -Ip -Is",
    "OAR": (
        "--array --array-param-file --name --resource --directory --stdout --stderr --interactive --connect"
        " --resubmit --scanscript -n -l -d -O -E -I -C -S"
    ),
    "Condor": "-a -append -dry-run -dump -queue -name -pool -remote -r -spool -s -verbose",
}
RESOURCES = {
    "GE": "h_rt gpu",
    "Torque": "select nodes ncpus procs walltime",
}
UNCONFIGURED = [
    ("SLURM", "scancel", "fatal: Could not establish a configuration source"),
    ("SLURM", "scancel", "fatal: Unable to process configuration file"),
    ("GE", "qdel", "critical error: unable to read qmaster name"),
    ("GE", "qdel", "Please set the environment variable SGE_ROOT"),
    ("GE", "qdel", "cell directory is not there"),
    ("GE", "qdel", "error without diagnosis message"),
    ("Torque", "qdel", "pbsconf error: pbs conf variables not found"),
    ("Torque", "qdel", "Cannot resolve default server host"),
    ("LSF", "bkill", "Cannot open lsf.conf file"),
    ("LSF", "bkill", "Unable to open file lsf.conf"),
    ("OAR", "oardel", "Configuration file not found"),
    ("OAR", "oardel", "Open configuration file"),
    ("Condor", "condor_rm", "neither contain a condor_config source"),
    ("Condor", "condor_rm", "File specified in CONDOR_CONFIG is not there"),
]


@pytest.mark.parametrize("name", OPTIONS)
def test_a_dialects_options(name: str) -> None:
    options = [(option.name, option.kind, option.default, tuple(option.choices)) for option in dialect(name).OPTIONS]

    assert options == OPTIONS[name]


@pytest.mark.parametrize("name", GIVEN)
def test_a_dialects_command_and_what_it_passes_and_does_not_keep(name: str) -> None:
    system, _ = batch_system(name, {})

    assert (system.COMMAND, system.array_limit, tuple(system.passed), tuple(system.unkept)) == GIVEN[name]


@pytest.mark.parametrize("name", INDEX)
def test_a_task_learns_its_place_in_an_array_from_the_batch_systems_variable(name: str) -> None:
    system, _ = batch_system(name, {})

    assert system.index[0] == f"gridpilot_index=${{{INDEX[name]}}}"


@pytest.mark.parametrize(("name", "word"), [(name, word) for name, words in OURS.items() for word in words.split()])
def test_an_argument_of_ours_is_refused_to_a_site(name: str, word: str) -> None:
    with pytest.raises(CEMisconfigured, match=f"has {word}: {word} is set by gridpilot; "):
        dialect(name)(Answering({}), Needs(submit_options=[word]), timeout_s=1, options={})


@pytest.mark.parametrize(
    ("name", "word"), [(name, word) for name, words in RESOURCES.items() for word in words.split()]
)
def test_a_resource_of_ours_is_refused_to_a_site(name: str, word: str) -> None:
    with pytest.raises(CEMisconfigured, match=word):
        dialect(name)(Answering({}), Needs(submit_options=["-l", f"a=1,{word}=1"]), timeout_s=1, options={})


@pytest.mark.parametrize(("name", "command", "said"), UNCONFIGURED)
def test_a_command_without_configuration_has_done_nothing(name: str, command: str, said: str) -> None:
    system, _ = batch_system(name, {command: Done(1, "", f"{said}\n"), "oarstat": Done(0, "", "")})

    with pytest.raises(CEUnavailable, match=f"{command} finds no configuration on a host that is not there: "):
        system.cancel(["7"])
