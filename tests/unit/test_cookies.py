"""What a process names as its task's, whatever it has made of its environment since it was started."""

import os
import signal
import subprocess
import sys
import time
import tracemalloc
import uuid

from ce_backends.containment.cookies import named_tasks
from ce_backends.task.script import COOKIE

STAMP = uuid.uuid4().hex  # a test of another process must not have the same
# PR_SET_MM_MAP (prctl(2)), which every user may: the environment is where 4 GB of nothing are mapped.
ENDLESS = """\
import ctypes, mmap, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.sbrk.restype = ctypes.c_void_p
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
size = 4 << 30
place = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, -1, 0)
fields = open("/proc/self/stat").read().rpartition(")")[2].split()
code, data, stack, arguments = fields[23:25], fields[42:44], fields[25], fields[45:47]
numbers = map(int, (*code, *data, fields[44], libc.sbrk(0), stack, *arguments, place, place + size, 0))
told = struct.pack("12QII", *numbers, 0, 0xFFFFFFFF)
print(libc.prctl(35, ctypes.c_ulong(14), told, ctypes.c_ulong(len(told)), ctypes.c_ulong(0)), flush=True)
time.sleep(100)
"""


def test_a_process_names_what_stands_in_its_environment_and_nothing_like_it() -> None:
    environment = {COOKIE: STAMP, f"X{COOKIE}": "a" * 32, "Y": f"{COOKIE}={'b' * 32}"}
    words = ["/bin/sh", "-c", "echo up; sleep 100"]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        process.stdout.readline()  # before that the kernel may not have its environment yet
        named = named_tasks(process.pid)
        os.killpg(process.pid, signal.SIGKILL)

    assert named == {STAMP}


def test_an_environment_without_end_takes_little_memory_and_time() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", ENDLESS], stdout=subprocess.PIPE) as process:
        assert process.stdout
        moved = process.stdout.readline()
        tracemalloc.start()
        began_s = time.process_time()
        named = named_tasks(process.pid)
        took_s, peak_bytes = time.process_time() - began_s, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        process.kill()

    assert moved == b"0\n", "it could not move its environment"
    assert named == frozenset()
    assert (took_s < 3.0, peak_bytes < 40 << 20) == (True, True), (took_s, peak_bytes)
