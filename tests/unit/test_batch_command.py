"""A submit command that cannot be started, or finds no configuration, has refused no task: in every dialect."""

import os
import re
import signal
import subprocess
import time
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import pytest

from ce_backends.base import Rejected
from ce_backends.batch.commands import Commands, Words
from ce_backends.batch.options import Needs
from ce_backends.batch.ssh import Login, Ssh
from ce_backends.batch.system import BatchJob, BatchSystem
from ce_backends.batch.systems.htcondor import Condor
from ce_backends.batch.systems.htcondor_schedd import Schedd
from ce_backends.batch.transport import Done, Local
from ce_backends.ce_types.local_and_ssh import SYSTEMS, dialect
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.linux.pipes import MOST_BYTES, Pipes
from tests.unit.answering import Answering
from tests.waiting import PATIENCE_S

STAMP = "0123456789abcdef0123456789abcdef"
JOB = BatchJob(name=STAMP, size=1, script="/a/jobs/s", log="/a/jobs/s.log", processors=1, memory_mb=0, gpus=0, wall_s=0)
SUBMIT: Mapping[str, str] = {
    "Condor": "condor_submit",
    "GE": "qsub",
    "LSF": "bsub",
    "OAR": "oarsub",
    "SLURM": "sbatch",
    "Torque": "qsub",
}
NOT_STARTED = {
    "sh: 1: COMMAND: not found": (127, "install it there, or have its directory in PATH"),
    "COMMAND: error while loading shared libraries: libslurm.so": (127, "install it there"),
    "sh: 1: COMMAND: Permission denied": (126, "make it executable for this user"),
}
UNCONFIGURED = [  # Slurm 22.05, Grid Engine 8.1.9, HTCondor 23.9 as they were seen; the others by their sources
    ("SLURM", "sbatch: fatal: Could not establish a configuration source", "SLURM_CONF"),
    ("SLURM", "sbatch: fatal: Unable to process configuration file", "SLURM_CONF"),
    ("GE", "Unable to initialize environment because of error: Please set the environment variable SGE_ROOT.", "SGE_"),
    ("GE", 'Unable to initialize environment because of error: cell directory "/a/b" doesn\'t exist', "settings.sh"),
    ("GE", "Unable to initialize environment because of error: unable to read qmaster name: no", "settings.sh"),
    ("Condor", 'File specified in CONDOR_CONFIG environment variable:\n"/a" does not exist.', "CONDOR_CONFIG"),
    ("Condor", "/usr/local/etc/, nor ~condor/ contain a condor_config source.", "CONDOR_CONFIG"),
    ("Torque", "pbsconf error: pbs conf variables not found: PBS_SERVER\nqsub: cannot connect to server", "pbs.conf"),
    ("Torque", "Cannot resolve default server host '(null)' - check server_name file.", "server_name"),
    ("LSF", "lsb_init: Failed in an LSF library call: Unable to open file lsf.conf. Job not submitted.", "profile.lsf"),
    ("OAR", "Configuration file not found. at /usr/share/perl5/OAR/Conf.pm line 64.", "oar.conf"),
]


def system(name: str, done: Done) -> BatchSystem:
    return dialect(name)(Answering({SUBMIT[name]: done}), Needs(), timeout_s=1, options={})


@pytest.mark.parametrize("said", NOT_STARTED)
@pytest.mark.parametrize("name", SUBMIT)
def test_a_submit_command_that_cannot_be_started_refuses_nothing(name: str, said: str) -> None:
    command = SUBMIT[name]
    code, advice = NOT_STARTED[said]

    with pytest.raises(CEUnavailable, match=f"^{command} cannot be started on .*{said[-9:]}.*{advice}"):
        system(name, Done(code, "", said.replace("COMMAND", command))).submit(JOB)


@pytest.mark.parametrize(("name", "said", "advice"), UNCONFIGURED)
def test_a_submit_command_without_its_configuration_refuses_nothing(name: str, said: str, advice: str) -> None:
    with pytest.raises(CEUnavailable, match=f"^{SUBMIT[name]} finds no configuration on .*; .*{advice}"):
        system(name, Done(1, "", said)).submit(JOB)


@pytest.mark.parametrize("name", SUBMIT)
def test_any_other_failure_of_a_submit_command_is_a_refusal(name: str) -> None:
    assert isinstance(system(name, Done(1, "", "no such queue")).submit(JOB), Rejected)


def test_every_batch_system_with_commands_is_tried_here() -> None:
    assert set(SUBMIT) == set(SYSTEMS) - {"Host"}


def test_a_missing_tool_is_no_proof_that_a_job_has_gone() -> None:
    done = Done(127, "", "sh: 1: condor_rm: not found")

    with pytest.raises(CEError, match="condor_rm cannot be started"):
        Condor(Answering({"condor_rm": done}), Needs()).cancel(["1.0"])


def test_a_missing_accounting_command_is_no_proof_that_a_job_is_unknown() -> None:
    transport = Answering(
        {"qstat": Done(0, "<job_info></job_info>", ""), "qacct": Done(127, "", "sh: qacct: not found")}
    )

    with pytest.raises(CEError, match="qacct cannot be started"):
        dialect("GE")(transport, Needs(), timeout_s=1, options={}).find([STAMP])


def test_the_command_is_named_also_where_env_is_to_start_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "env").symlink_to("/usr/bin/env")
    monkeypatch.setenv("PATH", str(tmp_path))
    condor = Condor(Local(), Needs(), schedd=Schedd(name="ce", environment={"A": "b"}))

    with pytest.raises(CEUnavailable, match=r"^condor_submit cannot be started on this machine: .*; install it there"):
        condor.submit(JOB)


@pytest.mark.parametrize(("mode", "advice"), [(0o644, "make it executable"), (0, "make it executable"), (None, "PATH")])
def test_a_command_that_cannot_be_started_here_says_what_to_do(tmp_path: Path, mode: int | None, advice: str) -> None:
    command = tmp_path / "sbatch"
    if mode is not None:
        command.touch()
        command.chmod(mode)

    with pytest.raises(CEUnavailable, match=f"{re.escape(str(command))} cannot be started on this machine: .*{advice}"):
        Local().run([str(command)], timeout_s=1)


def test_a_command_that_is_missing_behind_ssh_says_what_to_do(tmp_path: Path) -> None:
    client = tmp_path / "fake_ssh"
    client.write_text('#!/bin/sh\nfor last; do :; done; exec /bin/sh -c "$last"\n')
    client.chmod(0o755)
    ssh = Ssh(Login(host="ce01"), command=str(client))
    words = Words(name="Slurm", gone=(), unconfigured=(), configure="")
    commands = Commands(ssh, words, timeout_s=10, start=lambda command: [str(tmp_path / command)])

    with pytest.raises(
        CEUnavailable, match=r"^sbatch cannot be started on ce01: .*not found.*, also in shells that ssh"
    ):
        commands.run("sbatch")
    ssh.close()


def shell(script: str, timeout_s: float, stdin: bytes = b"") -> tuple[Done, float]:
    began = time.monotonic()
    done = Local().run(["/bin/sh", "-c", script], timeout_s=timeout_s, stdin=stdin)
    return done, time.monotonic() - began


@pytest.mark.parametrize("script", ["yes", "exec 2>&-; yes", "yes & wait"])
def test_a_command_that_fills_a_file_is_not_listened_to_for_ever(script: str, tmp_path: Path) -> None:
    began = time.monotonic()
    with (
        (tmp_path / "into").open("wb") as file,
        subprocess.Popen(
            ["/bin/sh", "-c", script], stdout=file, stderr=subprocess.PIPE, start_new_session=True
        ) as process,
    ):
        pipes = Pipes(process, None, into=tmp_path / "into", most_file_bytes=1_000_000)
        try:
            has_ended = pipes.listen(10 * PATIENCE_S)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            pipes.close()

    assert (has_ended, pipes.flood) == (False, "it wrote more than 1000000 bytes")
    assert time.monotonic() - began < PATIENCE_S


def test_a_file_within_its_bound_is_whole(tmp_path: Path) -> None:
    done = Local().run(["/bin/sh", "-c", "exec 2>&-; head -c 3000000 /dev/zero"], timeout_s=30, into=tmp_path / "into")

    assert (done, (tmp_path / "into").stat().st_size) == (Done(0, "", ""), 3_000_000)


def test_a_command_that_never_stops_talking_is_ended_and_has_not_answered() -> None:
    tracemalloc.start()
    try:
        done, took_s = shell("yes", 10 * PATIENCE_S)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert done == Done(None, "", f"it wrote more than {MOST_BYTES} bytes")
    assert took_s < PATIENCE_S
    assert peak < 2 * MOST_BYTES


def test_a_command_that_never_stops_complaining_is_ended_as_well() -> None:
    assert shell("yes >&2", PATIENCE_S)[0].exit_code is None


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("cat", Done(0, "x" * 1_000_000, "")),
        ("exit 3", Done(3, "", "")),
        ("cat >&2; exit 1", Done(1, "", "x" * 1_000_000)),
        ("head -c 5; echo end >&2", Done(0, "xxxxx", "end\n")),
        ("exec 0<&- 1>&- 2>&-; sleep 0.1; exit 4", Done(4, "", "")),
        ("kill -9 $$", Done(None, "", "")),
    ],
)
def test_what_a_command_reads_and_says_is_carried_whole(script: str, expected: Done) -> None:
    assert shell(script, PATIENCE_S, b"x" * 1_000_000)[0] == expected


@pytest.mark.parametrize(
    "script",
    ["echo begun; sleep 600", "echo begun; exec 1>&- 2>&-; sleep 600", "echo begun; sleep 600 & exit 0"],
    ids=["silent", "without pipes", "by a child that keeps them"],
)
def test_a_command_that_does_not_end_in_its_time_has_not_answered(script: str) -> None:
    done, took_s = shell(script, 2.0, b"x" * 1_000_000)

    assert done == Done(None, "begun\n", "")
    assert took_s < PATIENCE_S
