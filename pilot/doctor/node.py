"""The doctor's steps that look at the node itself."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pilot.agent import launch
from pilot.counted import counted
from pilot.doctor.finding import FAULT, OK, WARNING, Finding, Patient
from pilot.errors import UNFIT, NodeUnfit
from pilot.node import bundle, work_folder

TRY_S = 20.0
WRITTEN_BYTES = 1_000_000
FILES_WANTED = 1024
RUNTIMES = ("apptainer", "singularity", "podman", "bwrap")
CONTAINMENT = (
    "import json; from ce_backends.containment.probe import probe; found = probe('doctor'); "
    "print(json.dumps([found.level, sorted(found.limits), found.why_not_better]))"
)


def python(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Find the Python that would run the agent."""
    launch.check_packages(launch.code_folder())
    chosen = launch.interpreter(patient.settings.python_environment)
    started = bundle.read(patient.environ)
    version = f"pilot on {sys.version.split()[0]}"
    return patient, [Finding("Python", OK, f"agent on {chosen}, {version}; {started.why or 'started with it'}")]


def processors(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Say what the slot gives."""
    node = patient.node
    cores = f"{counted(node.processors.value, 'processor')} ({node.processors.origin})"
    memory = f"{node.memory_mb.value} MB ({node.memory_mb.origin})"
    return patient, [Finding("slot", OK, f"{cores}, {memory}, {node.architecture}")]


def gpus(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Name the GPUs, and try their driver."""
    node = patient.node
    if not node.gpus:
        return patient, [Finding("GPUs", OK, f"none ({node.gpus_origin})")]
    found = f"{', '.join(node.gpus)} ({node.gpus_origin})"
    program = shutil.which("nvidia-smi")
    trouble = _trouble([program, "-L"]) if program else ""
    if trouble:
        remedy = "restart the node's driver, or start pilots without CUDA_VISIBLE_DEVICES"
        return patient, [Finding("GPUs", WARNING, f"{found}, but nvidia-smi: {trouble}", remedy)]
    return patient, [Finding("GPUs", OK, found)]


def disk(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Look at the free space, write a file, and start a program from the work folder."""
    free, wanted = patient.node.disk_mb.value, patient.settings.min_disk_mb
    if free < wanted:
        says = f"{patient.work_dir}: {free} MB are free; a pilot wants {wanted} MB (--disk)"
        return patient, [Finding("disk", FAULT, says, "free space there, or name another --work-dir", UNFIT)]
    try:
        with (
            _existing(patient.work_dir),
            tempfile.TemporaryDirectory(prefix=".doctor-", dir=patient.work_dir) as folder,
        ):
            (Path(folder) / "file").write_bytes(bytes(WRITTEN_BYTES))
            trouble = work_folder.cannot_start_from(patient.work_dir)
    except OSError as error:
        says = f"{patient.work_dir}: cannot be written: {error.strerror}"
        return patient, [Finding("disk", FAULT, says, "free space or inodes there, or name another --work-dir", UNFIT)]
    if trouble:
        remedy = "mount it without noexec, or name another --work-dir"
        return patient, [Finding("disk", FAULT, trouble, remedy, UNFIT)]
    return patient, [Finding("disk", OK, f"{patient.work_dir}: {free} MB free, files are written, programs start")]


@contextlib.contextmanager
def _existing(folder: Path) -> Iterator[None]:
    """Make a folder if it is not there; afterwards remove what was made, unless somebody has put something into it."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for place in made:
            with contextlib.suppress(OSError):
                place.rmdir()


def limits(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Look at the limits that payloads would inherit."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    memory = resource.getrlimit(resource.RLIMIT_AS)[0]
    found = []
    if 0 <= files < FILES_WANTED:
        says = f"{files} open files are allowed; {FILES_WANTED} or more are usual"
        found.append(Finding("limits", WARNING, says, "ulimit -n, or LimitNOFILE of the batch system's daemon"))
    if memory != resource.RLIM_INFINITY:
        says = f"address space is limited to {memory // 1_000_000} MB (ulimit -v)"
        remedy = "lift it: runtimes that reserve memory (Java, Go, Python with threads) fail under it"
        found.append(Finding("limits", WARNING, says, remedy))
    return patient, found or [Finding("limits", OK, f"{_shown(files)} open files, address space not limited")]


def _shown(limit: int) -> str:
    return "any number of" if limit == resource.RLIM_INFINITY else str(limit)


def containment(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Hold and kill a real process in the best way the node offers, as the agent will."""
    interpreter = launch.interpreter(patient.settings.python_environment)
    environment = launch.agent_environment(patient.environ, patient.settings, {})
    command = [interpreter, "-P", "-c", CONTAINMENT]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=TRY_S, check=False)
        level, limiters, why_not_better = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise NodeUnfit(f"the containment of payloads cannot be tried: {error}") from error
    return patient, [contained(level, limiters, why_not_better)]


def contained(level: str, limiters: Sequence[str], why_not_better: str) -> Finding:
    """Judge the way that payloads are held by."""
    if not level.startswith("cgroup"):
        says = f"no cgroup can be used: payloads are held by {level} ({why_not_better})"
        remedy = "delegate a cgroup to the pilot: Delegate=yes in the batch daemon's unit, or cgroup v2 in its plug-in"
        return Finding("cgroups", WARNING, says, remedy)
    says = f"{level}, limits: {', '.join(limiters) or 'none'}" + (f"; {why_not_better}" if why_not_better else "")
    if not {"memory", "pids", "cpuset"} <= set(limiters):
        remedy = "delegate the controllers memory, pids and cpuset to the pilot's cgroup"
        return Finding("cgroups", WARNING, says, remedy)
    return Finding("cgroups", OK, says)


def namespaces(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Make a user namespace, which containers without a set-user-id program need."""
    program = shutil.which("unshare", path=patient.environ.get("PATH"))
    if program is None:
        return patient, [Finding("namespaces", OK, "not tried: the node has no unshare(1)")]
    trouble = _trouble([program, "--user", "--map-root-user", "true"])
    if trouble:
        says = f"user namespaces cannot be made: {trouble}"
        remedy = "sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns"
        return patient, [Finding("namespaces", WARNING, says, remedy)]
    return patient, [Finding("namespaces", OK, "user namespaces can be made")]


def containers(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Start each container program on the PATH; the agent tries by itself whether its CE can start containers."""
    named = {name: shutil.which(name, path=patient.environ.get("PATH")) for name in RUNTIMES}
    found = [_runtime(name, program) for name, program in named.items() if program]
    return patient, found or [Finding("containers", OK, f"none of {', '.join(RUNTIMES)} on the PATH")]


def _runtime(name: str, program: str) -> Finding:
    tried = [program, "--ro-bind", "/", "/", "true"] if name == "bwrap" else [program, "--version"]
    trouble = _trouble(tried)
    if not trouble:
        return Finding("containers", OK, f"{program} works")
    remedy = f"repair or remove {name}: `{' '.join(tried)}` shows the error"
    return Finding("containers", WARNING, f"{program} does not work: {trouble}", remedy)


def _trouble(command: Sequence[str]) -> str:
    """Return why a command fails, "" if it works."""
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TRY_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end within {TRY_S:.0f} s"
    except OSError as error:
        return os.strerror(error.errno or 0)
    said = done.stdout.decode("utf-8", "replace").strip().split("\n")
    return "" if done.returncode == 0 else (said[-1] or f"exit code {done.returncode}")
