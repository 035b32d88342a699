"""Reading and writing small files with as few system calls as there can be: some twenty of them for each task.

`Path.read_bytes` makes nine calls for what takes four, and gives up the interpreter's lock at each.
"""

import os
from pathlib import Path

_CHUNK_BYTES = 65536


def read_small(path: Path | str) -> bytes:
    """Return all of a file, also of one whose size the kernel does not tell (/proc, control groups)."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        read = os.read(fd, _CHUNK_BYTES)
        while more := os.read(fd, _CHUNK_BYTES):
            read += more
        return read
    finally:
        os.close(fd)


def read_first(path: Path | str, count: int) -> bytes:
    """Return so many bytes of a file, from its beginning: strangers decide how long it is."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        read = bytearray()
        while len(read) < count and (more := os.read(fd, min(_CHUNK_BYTES, count - len(read)))):
            read += more
        return bytes(read)
    finally:
        os.close(fd)


def write_small(path: Path | str, content: bytes) -> None:
    """Make a file or replace what is in it; the content is on its way to the disk, not there."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        while content:
            content = content[os.write(fd, content) :]
    finally:
        os.close(fd)
