"""The GPUs of this slot: which devices there are, which of them the batch system gave us, and what a job may see.

A device is named by its UUID, never by a number: numbers change with the order that a program prefers
(CUDA_DEVICE_ORDER) and with the devices that a cgroup hides.
"""

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agents.log import EventLog
from agents.slot import nvml
from agents.slot.command import Ask
from agents.slot.isolated_python import alone

log = EventLog("slot")

_MB = 10**6
_NODES = "sys/class/kfd/kfd/topology/nodes"  # AMD's compute driver
_UUIDS = ("GPU-", "MIG-")
_ROW = re.compile(r"([^\t]{1,100})\t(\d{1,12})\t[^\t]*(?:\t(\d{1,4}))?", re.ASCII)  # of agents/slot/nvml.py
_NUMBERED = re.compile(r"[A-Za-z_/]*(\d{1,4})", re.ASCII)  # `2`, and `gpu2` as Grid Engine's resources may be called
_RESOURCE = re.compile(r"SGE_HGR_\w*(gpu|cuda)\w*", re.IGNORECASE)  # Univa, Altair, Open Cluster Scheduler
_OF_HOST = re.compile(r"(\S+)-gpu(\d{1,4})", re.ASCII)  # a line of Torque's PBS_GPUFILE
# Jobs of these systems are told their GPUs: who was told of none was given none.
_IN_A_JOB = ("SGE_TASK_ID", "PBS_JOBID", "LSB_JOBID", "SLURM_JOB_ID", "SLURM_JOBID", "_CONDOR_JOB_AD")
_VIDEO_MEMORY = (1, 2)  # heap types: frame buffer, public and private (kfd_sysfs.h)


class Maker(StrEnum):
    """Whose tools a device listens to."""

    NVIDIA = "NVIDIA"
    AMD = "AMD"


# By which variables a slot is told its devices, the first that is set counts; and which a payload's libraries obey.
_GIVEN: Mapping[Maker, Sequence[str]] = {
    Maker.NVIDIA: ("CUDA_VISIBLE_DEVICES", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "_CONDOR_AssignedGPUs"),
    Maker.AMD: ("ROCR_VISIBLE_DEVICES", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS"),
}
_OBEYED: Mapping[str, Maker] = {
    "CUDA_VISIBLE_DEVICES": Maker.NVIDIA,
    "NVIDIA_VISIBLE_DEVICES": Maker.NVIDIA,
    "ROCR_VISIBLE_DEVICES": Maker.AMD,
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device, or one part of a split one.

    Attributes:
        gpu_id: UUID; where no library tells it, the word that the batch system uses.
        maker: NVIDIA or AMD.
        memory_mb: 0 when unknown.
    """

    gpu_id: str
    maker: Maker
    memory_mb: int = 0


def find_gpus(root: Path, environ: Mapping[str, str], ask: Ask) -> tuple[Gpu, ...]:
    """Return the devices of this slot, each once.

    Args:
        root: "/", or a recorded tree.
        environ: of the batch job.
        ask: runs the program that talks to NVIDIA's library; only where there is a device of theirs.
    """
    given = _given_nvidia(_nvidia(root, ask), environ)
    found = (*given, *_chosen(list(enumerate(_amd(root))), _words(environ, _GIVEN[Maker.AMD])))
    return tuple({gpu.gpu_id: gpu for gpu in found}.values())


def visibility(gpu_ids: Iterable[str], gpus: Iterable[Gpu]) -> dict[str, str]:
    """Return the variables by which a job sees its devices and no others: empty ones for a job that holds none."""
    makers = {gpu.gpu_id: gpu.maker for gpu in gpus}
    held = list(gpu_ids)
    return {name: ",".join(i for i in held if makers.get(i) is maker) for name, maker in _OBEYED.items()}


# ---- what there is ----


def _nvidia(root: Path, ask: Ask) -> Sequence[tuple[int, Gpu]]:
    """Return NVIDIA's devices, each with the number by which batch systems and CUDA call it."""
    if not (root / "dev/nvidiactl").exists() and not (root / "dev/dxg").exists():  # dxg: Windows' subsystem for Linux
        return ()
    listed = ask(*alone(nvml)) or ""
    rows = (_ROW.fullmatch(line) for line in listed.split("\n"))
    listing = enumerate(row for row in rows if row)
    return [(int(row[3] or at), Gpu(row[1], Maker.NVIDIA, int(row[2]))) for at, row in listing]


def _amd(root: Path) -> tuple[Gpu, ...]:
    """Return AMD's devices in the order in which their library counts them."""
    nodes = sorted((root / _NODES).glob("[0-9]*"), key=lambda node: int(node.name))
    described = [(node, _properties(node / "properties")) for node in nodes]
    # processors are nodes too, without SIMD units; a device that a cgroup hides cannot be read at all
    devices = [(node, found) for node, found in described if found.get("simd_count")]
    return tuple(
        Gpu(_amd_id(found, number), Maker.AMD, _amd_memory_mb(root, node, found))
        for number, (node, found) in enumerate(devices)
    )


def _amd_id(properties: Mapping[str, int], number: int) -> str:
    unique = properties.get("unique_id", 0)
    return f"GPU-{unique:016x}" if unique else str(number)  # cheap cards have no UUID


def _amd_memory_mb(root: Path, node: Path, properties: Mapping[str, int]) -> int:
    card = root / f"sys/class/drm/renderD{properties.get('drm_render_minor', 0)}/device/mem_info_vram_total"
    text = _text(card).strip()
    if text.isdecimal():
        return int(text) // _MB
    banks = (_properties(bank / "properties") for bank in (node / "mem_banks").glob("[0-9]*"))
    return sum(bank.get("size_in_bytes", 0) for bank in banks if bank.get("heap_type") in _VIDEO_MEMORY) // _MB


def _properties(file: Path) -> dict[str, int]:
    return {name: int(number) for name, number in re.findall(r"^(\w+) (\d+)$", _text(file), re.MULTILINE)}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


# ---- what of it is ours ----


def _given_nvidia(devices: Sequence[tuple[int, Gpu]], environ: Mapping[str, str]) -> tuple[Gpu, ...]:
    words = _words(environ, _GIVEN[Maker.NVIDIA])
    if not devices and words:  # no library to ask: the batch system's word is all there is
        log.warning("gpus.not_described", given=",".join(words), note="NVML is not there or does not answer")
        return tuple(Gpu(word, Maker.NVIDIA) for word in words)
    # Of NVIDIA_VISIBLE_DEVICES only UUIDs mean anything inside the container that was made from it.
    inside = [word for word in environ.get("NVIDIA_VISIBLE_DEVICES", "").split(",") if word.startswith(_UUIDS)]
    return tuple(gpu for gpu in _chosen(devices, words) if not inside or _is_one_of(gpu, inside))


def _words(environ: Mapping[str, str], names: Iterable[str]) -> list[str] | None:
    """Return the devices that the first variable which is set names; None for those that nobody gives by name."""
    for name in names:
        if name in environ:
            words = [word.strip().removeprefix("CUDA") for word in environ[name].split(",")]
            named = itertools.takewhile(lambda word: not word.startswith("-"), words)  # -1 ends the list
            return [word for word in named if word not in ("", "NoDevFiles")]
    given = [_number(word) for name in sorted(environ) if _RESOURCE.fullmatch(name) for word in environ[name].split()]
    if given or "PBS_GPUFILE" in environ:
        return given or list(_of_torque(environ))
    return [] if any(name in environ for name in _IN_A_JOB) else None


def _number(word: str) -> str:
    """Return the number in `gpu2`; other words as they are."""
    found = _NUMBERED.fullmatch(word)
    return found[1] if found else word


def _of_torque(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the numbers of this host's devices."""
    host = os.uname().nodename.partition(".")[0]
    for line in _text(Path(environ["PBS_GPUFILE"])).split("\n"):
        found = _OF_HOST.fullmatch(line.strip())
        if found and found[1].partition(".")[0] == host:
            yield found[2]


def _chosen(devices: Sequence[tuple[int, Gpu]], words: Sequence[str] | None) -> list[Gpu]:
    """Return the devices that the words name, by number or by the beginning of the UUID.

    A word that names none ends the list, as it does for CUDA itself. As many numbers as there are devices name all of
    them: the batch system then counts those that its cgroup hides, too. The number of a device that is split means its
    first part, as to CUDA.
    """
    numbers = {number for number, _ in devices}
    if words is None or (len(words) == len(numbers) == len(devices) and all(word.isdecimal() for word in words)):
        return [gpu for _, gpu in devices]
    chosen: list[Gpu] = []
    for word in words:
        found = [gpu for number, gpu in devices if word == str(number)][:1]
        found = found or [gpu for _, gpu in devices if _is_one_of(gpu, [word])]
        if len(found) != 1:
            break
        chosen += found
    return chosen


def _is_one_of(gpu: Gpu, words: Iterable[str]) -> bool:
    return any(word.startswith(_UUIDS) and gpu.gpu_id.lower().startswith(word.lower()) for word in words)
