# ruff: noqa: N802 - the stand-in has NVML's own names
"""Finding GPUs: a stand-in for NVIDIA's library at its C interface, a tree like AMD's, the outer slot's words."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agents.slot import nvml
from agents.slot.command import nobody
from agents.slot.gpus import Gpu, Maker, find_gpus, visibility

NO_PERMISSION, NOT_FOUND = 4, 6  # nvml.h
ONE, TWO = "GPU-11111111-aaaa", "GPU-22222222-bbbb"
LISTED = f"{ONE}\t80000\tH100\n{TWO}\t80000\tH100\n"


@dataclass
class Nvml:
    """NVML's functions as ctypes calls them: numbers and text come back through pointers."""

    uuids: Sequence[str]
    hidden: frozenset[int] = frozenset()
    parts: Mapping[int, Sequence[str]] = field(default_factory=dict)
    open_calls: int = 0

    def nvmlInit_v2(self) -> int:
        self.open_calls += 1
        return 0

    def nvmlShutdown(self) -> int:
        self.open_calls -= 1
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = len(self.uuids)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, device: Any) -> int:
        device._obj.value = index + 1
        return NO_PERMISSION if index in self.hidden else 0

    def nvmlDeviceGetMigMode(self, device: Any, current: Any, pending: Any) -> int:
        current._obj.value = int(device.value - 1 in self.parts)
        return 0

    def nvmlDeviceGetMaxMigDeviceCount(self, device: Any, count: Any) -> int:
        count._obj.value = 7
        return 0

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: Any, index: int, part: Any) -> int:
        part._obj.value = 100 * device.value + index
        return 0 if index < len(self.parts[device.value - 1]) else NOT_FOUND

    def nvmlDeviceGetMemoryInfo(self, device: Any, memory: Any) -> int:
        memory._obj.total = 80 * 10**9
        return 0

    def nvmlDeviceGetUUID(self, device: Any, text: Any, size: int) -> int:
        parent, index = divmod(device.value, 100)
        text.value = (self.parts[parent - 1][index] if parent else self.uuids[index - 1]).encode()
        return 0

    def nvmlDeviceGetName(self, device: Any, text: Any, size: int) -> int:
        text.value = b"H100"
        return 0


def test_devices_are_listed_with_uuid_memory_and_name_and_the_library_is_let_go() -> None:
    library = Nvml([ONE, TWO])

    assert list(nvml.devices(library)) == [(ONE, 80_000, "H100", 0), (TWO, 80_000, "H100", 1)]
    assert library.open_calls == 0


def test_device_that_a_cgroup_hides_is_not_listed() -> None:
    assert [uuid for uuid, *_ in nvml.devices(Nvml([ONE, TWO], hidden=frozenset({0})))] == [TWO]


def test_split_device_is_listed_by_its_parts() -> None:
    library = Nvml([ONE, TWO], parts={0: ["MIG-a", "MIG-b"]})

    assert [uuid for uuid, *_ in nvml.devices(library)] == ["MIG-a", "MIG-b", TWO]


def test_driver_that_knows_nothing_of_mig_is_no_obstacle() -> None:
    class Old(Nvml):
        def __getattribute__(self, name: str) -> Any:
            if "Mig" in name:
                raise AttributeError(name)
            return super().__getattribute__(name)

    assert len(list(nvml.devices(Old([ONE])))) == 1


@pytest.fixture
def nvidia_node(tmp_path: Path) -> Path:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    return tmp_path


def listing(*_: str) -> str:
    return LISTED


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, [ONE, TWO]),
        ({"CUDA_VISIBLE_DEVICES": "1"}, [TWO]),
        ({"CUDA_VISIBLE_DEVICES": "1,0"}, [ONE, TWO]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, []),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, []),
        ({"CUDA_VISIBLE_DEVICES": "0,-1,1"}, [ONE]),
        ({"CUDA_VISIBLE_DEVICES": "0,7"}, [ONE, TWO]),  # as many as there are: Slurm counts what its cgroup hides
        ({"CUDA_VISIBLE_DEVICES": "GPU-2222"}, [TWO]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-"}, []),  # names two: to CUDA it names none
        ({"CUDA_VISIBLE_DEVICES": "1", "SLURM_JOB_GPUS": "0,1"}, [TWO]),
        ({"SLURM_JOB_GPUS": "0"}, [ONE]),
        ({"_CONDOR_AssignedGPUs": "CUDA1"}, [TWO]),
        ({"SGE_TASK_ID": "1", "SGE_HGR_gpu": "1"}, [TWO]),
        ({"SGE_TASK_ID": "1", "SGE_HGR_gpu": "0 1"}, [ONE, TWO]),
        ({"SGE_TASK_ID": "1", "SGE_HGR_gpu_card": "gpu1"}, [TWO]),
        ({"SGE_TASK_ID": "1", "SGE_HGR_CUDA": "GPU-2222"}, [TWO]),
        ({"SGE_TASK_ID": "1", "SGE_HGR_licence": "1"}, []),
        ({"SGE_TASK_ID": "1", "SGE_HGR_gpu": "1", "CUDA_VISIBLE_DEVICES": "0"}, [ONE]),
        ({"SGE_TASK_ID": "undefined"}, []),  # asked for none, and was given none
        ({"PBS_JOBID": "1.s"}, []),
        ({"PBS_JOBID": "1.s", "PBS_GPUFILE": "/no/such/file"}, []),
        ({"LSB_JOBID": "1"}, []),
        ({"SLURM_JOB_ID": "1"}, []),
        ({"_CONDOR_JOB_AD": "/ad"}, []),
        ({"NVIDIA_VISIBLE_DEVICES": TWO}, [TWO]),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, [ONE, TWO]),
        ({"NVIDIA_VISIBLE_DEVICES": "void"}, [ONE, TWO]),
    ],
)
def test_devices_of_the_outer_slot_are_honoured(environ: dict[str, str], found: list[str], nvidia_node: Path) -> None:
    assert [gpu.gpu_id for gpu in find_gpus(nvidia_node, environ, listing)] == found


def test_the_file_of_torque_names_this_hosts_devices(nvidia_node: Path) -> None:
    here = os.uname().nodename.partition(".")[0]
    file = nvidia_node / "gpufile"
    file.write_text(f"other-gpu0\n{here}-gpu1\nodd\n", encoding="ascii")

    assert [gpu.gpu_id for gpu in find_gpus(nvidia_node, {"PBS_GPUFILE": str(file)}, listing)] == [TWO]


@pytest.mark.parametrize(
    ("words", "found"),
    [("1", [TWO]), ("0", ["MIG-a"]), ("MIG-b", ["MIG-b"]), ("MIG-b,1", ["MIG-b", TWO]), ("0,1", ["MIG-a", TWO])],
)
def test_numbers_beside_parts_of_a_split_device_count_whole_devices(
    words: str, found: list[str], nvidia_node: Path
) -> None:
    rows = f"MIG-a\t10000\tH100\t0\nMIG-b\t10000\tH100\t0\n{TWO}\t80000\tH100\t1\n"

    gpus = find_gpus(nvidia_node, {"CUDA_VISIBLE_DEVICES": words}, lambda *_: rows)

    assert [gpu.gpu_id for gpu in gpus] == found


def test_words_of_the_batch_system_stand_in_for_a_library_that_is_silent(nvidia_node: Path) -> None:
    found = find_gpus(nvidia_node, {"CUDA_VISIBLE_DEVICES": "0,1"}, nobody)

    assert found == (Gpu("0", Maker.NVIDIA), Gpu("1", Maker.NVIDIA))


def test_node_without_devices_starts_no_program(tmp_path: Path) -> None:
    asked: list[str] = []

    def ask(*argv: str) -> str:
        asked.extend(argv)
        return LISTED

    assert find_gpus(tmp_path, {}, ask) == ()
    assert asked == []


def amd_node(root: Path, number: int, properties: str, vram_bytes: int = 0) -> None:
    node = root / f"sys/class/kfd/kfd/topology/nodes/{number}"
    node.mkdir(parents=True)
    (node / "properties").write_text(properties, encoding="ascii")
    if vram_bytes:
        device = root / f"sys/class/drm/renderD{127 + number}/device"
        device.mkdir(parents=True)
        (device / "mem_info_vram_total").write_text(f"{vram_bytes}\n", encoding="ascii")


@pytest.fixture
def amd(tmp_path: Path) -> Path:
    amd_node(tmp_path, 0, "cpu_cores_count 64\nsimd_count 0\nunique_id 0\n")
    amd_node(
        tmp_path, 1, "cpu_cores_count 0\nsimd_count 440\nunique_id 12322012612\ndrm_render_minor 128\n", 68_702_699_520
    )
    amd_node(tmp_path, 2, "cpu_cores_count 0\nsimd_count 440\nunique_id 0\ndrm_render_minor 129\n")
    bank = tmp_path / "sys/class/kfd/kfd/topology/nodes/2/mem_banks/0"
    bank.mkdir(parents=True)
    (bank / "properties").write_text("heap_type 1\nsize_in_bytes 8589934592\n", encoding="ascii")
    return tmp_path


def test_amd_devices_are_told_from_processors_and_have_their_memory(amd: Path) -> None:
    found = find_gpus(amd, {}, nobody)

    assert found == (Gpu("GPU-00000002de72fdc4", Maker.AMD, 68_702), Gpu("1", Maker.AMD, 8_589))


@pytest.mark.parametrize(
    ("words", "found"), [("1", ["1"]), ("GPU-00000002DE72FDC4", ["GPU-00000002de72fdc4"]), ("", [])]
)
def test_amd_devices_of_the_outer_slot_are_honoured(words: str, found: list[str], amd: Path) -> None:
    assert [gpu.gpu_id for gpu in find_gpus(amd, {"ROCR_VISIBLE_DEVICES": words}, nobody)] == found


def test_job_sees_its_own_devices_and_a_job_without_sees_none() -> None:
    gpus = (Gpu(ONE, Maker.NVIDIA), Gpu("GPU-amd", Maker.AMD))

    assert visibility([ONE], gpus) == {
        "CUDA_VISIBLE_DEVICES": ONE,
        "NVIDIA_VISIBLE_DEVICES": ONE,
        "ROCR_VISIBLE_DEVICES": "",
    }
    assert set(visibility([], gpus).values()) == {""}
