"""A real file system of a few megabytes, in a file."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

SIZE_BYTES = 32 * 1024**2  # the agent wants 10 MB free (MinDiskSpace)
INODES = 1024  # and 500 of these
COMMAND_S = 30


def can_mount() -> bool:
    """Tell whether this machine lets us mount one."""
    return os.geteuid() == 0 and Path("/dev/loop-control").exists() and bool(shutil.which("mkfs.ext4"))


class SmallDisk:
    """An ext4 mounted on a directory; `close` unmounts it."""

    def __init__(self, image: Path, place: Path) -> None:
        self.place = place
        self._image = image
        with image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", "-N", str(INODES), str(image))
        self._mount()
        self._is_mounted = True

    @property
    def _filler(self) -> Path:
        return self.place / "filler"

    def fill(self, *, leave_bytes: int) -> None:
        """Take all the space but this much."""
        with contextlib.suppress(OSError), self._filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
        if leave_bytes:
            os.truncate(self._filler, self._filler.stat().st_size - leave_bytes)

    def use_all_inodes(self) -> None:
        """Make empty files until no more can be made."""
        self._filler.mkdir()
        with contextlib.suppress(OSError):
            for number in range(10 * INODES):
                (self._filler / str(number)).touch()

    def empty(self) -> None:
        """Give back what was taken."""
        if self._filler.is_dir():
            shutil.rmtree(self._filler)
        self._filler.unlink(missing_ok=True)

    def make_read_only(self) -> None:
        """Let the kernel find an error of the file system, and stop all writing to it."""
        trigger = Path("/sys/fs/ext4", self._device().name, "trigger_fs_error")
        trigger.write_text("a test\n", encoding="ascii")

    def make_writable(self) -> None:
        """Repair it and mount it anew."""
        _run("umount", str(self.place))
        subprocess.run(["e2fsck", "-fy", str(self._image)], check=False, capture_output=True, timeout=COMMAND_S)
        self._mount()

    def _mount(self) -> None:
        _run("mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.place))

    def _device(self) -> Path:
        """Return the loop device under it."""
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            if line.split(" ")[4] == str(self.place):
                return Path(line.partition(" - ")[2].split(" ")[1])
        raise AssertionError(f"{self.place} is not mounted")

    def close(self) -> None:
        """Unmount it; at the second time nothing happens."""
        if self._is_mounted:
            self._is_mounted = False
            _run("umount", "--lazy", str(self.place))


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=COMMAND_S)
