"""Machines of this host: qemu with a NoCloud seed, real boots without any privilege, for single hosts and for tests.

    FOLDER/NAME/   disk.qcow2, what the machine writes, over the image that all share
                   seed.iso, user-data and meta-data for cloud-init; parcel.tar, the task's disk
                   console, all that it wrote there; pid; alive, a lock that its qemu holds as long as it lives
                   started, made just before that qemu

A machine is there from the moment in which its qemu is about to be started; what was prepared before and not started is
none. They go on when we end, and reach services on this host's loopback as 10.0.2.2.
"""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ce_backends.cloud.context import DISK
from ce_backends.cloud.machines import Abilities, Machine, Power, Refused, stamp_of
from ce_backends.cloud.seed import iso
from ce_backends.errors import CEError, CEMisconfigured, CEUnavailable
from ce_backends.linux import children as offspring
from ce_backends.linux import command
from ce_backends.linux.removal import remove_tree

QEMU = "qemu-system-x86_64"
KNOWN = ("accel", "kernel", "initrd", "append", "network")
_FLAVOR = re.compile(r"(\d{1,3})x(\d{2,7})", re.ASCII)
_MOST_CONSOLE_BYTES = 64_000_000  # a machine that writes more is ended at the next look
_KILL_S = 5.0
_STARTED = "started"
_APPEND = "root=/dev/vda rw console=ttyS0 panic=5"  # -no-reboot makes a panic an end


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What each machine is.

    Attributes:
        image: disk image, raw or qcow2; it is only read.
        processors: of a machine.
        memory_mb: of a machine, in qemu's MB (2^20 bytes).
        accel: of the processor, as qemu's -accel has it.
        kernel: started instead of the image's boot loader, where it is named; with `initrd` and `append`.
        initrd: see `kernel`.
        append: its command line.
        network: qemu's -nic; user-mode networking needs no privilege.
    """

    image: Path
    processors: int
    memory_mb: int
    accel: str
    kernel: str = ""
    initrd: str = ""
    append: str = ""
    network: str = "user,model=virtio-net-pci"


def hardware(image: str, flavor: str, driver: Mapping[str, str]) -> Hardware:
    """Return what the options say.

    Raises:
        CEMisconfigured: one is wrong.
        CEUnavailable: a file is not here, or qemu is not.
    """
    size = _FLAVOR.fullmatch(flavor)
    if not size:
        raise CEMisconfigured(
            f"option Instance_Flavor is {flavor!r}: expected PROCESSORSxMB for CloudType = qemu, 1x1024"
        )
    if wrong := sorted(set(driver) - set(KNOWN)):
        known = ", ".join(f"Driver_{name}" for name in KNOWN)
        raise CEMisconfigured(f"option Driver_{wrong[0]} means nothing to CloudType = qemu; there are {known}")
    files = {"Instance_Image": image, **{f"Driver_{name}": driver.get(name, "") for name in ("kernel", "initrd")}}
    found = {name: os.path.expandvars(written) for name, written in files.items()}
    for name, path in found.items():
        if path and not Path(path).is_file():
            raise CEUnavailable(f"option {name} is {files[name]!r}: there is no such file")
    if not shutil.which(QEMU):
        raise CEUnavailable(f"{QEMU} is not on this machine")
    return Hardware(
        image=Path(found["Instance_Image"]),
        processors=int(size[1]),
        memory_mb=int(size[2]),
        **{"accel": accelerator(), **driver, "kernel": found["Driver_kernel"], "initrd": found["Driver_initrd"]},
    )


def accelerator() -> str:
    """Return the quickest way to run machines here; an emulated processor is some ten times slower."""
    try:
        has_virtualisation = re.search(r"\b(vmx|svm)\b", Path("/proc/cpuinfo").read_text("ascii", "replace"))
    except OSError:
        has_virtualisation = None
    return "kvm" if has_virtualisation and os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg,thread=multi"


class Qemu:
    """See Cloud.

    Args:
        folder: where the machines lie; made when missing.
        what: each machine is.
        timeout_s: for one command.
    """

    abilities = Abilities(user_data_bytes=1_000_000, has_parcel_disk=True, tells_at_once=True, console_bytes=4_000_000)

    def __init__(self, folder: Path, what: Hardware, timeout_s: float) -> None:
        self._folder = folder
        self._what = what
        self._timeout_s = timeout_s

    def create(self, name: str, user_data: bytes, parcel: Path | None) -> str:
        """See Cloud."""
        place = self._folder / name
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _held(place) as lock:
                if lock is None or (place / _STARTED).exists():
                    return name  # it is there: a machine is not created twice
                self._prepare(place, user_data, parcel)
                (place / _STARTED).touch()
                self._start(place, lock)
        except OSError as error:
            raise CEUnavailable(f"machine {name} cannot be prepared: {error}") from error
        return name

    def _prepare(self, place: Path, user_data: bytes, parcel: Path | None) -> None:
        meta = f"instance-id: {place.name}\nlocal-hostname: {place.name}\n".encode("ascii")
        (place / "seed.iso").write_bytes(iso({"user-data": user_data, "meta-data": meta}))
        if parcel:
            shutil.copyfile(parcel, place / "parcel.tar")
        image = self._what.image.absolute()
        argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image), "-F", self._format(image)]
        self._run([*argv, str(place / "disk.qcow2")])

    def _format(self, image: Path) -> str:
        with image.open("rb") as file:
            return "qcow2" if file.read(4) == b"QFI\xfb" else "raw"

    def _run(self, argv: Sequence[str]) -> None:
        said = command.run(argv, timeout_s=self._timeout_s)
        if said.exit_code != 0:
            raise CEUnavailable(f"{argv[0]}: {said.stderr.decode('utf-8', 'replace').strip()[:500] or 'no answer'}")

    def _start(self, place: Path, lock: int) -> None:
        """Start qemu, which keeps the lock; it goes into the background when the machine has begun."""
        with offspring.starting() as started:
            process = subprocess.Popen(
                self._argv(place),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[lock],
                start_new_session=True,
                cwd=place,
            )
            started(process.pid)
        try:
            _, stderr = process.communicate(timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise CEError(f"{QEMU} does not start machine {place.name} within {self._timeout_s:.0f} s") from None
        finally:
            offspring.ended(process.pid)
        if process.returncode != 0:
            sentence = stderr.decode("utf-8", "replace").strip()[:500]
            raise Refused(f"{QEMU} does not start machine {place.name}: {sentence}")

    def _argv(self, place: Path) -> Sequence[str]:
        what = self._what
        argv = [QEMU, "-name", place.name, "-accel", what.accel, "-cpu", "host" if what.accel == "kvm" else "max"]
        argv += ["-m", str(what.memory_mb), "-smp", str(what.processors), "-nodefaults", "-no-reboot"]
        argv += ["-display", "none", "-nic", what.network, "-chardev", "file,id=console,path=console"]
        argv += ["-serial", "chardev:console", "-daemonize", "-pidfile", "pid", "-device", "virtio-rng-pci"]
        disks = ["file=disk.qcow2,format=qcow2,cache=unsafe", "file=seed.iso,format=raw,read-only=on"]
        if (place / "parcel.tar").exists():
            disks.append("file=parcel.tar,format=raw,read-only=on")
        for disk, serial in zip(disks, ("root", "seed", DISK), strict=False):  # /dev/vda, /dev/vdb, /dev/vdc
            argv += [
                "-drive",
                f"{disk},if=none,id={serial}",
                "-device",
                f"virtio-blk-pci,drive={serial},serial={serial}",
            ]
        if what.kernel:
            argv += ["-kernel", what.kernel, "-append", what.append or _APPEND]
            argv += ["-initrd", what.initrd] if what.initrd else []
        return argv

    def machines(self) -> Sequence[Machine]:
        """See Cloud."""
        try:
            names = sorted(path.name for path in self._folder.iterdir() if stamp_of(path.name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CEError(f"machines in {self._folder} cannot be listed: {error}") from error
        return [machine for name in names if (machine := self._machine(self._folder / name))]

    def _machine(self, place: Path) -> Machine | None:
        """Return a machine, None where none was ever started there."""
        try:
            with _held(place) as lock:
                power = Power.ON if lock is None else Power.OFF
            age_s = max(0.0, time.time() - (place / _STARTED).stat().st_mtime)
            if _size(place / "console") > _MOST_CONSOLE_BYTES:
                self._kill(place)
        except FileNotFoundError:  # it was never started, or is being deleted
            return None
        except OSError as error:
            raise CEError(f"machine {place.name} cannot be looked at: {error}") from error
        return Machine(machine_id=place.name, name=place.name, power=power, native=power.value, age_s=age_s)

    def delete(self, machine_id: str) -> None:
        """See Cloud."""
        place = self._folder / machine_id
        if not stamp_of(machine_id) or not place.exists():
            return
        self._kill(place)
        remove_tree(place)

    def _kill(self, place: Path) -> None:
        """End a machine's qemu.

        Raises:
            CEError: it does not end.
        """
        deadline = time.monotonic() + _KILL_S
        while (lock := _lock(place)) is None:
            with suppress(OSError, ValueError):  # it has ended, or its number is not written yet
                os.kill(int((place / "pid").read_text("ascii")), signal.SIGKILL)
            if time.monotonic() > deadline:
                raise CEError(f"machine {place.name} does not end")
            time.sleep(0.05)
        os.close(lock)

    def console(self, machine_id: str, most_bytes: int) -> str:
        """See Cloud."""
        try:
            with (self._folder / machine_id / "console").open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - most_bytes))
                return file.read(most_bytes).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise CEError(f"the console of machine {machine_id} cannot be read: {error}") from error

    def close(self) -> None:
        """See Cloud."""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def _held(place: Path) -> Iterator[int | None]:
    """Hold the lock of a machine; None where its qemu lives, or is being started."""
    lock = _lock(place)
    try:
        yield lock
    finally:
        if lock is not None:
            os.close(lock)


def _lock(place: Path) -> int | None:
    lock = os.open(place / "alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except OSError:
        os.close(lock)
        raise
    return lock
