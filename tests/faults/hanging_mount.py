"""A FUSE file system that takes a request and never answers: whoever asks sleeps in the kernel, SIGKILL or not.

Protocol: linux/fuse.h. A request that the daemon has read is waited for without regard to signals.
"""

import ctypes
import errno
import os
import struct
import threading
from pathlib import Path

FUSE_INIT = 26
MS_NOSUID, MS_NODEV = 2, 4
MNT_FORCE, MNT_DETACH = 1, 2
_IN_HEADER = struct.Struct("=IIQQIIII")
_OUT_HEADER = struct.Struct("=IiQ")
_INIT_OUT = struct.Struct("=IIIIHHI40x")
_LIBC = ctypes.CDLL(None, use_errno=True)


def can_mount() -> bool:
    """Tell whether this machine lets us mount such a thing."""
    return os.geteuid() == 0 and os.access("/dev/fuse", os.R_OK | os.W_OK)


class HangingMount:
    """The mount; `close` aborts it, which ends everybody's sleep."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._asked = threading.Event()
        self._fd = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self._fd},rootmode=40000,user_id=0,group_id=0,allow_other"
        flags = MS_NOSUID | MS_NODEV
        if _LIBC.mount(b"hanging", str(place).encode(), b"fuse", flags, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), "mount")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def is_asked(self) -> bool:
        """True once somebody waits for an answer."""
        return self._asked.is_set()

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._fd, 1 << 20)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT):
                    continue
                return  # ENODEV: unmounted; EBADF: closed
            _, opcode, unique, *_ = _IN_HEADER.unpack_from(request)
            if opcode == FUSE_INIT:
                body = _INIT_OUT.pack(7, 31, 65536, 0, 12, 9, 4096)
                os.write(self._fd, _OUT_HEADER.pack(_OUT_HEADER.size + len(body), 0, unique) + body)
            else:
                self._asked.set()

    def close(self) -> None:
        """Abort the connection, which lets the sleepers go, and unmount."""
        _LIBC.umount2(str(self.place).encode(), MNT_FORCE)
        _LIBC.umount2(str(self.place).encode(), MNT_DETACH)
        self._thread.join(5)
        os.close(self._fd)
