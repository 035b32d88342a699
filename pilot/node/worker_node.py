"""What the node gives this slot: processors, memory, disk, GPUs.

Each number is the smallest that any source allows, with the name of that source. Functions read the file trees under
`root` ("/" in real life) and the environment they are given, and nothing else.
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pilot.node import bundle

CGROUPS = "sys/fs/cgroup"
MIB = 1_048_576
MB = 1_000_000
GPU_RESOURCE = re.compile(r"SGE_HGR_\w*(gpu|cuda)\w*", re.IGNORECASE)  # Univa, Altair, Open Cluster Scheduler
# jobs of these systems are told their GPUs: who was told of none was given none
TOLD_OF_GPUS = ("SGE_TASK_ID", "PBS_JOBID", "LSB_JOBID", "SLURM_JOB_ID", "SLURM_JOBID", "_CONDOR_JOB_AD")


@dataclass(frozen=True)
class Fact:
    """A number and who said so."""

    value: int
    origin: str


@dataclass(frozen=True)
class WorkerNode:
    """What this slot may use.

    Attributes:
        processors: logical processors.
        memory_mb: memory in MB (10^6 bytes).
        disk_mb: free disk of the work folder in MB.
        gpus: device names; the origin says where from.
        architecture: as DIRAC writes platforms, e.g. Linux_x86_64_glibc-2.36.
    """

    processors: Fact
    memory_mb: Fact
    disk_mb: Fact
    gpus: tuple[str, ...]
    gpus_origin: str
    architecture: str


def look(root: Path, environ: Mapping[str, str], work_dir: Path) -> WorkerNode:
    """Find out everything about this node. Reads files only: takes milliseconds."""
    node = os.uname().nodename.partition(".")[0]
    cores = processors(root, environ, affinity=os.sched_getaffinity(0), node=node)
    gpus, gpus_origin = find_gpus(root, environ)
    return WorkerNode(
        processors=cores,
        memory_mb=memory(
            root, environ, processors=cores.value, address_space=resource.getrlimit(resource.RLIMIT_AS)[0]
        ),
        disk_mb=Fact(_free_disk_mb(work_dir), f"free on {work_dir}"),
        gpus=gpus,
        gpus_origin=gpus_origin,
        architecture=architecture(environ),
    )


def processors(root: Path, environ: Mapping[str, str], *, affinity: Collection[int], node: str) -> Fact:
    """Return the processors that affinity, cgroups and the batch system all allow, at least 1."""
    allowed = [Fact(len(affinity), "affinity"), *_cgroup_processors(root), *_batch_processors(environ, node)]
    return min((fact for fact in allowed if fact.value > 0), key=lambda fact: fact.value)


def memory(root: Path, environ: Mapping[str, str], *, processors: int, address_space: int = -1) -> Fact:
    """Return the MB that the node, its cgroups and the batch system all allow; 0 where nothing says.

    Args:
        root: "/" or a recorded tree.
        environ: the environment.
        processors: of this slot, for limits per processor.
        address_space: limit of each process in bytes, by which Grid Engine keeps h_vmem; negative for none.
    """
    allowed = [*_node_memory(root), *_cgroup_memory(root), *_batch_memory(environ, processors)]
    allowed += [Fact(address_space // MB, "limit of address space (ulimit -v)")] if address_space > 0 else []
    return min((fact for fact in allowed if fact.value > 0), key=lambda fact: fact.value, default=Fact(0, "unknown"))


def find_gpus(root: Path, environ: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """Return the GPUs of this slot and who said so."""
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS"):
        if name in environ:
            listed = (device.strip() for device in environ[name].split(","))
            return tuple(device for device in listed if device not in ("", "-1", "NoDevFiles")), name
    for name in sorted(environ):
        if GPU_RESOURCE.fullmatch(name):
            return tuple(environ[name].split()), name
    if "PBS_GPUFILE" in environ:
        node = os.uname().nodename.partition(".")[0]
        lines = (line.rpartition("-gpu") for line in _read_given(environ["PBS_GPUFILE"]).split())
        return tuple(number for host, _, number in lines if host.partition(".")[0] == node), "PBS_GPUFILE"
    if any(name in environ for name in TOLD_OF_GPUS):
        return (), "the batch system gave none"
    devices = sorted(path.name for path in (root / "dev").glob("nvidia[0-9]*"))
    return tuple(devices), "devices in /dev"


def architecture(environ: Mapping[str, str]) -> str:
    """Return this platform in the words of DIRAC's OSCompatibility table."""
    machine = os.uname()
    try:
        libc = bundle.read(environ).node_libc or os.confstr("CS_GNU_LIBC_VERSION") or ""
    except ValueError:  # musl has no such name
        libc = ""
    return "_".join(part for part in (machine.sysname, machine.machine, libc.replace(" ", "-")) if part)


def _free_disk_mb(folder: Path) -> int:
    disk = os.statvfs(next(place for place in (folder, *folder.parents) if place.exists()))
    return disk.f_bavail * disk.f_frsize // MB


def cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of our cgroup and of those above it, for v2 (controller "") or a v1 controller.

    A container may see another path than the kernel prints, so only folders that exist are yielded; the top always is.
    """
    for line in _read(root / "proc/self/cgroup").split("\n"):
        _, controllers, path = (*line.split(":", 2), "", "", "")[:3]
        if not path or controller not in controllers.split(","):
            continue
        for top in _mounts(root, controllers, controller):
            parts = [part for part in path.split("/") if part not in ("", "..")]
            folders = (top.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1))
            yield from (folder for folder in folders if folder.is_dir())


def _mounts(root: Path, controllers: str, controller: str) -> Iterator[Path]:
    names = ("", "unified") if controller == "" else dict.fromkeys((controllers, controller))
    yield from (root / CGROUPS / name for name in names)


def _cgroup_processors(root: Path) -> Iterator[Fact]:
    for folder in cgroup_folders(root, ""):
        quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
        yield from _quota(quota, period, folder / "cpu.max", root)
    for folder in cgroup_folders(root, "cpu"):
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        yield from _quota(quota, period, folder / "cpu.cfs_quota_us", root)


def _quota(quota: str, period: str, source: Path, root: Path) -> Iterator[Fact]:
    if _number(quota) > 0 and _number(period) > 0:  # "max" and -1 mean no limit
        whole = max(1, _number(quota) // _number(period))  # half a processor too many would be throttled
        yield Fact(whole, f"cgroup /{source.relative_to(root)}")


def _batch_processors(environ: Mapping[str, str], node: str) -> Iterator[Fact]:
    """Yield what the batch system granted on this node; of several variables of one system the first that is set."""
    found = (
        _first(environ, "SLURM_CPUS_ON_NODE"),
        _first(environ, "SLURM_CPUS_PER_TASK") if "SLURM_CPUS_ON_NODE" not in environ else None,
        _slurm_list(environ),
        _pbs_nodes(environ, node) or _first(environ, "PBS_NUM_PPN", "NCPUS"),
        _first(environ, "PBS_NP") if environ.get("PBS_NUM_NODES", "1") == "1" else None,
        _first(environ, "NSLOTS") if environ.get("NHOSTS", "1") == "1" else _grid_engine_hosts(environ, node),
        _lsf_affinity(environ) or _lsf_hosts(environ, node) or _first(environ, "LSB_DJOB_NUMPROC"),
        _condor_ad(environ, "Cpus"),
        _oar_nodes(environ, node),
        _feature(environ, "JOBFEATURES", "allocated_cpu"),
    )
    yield from (fact for fact in found if fact is not None)


def _slurm_list(environ: Mapping[str, str]) -> Fact | None:
    """Read SLURM_JOB_CPUS_PER_NODE, e.g. "4,2(x3)": the entry of our node."""
    name = "SLURM_JOB_CPUS_PER_NODE"
    counts = [
        int(count)
        for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", environ.get(name, ""))
        for _ in range(int(times or 1))
    ]
    here = _number(environ.get("SLURM_NODEID", "0"))
    return Fact(counts[here], name) if 0 <= here < len(counts) else None


def _grid_engine_hosts(environ: Mapping[str, str], node: str) -> Fact | None:
    """Add up our slots in Grid Engine's file of a parallel job, e.g. "wn1.site 16 all.q@wn1.site UNDEFINED"."""
    words = (line.split() for line in _read_given(environ.get("PE_HOSTFILE", "")).split("\n"))
    ours = [_number(line[1]) for line in words if len(line) > 1 and _is_host(line[0], node)]
    return Fact(sum(ours), "PE_HOSTFILE") if ours and min(ours) > 0 else None


def _pbs_nodes(environ: Mapping[str, str], node: str) -> Fact | None:
    """Count our lines in Torque's file, which has one for each processor; a job of one node does not need it."""
    if environ.get("PBS_NUM_NODES", "1") == "1":
        return None
    ours = [line for line in _read_given(environ.get("PBS_NODEFILE", "")).split() if _is_host(line, node)]
    return Fact(len(ours), "PBS_NODEFILE") if ours else None


def _lsf_affinity(environ: Mapping[str, str]) -> Fact | None:
    """Count what LSF binds the job to on this host: a slot may be several cores (`affinity[core(4)]`)."""
    name = "LSB_BIND_CPU_LIST"
    counted = sum(
        max(0, int(last or first) - int(first) + 1)
        for first, last in re.findall(r"\b(\d{1,5})(?:-(\d{1,5}))?", environ.get(name, ""))
    )
    return Fact(counted, name) if counted else None


def _is_host(name: str, node: str) -> bool:
    return name.partition(".")[0].lower() == node.partition(".")[0].lower()


def _lsf_hosts(environ: Mapping[str, str], node: str) -> Fact | None:
    """Read LSB_MCPU_HOSTS, e.g. "wn1 4 wn2 4"."""
    words = environ.get("LSB_MCPU_HOSTS", "").split()
    pairs = (words[at : at + 2] for at in range(0, len(words) - 1, 2))
    ours = [_number(count) for host, count in pairs if _is_host(host, node)]
    return Fact(sum(ours), "LSB_MCPU_HOSTS") if ours else None


def _oar_nodes(environ: Mapping[str, str], node: str) -> Fact | None:
    """Count our lines in OAR's file, which has one for each processor."""
    lines = _read_given(environ.get("OAR_NODEFILE", "")).split()
    ours = [line for line in lines if _is_host(line, node)]
    return Fact(len(ours), "OAR_NODEFILE") if ours else None


def _condor_ad(environ: Mapping[str, str], attribute: str) -> Fact | None:
    """Read a whole number from the machine ad that HTCondor leaves beside the job."""
    text = _read_given(environ.get("_CONDOR_MACHINE_AD", ""))
    found = re.search(rf"^{attribute}\s*=\s*(\d+)\s*$", text, re.MULTILINE | re.IGNORECASE)
    return Fact(int(found[1]), f"HTCondor machine ad, {attribute}") if found else None


def _feature(environ: Mapping[str, str], folder: str, name: str) -> Fact | None:
    """Read a value of the Machine/Job Features (HSF-TN-2016-02), which may be a folder; a URL is not fetched."""
    value = _number(_read_given(f"{environ[folder]}/{name}")) if folder in environ else -1
    return Fact(value, f"{folder}/{name}") if value > 0 else None


def _first(environ: Mapping[str, str], *names: str) -> Fact | None:
    return next((Fact(_number(environ[name]), name) for name in names if _number(environ.get(name, "")) > 0), None)


def _node_memory(root: Path) -> Iterator[Fact]:
    found = re.search(r"^MemTotal:\s+(\d+) kB", _read(root / "proc/meminfo"), re.MULTILINE)
    if found:
        yield Fact(int(found[1]) * 1024 // MB, "MemTotal of the node")


def _cgroup_memory(root: Path) -> Iterator[Fact]:
    # above memory.high nothing is killed, and everything waits for memory
    for controller, name in (("", "memory.max"), ("", "memory.high"), ("memory", "memory.limit_in_bytes")):
        for folder in cgroup_folders(root, controller):
            limit = _number(_read(folder / name))
            if limit > 0:  # v1 writes a huge number for no limit, which is never the smallest
                yield Fact(limit // MB, f"cgroup /{(folder / name).relative_to(root)}")


def _batch_memory(environ: Mapping[str, str], processors: int) -> Iterator[Fact]:
    per_node = _number(environ.get("SLURM_MEM_PER_NODE", ""))
    if per_node > 0:
        yield Fact(per_node * MIB // MB, "SLURM_MEM_PER_NODE")
    per_processor = _number(environ.get("SLURM_MEM_PER_CPU", ""))
    if per_processor > 0:
        yield Fact(per_processor * processors * MIB // MB, "SLURM_MEM_PER_CPU")
    per_gpu, gpus = _number(environ.get("SLURM_MEM_PER_GPU", "")), environ.get("SLURM_GPUS_ON_NODE", "")
    if per_gpu > 0 and _number(gpus) > 0:
        yield Fact(per_gpu * _number(gpus) * MIB // MB, "SLURM_MEM_PER_GPU")
    machine = _condor_ad(environ, "Memory")
    if machine is not None:
        yield Fact(machine.value * MIB // MB, machine.origin)
    resident = _feature(environ, "JOBFEATURES", "max_rss_bytes")
    if resident is not None:
        yield Fact(resident.value // MB, resident.origin)


def _number(text: str) -> int:
    text = text.strip()
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 20 else -1


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # absent on this kind of node, or not for us: no limit known from here
        return ""


def _read_given(path: str) -> str:
    """Read a file that the environment names, "" for none."""
    return _read(Path(path)) if path.startswith("/") else ""
