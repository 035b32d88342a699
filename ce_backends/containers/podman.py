"""Payloads in Podman: a directory with a system, or an image that Podman knows or can fetch.

The container's processes stay in the task's control group where crun is used (`--cgroups=disabled`); runc makes one of
its own, which is put below the task's.
"""

import os
import resource
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from ce_backends.containers.binds import Bind, bind_text, trust_binds
from ce_backends.containers.bubblewrap import directory_trouble, gpu_devices, is_program
from ce_backends.containers.options import ContainerSettings, binds, container_options
from ce_backends.containers.runtime import ContainerStart, Way
from ce_backends.containment.cgroup_cell import BYTES_PER_MB, MAX_PROCESSES
from ce_backends.linux.cgroup import Group
from ce_backends.linux.command import run
from ce_backends.linux.small_files import read_small
from ce_backends.options import Option, OptionValue, value_of
from ce_backends.readers import comma_list
from ce_backends.task.script import COOKIE

_REMOVE_S = 30.0
_REMOVE_TIMES = 3
_FREE = Way(("--cgroups=disabled",))
_NOT_TOLD = "with runc a task that is over its memory limit is killed, and nobody tells that this was why"
_BELOW = Way((), _NOT_TOLD, {"memory_limit_ends_a_task": _NOT_TOLD})
_ALONE = (
    "--rm",
    "--network=host",
    "--security-opt=label=disable",
    "--security-opt=no-new-privileges",
    "--cap-drop=all",
    "--read-only",
    "--read-only-tmpfs=false",
    "--shm-size=0",
)
_USUAL_LIMITS = {"nofile": (resource.RLIMIT_NOFILE, 1 << 20), "nproc": (resource.RLIMIT_NPROC, 1 << 15)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Podman:
    """The program podman.

    Attributes:
        program: its path; a plain name when it was not found.
        image: a directory, or an image's name.
        binds: what payloads see besides.
        options: further ones for `run`.
        is_root: podman starts containers as root, not in user namespaces.
    """

    name: ClassVar[str] = "Podman"
    OPTIONS: ClassVar[Sequence[Option]] = container_options(
        root="",
        root_doc="Image that payloads run in: a directory with a system, or the name of an image, which is fetched "
        "before the first job is asked for if it is not there. It must be set.",
        program="podman on the PATH",
    )

    program: str
    image: str
    binds: Sequence[Bind]
    options: Sequence[str]
    is_root: bool

    @classmethod
    def from_options(cls, options: Mapping[str, OptionValue | None], environ: Mapping[str, str]) -> Self:
        """Return it as the options say."""
        settings = value_of(ContainerSettings, options)
        return cls(
            program=settings.program or shutil.which("podman", path=environ.get("PATH")) or "podman",
            image=settings.root,
            binds=(*trust_binds(environ), *binds(settings.binds)),
            options=comma_list(settings.options),
            is_root=os.geteuid() == 0,
        )

    @property
    def ways(self) -> Sequence[Way]:
        """See Runtime."""
        return (_FREE, _BELOW) if self.is_root else (_FREE,)

    @property
    def shown(self) -> Sequence[Bind]:
        """See Runtime."""
        return self.binds

    @property
    def root(self) -> Path | None:
        """See Runtime."""
        return Path(self.image) if self._is_directory else None

    def trouble(self) -> str:
        """See Runtime."""
        if not is_program(self.program):
            return f"{self.program} is not there: install Podman, or name the program (ContainerBin)"
        if not self.image:
            return "ContainerRoot is not set: expected a directory with a system, or the name of an image"
        return directory_trouble(Path(self.image)) if self._is_directory else ""

    @property
    def _is_directory(self) -> bool:
        return self.image.startswith("/")

    def argv(self, way: Way, start: ContainerStart) -> list[str]:
        """See Runtime."""
        command = [self.program]
        command += ["--runtime=crun" if way.flags else "--runtime=runc", "--cgroup-manager=cgroupfs", "run", *way.flags]
        command += [] if way.flags else _below(start)
        command += ["--name", _name(start.directory), *_ALONE, *_limits(), f"--env={COOKIE}={start.stamp}"]
        command += [] if self.is_root else ["--userns=keep-id"]
        command += [f"--user={start.user.uid}:{start.user.gid}"] if start.user else []
        command += ["--volume", bind_text(Bind(start.directory / "tmp", Path("/tmp"), is_writable=True))]  # noqa: S108 - its
        for bind in start.view.binds:
            command += ["--volume", bind_text(bind)]
        if start.has_gpus:
            command += [f"--device={device}" for device in gpu_devices()]
        command += [*self.options, "--workdir", str(start.directory / "work"), "--entrypoint=/bin/sh"]
        command += ["--rootfs", f"{self.image}:O"] if self._is_directory else [self.image]
        return [*command, str(start.directory / "inside")]

    def forget(self, directory: Path, joins: Sequence[Path]) -> None:
        """See Runtime. A container whose podman was killed is still there, whatever `--rm` says."""
        command = [self.program, "rm", "--force", "--ignore", "--time=0", _name(directory)]
        with suppress(OSError):
            for _ in range(_REMOVE_TIMES):  # it fails once on one that was killed while Podman stopped it
                if run(command, timeout_s=_REMOVE_S).exit_code in (0, None):
                    break
        parent = _parent(directory, joins)
        for mount in _hierarchies():  # runc makes groups in more of them than the task's own cell
            Group(mount / parent.lstrip("/")).remove()


def _name(directory: Path) -> str:
    return f"gridpilot-{directory.name.removeprefix('.')}"


def _limits() -> list[str]:
    """Return limits that we may set: Podman as root wants more than a process without CAP_SYS_RESOURCE may have."""
    found = []
    for name, (number, usual) in _USUAL_LIMITS.items():
        hard = resource.getrlimit(number)[1]
        value = usual if hard == resource.RLIM_INFINITY else min(hard, usual)
        found.append(f"--ulimit={name}={value}:{value}")
    return found


def _below(start: ContainerStart) -> list[str]:
    """Put runc's control group below that which ends the task; what the task's others limit, runc has to."""
    limits = [f"--pids-limit={MAX_PROCESSES}"]
    limits += [f"--memory={start.memory_mb * BYTES_PER_MB}b"] if start.memory_mb else []
    limits += [f"--cpuset-cpus={','.join(map(str, start.processor_ids))}"] if start.processor_ids else []
    return [f"--cgroup-parent={_parent(start.directory, start.joins)}", *limits]


def _parent(directory: Path, joins: Sequence[Path]) -> str:
    """Return the path, as runc counts it, of the control group that ends a task."""
    if not joins:
        return f"/{_name(directory)}"
    group = joins[0].parent
    mount = next(parent for parent in group.parents if os.path.ismount(parent))
    return f"/{group.relative_to(mount)}"


def _hierarchies() -> list[Path]:
    """Return where control groups are mounted."""
    lines = read_small("/proc/self/mountinfo").decode("utf-8", "surrogateescape").split("\n")
    return [Path(line.split(" ")[4]) for line in lines if line.partition(" - ")[2].startswith("cgroup")]
