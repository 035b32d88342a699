"""What each dialect has of its own: options, arguments that a site may not set, what a task is told and given."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from ce_backends.batch.options import Needs
from ce_backends.batch.system import BatchJob
from ce_backends.batch.transport import Done
from ce_backends.ce_types.local_and_ssh import dialect
from ce_backends.errors import CEMisconfigured, CEUnavailable
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


# ---- arrays of two, GPUs of a site ----

STAMP = "a" * 32
JOB = BatchJob(name=STAMP, size=1, script="/s/jobs/x", log="/s/log", processors=1, memory_mb=0, gpus=0, wall_s=0)
TWO = {
    "SLURM": "--array=1-2",
    "GE": "-t 1-2",
    "Torque": "-t 1-2",
    "OpenPBS": "-J 1-2",
    "LSF": f"-J gridpilot_{STAMP}[1-2]",
    "OAR": "--array 2",
}
SITE_GPUS = {
    "SLURM": "--gpus-per-node=2",
    "GE": "-l gpu=2",
    "Torque": "-l nodes=1:ppn=1:gpus=2",
    "OpenPBS": "-l select=1:ncpus=1:ngpus=2",
    "LSF": "-gpu num=2",
}
ELEMENTS = {
    "SLURM": ("42", ("42", "42_2")),
    "GE": ("42", ("42", "42.2")),
    "Torque": ("42[].s", ("42[].s", "42[2].s")),
    "LSF": ("42", ("42", "42[2]")),
    "OAR": ("42,45", ("42", "45")),
    "Condor": ("42", ("42.0", "42.1")),
}


def submitted(name: str, job: BatchJob, needs: Needs) -> str:
    transport = Answering({})
    is_open = name == "OpenPBS"
    options = {"PBSFlavour": "OpenPBS"} if is_open else {}
    dialect("Torque" if is_open else name)(transport, needs, timeout_s=1, options=options).submit(job)
    return f" {' '.join(transport.commands[0])} "


@pytest.mark.parametrize("name", TWO)
def test_two_tasks_are_an_array_and_one_is_none(name: str) -> None:
    assert f" {TWO[name]} " in submitted(name, replace(JOB, size=2), Needs())
    assert TWO[name].split("1-2")[0].split(" 2")[0] + "1-" not in submitted(name, JOB, Needs())


@pytest.mark.parametrize("name", SITE_GPUS)
def test_gpus_of_a_site_are_asked_for_where_a_task_names_none(name: str) -> None:
    assert f" {SITE_GPUS[name]} " in submitted(name, JOB, Needs(gpus=2))
    assert f" {SITE_GPUS[name].replace('2', '3')} " in submitted(name, replace(JOB, gpus=3), Needs(gpus=2))


@pytest.mark.parametrize("name", ELEMENTS)
def test_the_number_of_a_task_of_an_array(name: str) -> None:
    system, _ = batch_system(name, {})
    job_id, (first, second) = ELEMENTS[name]

    assert (system.element(job_id, 1, 1), system.element(job_id, 2, 2)) == (first, second)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("SLURM", "--mem=1000000M"),
        ("GE", "-l h_vmem=1000000M"),
        ("Torque", "-l mem=1000000mb"),
        ("OpenPBS", "-l select=1:ncpus=1:mem=1000000mb"),
        ("LSF", "-M 1048576MB"),
    ],
)
def test_memory_that_is_a_whole_number_of_the_batch_systems_unit_is_not_rounded(name: str, asked: str) -> None:
    assert f" {asked} " in submitted(name, replace(JOB, memory_mb=1 << 20), Needs())
