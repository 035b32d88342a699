"""What each dialect submits, word for word, for a job and for an array; and what a site may not add to it."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from ce_backends.base import Accepted
from ce_backends.batch.options import Needs
from ce_backends.batch.system import BatchJob
from ce_backends.batch.systems.htcondor_extra import read
from ce_backends.batch.transport import Done
from ce_backends.ce_types.local_and_ssh import dialect
from ce_backends.errors import CEError, CEMisconfigured, CEUnavailable
from tests.unit.answering import Answering

STAMP = "a" * 32
SCRIPT = f"/s/jobs/{STAMP}"
ONE = BatchJob(name=STAMP, size=1, script=SCRIPT, log="/s/log", processors=2, memory_mb=2000, gpus=0, wall_s=3600)
ARRAY = replace(ONE, size=3, processors=1, memory_mb=0, gpus=1, wall_s=0)
PLAIN = Needs()
FULL = Needs(queue="q", account="acct", whole_node=True, submit_options=["--x=1"])
GE_ALWAYS = f"qsub -terse -N gridpilot_{STAMP} -wd /s/jobs -o /s/log -j y -S /bin/sh -b n -r n -w e"
SLURM_ALWAYS = (
    f"sbatch --parsable --job-name={STAMP} --no-requeue --export=PATH --output=/s/log --error=/s/log"
    " --open-mode=append --input=/dev/null --nodes=1 --ntasks-per-node=1"
)
PBS_ALWAYS = "qsub -N gp_aaaaaaaaaaaa -o /s/log -j oe -S /bin/sh -r n"
LSF_ALWAYS = "-cwd /s/jobs -o /s/log -rn"
ARGUMENTS: Mapping[str, tuple[str, str]] = {
    "SLURM": (
        f"{SLURM_ALWAYS} --cpus-per-task=2 --mem=1908M --time=62 {SCRIPT}",
        (
            f"{SLURM_ALWAYS} --cpus-per-task=1 --array=1-3 --gpus-per-node=1 --partition=q --account=acct --exclusive"
            f" --x=1 {SCRIPT}"
        ),
    ),
    "GE": (
        f"{GE_ALWAYS} -pe smp 2 -l h_rt=3690,h_vmem=954M {SCRIPT}",
        f"{GE_ALWAYS} -t 1-3 -l gpu=1,exclusive=true -q q -P acct --x=1 {SCRIPT}",
    ),
    "Torque": (
        f"{PBS_ALWAYS} -l nodes=1:ppn=2 -l mem=1908mb -l walltime=1:01:30 {SCRIPT}",
        f"{PBS_ALWAYS} -t 1-3 -l nodes=1:ppn=1:gpus=1 -n -q q -A acct --x=1 {SCRIPT}",
    ),
    "OpenPBS": (
        f"{PBS_ALWAYS} -l select=1:ncpus=2:mem=1908mb -l walltime=1:01:30 {SCRIPT}",
        f"{PBS_ALWAYS} -J 1-3 -l select=1:ncpus=1:ngpus=1 -l place=excl -q q -A acct --x=1 {SCRIPT}",
    ),
    "LSF": (
        f"bsub -J gridpilot_{STAMP} {LSF_ALWAYS} -n 2 -R span[hosts=1] -M 2000MB -W 62 /bin/sh_'{SCRIPT}'",
        (
            f"bsub -J gridpilot_{STAMP}[1-3] {LSF_ALWAYS} -n 1 -R span[hosts=1] -gpu num=1 -q q -P acct -x --x=1"
            f" /bin/sh_'{SCRIPT}'"
        ),
    ),
    "OAR": (
        f"oarsub -n {STAMP} -d /s/jobs -O /s/log -E /s/log -l /nodes=1/core=2,walltime=1:1:30 '{SCRIPT}'",
        f"oarsub -n {STAMP} -d /s/jobs -O /s/log -E /s/log -l /nodes=1 --array 3 -q q --project acct --x=1 '{SCRIPT}'",
    ),
    "Condor": ("condor_submit -terse -", "condor_submit -terse --x=1 -"),
}
NOT_BEGUN = "NumShadowStarts =?= undefined || NumShadowStarts == 0 || VacateReasonCode =?= 1006"
ALWAYS = f"""\
universe = vanilla
executable = {SCRIPT}
arguments = $(gridpilot_stamp)
initialdir = /s/tasks/$(gridpilot_stamp)
should_transfer_files = YES
when_to_transfer_output = ON_EXIT
notification = Never
transfer_input_files = task.tar
transfer_output_files = result.tar
output = launcher.out
error = launcher.err
My.GridpilotName = "{STAMP}"
log = /s/log
requirements = {NOT_BEGUN}
periodic_remove = JobStatus == 1 && !({NOT_BEGUN})
leave_in_queue = JobStatus == 4 && time() - EnteredCurrentStatus < 864000
max_transfer_output_mb = 23841
"""
CONDOR = (
    f"""{ALWAYS}\
request_cpus = 2
request_memory = 1908M
periodic_hold = JobStatus == 2 && ResidentSetSize =!= undefined && ResidentSetSize > 1953125
periodic_hold_reason = "more memory than 2000 MB"
periodic_hold_subcode = 4711
allowed_execute_duration = 3690
queue gridpilot_stamp from {SCRIPT}.tasks
""",
    f"""{ALWAYS}\
request_cpus = 1
request_gpus = 1
accounting_group = acct
My.WantWholeNode = True
queue gridpilot_stamp from {SCRIPT}.tasks
""",
)


class Noting:
    """A host that notes what it is told and answers nothing."""

    where = "a fake host"

    def __init__(self) -> None:
        self.argv: Sequence[str] = ()
        self.read = ""

    def run(
        self, argv: Sequence[str], *, timeout_s: float, stdin: IO[bytes] | bytes = b"", into: Path | None = None
    ) -> Done:
        assert isinstance(stdin, bytes)
        self.argv, self.read = list(argv), stdin.decode()
        return Done(0, "", "")

    def put(self, source: Path, target: str, *, timeout_s: float) -> None:
        raise AssertionError("a dialect brings no files")

    def close(self) -> None:
        """Nothing is open."""


def submitted(system: str, job: BatchJob, needs: Needs, **options: str) -> Noting:
    host = Noting()
    if system == "OpenPBS":
        system, options = "Torque", {"PBSFlavour": "OpenPBS", **options}
    if system == "OAR":
        job = replace(job, gpus=0)
    dialect(system)(host, needs, timeout_s=1, options=options).submit(job)
    return host


@pytest.mark.parametrize("system", ARGUMENTS)
def test_a_job_is_submitted_word_for_word(system: str) -> None:
    expected = [word.replace("/bin/sh_", "/bin/sh ") for word in ARGUMENTS[system][0].split(" ")]

    assert submitted(system, ONE, PLAIN).argv == expected


@pytest.mark.parametrize("system", ARGUMENTS)
def test_an_array_is_submitted_word_for_word(system: str) -> None:
    expected = [word.replace("/bin/sh_", "/bin/sh ") for word in ARGUMENTS[system][1].split(" ")]

    assert submitted(system, ARRAY, FULL).argv == expected


def test_a_job_and_an_array_are_described_to_htcondor_line_for_line() -> None:
    assert submitted("Condor", ONE, PLAIN).read == CONDOR[0]
    assert submitted("Condor", ARRAY, FULL).read == CONDOR[1]


PRINTED: Mapping[str, str] = {
    "SLURM": "42\n",
    "GE": "42\n",
    "Torque": "42.server\n",
    "LSF": "Job <42> is submitted to queue <q>.\n",
    "OAR": "OAR_JOB_ID=42\n",
    "Condor": "42.0 - 42.0\n",
}


@pytest.mark.parametrize("system", PRINTED)
@pytest.mark.parametrize(
    "words",
    [
        "sbatch: error: Socket timed out on send/recv operation, retrying\n",
        "Connection refused by the first server, the second has taken it\n",
        "warning: your quota is nearly exceeded\n",
    ],
)
def test_words_beside_a_good_answer_to_a_submission_do_not_spoil_it(system: str, words: str) -> None:
    transport = Answering(dict.fromkeys(COMMANDS, Done(0, PRINTED[system], words)))

    answer = dialect(system)(transport, PLAIN, timeout_s=1, options={}).submit(ONE)

    assert isinstance(answer, Accepted)
    assert answer.task_id.startswith("42")


COMMANDS = ("sbatch", "qsub", "bsub", "oarsub", "condor_submit")
REFUSED: Sequence[tuple[str, str, str]] = (
    ("SLURM", "--requeue", "a second time"),
    ("SLURM", "--requ", "a second time"),
    ("SLURM", "--array=1-9", "arrays itself"),
    ("SLURM", "-a1-9", "arrays itself"),
    ("SLURM", "-c8", "NumberOfProcessors"),
    ("SLURM", "--ntasks=4", "NumberOfProcessors"),
    ("SLURM", "--time=1:00", "WallTime"),
    ("SLURM", "-J x", "finds its tasks again"),
    ("SLURM", "--wait", "does not wait"),
    ("SLURM", "--test-only", "nothing would be submitted"),
    ("SLURM", "--gpus=4", "NumberOfGPUs"),
    ("SLURM", "-M other", "use Cluster"),
    ("GE", "-r y", "a second time"),
    ("GE", "-t 1-9", "arrays itself"),
    ("GE", "-pe smp 8", "NumberOfProcessors"),
    ("GE", "-l gpu=2", "NumberOfGPUs"),
    ("GE", "-l a=1,h_rt=5", "WallTime"),
    ("GE", "-sync y", "does not wait"),
    ("Torque", "-r y", "a second time"),
    ("Torque", "-l nodes=1:ppn=8", "NumberOfProcessors"),
    ("Torque", "-l walltime=9", "WallTime"),
    ("OpenPBS", "-l select=1:ncpus=8", "NumberOfProcessors"),
    ("OpenPBS", "-J 1-9", "arrays itself"),
    ("OpenPBS", "-W group_list=x,block=true", "does not wait"),
    ("LSF", "-r", "a second time"),
    ("LSF", "-Q 137", "a second time"),
    ("LSF", "-n 8", "NumberOfProcessors"),
    ("LSF", "-W 9", "WallTime"),
    ("LSF", "-K", "does not wait"),
    ("OAR", "-t idempotent", "a second time"),
    ("OAR", "-l /nodes=1/core=8", "NumberOfProcessors"),
    ("OAR", "--array=3", "arrays itself"),
    ("Condor", "-append request_cpus=8", "ExtraSubmitString"),
    ("Condor", "-dry-run out", "nothing would be submitted"),
    ("Condor", "-name other", "would ask another one"),
)


@pytest.mark.parametrize(("system", "words", "why"), REFUSED)
def test_a_site_may_not_change_what_is_ours_in_silence(system: str, words: str, why: str) -> None:
    with pytest.raises(CEMisconfigured, match=f"option SubmitOptions has .*{why}"):
        submitted(system, ONE, Needs(submit_options=words.split(" ")))


@pytest.mark.parametrize(
    ("system", "words"),
    [
        ("SLURM", "--qos=long --constraint=avx2 -C haswell --nodelist=wn[1-3] --exclude=wn9 --licenses=a -d after:5"),
        ("GE", "-l arch=lx-amd64 -ac A=1 -hard -soft -p -5"),
        ("Torque", "-l feature=ssd -W group_list=x -m n"),
        ("OpenPBS", "-l place=scatter -W group_list=x"),
        ("LSF", "-app long -R select[ssd] -sp 5"),
        ("OAR", "-p gpu_count>0 -t besteffort --notify x"),
        ("Condor", "-factory -disable"),
    ],
)
def test_a_site_may_add_what_is_its_own(system: str, words: str) -> None:
    argv = submitted(system, ONE, Needs(submit_options=words.split(" "))).argv

    assert set(words.split(" ")) <= set(argv)


@pytest.mark.parametrize(
    ("system", "words", "ours"),
    [
        ("SLURM", "--mem-per-cpu=1000M", "--mem="),
        ("SLURM", "--mem-per-gpu=1000M", "--mem="),
        ("SLURM", "--mem 5G", "--mem="),
        ("GE", "-l h_vmem=3G", "h_vmem=954M"),
        ("Torque", "-l pmem=1gb", "mem=1908mb"),
        ("OpenPBS", "-l mem=3gb", "mem=1908mb"),
        ("LSF", "-M 3000MB", "2000MB"),
    ],
)
def test_memory_that_a_site_asks_for_is_not_asked_for_beside_it(system: str, words: str, ours: str) -> None:
    argv = submitted(system, ONE, Needs(submit_options=words.split(" "))).argv

    assert not [word for word in argv if ours in word]


def test_memory_per_processor_is_asked_for_where_a_site_takes_that_only() -> None:
    argv = submitted("SLURM", ONE, PLAIN, MemoryPer="cpu").argv

    assert [word for word in argv if word.startswith("--mem")] == ["--mem-per-cpu=954M"]


# ---- ExtraSubmitString ----


def test_conditions_of_a_site_are_joined_with_ours() -> None:
    extra = r"requirements = TARGET.OpSysMajorVer =?= 9 \n periodic_remove = false \n +PeriodicHold = X > 1 \n a.b = 1"

    lines = submitted("Condor", ONE, PLAIN, ExtraSubmitString=extra).read.split("\n")

    assert f"requirements = ({NOT_BEGUN}) && (TARGET.OpSysMajorVer =?= 9)" in lines
    assert f"periodic_remove = (JobStatus == 1 && !({NOT_BEGUN})) || (false)" in lines
    assert next(line for line in lines if line.startswith("periodic_hold =")).endswith(" || (X > 1)")
    assert lines.index(" a.b = 1") == len(lines) - 3


def test_a_condition_over_several_lines_and_twice_is_joined_whole() -> None:
    lines, conditions = read("Requirements = A \\\n  && B\nMY.Requirements = C")

    assert (lines, conditions) == ([], {"requirements": "(A    && B) && (C)"})


@pytest.mark.parametrize(
    "line",
    [
        "request_cpus = 8",
        "+RequestCpus = 8",
        "RequestMemory = 5",
        "executable = /bin/true",
        "max_retries = 3",
        "queue 5",
        "queue",
        "include : /etc/passwd",
        "on_exit_remove = false",
        'my.GridpilotName = "x"',
    ],
)
def test_a_line_that_would_override_ours_is_refused_with_a_sentence(line: str) -> None:
    with pytest.raises(CEMisconfigured, match=r"option ExtraSubmitString has .* is set by gridpilot; "):
        submitted("Condor", ONE, PLAIN, ExtraSubmitString=line)


def test_a_limit_of_an_owner_passes_one_of_a_submission_halves_an_array_a_submit_requirement_never_passes() -> None:
    system = dialect("Condor")
    full = Done(1, "", "ERROR: Number of submitted jobs would exceed MAX_JOBS_PER_OWNER\n")
    rule = Done(
        1, "", "ERROR: Failed to commit job submission into the queue.\nERROR: Submit requirement Proxy not met.\n"
    )

    class Says(Noting):
        def run(self, argv: Sequence[str], **_: object) -> Done:  # type: ignore[override]
            return self.done

    def answer(done: Done) -> str:
        host = Says()
        host.done = done
        return type(system(host, PLAIN, timeout_s=1, options={}).submit(ARRAY)).__name__

    with pytest.raises(CEUnavailable):
        answer(full)
    with pytest.raises(CEError) as halves:
        answer(Done(1, "", "ERROR: Number of submitted jobs would exceed MAX_JOBS_PER_SUBMISSION\n"))
    assert not isinstance(halves.value, CEUnavailable)
    assert answer(rule) == "Rejected"


# ---- the GPUs that a batch system gave a task ----


@pytest.mark.parametrize(
    ("environ", "seen"),
    [
        ({"SGE_HGR_gpu": "1 3"}, "1,3"),
        ({"SGE_HGR_gpu": "gpu0 gpu2"}, "0,2"),
        ({"SGE_HGR_gpu": "GPU-1a2b GPU-3c"}, "GPU-1a2b,GPU-3c"),
        ({"SGE_HGR_gpu": "1", "CUDA_VISIBLE_DEVICES": "0"}, "0"),
        ({"SGE_HGR_gpu": "1", "CUDA_VISIBLE_DEVICES": ""}, ""),
        ({}, "not set"),
        ({"SGE_HGR_licence": "1"}, "not set"),
    ],
)
def test_a_task_sees_the_gpus_that_grid_engine_names(environ: dict[str, str], seen: str) -> None:
    assert _visible(dialect("GE")(Noting(), PLAIN, timeout_s=1, options={}).index, environ) == seen


@pytest.mark.parametrize(
    ("lines", "seen"), [("HERE-gpu1\nother-gpu0\nHERE.site.org-gpu3\n", "1,3"), ("other-gpu0\n", ""), (None, "not set")]
)
def test_a_task_sees_the_gpus_of_torques_file(lines: str | None, seen: str, tmp_path: Path) -> None:
    file = tmp_path / "gpufile"
    if lines is not None:
        file.write_text(lines.replace("HERE", os.uname().nodename.partition(".")[0]), encoding="ascii")
    index = dialect("Torque")(Noting(), PLAIN, timeout_s=1, options={}).index

    assert _visible(index, {"PBS_GPUFILE": str(file)}) == seen


def _visible(index: Sequence[str], environ: dict[str, str]) -> str:
    """Run what a node runs first; return what a payload's CUDA obeys then."""
    script = "\n".join([*index, 'echo "${CUDA_VISIBLE_DEVICES-not set}"'])
    argv, env = ["/bin/sh", "-euc", script], {"PATH": "/usr/bin:/bin", **environ}
    return subprocess.run(argv, check=True, env=env, capture_output=True).stdout.decode().strip()
