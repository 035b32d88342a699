"""NVIDIA's devices, told by its own library (NVML): a program of its own, because a broken driver can hang its caller.

Prints one line for each device that this slot may use: UUID, memory in MB, name, number, with tabs between them, in the
order of the PCI bus. A GPU that is split (MIG) is not listed, its parts are, each with the number of the GPU. Only the
standard library is needed.
"""

import ctypes
import sys
from collections.abc import Iterator
from typing import Any

_LIBRARY = "libnvidia-ml.so.1"
_SUCCESS = 0
_TEXT_BYTES = 96  # NVML_DEVICE_UUID_V2_BUFFER_SIZE and NVML_DEVICE_NAME_V2_BUFFER_SIZE, nvml.h
_MB = 10**6
_MIG_ENABLED = 1


class _Memory(ctypes.Structure):
    """`nvmlMemory_t`: three numbers of bytes."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def devices(library: Any) -> Iterator[tuple[str, int, str, int]]:
    """Yield UUID, memory in MB, name and number of what this process may use.

    Args:
        library: NVML, as ctypes gives it.
    """
    if library.nvmlInit_v2() != _SUCCESS:
        return
    try:
        number = 0  # as CUDA counts: what a cgroup hides has none
        for index in range(_count(library)):
            device = ctypes.c_void_p()
            # the count includes devices that a cgroup keeps from us (NVML_ERROR_NO_PERMISSION)
            if library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)) == _SUCCESS:
                parts = _parts(library, device) if _is_split(library, device) else [_described(library, device)]
                yield from ((*part, number) for part in parts)
                number += 1
    finally:
        library.nvmlShutdown()


def _count(library: Any) -> int:
    count = ctypes.c_uint()
    return count.value if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) == _SUCCESS else 0


def _is_split(library: Any, device: ctypes.c_void_p) -> bool:
    current, pending = ctypes.c_uint(), ctypes.c_uint()
    try:
        answer = library.nvmlDeviceGetMigMode(device, ctypes.byref(current), ctypes.byref(pending))
    except AttributeError:  # drivers before 450 know nothing of MIG
        return False
    return bool(answer == _SUCCESS and current.value == _MIG_ENABLED)


def _parts(library: Any, device: ctypes.c_void_p) -> Iterator[tuple[str, int, str]]:
    most = ctypes.c_uint()
    library.nvmlDeviceGetMaxMigDeviceCount(device, ctypes.byref(most))
    for index in range(most.value):
        part = ctypes.c_void_p()
        if library.nvmlDeviceGetMigDeviceHandleByIndex(device, index, ctypes.byref(part)) == _SUCCESS:
            yield _described(library, part)


def _described(library: Any, device: ctypes.c_void_p) -> tuple[str, int, str]:
    memory = _Memory()
    library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory))
    uuid, name = _text(library.nvmlDeviceGetUUID, device), _text(library.nvmlDeviceGetName, device)
    return uuid, memory.total // _MB, name


def _text(read: Any, device: ctypes.c_void_p) -> str:
    buffer = ctypes.create_string_buffer(_TEXT_BYTES)
    return buffer.value.decode("ascii", "replace") if read(device, buffer, _TEXT_BYTES) == _SUCCESS else ""


def main() -> int:
    """Print the devices; say in the exit code when NVML is not there."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    for uuid, memory_mb, name, number in devices(library):
        if uuid:
            print(uuid, memory_mb, name, number, sep="\t")
    return 0


if __name__ == "__main__":
    sys.exit(main())
